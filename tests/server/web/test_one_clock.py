"""Messages about desks that fetch less often than the site promises an answer."""

from dropbox_app.protocol import card as cards
from dropbox_app.server.config import check
from tests.server.web.conftest import START, House


def said(house: House) -> list[tuple[str, bool]]:
    """Return the messages about a site's desks, and whether each is only a note."""
    fetches = {
        str(one.identity): day
        for one in house.counsellors
        if (day := house.mailboxes.last_fetch(one.identity))
    }
    return list(check.desk_faults(house.site, fetches, house.clock.today()))


def test_desk_that_fetches_less_often_than_promised_is_named(house: House) -> None:
    assert said(house) == []
    house.clock.pass_days(2)  # Thursday
    assert said(house) == []
    house.clock.pass_days(1)
    fault = (
        "the desk of noor has not fetched since 2026-11-03; "
        "the site promises an answer within 2 working days (response_days)"
    )
    assert said(house) == [(fault, False)]
    house.counsellors[0].threads()
    assert said(house) == []


def test_absent_counsellor_is_not_reported_as_late(house: House) -> None:
    noor = house.counsellors[0]
    house.site.update(noor.identity, noor.card(away=cards.Away(START.replace(day=20), None)), START)
    house.clock.pass_days(10)
    assert said(house) == []
    house.clock.pass_days(10)
    assert len(said(house)) == 1


def test_pages_follow_the_response_days_setting(house: House) -> None:
    """If nine working days are promised, pages mention the silence after eleven days."""
    slow = House(house.folder.parent / "slow", response_days=9)
    slow.clock.pass_days(15)
    assert "niet gekeken" not in slow.browser().get("/nl/").text
    slow.clock.pass_days(1)
    assert "al minstens 11 doordeweekse dagen niet gekeken" in slow.browser().get("/nl/").text
    slow.close()
