"""Typed text is shown again after any end of a session, and one post with the code sends it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.thread import Thread
from tests.server.web.conftest import Browser, Counsellor, House
from tests.server.web.test_before import check_shape
from tests.server.web.test_report import kept
from tests.support.drop_box import DropBox
from tests.support.plain_browser import Form, Page, PlainBrowser

TEXT = "Regel één\n\n  <b>“twee”</b> & {{ drie }} {0} %s \U0001f641\n</textarea>vier"
ASKED: dict[str, Json] = {"step": "Ik bel", "with": "De arts", "scope": "Dat je belde"}


def _restart(house: House, browser: Browser) -> None:
    house.restart()


def _idle(house: House, browser: Browser) -> None:
    house.clock.pass_minutes(21)


def _four_hours(house: House, browser: Browser) -> None:
    house.clock.pass_minutes(4 * 60 + 1)


def _clock_back(house: House, browser: Browser) -> None:
    house.clock.pass_minutes(-60)


def _cookie_lost(house: House, browser: Browser) -> None:
    browser.cookies.clear()


def _cookie_foreign(house: House, browser: Browser) -> None:
    """Give the browser a cookie of another server with the same site id and another key."""
    before = house.app
    house.restart()
    stranger = house.browser()
    stranger.tell("Elders.", counsellor=house.counsellors[0].identity.hex)
    house.app = before
    browser.cookies = dict(stranger.cookies)


def _cookie_of_an_ended_session(house: House, browser: Browser) -> None:
    browser.get("/nl/stop")


def _cookie_of_somebody_else(house: House, browser: Browser) -> None:
    """Give the browser a live session of another conversation, which must never get the text."""
    other = house.browser()
    other.come_back(other.tell("Anders.", counsellor=house.counsellors[0].identity.hex).code)
    browser.cookies = dict(other.cookies)


ENDS: tuple[Callable[[House, Browser], None], ...] = (
    _restart, _idle, _four_hours, _clock_back, _cookie_lost, _cookie_foreign,
    _cookie_of_an_ended_session, _cookie_of_somebody_else,
)  # fmt: skip
PLACES = ("message", "other counsellor", "consent", "withdraw")


def _begin(browser: Browser, house: House, lang: str, place: str) -> tuple[str, Page, Form]:
    """Return a conversation and a form of it that is being filled in."""
    noor = house.counsellors[0]
    code = browser.tell("Begin.", lang, counsellor=noor.identity.hex).code
    browser.come_back(code, lang)
    if place == "consent":
        noor.write("consent-request", ASKED, _thread(noor, "Begin."))
    path = {"other counsellor": "counsellor", "withdraw": "withdraw"}.get(place, "conversation")
    page = browser.get(f"/{lang}/{path}")
    if place == "consent":
        return code, page, page.form_to("consent", "request", "remark")
    return code, page, page.form_with("sure" if place == "withdraw" else "text")


def _thread(desk: Counsellor, first: str) -> Thread:
    return next(t for t in desk.threads().values() if [m.text for m in t.genuine()][:1] == [first])


@pytest.mark.parametrize(
    ("lang", "place"), list(zip(("nl", "en", "nl", "en"), PLACES, strict=True))
)
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__[1:])
def test_refused_text_is_shown_again_and_one_post_with_the_code_sends_it(
    two: House, end: Callable[[House, Browser], None], place: str, lang: str
) -> None:
    noor, sam = two.counsellors
    browser = two.browser()
    code, page, form = _begin(browser, two, lang, place)
    end(two, browser)
    values = {
        "message": {"text": TEXT},
        "other counsellor": {"text": TEXT, "counsellor": sam.identity.hex},
        "consent": {"answer": "yes", "remark": TEXT},
        "withdraw": {"sure": "y"},
    }[place]
    asked = browser.submit(page, form, **values)
    assert asked.status == 403
    field = "remark" if place == "consent" else "text"
    if place != "withdraw":
        assert kept(asked, field) == TEXT
    check_shape(asked)
    before = two.stored()
    wrong = browser.submit(asked, asked.form_with("code"), code="aap noot")
    assert wrong.status == 422
    assert place == "withdraw" or kept(wrong, field) == TEXT
    done = browser.submit(wrong, wrong.form_with("code"), code=code)
    if place == "withdraw":
        assert done.path == f"/{lang}/withdrawn"
        assert two.browser().come_back(code).status == 422
        return
    assert done.path == f"/{lang}/conversation?sent=1"
    assert two.stored() == before
    newest = list(_thread(noor, "Begin.").genuine())[-1] if place != "other counsellor" else None
    if newest is None:
        (newest,) = [m for t in sam.threads().values() for m in t.genuine()]
        assert newest.wanted == (sam.identity,)
    assert newest.text == TEXT
    if place == "consent":
        assert newest.body["answer"] == "yes"


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__[1:])
def test_first_report_needs_no_session_and_survives_every_refusal(
    two: House, end: Callable[[House, Browser], None]
) -> None:
    browser = two.browser()
    page = browser.get("/en/report")
    end(two, browser)
    noor = two.counsellors[0]
    form = page.form_with("text")
    sent = browser.submit(page, form, text=TEXT, counsellor=noor.identity.hex, needs=["be_heard"])
    assert len(sent.code.split()) == 7
    assert TEXT in [m.text for t in noor.threads().values() for m in t.genuine()]


def test_server_restart_loses_no_text_that_a_reporter_is_typing(
    box: DropBox, tmp_path: Path
) -> None:
    """Before each dependent request, processes, cookies and keys are replaced."""
    writer = PlainBrowser(box.url)
    page = writer.get("/nl/report")
    box.restart()
    code = writer.submit(page, page.form_with("text"), text="Begin.").code
    back = writer.get("/nl/return")
    box.restart()
    writer.submit(back, back.form_with("code"), code=code)
    pages = {path: writer.get(f"/nl/{path}") for path in ("conversation", "withdraw")}
    old = dict(writer.cookies)
    box.restart()
    page = pages["conversation"]
    asked = writer.submit(page, page.form_with("text"), text=TEXT)
    assert (asked.status, kept(asked)) == (403, TEXT)
    box.restart()
    sent = writer.submit(asked, asked.form_with("text", "code"), code=code)
    assert sent.path == "/nl/conversation?sent=1"
    # A cookie from before the restart stays invalid, whoever kept it.
    thief = PlainBrowser(box.url)
    thief.cookies = old
    assert "Begin." not in thief.get("/nl/conversation").text
    box.restart()
    asked = writer.submit(pages["withdraw"], pages["withdraw"].form_with("sure"), sure="y")
    gone = writer.submit(asked, asked.form_with("code", "sure"), code=code)
    assert gone.path == "/nl/withdrawn"
