"""Old keys are destroyed, unless still needed, even if the site is closed or refuses the desk."""

import datetime

import pytest
from click.testing import CliRunner

from dropbox_app.desk.cli.main import main
from dropbox_app.desk.errors import CannotReach, DeskError
from dropbox_app.desk.keys import schedule
from tests.desk.conftest import Office
from tests.support.fake_server import Clock, Peer, Reporter

TEXT = "Het gaat over mijn chef."


@pytest.fixture
def thread(office: Office, reporter: Reporter) -> str:
    office.fetch_quietly()
    return reporter.mailbox


def months(office: Office) -> list[str]:
    """Return the months whose keys the desk still has."""
    with office.desk() as desk:
        return [f"{held.first:%Y-%m}" for held in desk.vault.seeds(desk.state.site)]


# failed fetches


@pytest.mark.parametrize("how", ["retired", "card refused", "line breaks"])
def test_failed_fetch_still_destroys_old_keys(
    office: Office, thread: str, peer: Peer, clock: Clock, how: str
) -> None:
    """The challenge needs no authorization, so the day is confirmed anyway."""
    clock.to("2027-09-01")
    if how == "retired":
        peer.cards.clear()
    elif how == "card refused":
        peer.refuses_cards = True
    else:
        peer.drop_after = 1  # the challenge
    with pytest.raises(DeskError):
        office.fetch()
    assert "2027-01" not in months(office)
    assert office.texts(thread) == [TEXT]


def test_failed_fetch_destroys_a_key_that_is_due(
    office: Office, thread: str, peer: Peer, clock: Clock
) -> None:
    """Thirty days suffice if the inbox was read after the month, and otherwise not."""
    clock.to("2027-02-10")
    office.fetch_quietly()
    peer.cards.clear()
    clock.to("2027-03-01")
    with pytest.raises(DeskError):
        office.fetch()
    assert "2027-01" in months(office)
    clock.to("2027-03-31")
    with pytest.raises(DeskError):
        office.fetch()
    assert "2027-01" not in months(office)
    assert "2027-02" in months(office)


def test_no_key_is_destroyed_if_the_server_does_not_confirm_the_date(
    office: Office, thread: str, peer: Peer, clock: Clock
) -> None:
    clock.to("2027-09-01")
    peer.drop_after = 0
    with pytest.raises(CannotReach):
        office.fetch()
    peer.drop_after, peer.days_wrong = None, -100
    office.fetch()
    assert "2027-01" in months(office)


def test_items_of_an_interrupted_fetch_are_resealed_before_their_key_is_destroyed(
    office: Office, peer: Peer, clock: Clock
) -> None:
    """One item is on disk but not yet in the state, and its key is destroyed in the same minute."""
    first, second = Reporter(peer, office.identity), Reporter(peer, office.identity)
    first.report("Een")
    second.report("Twee")
    clock.to("2027-09-01")
    peer.drop_after = 3  # challenge, inbox, the first item
    with pytest.raises(CannotReach):
        office.fetch()
    peer.drop_after = None
    assert "2027-01" not in months(office)
    office.fetch()
    assert office.texts(first.mailbox) == ["Een"]


def test_undelivered_item_is_kept_if_the_fetch_that_requests_it_is_interrupted(
    office: Office, reporter: Reporter, peer: Peer
) -> None:
    peer.withheld = set(peer.items)
    office.fetch()
    peer.withheld, peer.drop_after = set(), 1
    with pytest.raises(CannotReach):
        office.fetch()
    peer.drop_after = None
    office.fetch_quietly()
    assert office.texts(reporter.mailbox) == [TEXT]


def test_failed_fetch_does_not_report_that_there_is_nothing_new(
    office: Office, thread: str, peer: Peer
) -> None:
    peer.cards.clear()
    assert office.run("fetch", code=1).stdout == ""


# closed sites


