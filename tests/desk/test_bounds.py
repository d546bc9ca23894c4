"""Limits on what a reporter or a hijacked server can make a desk read and keep."""

import json

import pytest
from click.testing import CliRunner

from dropbox_app.desk.cli.main import main
from dropbox_app.desk.storage.atomic_files import Disk
from dropbox_app.desk.threads import open_thread
from dropbox_app.protocol import age, thread
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.protocol.writing import from_reporter
from tests.desk.conftest import Office
from tests.support.fake_server import Peer, Reporter

PASSED_ON = 30


@pytest.fixture
def passed_on(office: Office, reporter: Reporter, peer: Peer) -> str:
    """Return an unfetched thread that its reporter forwards repeatedly to the same counsellor."""
    key = cards.parse(peer.cards[str(office.identity)]).sealing_key(peer.today())
    assert key is not None
    for number in range(2, PASSED_ON + 2):
        so_far = reporter.thread()
        lines = thread.write_passed_on(so_far)
        sealed = age.seal(lines.ljust(attachment_size(len(lines)), b"\0"), [key])
        to = [str(office.identity)]
        file = peer.keep(reporter.mailbox, "attachment", "reporter", number, sealed, to)
        draft = from_reporter(
            reporter.keys, site=peer.site, day=peer.today(), lang="nl", kind="message",
            body={"text": f"Nog eens, {number}"}, thread=so_far, wanted=[office.identity],
            cards=[cards.parse(raw) for raw in peer.cards.values()], passed_on=file,
        )  # fmt: skip
        peer.keep(reporter.mailbox, "message", "reporter", number, draft.seal(), to)
    return reporter.mailbox


def test_each_forwarded_message_is_parsed_once(
    office: Office, passed_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of parsed messages grows with messages, not with forwarded threads."""
    office.fetch_quietly()
    read: list[str] = []
    parts = thread.read_passed_on

    def counting(item: str, contents: bytes, known: set[str]) -> tuple[thread.Arrived, ...]:
        found = parts(item, contents, known)
        read.extend(one.item for one in found)
        return found

    monkeypatch.setattr(thread, "read_passed_on", counting)
    shown = office.json("read", passed_on)
    assert [m["text"] for m in shown["messages"]][:2] == ["Het gaat over mijn chef.", "Nog eens, 2"]
    assert len(shown["messages"]) == PASSED_ON + 1
    assert all(m["verified"] for m in shown["messages"])
    assert len(read) == PASSED_ON


def test_fetch_needs_no_transaction_per_thread(
    office: Office, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:

    def commits(reports: int) -> int:
        for number in range(reports):
            Reporter(peer, office.identity).report(f"Melding {number}")
        steps: list[str] = []
        with monkeypatch.context() as patch:
            patch.setattr(
                "dropbox_app.desk.folder.Disk", lambda root, today: Disk(root, today, steps.append)
            )
            office.fetch_quietly()
        return steps.count("committed")

    few = commits(2)
    assert few > 0
    assert commits(12) == few


def test_listing_threads_opens_no_unchanged_thread(
    office: Office, passed_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.fetch_quietly()

    def opened(*_: object) -> None:
        raise AssertionError("a thread was opened")

    with monkeypatch.context() as patched:
        patched.setattr(open_thread, "open_case", opened)
        shown = office.json("list")
    with office.open() as place:  # as shown by a list that opens the thread
        place.database.run("UPDATE summary SET form = 0")
    assert office.json("list") == shown
    monkeypatch.setattr(open_thread, "open_case", opened)
    office.run("forget", passed_on, "--yes")  # forgetting does not open it either
    assert office.json("list") == []


def test_messages_beyond_the_limit_are_reported_as_not_read(
    office: Office, passed_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.fetch_quietly()
    monkeypatch.setattr(open_thread, "MAX_PASSED_ON", 20_000)
    shown = office.run("read", passed_on).stdout
    assert "NOT READ: " in shown
    assert "64 MiB or 1,000 messages" in shown
    assert "Nog eens, 31" in shown


@pytest.mark.parametrize(
    "sent",
    [bytes(100_000), b"PK\x03\x04" + bytes(99), b"age-encryption.org/v1\nonzin", b"",
     b"age-encryption.org/v1\n-> " + b"x" * 20_000 + b"\n"],
    ids=["zeros", "zip", "broken header", "nothing", "endless header"],
)  # fmt: skip
@pytest.mark.parametrize("what", ["attachment", "message"])
def test_data_without_sealed_header_is_not_kept(
    office: Office, reporter: Reporter, peer: Peer, thread: str, sent: bytes, what: str
) -> None:
    """Although the hash matches the list, none of the data stays on the disk."""
    peer.keep(thread, what, "reporter", 2, sent, [str(office.identity)])
    reporter.write("Ik schrijf verder.")
    said = office.run("fetch", code=1)
    assert "came as another one" in said.stderr
    assert list(office.folder.rglob("items/*")) == []
    assert "Ik schrijf verder." in office.run("read", thread).stdout


def test_download_of_an_unsealed_file_is_aborted(office: Office, peer: Peer, thread: str) -> None:
    peer.keep(thread, "attachment", "reporter", 2, bytes(40_000_000), [str(office.identity)])
    options = ["--dir", str(office.folder), "--passphrase-file", str(office.passphrase_file)]
    done = CliRunner().invoke(main, [*options, "fetch"], obj=office.machine)
    assert done.exit_code == 1
    assert json.loads(office.run("list", "--json").stdout)[0]["unread"] == 1
