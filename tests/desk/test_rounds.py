"""Fetching: what arrives, in which order, and how a lying server is detected."""

import datetime
from pathlib import Path

import pytest

from dropbox_app.desk.errors import CannotReach, ClocksDiffer, Unknown
from dropbox_app.desk.session import Report
from dropbox_app.desk.sync import own_card
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.card import Away
from dropbox_app.protocol.messages import REPORTER
from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer, Reporter


def test_report_is_fetched_and_verified(office: Office, reporter: Reporter) -> None:
    report = office.fetch()
    assert report.new == {reporter.mailbox: 1}
    (entry,) = office.case(reporter.mailbox).thread.entries
    assert entry.state == "verified"
    assert entry.message is not None
    assert entry.message.body["answers"] == {"ongoing": "yes"}
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef."]


def test_second_fetch_delivers_no_item_twice(office: Office, reporter: Reporter) -> None:
    office.fetch_quietly()
    office.peer.log.clear()
    report = office.fetch()
    assert (report.new, report.notes) == ({}, [])
    assert not [target for _, target in office.peer.log if "/items/" in target]


def is_said(report: Report) -> bool:
    return any("You can be reached now" in note for note in report.notes)


def test_desk_reports_only_once_that_the_site_now_shows_the_card(
    tmp_path: Path, peer: Peer, clock: Clock
) -> None:
    office = Office(tmp_path / "new", peer, clock)
    office.set_up()
    peer.drop_after = 4
    with pytest.raises(CannotReach):
        office.fetch()
    peer.drop_after, peer.shown_cards = None, {}
    assert not is_said(office.fetch())  # the server took the card, and reporters do not see it
    peer.shown_cards = None
    assert is_said(office.fetch())
    assert not is_said(office.fetch())


@pytest.mark.parametrize("why", ["away", "another card", "clock"])
def test_desk_never_claims_that_reporters_can_reach_a_counsellor_they_cannot_choose(
    tmp_path: Path, peer: Peer, clock: Clock, why: str
) -> None:
    office = Office(tmp_path / "new", peer, clock)
    office.set_up()
    if why == "another card":
        with office.desk() as desk:
            older = desk.state.card
            own_card.issue(desk, forced=True, day_confirmed=False)
        peer.shown_cards = {office.name: older}
    elif why == "away":
        with office.desk() as desk:
            desk.state.away = Away(clock.day + datetime.timedelta(days=3), None)
            own_card.issue(desk, forced=True, day_confirmed=False)
    else:
        peer.days_wrong = 9
    assert not is_said(office.fetch())
    if why == "clock":
        peer.days_wrong = 0
        assert is_said(office.fetch())


def test_inbox_is_read_completely(office: Office, peer: Peer) -> None:
    """The inbox has several pages and several mailboxes."""
    reporter = Reporter(peer, office.identity)
    reporter.report("1")
    sealed = next(iter(peer.items.values())).sealed
    for number in range(230):  # files that nobody can open still count as items
        data = sealed[:-4] + number.to_bytes(4, "big")
        peer.keep(reporter.mailbox, "attachment", REPORTER, 1, data, [str(office.identity)])
    office.fetch_quietly()
    with office.desk() as desk:
        assert len(desk.state.items) == 231
        assert desk.state.number == 231
    assert len(peer.fetched) == 231


