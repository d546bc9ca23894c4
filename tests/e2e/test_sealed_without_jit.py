"""The plain form is used if hashing a code would take half a minute, as without a JIT."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from dropbox_app.server.config import settings
from tests.support.browsers import CHROMIUM, ENGINES, driver, here
from tests.support.drop_box import Counsellor, DropBox
from tests.support.steps import STORY


@pytest.fixture
def slow() -> Iterator[Browser]:
    """Yield Chromium without a JIT, like Tor Browser at "Safer"."""
    with driver() as playwright:
        browser = playwright.chromium.launch(
            executable_path=ENGINES["chromium"], args=[*CHROMIUM, "--js-flags=--jitless"]
        )
        yield browser
        browser.close()


@here("chromium")
def test_slow_browser_keeps_the_plain_form_and_the_page_says_so(
    slow: Browser, box: DropBox, counsellor: Counsellor
) -> None:
    """The browser finds out within a second; the report is sent unsealed, as the page says."""
    file = box.folder / settings.FILE_NAME
    file.write_text(file.read_text().replace("seal_in_browser = false", "seal_in_browser = true"))
    box.restart()
    page = slow.new_page()
    page.goto(f"{box.url}/nl/report")
    page.get_by_text("Je browser doet je bericht nu niet zelf op slot").wait_for()
    assert page.locator("html[data-sealed]").count() == 0
    page.fill("[name=text]", STORY["nl"])
    page.click("#main-form button.button")
    page.wait_for_selector("ol.code li")
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1
