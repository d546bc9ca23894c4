"""A conversation is withdrawn in one session while another session of it is served."""

from collections.abc import Callable

import pytest

from dropbox_app.server.mailboxes.service import Mailboxes
from tests.server.web.conftest import Browser, House
from tests.server.web.test_file_downloads import LARGE, reply_with
from tests.support.plain_browser import Page

FILES = [("a.jpg", b"x" * 1_000)]


def take_back_at(patch: pytest.MonkeyPatch, step: str, other: Browser) -> list[str]:
    """Withdraw once, between two steps of another response; return the list for the result.

    A message is withdrawn just before it is read, a file just after it was opened.
    """
    real: Callable[..., object] = getattr(Mailboxes, step)
    page = other.get("/nl/withdraw")
    led: list[str] = []

    def take_back() -> None:
        if not led:
            led.append("")
            led[0] = other.submit(page, page.form_with("sure"), sure="y").path

    def between(*given: object) -> object:
        if step == "item":
            take_back()
        answer = real(*given)
        take_back()
        return answer

    patch.setattr(Mailboxes, step, between)
    return led


def get(path: str) -> Callable[[Browser, dict[str, Page]], Page]:
    return lambda browser, pages: browser.get(path)


def turn(browser: Browser, pages: dict[str, Page]) -> Page:
    form = pages["counsellor"].form_with("text")
    whom = form.choices["counsellor"][0]
    return browser.submit(pages["counsellor"], form, text="Bewaar dit.", counsellor=whom)


def write(browser: Browser, pages: dict[str, Page]) -> Page:
    page = pages["conversation"]
    return browser.submit(page, page.form_with("text"), text="Bewaar dit.")


def consent(browser: Browser, pages: dict[str, Page]) -> Page:
    page = pages["conversation"]
    return browser.submit(page, page.form_with("remark"), answer="yes", remark="Bewaar dit.")


def send(browser: Browser, pages: dict[str, Page]) -> Page:
    form = pages["files"].form_with("files")
    return browser.upload(pages["files"], form, FILES, text="Bewaar dit.")


ASKED: dict[str, Callable[[Browser, dict[str, Page]], Page]] = {
    "conversation": get("/nl/conversation"),
    "counsellor": get("/nl/counsellor"),
    "withdraw": get("/nl/withdraw"),
    "files": get("/nl/files"),
    "turn": turn,
    "write": write,
    "consent": consent,
    "send": send,
}


@pytest.mark.parametrize("what", ASKED)
def test_conversation_withdrawn_during_the_session_is_reported_as_unknown(
    two: House, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The withdrawal comes between listing the messages and reading them."""
    early, late, other = two.browser(), two.browser(), two.browser()
    page = early.get("/nl/report")
    form = page.form_with("text")
    whom = form.choices["counsellor"][0]
    code = early.submit(page, form, text="Het begin.", counsellor=whom).code
    (asker,) = (one for one in two.counsellors if one.threads())
    asker.write("consent-request", {"step": "x", "with": "y", "scope": "z"})
    shown = {}
    for browser in (early, late):
        browser.come_back(code)
        names = ("conversation", "counsellor", "files")
        shown[browser] = {name: browser.get(f"/nl/{name}") for name in names}
    other.come_back(code)
    between = take_back_at(monkeypatch, "item", other)
    meanwhile = ASKED[what](early, shown[early])
    assert between == ["/nl/withdrawn"]
    after = ASKED[what](late, shown[late])
    assert (meanwhile.status, meanwhile.path) == (after.status, after.path)
    assert meanwhile.text == after.text
    kept = what in ("turn", "write", "consent", "send")
    assert ("Bewaar dit." in meanwhile.html) == ("Bewaar dit." in after.html) == kept


def test_code_of_a_conversation_that_ends_during_login_opens_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = house.browser().tell("Het begin.").code
    early, other = house.browser(), house.browser()
    other.come_back(code)
    between = take_back_at(monkeypatch, "item", other)
    page = early.come_back(code)
    assert between == ["/nl/withdrawn"]
    assert page.form_with("code")
    assert early.get("/nl/conversation").form_with("code")


@pytest.mark.parametrize("content", [b"kort", LARGE])
def test_verified_file_is_served_completely_even_if_removed_during_the_download(
    house: House, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """The verified file itself is sent, not another one that has its name by then."""
    reader, other = house.browser(), house.browser()
    code = reader.tell("Het begin.").code
    reader.come_back(code)
    item = reply_with(house.counsellors[0], content)
    other.come_back(code)
    between = take_back_at(monkeypatch, "opened", other)
    given = reader.get(f"/nl/files/{item}")
    assert between == ["/nl/withdrawn"]
    assert given.status == 200
    assert given.body == content
    assert reader.get(f"/nl/files/{item}").status == 410