def test_server_gets_the_acknowledgement_only_after_contents_and_state_are_stored(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    """The connection may break after any request; nothing is lost or acknowledged too early."""
    reporter.write("En nog iets.")
    for requests in range(20):
        peer.drop_after = requests
        try:
            office.fetch()
        except CannotReach:
            with office.desk() as desk:
                assert set(peer.fetched) <= set(desk.state.items)
                for item in peer.fetched:  # each can be read without a key
                    assert desk.store.open(desk.state.items[item], ()).plaintext is not None
    peer.drop_after = None
    office.fetch_quietly()
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef.", "En nog iets."]


def test_interrupted_fetch_is_completed_by_the_next_fetch(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    """The withdrawal was stored and acknowledged, but the connection broke before it was read."""
    office.fetch_quietly()
    reporter.withdraw()
    peer.drop_after = 4  # challenge, inbox, item, fetched
    with pytest.raises(CannotReach):
        office.fetch()
    peer.drop_after = None
    assert any("taken the report back" in note for note in office.fetch().notes)
    assert office.case(reporter.mailbox).status == "withdrawn"


def test_file_other_than_the_listed_one_is_refused(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    (item,) = peer.items
    for lie in (b"short", b"x" * len(peer.items[item].sealed), peer.items[item].sealed + b"more"):
        peer.lies = {item: lie}
        report = office.fetch()
        assert "ALARM" in report.alarms[0]
        assert peer.fetched == []
        with office.desk() as desk:
            assert not desk.store.has(item)
            assert desk.state.read_to_end == peer.today()  # from the fetch before the report
    peer.lies = {}
    office.fetch_quietly()
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef."]


def test_missing_listed_item_is_requested_again(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    peer.withheld = set(peer.items)
    assert any("did not have it" in note for note in office.fetch().notes)
    peer.withheld = set()
    office.fetch_quietly()
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef."]


def test_withheld_message_is_detected(office: Office, reporter: Reporter, peer: Peer) -> None:
    office.fetch_quietly()
    peer.hidden = {reporter.write("Dit houdt de server achter.")}
    assert any("did not hand over" in alarm for alarm in office.fetch().alarms)


def test_rollback_without_a_restore_is_detected(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    item = reporter.write("Dit verdwijnt.")
    office.fetch_quietly()
    peer.purge(item)
    assert any("no longer has the newest" in alarm for alarm in office.fetch().alarms)


def test_unknown_desk_is_told_what_to_do(office: Office, peer: Peer) -> None:
    peer.cards.clear()
    with pytest.raises(Unknown, match="operator has not added the card"):
        office.fetch()


def test_unlisted_mailbox_is_shown_as_gone(office: Office, reporter: Reporter, peer: Peer) -> None:
    office.fetch_quietly()
    peer.gone.add(reporter.mailbox)
    (note,) = office.fetch().notes
    for meaning in ("expired", "another counsellor", "restored", "removed"):
        assert meaning in note
    assert office.fetch().notes == []  # reported only once
    assert office.case(reporter.mailbox).status == "gone"
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef."]


def test_withdrawal_is_reported_and_the_fetched_messages_are_kept(
    office: Office, reporter: Reporter
) -> None:
    office.fetch_quietly()
    reporter.withdraw()
    report = office.fetch()
    assert any("taken the report back" in note for note in report.notes)
    assert report.alarms == []
    case = office.case(reporter.mailbox)
    assert case.status == "withdrawn"
    assert office.texts(reporter.mailbox)[0] == "Het gaat over mijn chef."
    assert office.fetch().alarms == []


# keys and card


def test_keys_are_made_only_once_and_three_months_in_advance(
    office: Office, peer: Peer, clock: Clock
) -> None:
    first = cards.parse(next(iter(peer.cards.values())))
    assert [w.first.month for w in first.sealing] == [1, 2, 3, 4]
    clock.to("2027-02-10")
    office.fetch_quietly()
    second = cards.parse(next(iter(peer.cards.values())))
    assert second.serial > first.serial
    assert [w.first.month for w in second.sealing] == [2, 3, 4, 5]
    assert second.sealing[:3] == first.sealing[1:]  # published keys keep their recipient
    office.fetch_quietly()
    assert cards.parse(next(iter(peer.cards.values()))).raw == second.raw


def test_first_key_on_a_card_is_the_key_that_was_valid_two_days_ago(
    office: Office, peer: Peer, clock: Clock
) -> None:
    clock.to("2027-02-01")
    office.fetch_quietly()
    card = cards.parse(next(iter(peer.cards.values())))
    assert [w.first.month for w in card.sealing] == [1, 2, 3, 4, 5]


def test_seed_is_stored_in_the_vault_before_its_card_is_published(
    office: Office, peer: Peer, clock: Clock
) -> None:
    clock.to("2027-02-10")
    for requests in range(12):
        peer.drop_after = requests
        try:
            office.fetch()
        except CannotReach:
            with office.desk() as desk:
                held = {s.seed.recipient() for s in desk.vault.seeds(peer.site)}
            for raw in peer.cards.values():
                assert {w.recipient for w in cards.parse(raw).sealing} <= held


def test_card_with_lost_response_is_sent_again_unchanged(
    office: Office, peer: Peer, clock: Clock
) -> None:
    clock.to("2027-02-10")
    peer.lose_answer_to = "PUT /api/desk/card"
    with pytest.raises(CannotReach):
        office.fetch()
    office.fetch_quietly()
    assert len(set(peer.puts[-2:])) == 1


def test_comparison_with_the_public_site_detects_an_older_card(
    office: Office, peer: Peer, clock: Clock
) -> None:
    peer.shown_cards = dict(peer.cards)
    clock.to("2027-02-10")
    (alarm,) = office.fetch().alarms
    assert "another card for you" in alarm


def test_comparison_with_the_public_site_detects_a_missing_card(office: Office, peer: Peer) -> None:
    peer.shown_cards = {}
    (alarm,) = office.fetch().alarms
    assert "no card for you" in alarm


def test_comparison_with_the_public_site_uses_a_separate_connection_without_credentials(
    office: Office, peer: Peer
) -> None:
    peer.anonymous.clear()
    office.fetch_quietly()
    ((challenge, _),) = [a for a in peer.anonymous if a[1] == "/api/desk/challenge"]
    ((watch, _),) = [a for a in peer.anonymous if a[1] == "/api/site"]
    assert challenge != watch


@pytest.mark.parametrize("days", [3, -3, 365, -365])
def test_date_that_the_server_does_not_confirm_changes_nothing(
    office: Office, reporter: Reporter, peer: Peer, clock: Clock, days: int
) -> None:
    """Reading works, but no key is made or destroyed, nothing is written, and the user is told."""
    before = _secrets(office)
    clock.to("2027-02-10")
    peer.days_wrong = days
    (alarm,) = office.fetch().alarms
    assert "2027-02-10" in alarm
    assert _secrets(office) == before
    assert office.texts(reporter.mailbox) == ["Het gaat over mijn chef."]
    with pytest.raises(ClocksDiffer):
        office.reply(reporter.mailbox, "Antwoord")
    with office.desk() as desk:
        assert str(desk.state.read_to_end) == "2027-01-05"


@pytest.mark.parametrize("days", [2, -2])
def test_clocks_two_days_apart_are_accepted(
    office: Office, peer: Peer, clock: Clock, days: int
) -> None:
    clock.to("2027-02-10")
    peer.days_wrong = days
    office.fetch_quietly()


def _secrets(office: Office) -> list[str]:
    with office.desk() as desk:
        return [held.seed.reveal() for held in desk.vault.seeds(desk.state.site)]
