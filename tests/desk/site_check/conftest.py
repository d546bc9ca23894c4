"""A real site in this process, a desk that checks it, and a server that can alter its answers."""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.actions import check_site
from dropbox_app.desk.cli.main import main
from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.folder import Machine
from dropbox_app.desk.site_check.findings import Kept
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.transport.connection import Answer
from dropbox_app.desk.transport.proxy import Proxy
from dropbox_app.protocol.encoding import to_line
from dropbox_app.server.config.settings import Reporter
from tests.server.web.conftest import ONION, SITE, House

PASSPHRASE = "een zin die niemand raadt 1729"
TOR = "socks5h://127.0.0.1:9050"


@dataclass(frozen=True)
class Reply:
    """A response of the site, before it is altered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def with_header(self, name: str, value: str) -> "Reply":
        kept = [one for one in self.headers if one[0] != name]
        return replace(self, headers=(*kept, (name, value)))


# Alters a response: of the visitor with this number, to this address.
Alter = Callable[[int, str, Reply], Reply]


class SiteTransport:
    """A connection to the site. Each has its own number, as each has its own circuit."""

    def __init__(self, world: "World") -> None:
        world.visitors += 1
        self.world = world
        self.number = world.visitors

    @contextlib.contextmanager
    def send(self, method: str, origin: str, target: str, headers: Mapping[str, str],
             body: bytes | Iterable[bytes], seconds: float) -> Iterator[Answer]:  # fmt: skip
        if origin in self.world.down:
            raise CannotReach(f"{origin} could not be reached.")
        self.world.asked.append((self.number, target, dict(headers)))
        client = self.world.house.app.test_client(use_cookies=False)
        plain = {name: value for name, value in headers.items() if name != "Accept-Encoding"}
        if not self.world.packed:
            headers = plain
        got = client.open(target, method=method, headers=dict(headers), base_url=origin)
        reply = Reply(got.status_code, tuple(got.headers.to_wsgi_list()), got.get_data())
        got.close()
        reply = self.world.alter(self.number, target, reply)
        yield Answer(reply.status, iter([reply.body]), reply.headers)

    def apart(self) -> "SiteTransport":
        return SiteTransport(self.world)

    def break_off(self) -> None:
        """Do nothing: no request waits here."""

    def close(self) -> None:
        """Do nothing: no connection is open."""


class World:
    """A site with the desk of one of its counsellors. ``alter`` is what a bad server does."""

    def __init__(self, folder: Path, proxy: str = TOR, **options: object) -> None:
        self.visitors = 0
        self.asked: list[tuple[int, str, dict[str, str]]] = []
        self.down: set[str] = set()
        self.packed = False
        self.alter: Alter = lambda _number, _target, reply: reply
        values: dict[str, object] = {"origins": (ONION,)}
        self.house = House(folder / "site", ("Sam Jansen",), **(values | options))  # type: ignore[arg-type]  # passed on as it came
        self.folder = folder / "desk"
        self.machine = Machine(self.house.clock.today, self.way, vault.CHEAP_FOR_TESTS)
        given: dict[str, Any] = {
            "v": 1, "site": SITE, "name": "Bakkerij", "day": self.house.clock.today().isoformat(),
            "origins": [*self.house.site.settings.origins],
        }  # fmt: skip
        desk = workplace.init(
            self.folder, PASSPHRASE, self.machine,
            invitation=workplace.read_invitation(to_line(given)),
            profile=Profile("Els de Vries", "external", "both", ("nl", "en")), proxy=proxy,
        )  # fmt: skip
        self.house.site.pin("els", desk.state.card, self.house.clock.today())
        self.own = desk.identity
        with self.open() as place:
            desk = place.one()
            desk.state.published = desk.state.confirmed = True
            desk.save()

    def way(self, _proxy: Proxy | None) -> SiteTransport:
        return SiteTransport(self)

    def open(self) -> contextlib.AbstractContextManager[workplace.Workplace]:
        return workplace.opened(self.folder, PASSPHRASE, self.machine)

    def check(self) -> Kept:
        """Check the site's only address."""
        with self.open() as place:
            (done,) = check_site.check(place)
        (result,) = done.results
        return result

    def kinds(self) -> list[str]:
        return sorted({one.kind for one in self.check().findings})

    def run(self, *arguments: str) -> Result:
        file = self.folder.parent / "passphrase"
        file.write_text(PASSPHRASE + "\n")
        file.chmod(0o600)
        given = ["--dir", str(self.folder), "--passphrase-file", str(file), *arguments]
        return CliRunner().invoke(main, given, obj=self.machine, catch_exceptions=False)

    def close(self) -> None:
        self.house.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def sealing(tmp_path: Path) -> Iterator[World]:
    """Yield a site where browsers seal."""
    made = World(tmp_path, reporter=Reporter(seal_in_browser=True))
    yield made
    made.close()


def body_changed(address: str, old: bytes, new: bytes, only: int | None = None) -> Alter:
    """Return an alteration of one address, for all visitors or for every third one."""

    def alter(number: int, target: str, reply: Reply) -> Reply:
        if not re.fullmatch(address, target) or (only is not None and number % 3 != only):
            return reply
        assert old in reply.body
        return replace(reply, body=reply.body.replace(old, new, 1))

    return alter
