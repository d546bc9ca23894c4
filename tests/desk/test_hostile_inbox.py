"""An inbox with wrong labels, or one that never ends."""

import pytest

from dropbox_app.desk.sync import inbox
from dropbox_app.protocol.messages import REPORTER
from tests.desk.conftest import Office
from tests.support import fake_server as peer_module
from tests.support.fake_server import Peer, Reporter


def test_report_labelled_as_file_is_shown(office: Office, reporter: Reporter, peer: Peer) -> None:
    (kept,) = peer.items.values()
    kept.what = "attachment"
    said = office.run("fetch", code=1)
    assert said.stdout == f"{reporter.mailbox[:16]}  1 new message\n"
    assert "ALARM: the server called a message of thread" in said.stderr
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef."]
    assert office.json("list")[0]["unread"] == 1
    office.fetch_quietly()


def test_undecryptable_item_labelled_as_file_is_shown_as_unverified(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    (kept,) = peer.items.values()
    data = kept.sealed[:-1] + bytes([kept.sealed[-1] ^ 1])
    item = peer.keep(reporter.mailbox, "attachment", REPORTER, 2, data, [str(office.identity)])
    report = office.fetch()
    assert report.alarms == []
    assert any("could not be verified" in note for note in report.notes)
    assert office.json("read", reporter.mailbox)["messages"][-1]["item"] == item


def test_message_falsely_labelled_as_the_counsellors_own_is_counted_as_new(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    """The signature decides what counts as new, not the author named by the server."""
    (kept,) = peer.items.values()
    kept.author = str(office.identity)
    assert office.fetch().new == {reporter.mailbox: 1}


def test_endless_inbox_is_abandoned(
    office: Office, reporter: Reporter, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOST_PAGES", 3)
    office.fetch_quietly()
    ((item, kept),) = peer.items.items()
    peer.invents = lambda after: [_row(after + 1, item, reporter.mailbox, len(kept.sealed))]
    peer.log.clear()
    report = office.fetch()
    assert report.alarms == []
    assert any("fetch again" in note for note in report.notes)
    assert sum("/inbox" in target for _, target in peer.log) == 3
    with office.desk() as desk:
        assert desk.state.number == 1 + 3  # the next fetch continues from there
    peer.invents = None
    office.fetch_quietly()


def test_long_inbox_is_read_in_several_fetches(
    office: Office, reporter: Reporter, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Items still to come raise no alarm."""
    monkeypatch.setattr(inbox, "MOST_PAGES", 2)
    monkeypatch.setattr("tests.support.fake_server.PAGE", 2)
    for number in range(6):
        reporter.write(f"Bericht {number}")
    office.fetch_quietly()
    assert len(office.texts(reporter.mailbox)) == 4
    office.fetch_quietly()
    assert len(office.texts(reporter.mailbox)) == 7


def test_number_of_listed_but_undelivered_items_is_limited(
    office: Office, reporter: Reporter, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOST_OWED", 5)
    office.fetch_quietly()
    peer.invents = lambda after: [
        _row(after + i, f"{after + i:064x}", reporter.mailbox, 11_408) for i in range(1, 4)
    ]
    for _ in range(3):
        assert any("does not hand over" in alarm for alarm in office.fetch().alarms)
        with office.desk() as desk:
            assert len(desk.state.owed) == 5
            assert desk.state.number == 1 + 5


def _row(number: int, item: str, mailbox: str, size: int) -> dict[str, object]:
    return {"number": number, "id": item, "mailbox": mailbox, "what": "message",
            "author": REPORTER, "n": 1, "day": "2027-01-05", "size": size}  # fmt: skip


@pytest.mark.parametrize("bytes_that_come", [None, 3000])
def test_damaged_item_does_not_block_the_others(
    office: Office, reporter: Reporter, peer: Peer, bytes_that_come: int | None
) -> None:
    """The server cannot read the item, or its response always breaks off at the same point."""
    (first,) = peer.items
    peer.damaged = {first: bytes_that_come}
    reporter.write("Ik schrijf nog eens.")
    for _ in range(2):
        report = office.fetch()
        assert any(reporter.mailbox[:8] in said for said in (*report.alarms, *report.notes))
        assert peer.fetched != []
        assert first not in peer.fetched
    assert "Ik schrijf nog eens." in office.texts(reporter.mailbox)
    peer.damaged = {}
    office.fetch()
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef.", "Ik schrijf nog eens."]
    assert first in peer.fetched


def test_connection_lost_before_the_first_byte_ends_the_fetch(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    peer.damaged = dict.fromkeys(peer.items, 0)
    said = office.run("fetch", code=1)
    assert "The connection was lost." in said.stderr
    peer.damaged = {}
    office.fetch_quietly()
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef."]


def test_items_received_before_an_interruption_are_not_fetched_again(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    (first,) = peer.items
    reporter.attach("Zie bestand", ("a.bin", "application/octet-stream", bytes(9_000)))
    peer.damaged = {item: 0 for item, kept in peer.items.items() if kept.what == "attachment"}
    assert "The connection was lost." in office.run("fetch", code=1).stderr
    assert peer.fetched == []
    peer.damaged = {}
    peer.log.clear()
    office.fetch_quietly()
    assert not [target for method, target in peer.log if method == "GET" and first in target]
    assert set(peer.fetched) == set(peer.items)
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef.", "Zie bestand"]


def test_if_it_is_unknown_whether_the_server_was_told_of_an_item_the_next_fetch_tells_it(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    """The item is saved, so it is not on the page that the next fetch reads."""
    peer.lose_answer_to = "/items/fetched"
    assert "The connection was lost." in office.run("fetch", code=1).stderr
    peer.fetched.clear()
    peer.log.clear()
    office.fetch_quietly()
    assert peer.fetched == [*peer.items]
    assert not [target for method, target in peer.log if method == "GET" and "/items" in target]
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef."]


def test_thread_list_is_paged(
    office: Office, reporter: Reporter, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_module, "LISTED", 2)
    others = [Reporter(peer, office.identity) for _ in range(4)]
    for other in others:
        other.report("Ook ik.")
    office.fetch_quietly()
    assert {one["status"] for one in office.json("list")} == {"open"}
    peer.log.clear()
    office.fetch_quietly()
    assert sum("/mailboxes" in target for _, target in peer.log) == 3


def test_endless_thread_list_is_abandoned(
    office: Office, reporter: Reporter, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_module, "LISTED", 0)
    assert "no end" in office.run("fetch", code=1).stderr
