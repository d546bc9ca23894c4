"""Hanging sites do not delay the others, and pending sites are shown."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from click.testing import CliRunner

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.actions import at_once, sites
from dropbox_app.desk.cli.main import main
from dropbox_app.desk.cli.threads import NAMED
from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.folder import Machine
from dropbox_app.desk.storage import vault
from dropbox_app.desk.transport import api_client, connection
from dropbox_app.desk.transport.connection import Answer, HttpTransport, Transport
from dropbox_app.desk.web.desk_lock import GRACE, DeskLock
from dropbox_app.desk.web.fetching import Fetching
from tests.desk.conftest import PASSPHRASE
from tests.desk.test_actions import Offices, ToEach
from tests.support.fake_server import Clock
from tests.support.processes import until

SITES, HANG = 25, 5


class Hung:
    """A server that listens and never responds; ``how`` selects what it does instead."""

    def __init__(self, how: str) -> None:
        self.how = how
        self.over = threading.Event()
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.origin = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        self.taken: list[socket.socket] = []
        if how != "never accepted":
            threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                one, _ = self.listening.accept()
                self.taken.append(one)
                if self.how == "trickles":
                    threading.Thread(target=self._trickle, args=(one,), daemon=True).start()
                elif self.how == "half an answer":
                    one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")

    def _trickle(self, one: socket.socket) -> None:
        with contextlib.suppress(OSError):
            one.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
            while not self.over.wait(0.05):
                one.sendall(b" ")

    def close(self) -> None:
        self.over.set()
        for one in (self.listening, *self.taken):
            with contextlib.suppress(OSError):  # otherwise a waiting request keeps the socket open
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class SomeHang(ToEach):
    """A transport to servers of this process, and to hanging ones over real connections."""

    def __init__(self, offices: Offices, hung: Mapping[str, str]) -> None:
        super().__init__(offices.peers)
        self.hung = hung
        self.offices = offices
        self.real = HttpTransport(None)

    def send(
        self, method: str, origin: str, target: str, headers: Mapping[str, str],
        body: bytes | Iterable[bytes], seconds: float,
    ) -> AbstractContextManager[Answer]:  # fmt: skip
        if origin in self.hung:
            return self.real.send(method, self.hung[origin], target, headers, body, seconds)
        return super().send(method, origin, target, headers, body, seconds)

    def break_off(self) -> None:
        self.real.break_off()

    def apart(self) -> "SomeHang":
        return SomeHang(self.offices, self.hung)

    def close(self) -> None:
        self.real.close()


@pytest.fixture
def hung() -> Iterator[list[Hung]]:
    ways = ("never accepted", "says nothing", "trickles", "half an answer", "says nothing")
    made = [Hung(how) for how in ways]
    yield made
    for one in made:
        one.close()


@pytest.fixture
def many(tmp_path: Path, clock: Clock, hung: list[Hung]) -> tuple[Offices, Machine]:
    """Return a desk with 25 sites. Five of these hang, including one with two addresses."""
    offices = Offices(tmp_path / "many", clock, SITES)
    leads = {peer.origin: one.origin for peer, one in zip(offices.peers, hung, strict=False)}
    other = "http://127.0.0.1:7999"
    leads[other] = hung[1].origin
    with workplace.opened(offices.folder, PASSPHRASE, offices.machine()) as place:
        for desk in place.desks():
            if desk.state.site == offices.peers[0].site:
                desk.state.origins = (*desk.state.origins, other)
                desk.save()

    def transport(_: object) -> Transport:
        return SomeHang(offices, leads)

    return offices, Machine(clock, transport, vault.CHEAP_FOR_TESTS)


def names(numbers: Iterable[int]) -> set[str]:
    return {f"Bedrijf {number}" for number in numbers}


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scale time so that a second stands for a minute and each site's limit is under a second."""
    for module, name in (
        (api_client, "FIRST_SECONDS"),
        (connection, "SILENCE_SECONDS"),
        (connection, "CONNECT_SECONDS"),
    ):
        seconds = getattr(module, name)
        assert seconds < 60
        monkeypatch.setattr(module, name, seconds / 60)
    monkeypatch.setattr(at_once, "TOLD_EVERY", 0.2)


