"""kill -9 at random moments of the desk's work, in a separate process; the server survives.

Nothing is lost or sent twice, no key is published before it is stored, and the database opens. The
tests of single steps (test_forward_secrecy, test_migrations) stop at each step in turn.
"""

import contextlib
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path

import pytest

from dropbox_app.desk.actions import backups
from dropbox_app.desk.errors import AlreadyThere, Damaged, DeskError
from dropbox_app.desk.folder import Machine, opened
from dropbox_app.desk.storage import vault
from dropbox_app.desk.sync import fetch as rounds
from dropbox_app.desk.sync import outbox
from dropbox_app.desk.transport.connection import Answer
from dropbox_app.protocol import card as cards
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.test_migrations import unpack
from tests.support.chance import seed
from tests.support.fake_server import Clock, Peer, Reporter
from tests.support.forks import PROCESSES

KILLS = 5  # of each of six kinds of work
MANY = 67  # with --long


class PeerProcess:
    """A Peer in this process that desks in other processes reach over a socket file."""

    def __init__(self, peer: Peer, socket: Path) -> None:
        self.peer = peer
        self.address = str(socket)
        self._listener = Listener(self.address, "AF_UNIX", backlog=8)
        self._one_at_a_time = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                method, target, headers, body = connection.recv()
                with self._one_at_a_time:
                    answer = self.peer.answer(method, target, headers, body, 0)
                connection.send(answer)

    def close(self) -> None:
        self._listener.close()


class SocketTransport:
    """The courier's transport to a ``PeerProcess``."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection = Client(address, "AF_UNIX")

    @contextlib.contextmanager
    def send(self, method: str, origin: str, target: str, headers: Mapping[str, str],
             body: bytes | Iterable[bytes], seconds: float) -> Iterator[Answer]:  # fmt: skip
        whole = body if isinstance(body, bytes) else b"".join(body)
        self._connection.send((method, target, dict(headers), whole))
        status, data = self._connection.recv()
        yield Answer(status, iter([data]))

    def break_off(self) -> None:
        """Do nothing: no request waits here."""

    def apart(self) -> "SocketTransport":
        return SocketTransport(self._address)

    def close(self) -> None:
        self._connection.close()


def _work(what: str, folder: Path, address: str, day: str, arguments: tuple[str, ...],
          pipe: Connection) -> None:  # fmt: skip
    """Run this in the process to be killed: report the start, work, report the end."""
    machine = Machine(Clock(day), lambda _: SocketTransport(address), vault.CHEAP_FOR_TESTS)
    pipe.send("begun")
    if what == "restore":
        backups.restore(folder, Path(arguments[0]), PASSPHRASE, machine)
    else:
        with opened(folder, PASSPHRASE, machine) as place:
            if what == "backup":
                backups.backup(place, Path(arguments[0]))
            elif what != "migrate":
                with place.connected(place.one()) as desk:
                    if what == "fetch":
                        rounds.fetch(desk)
                    else:
                        body = {"text": arguments[1]}
                        outbox.write(desk, arguments[0], lang="nl", kind="reply", body=body)
    pipe.send("done")


class Killer:
    """Starts work in a separate process and kills it with SIGKILL partway through."""

    def __init__(self, server: PeerProcess, clock: Clock) -> None:
        self.server, self.clock = server, clock
        self.chance = random.Random(seed())  # noqa: S311 - moments, not secrets
        self.longest: dict[str, float] = {}

    def run(self, what: str, folder: Path, *arguments: str, kill: bool = True) -> bool:
        """Do the work; with ``kill``, kill it at a random moment. Return whether it was done."""
        here, there = PROCESSES.Pipe()
        process = PROCESSES.Process(
            target=_work,
            args=(what, folder, self.server.address, self.clock().isoformat(), arguments, there),
        )
        process.start()
        there.close()
        assert here.recv() == "begun"
        began = time.monotonic()
        if kill:
            here.poll(self.chance.uniform(0, self.longest[what]))
            process.kill()
        process.join(60)
        done = False
        with contextlib.suppress(EOFError):
            done = here.poll(0) and here.recv() == "done"
        if not kill:
            assert done
            self.longest[what] = time.monotonic() - began
        here.close()
        process.close()
        return done


@pytest.fixture
def killer(peer: Peer, clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    server = PeerProcess(peer, tmp_path_factory.mktemp("s") / "s")
    yield Killer(server, clock)
    server.close()


@pytest.fixture
def kills(long_run: bool) -> range:
    return range(MANY if long_run else KILLS)


def copied(folder: Path, name: str) -> Callable[[], None]:
    """Save a folder's state; return a function that restores it."""
    kept = shutil.copytree(folder, folder.with_name(name))

    def back() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder)

    return back


def test_killed_fetch_can_be_repeated(
    office: Office, peer: Peer, killer: Killer, kills: range
) -> None:
    texts = {}
    for number in range(4):
        reporter = Reporter(peer, office.identity)
        reporter.report(f"Melding {number}")
        reporter.attach("Zie bestand", ("a.bin", "application/octet-stream", bytes(90_000)))
        texts[reporter.mailbox] = [f"Melding {number}", "Zie bestand"]
    back = copied(office.folder, "before")
    killer.run("fetch", office.folder, kill=False)
    for _ in kills:
        back()
        peer.fetched.clear()
        killer.run("fetch", office.folder)
        with office.desk() as desk:
            here = set(desk.state.items)
        assert set(peer.fetched) <= here  # only items that are safe were acknowledged
        office.fetch_quietly()
        assert {mailbox: office.texts(mailbox) for mailbox in texts} == texts


