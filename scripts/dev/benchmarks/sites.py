"""Measure whether one server can serve three hundred organisations: start, memory, landing pages.

Two servers are compared in one run: one with SITES sites, each with a counsellor's card and its own
pages, and one with a single such site. All landing pages of the large server are requested in turn,
in both languages.
"""

from __future__ import annotations

import datetime
import http.client
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dev.benchmarks.machine import children, resident, say, server_cpu

if TYPE_CHECKING:
    from tests.support.drop_box import DropBox

SITES = 300
START_OF_ONE, START = 1.0, 3.0  # seconds
WORKER = 80.0  # MB
BINDING = 1.2
ROUNDS, TURN = 40, 60
WARM = 8
_PAGE = "## Onze regeling\n\n- Bel de [commissie](tel:0301234567).\n- Of schrijf haar.\n\n" * 10


def measure(folder: Path) -> bool:
    """Print start time, memory and landing page cost; return whether all limits are met."""
    one, many = _Server(folder / "one", 1), _Server(folder / "many", SITES)
    try:
        for server in (one, many):
            server.serve()
            say(
                f"{server.count:>4} sites: first start, with all to be read, {server.started:.2f} s"
            )
            server.box.stop()
        good = True
        for server in (one, many):
            server.serve()
            most = START_OF_ONE if server.count == 1 else START
            good = _line(f"{server.count} sites: start", server.started, most, "s") and good
            for _ in range(WARM * 2 * server.count):  # so that each worker has rendered each page
                server.landing()
        time.sleep(8)  # the upkeep has then opened every database once
        for server in (one, many):
            for process in children(server.pid):
                name = f"{server.count} sites: a worker"
                good = _line(name, resident(process), WORKER, "MB") and good
        costs = {one: 0.0, many: 0.0}
        for _ in range(ROUNDS):  # in short turns, see ``costs``
            for server in costs:
                costs[server] += server_cpu(server.pid, server.landing, TURN)
        each = {server: 1e3 * cost / (ROUNDS * TURN) for server, cost in costs.items()}
        say(f"landing: {each[one]:.3f} ms with one, {each[many]:.3f} ms with {many.count}")
        return _line("landing, many to one", each[many] / each[one], BINDING, "") and good
    finally:
        for server in (one, many):
            server.box.stop()


def _line(name: str, found: float, most: float, unit: str) -> bool:
    held = found <= most
    say(f"{name:<26} {found:>7.2f} {unit:<2}  <= {most} {'held' if held else 'NOT HELD'}")
    return held


class _Server:
    """A folder with ``count`` sites, and the requests to it."""

    def __init__(self, folder: Path, count: int) -> None:
        from tests.support.drop_box import DropBox

        folder.mkdir()
        self.count = count
        self.started = 0.0
        self.box: DropBox = DropBox(folder / "server")
        self._asked = 0
        for number in range(count):
            _site(self.box.folder / "sites" / f"site-{number}", number)

    @property
    def pid(self) -> int:
        assert self.box.process is not None  # noqa: S101 - it is serving
        return self.box.process.pid

    def serve(self) -> None:
        """Start the server, and wait for the first page."""
        from tests.support.drop_box import start_serving

        began = time.monotonic()
        start_serving(self.box)
        while True:
            try:
                self.landing()
                break
            except OSError:
                time.sleep(0.01)
        self.started = time.monotonic() - began

    def landing(self) -> None:
        """Request the next site's landing page, alternating the language."""
        site, lang = divmod(self._asked % (2 * self.count), 2)
        self._asked += 1
        connection = http.client.HTTPConnection("127.0.0.1", self.box.port, timeout=30)
        headers = {"Host": f"site-{site}.example.org", "Accept-Encoding": "gzip"}
        connection.request("GET", ("/nl/", "/en/")[lang], headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"a landing page was refused: {answer.status}")


def _site(folder: Path, number: int) -> None:
    """Create a site as ``site add`` and ``card add`` leave it, with three custom pages."""
    from dropbox_app.server.config import settings, settings_writer
    from dropbox_app.server.config import site as sites
    from dropbox_app.server.config.settings import Settings
    from dropbox_app.server.store.sqlite import SqliteStore
    from tests.vectors import world

    today = datetime.datetime.now(datetime.UTC).date()
    folder.mkdir(parents=True, mode=0o700)
    origins = (f"https://site-{number}.example.org",)
    made = Settings(f"{number:032x}", f"Organisatie {number}", origins, phone="030 123 45 67")
    (folder / settings.FILE_NAME).write_text(settings_writer.write(made))
    (folder / sites.CARDS).mkdir(mode=0o700)
    SqliteStore.create(folder, lambda: today).close()
    card = world.issue_card("anna", site=made.site, day=today)
    (folder / sites.CARDS / "anna.card").write_bytes(card)
    for lang in ("nl", "en"):
        (folder / "content" / lang).mkdir(parents=True, mode=0o700)
        for page in ("options", "about", "privacy"):
            (folder / "content" / lang / f"{page}.md").write_text(_PAGE)