def test_keys_of_a_closed_site_are_destroyed_on_command(
    office: Office, thread: str, peer: Peer, clock: Clock
) -> None:
    peer.drop_after = 0  # nothing answers any more
    clock.to("2027-08-28")
    said = office.run("keys", "--destroy-old", "--yes").stdout
    assert said == "Voorbeeld BV: on 2027-08-28 no key is 210 days past its month.\n"
    clock.to("2027-08-29")
    asked = office.run("keys", "--destroy-old", given="n\n", code=1)
    assert "2027-01-01 to 2027-01-31" in asked.stdout
    assert "2027-02-01" not in asked.stdout
    assert "this computer's day, 2027-08-29" in asked.stdout
    assert "2027-01" in months(office)
    said = office.run("keys", "--destroy-old", "--yes").stdout
    assert "The key of 2027-01-01 to 2027-01-31 was destroyed" in said
    assert months(office)[0] == "2027-02"
    assert office.texts(thread) == [TEXT]


def test_destroying_keys_asks_for_confirmation(office: Office) -> None:
    office.run("keys", "--yes", code=2)
    office.run("keys", "--destroy-old", "--reveal", code=2)


def test_keys_command_shows_when_each_key_is_destroyed(
    office: Office, thread: str, clock: Clock
) -> None:
    """The displayed days are accurate: the earliest, the expected and the latest day."""
    said = office.run("keys").stdout
    assert (
        "  key 2027-01-01 to 2027-01-31: a fetch from 2027-03-02 on destroys it if all that the "
        "server listed has come; one from 2027-08-29 on in any case\n"
    ) in said
    assert "'klankbord-desk keys --destroy-old'" in said
    result = CliRunner().invoke(main, ["keys", "--help"])
    assert "--destroy-old" in result.output


# listed items that did not arrive


def test_key_is_kept_while_a_listed_item_has_not_arrived(
    office: Office, reporter: Reporter, peer: Peer, clock: Clock
) -> None:
    """The key is kept after a 404 and until the item arrives; the second fetch raises an alarm."""
    clock.to("2027-03-20")
    peer.withheld = set(peer.items)
    report = office.fetch()
    assert report.alarms == []
    assert any("did not have it" in note for note in report.notes)
    assert "2027-01" in months(office)
    clock.to("2027-05-20")
    (alarm,) = office.fetch().alarms
    assert "more than one fetch" in alarm
    assert "2027-01" in months(office)
    peer.withheld = set()
    office.fetch_quietly()
    assert office.texts(reporter.mailbox) == [TEXT]
    assert "2027-01" not in months(office)


def test_undelivered_item_keeps_a_key_for_210_days_at_most(
    office: Office, reporter: Reporter, peer: Peer, clock: Clock
) -> None:
    peer.withheld = set(peer.items)
    office.fetch()
    for day, there in (("2027-04-20", True), ("2027-08-28", True), ("2027-08-29", False)):
        clock.to(day)
        assert office.fetch().alarms
        assert ("2027-01" in months(office)) is there
    clock.to("2027-09-06")
    assert any("no longer asked for" in note for note in office.fetch().notes)
    assert office.fetch().alarms == []


def test_missing_item_of_a_withdrawn_report_raises_no_alarm(
    office: Office, reporter: Reporter, peer: Peer, clock: Clock
) -> None:
    peer.withheld = set(peer.items)
    office.fetch()
    reporter.withdraw()
    report = office.fetch()
    assert report.alarms == []
    assert any("taken the report back" in note for note in report.notes)
    with office.desk() as desk:
        assert desk.state.owed == {}


def test_missing_item_of_an_unlisted_mailbox_raises_no_alarm(
    office: Office, reporter: Reporter, peer: Peer, clock: Clock
) -> None:
    peer.withheld = set(peer.items)
    office.fetch()
    peer.gone.add(reporter.mailbox)
    assert office.fetch().alarms == []
    clock.to("2027-02-10")
    report = office.fetch()
    assert report.alarms == []
    assert any("no longer asked for" in note for note in report.notes)


def test_key_is_destroyed_210_days_after_its_window_at_the_latest() -> None:
    seeds, _ = schedule.fill([], schedule.months(datetime.date(2027, 1, 5), None))
    late = datetime.date(2027, 8, 29)
    assert schedule.overdue(seeds, late - datetime.timedelta(1)) == []
    assert [one.first.month for one in schedule.overdue(seeds, late)] == [1]