def test_killed_reply_can_be_repeated(
    office: Office, peer: Peer, reporter: Reporter, thread: str, killer: Killer, kills: range
) -> None:
    killer.run("reply", office.folder, thread, "De eerste", kill=False)
    sent = ["De eerste"]
    for number in kills:
        text = f"Antwoord {number}"
        done = killer.run("reply", office.folder, thread, text)
        with office.desk() as desk:
            kept = any(item.sent == "waiting" for item in desk.state.items.values())
        there = text in reporter.texts()
        office.fetch_quietly()
        assert reporter.texts().count(text) == (1 if done or kept or there else 0)
        sent += [text] if text in reporter.texts() else []
        assert office.texts(thread) == ["Het gaat over mijn chef.", *sent]
    assert reporter.texts()[1:] == sent


def test_killed_key_rotation_can_be_repeated(
    office: Office, peer: Peer, thread: str, clock: Clock, killer: Killer, kills: range
) -> None:
    """The rotation makes keys and a card, destroys an old key and rekeys the database."""
    clock.to("2027-02-03")
    office.fetch_quietly()
    clock.to("2027-03-05")
    back, published = copied(office.folder, "before"), dict(peer.cards)
    killer.run("fetch", office.folder, kill=False)
    for _ in kills:
        back()
        peer.cards = dict(published)
        killer.run("fetch", office.folder)
        shown = cards.parse(peer.cards[str(office.identity)])
        with office.desk() as desk:
            held = {str(one.seed.recipient()) for one in desk.vault.seeds(desk.state.site)}
            assert desk.state.card == shown.raw or desk.state.serial >= shown.serial
        today = [str(w.recipient) for w in shown.sealing if w.until >= clock()]
        assert set(today) <= held
        assert office.texts(thread) == ["Het gaat over mijn chef."]
        office.fetch_quietly()
        with office.desk() as desk:
            assert f"{desk.vault.seeds(desk.state.site)[0].first:%Y-%m}" == "2027-02"
        assert office.texts(thread) == ["Het gaat over mijn chef."]
        assert len([*office.folder.glob("desk-*.db")]) == 1


def test_killed_backup_can_be_repeated(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path, killer: Killer, kills: range
) -> None:
    """A truncated backup is refused as damaged, and the desk is unaffected."""
    reporter.attach("Groot", ("a.bin", "application/octet-stream", bytes(8_000_000)))
    office.fetch_quietly()
    killer.run("backup", office.folder, str(tmp_path / "first.age"), kill=False)
    for number in kills:
        file = tmp_path / f"{number}.age"
        done = killer.run("backup", office.folder, str(file))
        assert office.texts(thread) == ["Het gaat over mijn chef.", "Groot"]
        again = Office(tmp_path / f"again{number}", office.peer, office.clock)
        try:
            backups.restore(again.folder, file, PASSPHRASE, office.machine)
        except (Damaged, FileNotFoundError):
            assert not done
        else:
            assert again.texts(thread) == ["Het gaat over mijn chef.", "Groot"]


def test_killed_restore_can_be_repeated(
    office: Office, reporter: Reporter, thread: str, tmp_path: Path, killer: Killer, kills: range
) -> None:
    """A killed restore leaves no folder that looks like a desk; the leftovers are named."""
    reporter.attach("Groot", ("a.bin", "application/octet-stream", bytes(8_000_000)))
    office.fetch_quietly()
    with office.open() as place:
        backups.backup(place, tmp_path / "b.age")
    killer.run("restore", tmp_path / "first", str(tmp_path / "b.age"), kill=False)
    for number in kills:
        again = Office(tmp_path / f"again{number}", office.peer, office.clock)
        done = killer.run("restore", again.folder, str(tmp_path / "b.age"))
        if not again.folder.exists():
            assert not done
            left = again.folder.with_name(f".{again.folder.name}-restoring")
            if left.exists():
                with pytest.raises(AlreadyThere, match="interrupted"):
                    backups.restore(again.folder, tmp_path / "b.age", PASSPHRASE, office.machine)
                shutil.rmtree(left)
            backups.restore(again.folder, tmp_path / "b.age", PASSPHRASE, office.machine)
        with again.desk() as desk:
            assert desk.state.restored
        assert again.texts(thread) == ["Het gaat over mijn chef.", "Groot"]


def test_killed_migration_of_an_older_desk_can_be_repeated(
    tmp_path: Path, peer: Peer, clock: Clock, killer: Killer, kills: range
) -> None:
    clock.to("2027-03-05")
    office = Office(tmp_path / "desk", peer, clock)
    unpack(office.folder)
    killer.run("migrate", office.folder, kill=False)
    with office.desk() as desk:
        items, threads = set(desk.state.items), [*desk.state.threads]
    texts = {thread: office.texts(thread) for thread in threads}
    for _ in kills:
        unpack(office.folder)
        killer.run("migrate", office.folder)
        with office.desk() as desk:
            assert set(desk.state.items) == items
        assert {thread: office.texts(thread) for thread in threads} == texts


def test_killed_desk_is_not_reported_as_in_use(office: Office, killer: Killer) -> None:
    killer.run("fetch", office.folder, kill=False)
    killer.run("fetch", office.folder)
    with contextlib.suppress(DeskError):
        office.fetch()
    with office.desk() as desk:
        assert desk.state.serial == 1
