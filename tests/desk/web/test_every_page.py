"""Every address that shows a page: it works with keyboard only, and fits windows of all widths.

Pages that follow a form are tested in test_look_of_a_day.py.
"""

from collections.abc import Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.desk.web.conftest import Running, Window
from tests.desk.web.test_looking_changes_nothing import addresses, window
from tests.support import by_keyboard, fits
from tests.support.browsers import chromium, here

pytestmark = here("chromium")
__all__ = ["chromium", "window"]

FEWEST = 35  # minimum number of pages checked
SOME_WIDTHS = (1280, 640, 320)


def pages(running: Running, window: Window) -> list[str]:
    """Return every address that answers GET with its own page while the desk is unlocked."""
    found = []
    for paths in addresses(running).values():
        for path in paths:
            address = running.home.rstrip("/") + path.partition("?")[0]
            answer = window.request("GET", address, follow=0)
            if answer.status == 200 and b"data-page=" in answer.body and address not in found:
                found.append(address)
    assert len(found) >= FEWEST
    return [running.url + address for address in found]


@pytest.fixture
def scheme() -> Literal["light", "dark"]:
    return "light"


@pytest.fixture
def page(
    chromium: Browser, running: Running, window: Window, scheme: Literal["light", "dark"]
) -> Iterator[Page]:
    """Yield a browser page with the cookies of that window."""
    context = chromium.new_context(color_scheme=scheme)
    context.set_default_timeout(60_000)
    for name, value in window.cookies.items():
        context.add_cookies(
            [{"name": name, "value": value, "domain": "127.0.0.1", "path": running.home}]
        )
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    ("language", "scheme"),
    [("nl", "light"), pytest.param("en", "dark", marks=[pytest.mark.long, pytest.mark.spare])],
)
def test_every_page_can_be_used_by_keyboard_alone(
    running: Running, window: Window, page: Page, language: str, long_run: bool
) -> None:
    """By default every other page; with --long, as in CI, every page."""
    running.page.language = language
    wrong = {}
    for address in pages(running, window)[:: 1 if long_run else 2]:
        page.goto(address)
        wrong[address] = by_keyboard.walk(page) + by_keyboard.unfold(page) + by_keyboard.skip(page)
    running.lock.lock()
    page.goto(running.url + running.home)
    page.wait_for_selector("body[data-page=unlock]")
    wrong["unlock"] = by_keyboard.walk(page)
    assert {address: found for address, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    "language", ["nl", pytest.param("en", marks=[pytest.mark.long, pytest.mark.spare])]
)
def test_every_page_fits_every_window_width(
    running: Running, window: Window, page: Page, language: str, long_run: bool
) -> None:
    """From 320 to 1280 pixels, also with letters twice as large, and with everything unfolded.

    By default at three widths, and in Dutch, which has the longest words. With --long, as in CI, at
    every width; CI leaves out English.
    """
    widths, twice = (fits.WIDTHS, fits.WIDTHS) if long_run else (SOME_WIDTHS, SOME_WIDTHS[1:])
    running.page.language = language
    wrong = {}
    for address in pages(running, window):
        page.goto(address)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        wrong[address] = fits.cut(page, widths)
        wrong[address] += fits.cut(page, twice, letters_twice=True)
    assert {address: found for address, found in wrong.items() if found} == {}


WRONG = {
    "<p>a</p><a href=b>c</a><button tabindex=1>d</button>": "Tab leads to",
    "<style>a:focus { outline: none }</style><a href=b>c</a>": "has no outline",
    "<style>a:focus { outline: 3px solid #eee }</style><a href=b>c</a>": "does not stand out",
    "<span onclick='a()'>b</span>": "takes no keys",
    "<p>a</p><a href=b>c</a><a href=d style='position: absolute; top: -1px'>e</a>": "is above",
    "<div style='position: fixed; inset: 0; z-index: 1'></div><a href=b>c</a>": "is covered",
    "<a href=b style='position: fixed; left: -300px'>c</a>": "is out of the window",
    "<a href=b>c</a><input onkeydown='event.preventDefault()'>": "the focus stays",
}
CUT = {
    "<p style='width: 700px'>a</p>": "at 640 the page is",
    "<div style='position: absolute; left: -9px'>a</div>": "beyond the window",
    "<p style='width: 2rem; overflow: hidden'>Vertrouwenspersoon</p>": "cut off",
    "<p style='width: 2rem'>Vertrouwenspersoon</p>": "beyond its box",
}
PLAIN = "<!doctype html><style>:focus { outline: 3px solid #000 }</style>"


@pytest.mark.parametrize("html", [*WRONG])
def test_keyboard_check_reports_faults_of_a_page(chromium: Browser, html: str) -> None:
    page = chromium.new_page()
    page.set_content(f"{PLAIN}<main>{html}</main>")
    assert WRONG[html] in "\n".join(by_keyboard.walk(page))
    page.close()


def test_missing_skip_link_is_reported(chromium: Browser) -> None:
    page = chromium.new_page()
    page.set_content(f"{PLAIN}<a href=#a>a</a><main tabindex=-1><a href=b>c</a></main>")
    assert by_keyboard.skip(page) != []
    page.close()


def test_details_element_that_ignores_keys_is_reported(chromium: Browser) -> None:
    page = chromium.new_page()
    page.set_content(
        f"{PLAIN}<details onkeydown='event.preventDefault()'><summary>a</summary>b</details>"
    )
    assert by_keyboard.unfold(page) != []
    page.close()


@pytest.mark.parametrize("html", [*CUT])
def test_content_that_does_not_fit_the_window_is_reported(chromium: Browser, html: str) -> None:
    page = chromium.new_page()
    page.set_content(f"<!doctype html><style>* {{ margin: 0 }}</style>{html}")
    assert CUT[html] in "\n".join(fits.cut(page))
    page.close()
