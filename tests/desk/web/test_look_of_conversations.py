"""The pages in a real browser: layout, accessibility, and keyboard operation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.desk.conftest import PASSPHRASE
from tests.desk.web.conftest import Running
from tests.desk.web.test_look_of_managing import check
from tests.support.browsers import chromium, here
from tests.support.fake_server import Peer, Reporter
from tests.support.hostile_files import small_png

pytestmark = [here("chromium"), pytest.mark.slow]
__all__ = ["chromium"]


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Yield a page in a counsellor's new browser."""
    made = chromium.new_page()
    yield made
    made.close()  # this also closes its context


def enter(running: Running, page: Page) -> None:
    page.goto(running.gate.link.address(running.url))
    page.wait_for_selector("body[data-page=unlock]")


def unlock(page: Page) -> None:
    # The page sets the focus itself, a moment later.
    page.wait_for_selector("input[name=passphrase]:focus")
    page.keyboard.type(PASSPHRASE)
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-page=today]")


def look(page: Page) -> None:
    """Check one page against the layout rules, with everything unfolded."""
    page.wait_for_load_state("load")  # an element can exist before the style sheet has loaded
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    check(page)


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_every_page_fits_and_passes_axe(
    running: Running,
    peer: Peer,
    chromium: Browser,
    reporter: Reporter,
    scheme: Literal["light", "dark"],
    tmp_path: Path,
) -> None:
    long = "een-heel-lange-naam-zonder-spaties-" * 3
    reporter.attach("Kijk.", (f"{long}.pdf", "a/b", b"x"), (f"{long}.png", "a/b", small_png()))
    running.page.language = "en" if scheme == "dark" else "nl"
    context = chromium.new_context(color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(60_000)
    enter(running, page)
    look(page)
    unlock(page)
    page.click("main form[action$=fetch] button")
    page.wait_for_selector("body[data-page=fetch] .lead")
    running.wait_for_fetch()
    for path in ("fetch", "", "threads", "nothing"):
        page.goto(running.url + running.home + path)
        look(page)
    page.goto(running.url + running.home)
    page.click(".row a")
    page.wait_for_selector("body[data-page=thread]")
    look(page)
    conversation = page.url
    for number in range(2):  # one file that can only be saved, and one that can be viewed
        page.goto(conversation)
        page.click(f"a[href*='/f/'] >> nth={number}")
        page.wait_for_selector("body[data-page=file]")
        look(page)
    page.click("#show")
    page.wait_for_selector("#pages canvas")
    look(page)
    page.goto(conversation)
    page.click("a[href$='save/']")
    page.wait_for_selector("body[data-page=save]")
    look(page)
    for folder, said in (("nowhere", "alert"), (str(tmp_path), "status")):
        page.fill("[name=folder]", folder)
        page.click("main form button")
        page.wait_for_selector(f"main [role={said}]")
        look(page)
    page.goto(conversation)
    page.click("a[href$=forget]")
    page.wait_for_selector("body[data-page=forget]")
    look(page)
    page.context.close()


def test_answer_can_be_written_by_keyboard_alone(
    running: Running, page: Page, reporter: Reporter, thread: str
) -> None:
    enter(running, page)
    unlock(page)
    reach(page, ".row a")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-page=thread]")
    reach(page, "[name=text]")
    page.keyboard.type("Dank je dat je schrijft.")
    reach(page, ".write .button")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=status]")
    assert reporter.texts()[-1] == "Dank je dat je schrijft."


@pytest.mark.parametrize("by_rows", [False, True])  # as in a browser without field-sizing
def test_answer_field_shows_every_line_of_a_snippet(
    running: Running, page: Page, thread: str, by_rows: bool
) -> None:
    enter(running, page)
    unlock(page)
    page.click(".row a")
    page.select_option("#snippet", "becomes_a_report")
    page.click("button[name=insert]")
    page.wait_for_function("document.getElementById('text').value.length > 200")
    if by_rows:
        page.evaluate("document.getElementById('text').style.fieldSizing = 'fixed'")
    for width in (1280,) if by_rows else (1280, 320):
        page.set_viewport_size({"width": width, "height": 720})
        hidden = page.evaluate(
            "(() => { const it = document.getElementById('text');"
            " return it.scrollHeight - it.clientHeight; })()"
        )
        assert hidden <= 0, width


def reach(page: Page, selector: str) -> None:
    """Press Tab until the first such element has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => document.activeElement === document.querySelector(s)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def test_idle_window_shows_the_passphrase_page_once_the_desk_is_locked(
    running: Running, page: Page, thread: str
) -> None:
    page.clock.install()
    enter(running, page)
    unlock(page)
    page.click(".row a")
    page.wait_for_selector("body[data-page=thread]")
    running.lock.lock()
    page.clock.run_for(15_000)
    page.wait_for_selector("body[data-page=unlock]")
    assert "chef" not in page.content()


def test_no_other_host_is_contacted(running: Running, page: Page, thread: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    enter(running, page)
    unlock(page)
    page.click(".row a")
    page.wait_for_selector("body[data-page=thread]")
    assert [url for url in asked if not url.startswith((running.url, "data:"))] == []
    assert [one for one in complaints if "Content Security Policy" in one] == []


def test_conversation_disappears_from_screen_when_the_program_ends(
    running: Running, page: Page, reporter: Reporter, thread: str
) -> None:
    """Only text being typed stays; it was not stored anywhere."""
    page.clock.install()
    enter(running, page)
    unlock(page)
    page.click(".row a")
    page.wait_for_selector("body[data-page=thread]")
    page.fill("#text", "Nog niet af")
    assert "Het gaat over mijn chef." in page.inner_text("body")
    running.close()
    for _ in range(2):
        with page.expect_event("requestfailed"):
            page.clock.run_for(15_000)
    page.wait_for_selector("main [role=alert]")
    assert "Het gaat over mijn chef." not in page.inner_text("body")
    assert page.input_value("#text") == "Nog niet af"
