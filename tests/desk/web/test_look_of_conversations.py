"""The pages in a real browser: they fit, can be used by everybody, and by keyboard alone."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # ships none
from playwright.sync_api import Browser, Page, sync_playwright

from tests.desk.conftest import PASSPHRASE
from tests.desk.web.conftest import Running
from tests.support.browsers import CHROMIUM, PROGRAMS, WIDTHS, here
from tests.support.fake_server import Peer, Reporter

pytestmark = [here("chromium"), pytest.mark.slow]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAMS["chromium"], args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A page of a counsellor whose browser was never here before."""
    made = chromium.new_page()
    yield made
    made.close()  # and with it the context that was made for it


def enter(running: Running, page: Page) -> None:
    page.goto(running.gate.link.address(running.url))
    page.wait_for_selector("body[data-page=unlock]")


def unlock(page: Page) -> None:
    page.keyboard.type(PASSPHRASE)  # the field has the focus
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-page=today]")


def look(page: Page, faults: list[str]) -> None:
    """Note what does not fit, and what axe finds."""
    page.wait_for_load_state("load")  # an element can be there before the style sheet is
    name = page.get_attribute("body", "data-page")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 700})
        wide = page.evaluate("document.documentElement.scrollWidth")
        faults += [f"{name} is {wide} px wide in {width}"] if wide > width else []
    found = page.evaluate("axe.run({resultTypes: ['violations']}).then(r => r.violations)")
    faults += [f"{name}: {one['id']} {one['nodes'][0]['html'][:120]}" for one in found]


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.long)])
def test_every_page_fits_and_axe_finds_nothing(
    running: Running, peer: Peer, chromium: Browser, reporter: Reporter, scheme: str
) -> None:
    reporter.attach("Kijk.", ("een-heel-lange-naam-zonder-spaties-" * 3 + ".pdf", "a/b", b"x"))
    running.page.language = "en" if scheme == "dark" else "nl"
    context = chromium.new_context(
        bypass_csp=True,  # axe is put into the page
        color_scheme="dark" if scheme == "dark" else "light",
    )
    context.add_init_script(Axe().axe_script)
    page, faults = context.new_page(), list[str]()
    enter(running, page)
    look(page, faults)
    unlock(page)
    page.click("main form[action$=fetch] button")
    page.wait_for_selector("body[data-page=fetch] .lead")
    look(page, faults)
    for path in ("", "threads", "nothing"):
        page.goto(running.url + running.home + path)
        look(page, faults)
    page.goto(running.url + running.home)
    page.click(".row a")
    page.wait_for_selector("body[data-page=thread]")
    look(page, faults)
    page.click("a[href$=forget]")
    page.wait_for_selector("body[data-page=forget]")
    look(page, faults)
    context.close()
    assert faults == []


def test_an_answer_is_written_by_keyboard_alone(
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


def reach(page: Page, selector: str) -> None:
    """Press Tab until the first such element has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => document.activeElement === document.querySelector(s)", selector):
            return
    raise AssertionError(f"Tab does not lead to {selector}")


def test_a_window_left_alone_shows_the_passphrase_once_the_desk_is_locked(
    running: Running, page: Page, thread: str
) -> None:
    enter(running, page)
    unlock(page)
    page.click(".row a")
    page.wait_for_selector("body[data-page=thread]")
    running.lock.lock()
    page.wait_for_selector("body[data-page=unlock]", timeout=60_000)
    assert "chef" not in page.content()


def test_nothing_is_requested_from_another_host(running: Running, page: Page, thread: str) -> None:
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


def test_once_the_program_has_ended_nothing_of_a_conversation_stays_on_the_screen(
    running: Running, page: Page, reporter: Reporter, thread: str
) -> None:
    """But what was being typed: it was not kept anywhere."""
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
