"""A session that ended stays ended, even for somebody who copied its cookie."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.server.web.ended_sessions import LONGEST, EndedSessions
from tests.server.web.conftest import Browser, House
from tests.support.plain_browser import Page

TEXT = "Een verhaal."


def copy_of(browser: Browser) -> Browser:
    """Return another browser with the current cookie."""
    made = browser.house.browser()
    made.cookies.update(browser.cookies)
    return made


def is_open(page: Page) -> bool:
    return TEXT in page.text


def test_copied_cookie_opens_the_conversation_until_the_reporter_leaves(house: House) -> None:
    reporter = house.browser()
    reporter.come_back(reporter.tell(TEXT).code)
    thief = copy_of(reporter)
    assert is_open(thief.get("/nl/conversation"))
    reporter.request("GET", "/nl/leave", follow=0)
    assert not is_open(thief.get("/nl/conversation"))


@pytest.mark.parametrize("path", ["leave", "stop"])
@pytest.mark.parametrize("at", ["code", "conversation"])
def test_every_way_of_leaving_ends_every_copy_of_the_cookie(
    house: House, path: str, at: str
) -> None:
    reporter = house.browser()
    reporter.tell(TEXT)
    copies = [copy_of(reporter)]
    reporter.get(f"/nl/{at}")
    copies.append(copy_of(reporter))
    reporter.request("GET", f"/nl/{path}", follow=0)
    for copy in copies:
        for asked in ("code", "conversation", "files", "withdraw"):
            page = copy.get(f"/nl/{asked}")
            assert not is_open(page)
            assert not (page.element("code") or "").strip()
        assert copy.get("/internal/session").status == 403


def test_withdrawal_ends_every_copy_of_the_cookie(house: House) -> None:
    reporter = house.browser()
    reporter.tell(TEXT)
    copy = copy_of(reporter)
    page = reporter.get("/nl/withdraw")
    reporter.submit(page, page.form_with("sure"), sure="y")
    assert copy.get("/internal/session").status == 403


def test_older_cookie_never_shows_the_words_again(
    house: House,
) -> None:
    reporter = house.browser()
    first = reporter.tell(TEXT)
    copy = copy_of(reporter)
    assert copy.get("/nl/code").code == first.code
    page = reporter.get("/nl/code")
    reporter.submit(page, page.form_with("kept"), kept="y")
    shown = copy.get("/nl/code")
    assert first.code.split()[0] not in (shown.element("code") or "")
    assert is_open(shown)  # the conversation: the session goes on


def test_code_words_stay_available_until_the_response_to_the_confirmation_arrives(
    house: House,
) -> None:
    """The connection is lost, so the browser still has only its older cookie."""
    reporter = house.browser()
    first = reporter.tell(TEXT)
    before = dict(reporter.cookies)
    reporter.request("POST", "/nl/code", b"kept=y&go=1", follow=0)
    reporter.cookies = before
    assert reporter.get("/nl/code").code == first.code


def test_leaving_and_returning_within_the_same_second_is_possible(house: House) -> None:
    reporter = house.browser()
    code = reporter.tell(TEXT).code
    for _ in range(3):
        reporter.request("GET", "/nl/leave", follow=0)
        assert is_open(reporter.come_back(code))


@pytest.mark.parametrize("moved_on", [True, False])
def test_previous_session_ends_when_the_code_is_typed_again(house: House, moved_on: bool) -> None:
    reporter = house.browser()
    page = reporter.tell(TEXT)
    code = page.code
    if moved_on:
        reporter.submit(page, page.form_with("kept"), kept="y")
    before = copy_of(reporter)
    assert is_open(reporter.come_back(code))
    assert before.get("/internal/session").status == 403
    assert is_open(reporter.get("/nl/conversation"))
    after = copy_of(reporter)
    reporter.request("GET", "/nl/leave", follow=0)
    assert {one.get("/internal/session").status for one in (before, after)} == {403}


def test_displayed_code_is_kept_when_another_code_is_typed(house: House) -> None:
    """If the response is lost, the browser has only its older cookie."""
    code = house.browser().tell("Een ander verhaal.").code
    reporter = house.browser()
    shown = reporter.tell(TEXT).code
    before = dict(reporter.cookies)
    reporter.come_back(code)
    reporter.cookies = before
    assert reporter.get("/nl/code").code == shown


def test_leaving_one_session_does_not_end_another_with_the_same_code(house: House) -> None:
    here, there = house.browser(), house.browser()
    code = here.tell(TEXT).code
    there.come_back(code)
    here.request("GET", "/nl/leave", follow=0)
    assert is_open(there.get("/nl/conversation"))


def name(n: int) -> bytes:
    return n.to_bytes(16, "big")


def test_when_slots_are_full_the_oldest_sessions_end_and_no_entry_is_dropped() -> None:
    ended = EndedSessions(lambda: 1000.0, buckets=1, slots=3)
    for n in range(3):
        ended.end(name(n), 900 + n)
    assert not ended.has(name(7), 900)
    ended.end(name(3), 950)
    assert all(ended.has(name(n), start) for n, start in enumerate((900, 901, 902, 950)))
    assert ended.has(name(7), 900)
    assert not ended.has(name(7), 901)


def test_oldest_session_displaces_no_newer_session() -> None:
    ended = EndedSessions(lambda: 1000.0, buckets=1, slots=2)
    ended.end(name(1), 900)
    ended.end(name(2), 901)
    ended.end(name(3), 800)
    assert all(ended.has(name(n), start) for n, start in ((1, 900), (2, 901), (3, 800)))
    assert not ended.has(name(9), 801)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=60))
def test_ended_session_is_never_reopened(
    ends: list[tuple[int, int]],
) -> None:
    """Each example is a session's number and the seconds until it ends."""
    now = 1000
    known: dict[int, int] = {}
    ended = EndedSessions(lambda: float(now), buckets=2, slots=2)
    for n, passed in ends:
        now += passed
        start = known.setdefault(n, now - n % 7)
        ended.end(name(n), start)
        assert all(ended.has(name(one), began) for one, began in known.items())
    assert not ended.has(name(99), now + 1)


def test_flood_of_ended_sessions_does_not_end_a_recent_session() -> None:
    """Ten times as many sessions as slots end, one a second: the newest quarter stays recorded."""
    now = 0.0
    ended = EndedSessions(lambda: now, buckets=16, slots=16)
    draw = random.Random(7)  # noqa: S311 - no secret
    for second in range(2560):
        now = float(second)
        ended.end(draw.randbytes(16), second)
    assert not ended.has(name(1), 2560 - 64)
    assert ended.has(name(1), 2560 - 512)


def test_slots_of_expired_sessions_are_reused() -> None:
    now = [1000.0]
    ended = EndedSessions(lambda: now[0], buckets=1, slots=2)
    ended.end(name(1), 900)
    ended.end(name(2), 1000)
    now[0] = 902.0 + LONGEST
    ended.end(name(3), 1150)
    assert ended.has(name(2), 1000)
    assert ended.has(name(3), 1150)
    assert not ended.has(name(9), 950)


def test_session_uses_one_slot_however_often_it_ends() -> None:
    ended = EndedSessions(lambda: 1000.0, buckets=1, slots=2)
    for _ in range(50):
        ended.end(name(1), 900)
    ended.end(name(2), 900)
    assert not ended.has(name(3), 900)
