"""Limits on the desk's disk space that a server can fill, per fetch and in total."""

import pytest

from dropbox_app.desk.storage.item_store import LocalStore
from dropbox_app.desk.sync import inbox
from dropbox_app.protocol import age
from dropbox_app.protocol import card as cards
from tests.desk.conftest import Office
from tests.support.fake_server import Peer, Reporter

SIZE = 50_000


def files(office: Office, peer: Peer, thread: str, count: int) -> None:
    """Put sealed files on the server that no message names."""
    key = cards.parse(peer.cards[str(office.identity)]).sealing_key(peer.today())
    assert key is not None
    for number in range(count):
        sealed = age.seal(bytes([number]) * SIZE, [key])
        peer.keep(thread, "attachment", "reporter", 2, sealed, [str(office.identity)])


def kept(office: Office) -> int:
    """Return the number of files on the disk."""
    return len([*office.folder.rglob("items/*.body"), *office.folder.rglob("items/*.age")])


def test_fetch_stops_at_its_limit_and_the_next_fetch_continues(
    office: Office, reporter: Reporter, peer: Peer, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOST_BYTES", 3 * SIZE)
    files(office, peer, thread, 5)
    reporter.write("Ik schrijf verder.")
    said = office.run("fetch")
    assert "There is more in the inbox than one round takes" in said.stdout
    assert kept(office) == 2
    for _ in range(2):
        office.run("fetch")
    assert kept(office) == 5
    assert "Ik schrijf verder." in office.run("read", thread).stdout


def test_messages_but_no_files_are_fetched_if_the_disk_is_nearly_full(
    office: Office, reporter: Reporter, peer: Peer, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LocalStore, "free", lambda _: inbox.LEFT_ON_DISK)
    reporter.write("Ik schrijf verder.")
    files(office, peer, thread, 1)
    said = office.run("fetch", code=1)
    assert "the disk of this computer is nearly full" in said.stderr
    assert "at least 513 MiB" in said.stderr
    assert kept(office) == 0
    assert "Ik schrijf verder." in office.run("read", thread).stdout
    monkeypatch.undo()
    office.run("fetch")
    assert kept(office) == 1
