"""The pages in a browser: printed, and without a mouse."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from dropbox_app.server.config.languages import DRAFTS, PAGE_LANGUAGES, in_dutch_or_english
from dropbox_app.server.web.i18n import words
from tests.support.browsers import chromium, here
from tests.support.drop_box import Counsellor, DropBox
from tests.support.steps import ANSWER, STORY, the_only_thread

pytestmark = here("chromium")
__all__ = ["chromium"]


@pytest.fixture
def page(chromium: Browser, box: DropBox) -> Iterator[Page]:
    """Yield a page with scripts off, as in Tor Browser at "Safest"."""
    context = chromium.new_context(base_url=box.url, java_script_enabled=False)
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()


def tell(page: Page, lang: str) -> str:
    """Send a report; return its code."""
    page.goto(f"/{lang}/report")
    page.locator("[name=text]").fill(STORY[lang])
    page.locator("#main-form button.button").click()
    return page.locator("#code").inner_text()


@pytest.mark.usefixtures("counsellor")
def test_printed_slip_contains_only_the_seven_words(page: Page) -> None:
    """The words are the only visible text in print, even after a check, and fit on one sheet."""
    code = tell(page, "nl").split()
    for _ in range(2):
        page.emulate_media(media="print")
        # A page that is loading applies it once it has loaded.
        expect(page.locator("h1")).to_be_hidden()
        assert page.locator("body").inner_text().split() == code
        assert page.title() == "Bericht"
        assert page.locator("svg, img, input, textarea").filter(visible=True).count() == 0
        sheets = re.findall(rb"/Type */Page\b(?!s)", page.pdf(format="A4"))
        assert len(sheets) == 1
        page.emulate_media(media="screen")
        expect(page.locator("h1")).to_be_visible()
        page.locator("#typed").fill("een twee")
        with page.expect_navigation():
            page.locator("#main-form button.button").click()


@pytest.mark.usefixtures("counsellor")
def test_address_slip_says_only_how_to_return(page: Page, box: DropBox) -> None:
    page.goto("/nl/address")
    page.emulate_media(media="print")
    expect(page.locator("h1")).to_be_hidden()
    printed = page.locator("body").inner_text()
    assert printed.startswith("Ga naar dit adres en kies")
    assert printed.rstrip().endswith(box.url)
    assert len(re.findall(rb"/Type */Page\b(?!s)", page.pdf(format="A4"))) == 1


@pytest.mark.usefixtures("counsellor")
def test_printed_conversation_contains_the_messages_and_no_form(page: Page) -> None:
    tell(page, "nl")
    page.locator("[name=kept]").check()
    with page.expect_navigation():
        page.locator("button[name=go]").last.click()
    page.wait_for_load_state("load")
    page.emulate_media(media="print")
    expect(page.locator(".leave")).to_be_hidden()
    assert page.locator("form, textarea, button:not(.away), nav").filter(visible=True).count() == 0
    printed = page.locator("body").inner_text()
    assert STORY["nl"].splitlines()[0] in printed
    for away in ("Mijn gesprek wissen", "Wat je verder kunt doen", "Snel weg"):
        assert away not in printed


# The test is in Dutch, and with --long in every language.
BY_KEYS = [
    pytest.param(lang, marks=() if lang == "nl" else pytest.mark.long) for lang in PAGE_LANGUAGES
]


def speaks_all_languages(box: DropBox) -> None:
    """Also serve the draft translations, as an operator can configure."""
    settings = box.folder / "site.toml"
    spoken = ", ".join(f'"{lang}"' for lang in PAGE_LANGUAGES)
    text = re.sub(r"(?m)^languages = .*$", f"languages = [{spoken}]", settings.read_text())
    assert spoken in text
    settings.write_text(text)
    box.restart()


@pytest.mark.parametrize("lang", BY_KEYS)
def test_whole_journey_can_be_completed_by_keyboard_alone(
    page: Page, box: DropBox, counsellor: Counsellor, tmp_path: Path, lang: str
) -> None:
    """Tab, space and Enter suffice, and the focus is always visible."""
    if lang in DRAFTS:
        speaks_all_languages(box)
    keys, say, spoken = Keys(page), words(lang).say, in_dutch_or_english(lang)
    story, answer, main = STORY[spoken], ANSWER[spoken], page.locator("main")
    page.goto(f"/{lang}/")
    keys.to(say("frame.leave"), at_most=2)
    keys.press(say("landing.start"))
    keys.press(say("safety.go"))
    keys.to_field("text")
    page.keyboard.type(story)
    keys.press(say("report.send"))
    code = page.locator("#code").inner_text()
    keys.to_field("typed")
    page.keyboard.type(code)
    keys.press(say("code.try_send"))
    assert say("code.right") in main.inner_text()
    keys.press(say("code.go"))
    assert story.splitlines()[0] in main.inner_text()

    counsellor.desk("fetch")
    counsellor.reply(the_only_thread(counsellor), answer)
    page.goto(f"/{lang}/stop")
    keys.press(say("landing.return"))
    keys.to_field("code")
    page.keyboard.type(code)
    keys.press(say("return.open"))
    assert answer.splitlines()[0] in main.inner_text()

    counsellor.desk(
        "ask", the_only_thread(counsellor), *("--step", "S", "--with", "W", "--scope", "X")
    )
    page.reload()
    keys.to_field("answer")
    page.keyboard.press("Space")
    keys.press(say("consent.send"))
    assert say("consent.yes") in page.locator("article").last.inner_text()
    # Another counsellor is offered once there is one.
    bas = Counsellor(tmp_path / "bas")
    box.add(bas, box.server("move").stdout, "Bas Jansen")
    bas.desk("fetch")
    page.reload()
    keys.press(say("conversation.choose_other"))
    keys.press(say("other.back"))
    keys.press(say("conversation.withdraw"))
    keys.to_field("sure")
    page.keyboard.press("Space")
    keys.press(say("withdraw.send"))
    assert page.locator("h1").inner_text() == say("withdraw.done_title")


class Keys:
    """Walks a page with the Tab key."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def to(self, name: str, at_most: int = 60) -> None:
        """Tab to the link or button of this name."""
        self._walk(f"e.innerText.trim() === {name!r}", name, at_most)

    def to_field(self, name: str) -> None:
        self._walk(f"e.name === {name!r}", name, 60)

    def press(self, name: str) -> None:
        self.to(name)
        with self._page.expect_navigation():
            self._page.keyboard.press("Enter")

    def _walk(self, wanted: str, name: str, at_most: int) -> None:
        for _ in range(at_most):
            self._page.keyboard.press("Tab")
            assert self._seen(), f"the focus is not to be seen before {name}"
            if self._page.evaluate(f"(e => {wanted})(document.activeElement)"):
                return
        raise AssertionError(f"no {name} within {at_most} steps of {self._page.url}")

    def _seen(self) -> bool:
        """Return whether the focused element has its outline and is inside the window."""
        return bool(
            self._page.evaluate(
                """(e => {
                    const r = e.getBoundingClientRect(), s = getComputedStyle(e);
                    return e === document.body || (s.outlineStyle === 'solid'
                        && parseFloat(s.outlineWidth) >= 3 && r.width > 0
                        && r.left >= 0 && r.right <= innerWidth
                        && r.bottom > 0 && r.top < innerHeight);
                })(document.activeElement)"""
            )
        )


@pytest.mark.usefixtures("counsellor")
def test_screen_reader_announces_each_code_word_with_its_number(page: Page) -> None:
    """The check reads the tree that Chromium gives to a screen reader."""
    code = tell(page, "nl").split()
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    names = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in tree]
    heard = [name.strip() for role, name in names if role == "ListMarker"]
    assert [mark for mark in heard if mark[:1].isdigit()] == [f"{n}." for n in range(1, 8)]
    spoken = [name for role, name in names if role == "StaticText"]
    first = spoken.index(code[0])
    assert [name for name in spoken[first : first + 14] if name in code] == code
