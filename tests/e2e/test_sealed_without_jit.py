"""Where a code would take half a minute to hash, as without a JIT, the plain form stays."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from dropbox_app.server.config import settings
from tests.support.browsers import CHROMIUM, ENGINES, driver, here
from tests.support.drop_box import Counsellor, DropBox
from tests.support.steps import STORY


@pytest.fixture
def slow() -> Iterator[Browser]:
    """Chromium without a JIT, as Tor Browser's "Safer" has none."""
    with driver() as playwright:
        browser = playwright.chromium.launch(
            executable_path=ENGINES["chromium"], args=[*CHROMIUM, "--js-flags=--jitless"]
        )
        yield browser
        browser.close()


@here("chromium")
def test_a_browser_that_is_too_slow_says_so_before_anything_is_typed(
    slow: Browser, box: DropBox, counsellor: Counsellor
) -> None:
    """It took a second to find out; then the report goes the plain way, which the page has said."""
    file = box.folder / settings.FILE_NAME
    file.write_text(file.read_text().replace("seal_in_browser = false", "seal_in_browser = true"))
    box.restart()
    page = slow.new_page()
    page.goto(f"{box.url}/nl/report")
    page.get_by_text("Je browser kan je bericht niet zelf op slot doen").wait_for()
    assert page.locator("html[data-sealed]").count() == 0
    page.fill("[name=text]", STORY["nl"])
    page.click("#main-form button.button")
    page.wait_for_selector("ol.code li")
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1
