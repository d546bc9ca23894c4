"""The journey in a real Chromium with JavaScript off, at the width of a small phone."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.conftest import Counsellor, DropBox
from tests.e2e.steps import ANSWER, FOLLOW_UP, STORY, the_only_thread

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed")

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # leaving goes nowhere in a test
]
WORDS = {
    "nl": {
        "safety": "Vertel het de vertrouwenspersoon",
        "return": "Ik heb al een code",
        "leave": "Snel weg",
        "wrong": "Deze code werkt niet",
        "yes": "Ja, dat is goed",
        "withdraw": "Alles terugtrekken",
        "gone": "Je gesprek is gewist",
    },
    "en": {
        "safety": "Tell the counsellor",
        "return": "I already have a code",
        "leave": "Leave quickly",
        "wrong": "This code does not work",
        "yes": "Yes, that is fine",
        "withdraw": "Take everything back",
        "gone": "Your conversation has been deleted",
    },
}
LEAVE_TO = "https://www.wikipedia.org/"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def _page(chromium: Browser, box: DropBox) -> Page:
    context = chromium.new_context(
        java_script_enabled=False, viewport={"width": 320, "height": 700}, base_url=box.url
    )
    page = context.new_page()
    page.set_default_timeout(20_000)
    return page


def _enter(page: Page, lang: str, code: str) -> None:
    page.goto(f"/{lang}/return")
    page.locator("[name=code]").fill(code)
    _submit(page, "form:has([name=code])")


def _fits(page: Page) -> bool:
    return bool(page.evaluate_handle("document.documentElement.scrollWidth").json_value() <= 320)


def _submit(page: Page, form: str) -> None:
    """Press the form's first button, as the Enter key would."""
    page.locator(f"{form} button[type=submit], {form} button:not([type])").first.click()


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_the_whole_journey_without_javascript(
    chromium: Browser, box: DropBox, counsellor: Counsellor, lang: str
) -> None:
    """Landing, safety, report, code; the answer; return, follow-up, yes, leave, all taken back.

    Nothing is wider than 320 px, and nothing but the harmless site of "leave" is asked of others.
    """
    told = WORDS[lang]
    page = _page(chromium, box)
    foreign = []
    page.on("request", lambda r: None if r.url.startswith(box.url) else foreign.append(r.url))
    page.goto(f"/{lang}/")
    page.get_by_role("link", name=told["safety"]).first.click()
    page.wait_for_url(f"**/{lang}/safety")
    page.locator(f"a[href='/{lang}/report']").first.click()
    page.locator("textarea[name=text]").fill(STORY[lang])
    assert not page.context.cookies()
    _submit(page, "form:has(textarea[name=text])")
    code = page.locator("#code").inner_text()
    assert len(code.split()) == 7
    assert _fits(page)

    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    counsellor.reply(thread, ANSWER[lang])
    counsellor.desk("ask", thread, *("--step", "S", "--with", "W", "--scope", "only this"))

    later = _page(chromium, box)
    later.on("request", lambda r: None if r.url.startswith(box.url) else foreign.append(r.url))
    later.goto(f"/{lang}/")
    later.get_by_role("link", name=told["return"]).first.click()
    later.locator("[name=code]").fill(" ".join(reversed(code.split())))
    _submit(later, "form:has([name=code])")
    assert later.locator("h1").inner_text() == told["wrong"]
    assert not later.context.cookies()
    assert _fits(later)
    later.locator("[name=code]").fill(code)
    _submit(later, "form:has([name=code])")
    later.wait_for_url(f"**/{lang}/conversation")
    for line in (*STORY[lang].splitlines(), *ANSWER[lang].splitlines()):
        assert line in later.locator("body").inner_text()
    later.locator("textarea[name=text]").first.fill(FOLLOW_UP[lang])
    _submit(later, "form:has(textarea[name=text])")
    later.wait_for_url(f"**/{lang}/conversation*")
    assert FOLLOW_UP[lang] in later.locator("body").inner_text()
    later.get_by_label(told["yes"]).check()
    _submit(later, "form:has([name=request])")
    later.wait_for_url(f"**/{lang}/conversation*")
    assert told["yes"] in later.locator("article").last.inner_text()
    assert _fits(later)
    assert foreign == []

    counsellor.desk("fetch")
    messages = counsellor.read(thread)["messages"]
    assert [m["text"] for m in messages if m["text"]] == [
        *(STORY[lang], ANSWER[lang], FOLLOW_UP[lang])
    ]
    assert [m["kind"] for m in messages][-1] == "consent-answer"

    _leave_and_take_back(later, lang, code)
    assert set(foreign) == {LEAVE_TO}


def _leave_and_take_back(page: Page, lang: str, code: str) -> None:
    """Leaving ends the session; with the code it is all there, until it is taken back."""
    told = WORDS[lang]
    with page.expect_event("requestfailed") as left:
        page.get_by_role("link", name=told["leave"]).first.click()
    assert left.value.url == LEAVE_TO
    assert "referer" not in left.value.headers
    assert not page.context.cookies()
    page = page.context.new_page()
    page.goto(f"/{lang}/conversation")
    assert page.locator("[name=code]").count() == 1
    _enter(page, lang, code)
    page.wait_for_url(f"**/{lang}/conversation")
    page.get_by_role("link", name=told["withdraw"]).click()
    assert _fits(page)
    page.locator("[name=sure]").check()
    _submit(page, "form:has([name=sure])")
    assert page.locator("h1").inner_text() == told["gone"]
    assert not page.context.cookies()
    _enter(page, lang, code)
    assert page.locator("h1").inner_text() == told["wrong"]
