"""A drop box as in production: on a socket file, with nginx in front, and desks behind Tor."""

import contextlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.server.config import settings
from tests.support import fronts
from tests.support.between import Between, TorPort, unaltered
from tests.support.drop_box import Counsellor, DropBox
from tests.support.processes import until

ONION = fronts.ONION  # nginx names it in the header Onion-Location
DESKS = f"{'d3' * 28}.onion"
NAME = "Els de Vries"
PATIENCE = 300  # seconds until the desk reaches the site; only a real Tor needs more than one


class Served(DropBox):
    """A drop box whose app is at a socket file, with nginx in front at a port and at sockets.

    ``changes``: changes to nginx's settings, see ``fronts``. ``asked_at``: the socket file to which
    nginx connects, by default the app's.
    """

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        changes: Mapping[str, str] = fronts.UNLIMITED,
        certificate: Path | None = None,
    ) -> None:
        super().__init__(folder, port=port)
        self.certificate = certificate
        if certificate is not None:
            self.url = f"https://localhost:{self.port}"
        self.socket_file = folder.with_name("app.sock")
        self.asked_at = self.socket_file
        self.changes = changes
        self.bind = f"unix:{self.socket_file}"
        self._starts = 0

    def serve(self) -> None:
        self._starts += 1
        self._open = ExitStack()
        folder = self.folder.with_name(f"front{self._starts}")
        front = fronts.nginx(
            folder,
            self.asked_at,
            port=self.port,
            changes=self.changes,
            certificate=self.certificate,
        )
        self.front = self._open.enter_context(front)
        super().serve()

    def stop(self) -> None:
        self._open.close()  # first, because the app waits for connections that nginx keeps
        super().stop()


@dataclass(frozen=True)
class Place:
    """A site at an onion address, at one for desks and at a domain, and a desk behind Tor.

    ``behind``: the program between nginx and the app. ``tor``: the one between the desk and nginx.
    """

    box: Served
    els: Counsellor
    tor: TorPort
    behind: Between

    def quiet(self) -> None:
        """Let everything pass unaltered from now on."""
        self.tor.handle = self.behind.handle = unaltered


def let_browsers_seal(box: DropBox) -> None:
    """Change the settings of a drop box; a running one must be started again."""
    file = box.folder / settings.FILE_NAME
    text = file.read_text("utf-8")
    assert "seal_in_browser = false" in text
    file.write_text(text.replace("seal_in_browser = false", "seal_in_browser = true"), "utf-8")


@contextlib.contextmanager
def placed(
    folder: Path,
    *,
    seal: bool = False,
    changes: Mapping[str, str] = fronts.UNLIMITED,
    onion: str = ONION,
    proxy: str = "",
    certificate: Path | None = None,
) -> Iterator[Place]:
    """Serve a site whose only counsellor has fetched once.

    ``seal``: browsers seal messages. ``proxy``: a real Tor, which reaches ``onion``; the site then
    has no address for desks. ``certificate``: as for ``Served``.
    """
    box = Served(folder / "server", changes=changes, certificate=certificate)
    els = Counsellor(folder / "els")
    box.asked_at = folder / "asked.sock"
    tor, behind = TorPort(), Between(box.asked_at, box.socket_file)
    with tor.running(), behind.running():
        box.init()
        origins = ("--origin", f"http://{onion}", "--origin", box.url)
        desks = () if proxy else ("--desk-origin", f"http://{DESKS}")
        invitation = box.server("move", *origins, *desks).stdout
        box.add(els, invitation, NAME, proxy=proxy or tor.url)
        if seal:
            let_browsers_seal(box)
        box.serve()
        try:
            tor.ways = {onion: box.front.onion, DESKS: box.front.desks}
            until(lambda: els.desk("fetch", check=False).returncode == 0, "no way", PATIENCE)
            yield Place(box, els, tor, behind)
        finally:
            box.stop()
