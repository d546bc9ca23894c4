"""The register's pages in Chromium: how few clicks or keys a contact takes, and a whole week.

How each of them looks is tried in test_look_of_a_day.py.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from dropbox_app.desk.actions import register
from tests.desk.conftest import PASSPHRASE
from tests.desk.web.conftest import Running
from tests.desk.web.test_look_of_managing import enter
from tests.support.browsers import chromium, here

pytestmark = here("chromium")
__all__ = ["chromium"]


@pytest.fixture
def presses(running: Running, chromium: Browser, tmp_path: Path) -> Iterator["Presses"]:
    page = enter(running, chromium, "light", tmp_path)
    page.fill("#passphrase", PASSPHRASE)
    page.click("main button.button")
    page.wait_for_selector("[data-page=today]")
    yield Presses(page)
    page.context.close()


class Presses:
    """A person at the page: counts each click, and each key."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = self.keys = 0

    def click(self, selector: str) -> None:
        self.page.click(selector)
        self.clicks += 1

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)
            self.keys += 1

    def tab_to(self, selector: str) -> None:
        for _ in range(60):
            self.press("Tab")
            if self.page.evaluate("s => document.activeElement.matches(s)", selector):
                return
        raise AssertionError(f"{selector} is not reached")


def test_a_call_with_a_new_case_takes_nine_clicks(presses: Presses) -> None:
    page = presses.page
    presses.click(".ways a[href$=contact]")
    page.wait_for_selector("[data-page=contact]")
    for choice in ("minutes][value='45'", "how][value=telephone", "channel][value=telephone",
                   "topic][value=labour_conflict", "which][value=new",
                   "help][value=listening", "help][value=advice"):  # fmt: skip
        presses.click(f"label:has([name={choice}])")
    presses.click("main button.button")
    page.wait_for_selector("main [role=status]")
    assert presses.clicks == 9


def test_a_call_goes_by_keyboard_alone_in_thirty_keys(presses: Presses) -> None:
    page = presses.page
    presses.tab_to(".ways a[href$=contact]")
    presses.press("Enter")
    page.wait_for_selector("[data-page=contact]")
    presses.tab_to("#other_minutes")
    presses.press("4", "5")
    presses.tab_to("[name=how]")
    presses.press("ArrowDown", "ArrowDown")  # from "I don't know" to telephone
    presses.tab_to("[name=topic]")
    presses.press("ArrowDown")
    presses.press("Enter")
    page.wait_for_selector("main [role=status]")
    assert presses.keys <= 30


@pytest.mark.long
def test_a_week_of_a_counsellor_goes_in_by_mouse_in_two_hundred_clicks(
    running: Running, presses: Presses
) -> None:
    """20 calls, 5 cases of conversations, 3 trainings and 4 talks with managers."""
    page = presses.page
    for number in range(20):
        presses.click(".ways a[href$=contact]")
        page.wait_for_selector("[data-page=contact] form.contact")
        choices = ["minutes][value='20'", "how][value=telephone", "topic][value=labour_conflict"]
        choices += ["which][value=new"] if number % 4 == 0 else []
        for choice in (*choices, "help][value=listening"):
            presses.click(f"label:has([name={choice}])")
        presses.click("form.contact button.button")
        page.wait_for_selector("main [role=status]")
    for number in range(5):
        presses.click(".ways a[href$=cases]")
        page.wait_for_selector("[data-page=cases]")
        presses.click(f".rows .row >> nth={number} >> a")
        page.wait_for_selector("[data-page=case]")
        presses.click("a[href$=sheet]")
        page.wait_for_selector("[data-page=case-sheet]")
        for choice in ("main_group][value=unwanted_behaviour", "role][value=affected"):
            presses.click(f"label:has([name={choice}])")
        presses.click("main button.button")
        page.wait_for_selector("[data-page=case] [role=status]")
    for kind, choice, count in (("activity", "what][value=training", 3), ("advice", "", 4)):
        for _ in range(count):
            presses.click(".ways a[href$=all]")
            presses.click("main a[href$=work]")
            page.wait_for_selector("[data-page=work]")
            presses.click(f"#{kind} summary")
            if choice:
                presses.click(f"#{kind} label:has([name={choice}])")
            presses.click(f"#{kind}-minutes")
            presses.press("9", "0")
            presses.click(f"#{kind} button")
            page.wait_for_selector("main [role=status]")
    with running.lock.use() as place:
        kept = Counter(one.kind for one in register.every(place))
    assert (kept["contact"], kept["activity"], kept["advice"]) == (20, 3, 4)
    assert presses.clicks == 193
    assert presses.keys == 14
