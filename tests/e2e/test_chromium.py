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
]
WORDS = {
    "nl": {"safety": "Vertel het de vertrouwenspersoon", "return": "Ik heb al een code"},
    "en": {"safety": "Tell the counsellor", "return": "I already have a code"},
}


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


def _submit(page: Page, form: str) -> None:
    """Press the form's first button, as the Enter key would."""
    page.locator(f"{form} button[type=submit], {form} button:not([type])").first.click()


@pytest.mark.parametrize("lang", ["nl", "en"])
def test_the_whole_journey_without_javascript(
    chromium: Browser, box: DropBox, counsellor: Counsellor, lang: str
) -> None:
    """Landing, safety, report, code; the answer; return, follow-up; nothing wider than 320 px."""
    page = _page(chromium, box)
    foreign = []
    page.on("request", lambda r: None if r.url.startswith(box.url) else foreign.append(r.url))
    page.goto(f"/{lang}/")
    page.get_by_role("link", name=WORDS[lang]["safety"]).first.click()
    page.wait_for_url(f"**/{lang}/safety")
    page.locator(f"a[href='/{lang}/report']").first.click()
    page.locator("textarea[name=text]").fill(STORY[lang])
    assert not page.context.cookies()
    _submit(page, "form:has(textarea[name=text])")
    code = page.locator("#code").inner_text()
    assert len(code.split()) == 7
    assert page.evaluate_handle("document.documentElement.scrollWidth").json_value() <= 320

    counsellor.desk("fetch")
    thread = the_only_thread(counsellor)
    counsellor.reply(thread, ANSWER[lang])

    later = _page(chromium, box)
    later.goto(f"/{lang}/")
    later.get_by_role("link", name=WORDS[lang]["return"]).first.click()
    later.locator("[name=code]").fill(code)
    _submit(later, "form:has([name=code])")
    later.wait_for_url(f"**/{lang}/conversation")
    for line in (*STORY[lang].splitlines(), *ANSWER[lang].splitlines()):
        assert line in later.locator("body").inner_text()
    later.locator("textarea[name=text]").first.fill(FOLLOW_UP[lang])
    _submit(later, "form:has(textarea[name=text])")
    later.wait_for_url(f"**/{lang}/conversation*")
    assert FOLLOW_UP[lang] in later.locator("body").inner_text()
    assert later.evaluate_handle("document.documentElement.scrollWidth").json_value() <= 320
    assert foreign == []

    counsellor.desk("fetch")
    assert [m["text"] for m in counsellor.read(thread)["messages"]] == [
        *(STORY[lang], ANSWER[lang], FOLLOW_UP[lang])
    ]
