"""Every page of the first run and of desk management, in Chromium: readable and usable by keys.

They are checked in both languages, in light and dark mode, from 320 to 1280 pixels wide, and
with double text size.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Seconds
from tests.support import axe, fits
from tests.support.browsers import WIDTHS, chromium, here
from tests.support.fake_server import Clock, Peer

pytestmark = here("chromium")
__all__ = ["chromium"]

LOOKS = (("nl", "light"), ("en", "dark"))
LONG = os.environ.get("KLANKBORD_LONG") == "1"
LOOKED_AT = fits.WIDTHS if LONG else WIDTHS  # every page at every width: test_every_page.py
MANAGING = (
    "settings/all", "cards", "cards/new", "away", "posters", "backups", "settings", "texts",
    "texts/nl/listening",
)  # fmt: skip
SMALL = """[...document.querySelectorAll('button, .button, select, .choice, nav a, .row a, \
summary, input:not([type=radio], [type=checkbox]), textarea')].filter(e => {
    const r = e.getBoundingClientRect();
    return r.width && r.height < 47.5;
}).map(e => e.outerHTML.slice(0, 80))"""


@pytest.fixture
def running(tmp_path: Path, peer: Peer, clock: Clock) -> Iterator[Running]:
    """Yield the page for a folder without a desk."""
    made = Running(Office(tmp_path / "desk", peer, clock), Seconds())
    try:
        yield made
    finally:
        made.close()


def enter(running: Running, browser: Browser, scheme: str, tmp_path: Path) -> Page:
    """Return a browser window opened with the link, as from a file."""
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type] # one of two
    page = context.new_page()
    link = tmp_path / "link.html"
    address = running.gate.link.address(running.url)
    link.write_text(f'<meta http-equiv="refresh" content="0;url={address}">')
    page.goto(link.as_uri())
    page.wait_for_selector("body[data-page]")
    return page


def check(page: Page) -> None:
    """Check one page against the layout rules."""
    page.wait_for_load_state("load")  # an element can exist before the style sheet has loaded
    name = page.get_attribute("body", "data-page")
    assert page.locator("h1").count() == 1, name
    assert fits.cut(page, LOOKED_AT) == [], name
    twice = fits.cut(page, LOOKED_AT if LONG else LOOKED_AT[-1:], letters_twice=True)
    assert twice == [], f"{name} with letters twice as large"
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(SMALL) == [], f"{name} at {width}"
    assert axe.violations(page) == [], name
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})


# The same pages in Dutch and in light colours: test_look_of_a_day.py.
@pytest.mark.parametrize(
    ("language", "scheme"), [pytest.param(*LOOKS[0], marks=pytest.mark.long), LOOKS[1]]
)
def test_every_page_is_complete_readable_and_has_large_touch_targets(
    running: Running, chromium: Browser, peer: Peer, tmp_path: Path, language: str, scheme: str
) -> None:
    page = enter(running, chromium, scheme, tmp_path)
    page.click(f"button[value={language}]")
    page.wait_for_selector(f"html[lang={language}]")
    check(page)
    page.click("main button.button")  # left empty, so that the faults are shown
    page.wait_for_selector("[role=alert]")
    check(page)
    page.fill("#invitation", peer.invitation().decode())
    page.click("main button.button")
    page.fill("#name", "Noor Jansen")
    check(page)
    page.click("main button.button")
    page.fill("#passphrase", PASSPHRASE)
    page.fill("#again", PASSPHRASE)
    check(page)
    page.click("main button.button")
    page.wait_for_selector("[data-page=first-card]")
    check(page)
    with running.lock.use() as place:
        peer.add_card(place.one().state.card)
    for path in MANAGING:
        page.goto(running.url + running.home + path)
        check(page)
    page.goto(f"{running.url}{running.home}cards")
    page.click("main .row a")
    page.click("summary >> nth=0")
    check(page)
    page.goto(f"{running.url}{running.home}away")
    page.fill("#until", "2027-02-14")
    page.click("main button.button")
    page.wait_for_selector("[data-page=away-done]")
    check(page)
    page.goto(f"{running.url}{running.home}backups")
    page.fill("#path", str(tmp_path / "b.age"))
    page.click("main button.button")
    page.wait_for_selector("[data-page=backup-made]")
    check(page)
    page.context.close()


def test_first_run_can_be_completed_by_keyboard_alone(
    running: Running, chromium: Browser, peer: Peer, tmp_path: Path
) -> None:
    page = enter(running, chromium, "light", tmp_path)

    def tab_to(selector: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"{selector} is not reached")

    tab_to("#invitation")
    page.keyboard.insert_text(peer.invitation().decode())
    tab_to("main button.button")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-page=first-you]")
    tab_to("#name")
    page.keyboard.insert_text("Noor Jansen")
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-page=first-passphrase]")
    for field in ("#passphrase", "#again"):
        tab_to(field)
        page.keyboard.insert_text(PASSPHRASE)
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-page=first-card]")
    page.context.close()
