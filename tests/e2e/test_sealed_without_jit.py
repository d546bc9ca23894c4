"""A browser that would need too long for a code uses the plain form, and the page says so."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page

from dropbox_app.server.config import settings
from tests.support.browsers import CHROMIUM, ENGINES, driver, here
from tests.support.drop_box import Counsellor, DropBox
from tests.support.steps import STORY

PLAIN = "Je browser doet je bericht nu niet zelf op slot"
# The self-test of the worker says that a code would take nine seconds.
SLOWED = """
const listen = Worker.prototype.addEventListener;
Worker.prototype.addEventListener = function (kind, take) {
  const slowed = ({ data }) => {
    if (data.answer?.seconds !== undefined) data.answer.seconds = 9;
    take({ data });
  };
  listen.call(this, kind, kind === "message" ? slowed : take);
};
"""

Start = Callable[..., Browser]


@pytest.fixture
def start(box: DropBox) -> Iterator[Start]:
    """Let browsers seal on this site, and yield what starts Chromium with more switches."""
    file = box.folder / settings.FILE_NAME
    file.write_text(file.read_text().replace("seal_in_browser = false", "seal_in_browser = true"))
    box.restart()
    with driver() as playwright:
        yield lambda *switches: playwright.chromium.launch(
            executable_path=ENGINES["chromium"], args=[*CHROMIUM, *switches]
        )


def report(page: Page, counsellor: Counsellor) -> None:
    page.fill("[name=text]", STORY["nl"])
    page.click("#main-form button.button")
    page.wait_for_selector("ol.code li", timeout=60_000)
    counsellor.desk("fetch")
    assert len(counsellor.threads()) == 1


@here("chromium")
def test_browser_that_needs_nine_seconds_for_a_code_keeps_the_plain_form(
    start: Start, box: DropBox, counsellor: Counsellor
) -> None:
    page = start().new_page()
    page.add_init_script(SLOWED)
    page.goto(f"{box.url}/nl/report")
    page.get_by_text(PLAIN).wait_for()
    assert page.locator("html[data-sealed]").count() == 0
    report(page, counsellor)


@here("chromium")
def test_browser_without_a_compiler_says_whether_it_seals_and_the_report_arrives(
    start: Start, box: DropBox, counsellor: Counsellor
) -> None:
    """It seals on a fast computer only, as Tor Browser might at "Safer"."""
    page = start("--js-flags=--jitless").new_page()
    page.goto(f"{box.url}/nl/report")
    sealing = page.locator("html[data-sealed=on]")
    sealing.or_(page.get_by_text(PLAIN)).first.wait_for(state="attached", timeout=60_000)
    assert sealing.count() != page.get_by_text(PLAIN).count()
    report(page, counsellor)