def test_five_unresponsive_sites_are_named_and_the_other_twenty_are_fetched(
    many: tuple[Offices, Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    offices, machine = many
    hurry(monkeypatch)
    file = offices.folder.parent / "passphrase"
    file.write_text(PASSPHRASE)
    file.chmod(0o600)
    options = ["--dir", str(offices.folder), "--passphrase-file", str(file)]
    done = CliRunner().invoke(main, [*options, "fetch"], obj=machine, catch_exceptions=False)
    assert done.exit_code == 1
    fetched = set(re.findall(r"^(Bedrijf \d+): nothing new", done.stdout, re.MULTILINE))
    assert fetched == names(range(HANG, SITES))
    told = {name: done.stderr.count(f"{name}: http://") for name in names(range(HANG))}
    assert told == dict.fromkeys(names(range(HANG)), 1)
    first = next(line for line in done.stderr.splitlines() if line.startswith("Still waiting"))
    assert first.count("Bedrijf") == NAMED
    # It adds "and N more" while other sites are still being fetched.
    assert re.search(r"\d( and \d+ more)?\.$", first)


def test_page_shows_pending_sites_and_the_results_of_the_others(
    many: tuple[Offices, Machine], hung: list[Hung]
) -> None:
    offices, machine = many
    lock = DeskLock(offices.folder, machine)
    lock.unlock(PASSPHRASE)
    fetching = Fetching(lock)
    fetching.start()
    until(lambda: fetching.last and len(fetching.last.done) == SITES - HANG, "no twenty were done")
    assert fetching.last is not None
    assert set(fetching.last.waiting) == names(range(HANG))
    for one in hung:
        one.close()
    until(lambda: not fetching.under_way, "the fetch did not end")
    failed = {one.employer for one in fetching.last.done if one.failure}
    assert failed == names(range(HANG))
    assert all(isinstance(o.failure, CannotReach) for o in fetching.last.done if o.failure)
    lock.end()


def test_locking_the_desk_does_not_wait_for_unresponsive_sites(
    many: tuple[Offices, Machine],
) -> None:
    """The button locks within seconds; the idle lock allows a grace period, which activity ends."""
    offices, machine = many
    now = [1000.0]
    lock = DeskLock(offices.folder, machine, lambda: now[0])
    lock.unlock(PASSPHRASE)
    fetching = Fetching(lock)

    def only_those_that_hang() -> None:
        assert fetching.start()
        until(lambda: fetching.last and len(fetching.last.done) == SITES - HANG, "not twenty done")

    only_those_that_hang()
    began = time.monotonic()
    lock.lock()
    until(lambda: not fetching.under_way, "the fetch was not broken off")
    assert time.monotonic() - began < 10
    lock.unlock(PASSPHRASE)

    only_those_that_hang()

    def pass_by(seconds: float) -> bool:
        now[0] += seconds
        return lock.lock_if_idle()

    assert [pass_by(30) for _ in range(2 * lock.idle_minutes)][-1]
    assert fetching.under_way
    for _ in range(GRACE // 30):
        pass_by(30)
    until(lambda: not fetching.under_way, "the fetch was not broken off")

    lock.unlock(PASSPHRASE)
    only_those_that_hang()
    assert pass_by(3600)  # the computer was asleep
    lock.unlock(PASSPHRASE)
    lock.end()


@pytest.mark.long
def test_fetch_with_five_unresponsive_sites_ends_within_a_minute(
    many: tuple[Offices, Machine],
) -> None:
    offices, machine = many
    with workplace.opened(offices.folder, PASSPHRASE, machine) as place:
        began = time.monotonic()
        done = sites.fetch(place)
        assert time.monotonic() - began < 60
    assert {one.employer for one in done if one.failure} == names(range(HANG))
