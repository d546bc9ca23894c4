"""Ctrl-C in the middle of each command: output and exit code, and nothing is lost."""

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.atomic_files import Disk
from dropbox_app.desk.transport.connection import Answer
from dropbox_app.protocol import card as cards
from tests.desk.conftest import PASSPHRASE, Office
from tests.support.fake_server import Clock, Peer, PeerTransport, Reporter

NOT_DONE = "Stopped by Ctrl-C before it was finished. Nothing that was here before is lost."
IS_KEPT = "It is kept here, and the next 'fetch' sends it."


# Set at the end of a test, to release threads that would have ended with the program.
OVER = threading.Event()


@pytest.fixture(autouse=True)
def keyboard() -> Iterator[None]:
    """Restore Python's default Ctrl-C handling, even if tests run in several processes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    OVER.clear()
    yield
    OVER.set()
    signal.signal(signal.SIGINT, before)


def press() -> None:
    """Press Ctrl-C; the site's thread then waits, as it would end with the program."""
    signal.raise_signal(signal.SIGINT)
    OVER.wait(60)
    raise CannotReach("The program has ended.")


def stopped_at(office: Office, which: Callable[[str, str], bool], *, after: bool = False) -> None:
    """Press Ctrl-C at the first request that matches ``which``, or after it was handled."""
    pressed = False

    class Pressed(PeerTransport):
        @contextlib.contextmanager
        def send(self, method: str, origin: str, target: str, headers: Mapping[str, str],
                 body: bytes | Iterable[bytes], seconds: float) -> Iterator[Answer]:  # fmt: skip
            nonlocal pressed
            now = not pressed and which(method, target)
            pressed = pressed or now
            if now and not after:
                press()
            with super().send(method, origin, target, headers, body, seconds) as answer:
                if now:
                    press()
                yield answer

        def apart(self) -> "Pressed":
            return Pressed(self.peer)

    office.machine = dataclasses.replace(office.machine, transport=lambda _: Pressed(office.peer))


def at(method: str, part: str) -> Callable[[str, str], bool]:
    return lambda asked, target: asked == method and part in target


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "which",
    [at("GET", "challenge"), at("GET", "inbox"), at("GET", "items/"), at("POST", "fetched"),
     at("GET", "mailboxes"), at("GET", "/api/site")],
    ids=["challenge", "inbox", "item", "fetched", "list", "watch"],
)  # fmt: skip
def test_interrupted_fetch_loses_nothing_and_is_completed_by_the_next_fetch(
    office: Office, reporter: Reporter, which: Callable[[str, str], bool], after: bool
) -> None:
    stopped_at(office, which, after=after)
    done = office.run("fetch", code=1)
    assert NOT_DONE in done.stderr
    assert "Traceback" not in done.output
    office.run("fetch")
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef."]
    assert len(office.peer.items) == 1


@pytest.mark.parametrize(
    ("which", "after", "code", "said"),
    [
        (at("GET", "challenge"), False, 1, NOT_DONE),
        (at("GET", "inbox"), True, 1, NOT_DONE),
        (at("POST", "/messages"), False, 3, IS_KEPT),
        (at("POST", "/messages"), True, 3, IS_KEPT),
    ],
    ids=["before it is kept", "while it is fetched", "while it is sent", "before the answer"],
)
def test_interrupted_reply_is_either_kept_and_sent_once_or_not_kept(
    office: Office,
    reporter: Reporter,
    thread: str,
    tmp_path: Path,
    which: Callable[[str, str], bool],
    after: bool,
    code: int,
    said: str,
) -> None:
    stopped_at(office, which, after=after)
    (tmp_path / "a.txt").write_text("Dank je wel.\n")
    done = office.run("reply", thread, "--text-file", str(tmp_path / "a.txt"), code=code)
    assert said in done.stderr
    office.run("fetch")
    sent = [text for text in reporter.texts() if text == "Dank je wel."]
    assert len(sent) == (1 if code == 3 else 0)
    waiting = office.json("list")[0]
    assert "waiting" not in str(waiting.get("sent", ""))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_interrupted_key_rotation_publishes_only_stored_keys(
    office: Office, clock: Clock, peer: Peer, after: bool
) -> None:
    clock.to("2027-02-03")
    stopped_at(office, at("PUT", "card"), after=after)
    assert NOT_DONE in office.run("fetch", code=1).stderr
    shown = {w.recipient for w in cards.parse(peer.cards[str(office.identity)]).sealing}
    with office.open() as place:
        stored = {seed.seed.recipient() for seed in place.vault.seeds(peer.site)}
    assert {str(one) for one in shown} <= {str(one) for one in stored}
    office.run("fetch")


def press_at_step(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Press Ctrl-C at this step of a disk write."""
    left = number
    made = Disk.__init__

    def step(_: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            signal.raise_signal(signal.SIGINT)

    def making(self: Disk, *given: object) -> None:
        made(self, *given)  # type: ignore[arg-type] # passed on as it came
        self.step = step

    monkeypatch.setattr(Disk, "__init__", making)


@pytest.mark.parametrize("number", [1, 2, 3, 5, 8])
def test_interrupted_restore_leaves_nothing_behind_and_can_be_repeated(
    office: Office, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    office.run("backup", str(tmp_path / "desk.age"))
    second = Office(tmp_path / "second", office.peer, office.clock)
    with monkeypatch.context() as patched:
        press_at_step(patched, number)
        done = second.run("restore", str(tmp_path / "desk.age"), code=1)
    assert NOT_DONE in done.stderr
    assert not second.folder.exists()
    second.run("restore", str(tmp_path / "desk.age"))
    assert second.texts(thread) == ["Het gaat over mijn chef."]


def test_interrupted_backup_leaves_no_file_and_an_unchanged_desk(
    office: Office, thread: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = vault.Vault.backup

    def pressed(self: vault.Vault, write: Callable[[bytes], object]) -> object:
        sealer = real(self, write)
        signal.raise_signal(signal.SIGINT)
        return sealer

    with monkeypatch.context() as patched:
        patched.setattr(vault.Vault, "backup", pressed)
        done = office.run("backup", str(tmp_path / "desk.age"), code=1)
    assert NOT_DONE in done.stderr
    assert list(tmp_path.glob("desk*.age*")) == []
    office.run("backup", str(tmp_path / "desk.age"))
    assert office.texts(thread) == ["Het gaat over mijn chef."]


def test_interrupted_passphrase_change_leaves_either_the_old_or_the_new_passphrase_valid(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new"
    new.write_text("een heel andere zin dan voorheen\n")
    new.chmod(0o600)
    for number in (1, 2, 3):
        with monkeypatch.context() as patched:
            press_at_step(patched, number)
            code = 1
            done = office.run("passphrase", "--new-file", str(new), code=code)
        assert NOT_DONE in done.stderr
        opened = []
        for phrase in (PASSPHRASE, new.read_text().strip()):
            office.passphrase_file.write_text(phrase + "\n")
            with contextlib.suppress(AssertionError):
                office.run("list")
                opened.append(phrase)
        assert len(opened) == 1
        office.passphrase_file.write_text(opened[0] + "\n")
