"""What a fetch leaves on the disk: the contents of what opens, and the bytes of everything else."""

import shutil

import pytest

from dropbox_app.desk.storage import item_store, opened_items
from dropbox_app.desk.storage.atomic_files import Disk
from dropbox_app.protocol import age, messages
from dropbox_app.protocol import thread as thread_module
from dropbox_app.protocol.keys import Recipient, Seed
from dropbox_app.protocol.messages import REPORTER, Message
from tests.desk.conftest import Office
from tests.support.fake_server import Peer, Reporter


class Killed(BaseException):
    """Ends the desk between two of its writes."""


class Steps:
    """The write steps of a desk, which can be killed at one of them."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.kill_at: int | None = None

    def take(self, step: str) -> None:
        self.seen.append(step)
        if self.kill_at is not None and len(self.seen) > self.kill_at:
            raise Killed

    def files(self) -> set[str]:
        """Return the items that were written to a file, even for a moment."""
        begun = (step for step in self.seen if step.startswith("opened sites/"))
        return {step.rpartition("/")[2].partition(".")[0] for step in begun}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    made = Steps()
    monkeypatch.setattr(
        "dropbox_app.desk.folder.Disk", lambda root, today: Disk(root, today, made.take)
    )
    return made


def newest_key(office: Office) -> Recipient:
    with office.desk() as desk:
        return desk.vault.openers(desk.state.site)[0].recipient()


def damaged(peer: Peer, reporter: Reporter) -> bytes:
    """Return bytes that have the form of a sealed message for this desk but do not open."""
    sealed = next(one for one in peer.items.values() if one.mailbox == reporter.mailbox).sealed
    return sealed[:-1] + bytes([sealed[-1] ^ 1])


@pytest.mark.parametrize("count", [1, 5], ids=["alone", "in a batch"])
def test_sealed_bytes_of_a_message_that_opens_are_not_written_to_disk(
    office: Office, peer: Peer, steps: Steps, count: int
) -> None:
    texts = {}
    for number in range(count):
        reporter = Reporter(peer, office.identity)
        reporter.report(f"Melding {number}")
        texts[reporter.mailbox] = [f"Melding {number}"]
    office.fetch_quietly()
    assert steps.files() == set()
    assert set(peer.fetched) == set(peer.items)
    assert {mailbox: office.texts(mailbox) for mailbox in texts} == texts


@pytest.mark.parametrize(("room", "parses"), [(item_store.FRESH, 5), (8_192, 9)])
def test_message_that_arrives_is_parsed_once(
    office: Office, peer: Peer, room: int, parses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages beyond a limit are read from the database, where they are the same."""
    for number in range(5):
        Reporter(peer, office.identity).report(f"Melding {number}")
    parsed: list[Message] = []

    def parse(plaintext: bytes) -> Message:
        parsed.append(messages.parse(plaintext))
        return parsed[-1]

    monkeypatch.setattr(opened_items, "parse", parse)
    monkeypatch.setattr(thread_module, "parse", parse)
    monkeypatch.setattr(item_store, "FRESH", room)
    office.fetch_quietly()
    assert len(parsed) == parses
    assert len({message.line for message in parsed}) == 5


@pytest.mark.parametrize("why", ["damaged", "for others", "no message"])
def test_message_that_does_not_open_keeps_its_sealed_bytes(
    office: Office, peer: Peer, reporter: Reporter, steps: Steps, why: str
) -> None:
    made = {
        "damaged": damaged(peer, reporter),
        "for others": age.seal(bytes(8_192), [Seed.generate().recipient()]),
        "no message": age.seal(bytes(8_192), [newest_key(office)]),
    }[why]
    item = peer.keep(reporter.mailbox, "message", REPORTER, 2, made, [str(office.identity)])
    office.fetch()
    assert steps.files() == {item}
    assert item in peer.fetched
    with office.desk() as desk:
        assert desk.store.original(item) == made
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef."]


def test_withdrawal_and_own_message_keep_their_sealed_bytes(
    office: Office, peer: Peer, reporter: Reporter, thread: str, steps: Steps
) -> None:
    """A restored server may need them. The own message comes from the server to a restored desk."""
    office.reply(thread, "Dank u.")
    (own,) = (one for one, kept in peer.items.items() if kept.author == str(office.identity))
    sealed = peer.items[own].sealed
    with office.desk() as desk:
        del desk.state.items[own]
        desk.state.number = 0
        desk.save()
    steps.seen.clear()
    office.fetch()
    reporter.withdraw()
    office.fetch()
    (withdrawal,) = peer.items
    assert steps.files() == set()
    with office.desk() as desk:
        assert desk.state.items[own].sent == "sent"
        assert desk.store.original(own) == sealed
        assert desk.store.original(withdrawal) == peer.items[withdrawal].sealed


def test_fetch_that_is_killed_at_any_step_loses_nothing(
    office: Office, peer: Peer, steps: Steps
) -> None:
    """What the server was told about can be read without a key, or has its sealed bytes."""
    texts = {}
    for number in range(3):
        reporter = Reporter(peer, office.identity)
        reporter.report(f"Melding {number}")
        texts[reporter.mailbox] = [f"Melding {number}"]
    whole = set(peer.items)
    reporter.attach("Zie bestand", ("a.bin", "application/octet-stream", bytes(90_000)))
    texts[reporter.mailbox].append("Zie bestand")
    peer.keep(
        reporter.mailbox, "message", REPORTER, 3, damaged(peer, reporter), [str(office.identity)]
    )
    before = shutil.copytree(office.folder, office.folder.with_name("before"))
    kill_at, killed = 0, True
    while killed:
        shutil.rmtree(office.folder)
        shutil.copytree(before, office.folder)
        peer.fetched.clear()
        steps.seen.clear()
        steps.kill_at = kill_at
        try:
            office.fetch()
            killed = False
        except Killed:
            killed = True
        steps.kill_at = None
        with office.desk() as desk:
            assert set(peer.fetched) <= set(desk.state.items)
            for item in peer.fetched:
                opened = desk.store.open(desk.state.items[item], ()).plaintext
                if item in whole:
                    assert opened is not None
                else:
                    assert opened or desk.store.original(item) == peer.items[item].sealed
        office.fetch()
        assert {mailbox: office.texts(mailbox) for mailbox in texts} == texts
        assert set(peer.fetched) == set(peer.items)
        kill_at += 1
    assert kill_at > 20
