"""The record of what a person did and saw confirmed, against which the server is checked."""

import contextlib
import http.client
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.drop_box import DropBox
from tests.support.plain_browser import Page, PlainBrowser
from tests.support.steps import come_back

# The errors that a browser gets from a killed server.
CUT_OFF = (OSError, http.client.HTTPException)


def text_of(chance: random.Random, what: str) -> str:
    """Return a text with a known beginning, length and end, so that a partial copy is detected."""
    number = chance.randrange(10**12)
    return f"{what}-{number}-begin " + "woord " * chance.randrange(3000) + f"end-{number}"


@dataclass
class Story:
    """One reporter. ``sure``: confirmed texts; ``unsure``: sent when the server disappeared."""

    code: str
    sure: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    withdrawn: bool | None = False  # None: requested, but the response never arrived

    def holds(self, box: DropBox) -> None:
        """Check that the code works and every confirmed text is there, complete."""
        page = come_back(box.browser(), "nl", self.code)
        if self.withdrawn or (self.withdrawn is None and page.path != "/nl/conversation"):
            assert page.path == "/nl/return", "a withdrawn report opened"
            assert "-begin " not in page.text  # the word alone may be part of the code
            return
        assert (page.status, page.path) == (200, "/nl/conversation"), page.text[:300]
        for text in self.sure:
            assert text in page.text, f"a confirmed text is lost: {text[:40]}"
        whole = re.findall(r"-(\d+)-begin (?:woord )*end-\1", page.text)
        assert page.text.count("-begin ") == len(whole), "a text is there in part"
        assert "kunnen we niet controleren" not in page.text


def attempt(act: Callable[[], Page]) -> Page | None:
    """Return what the person saw; None if the connection broke."""
    with contextlib.suppress(*CUT_OFF):
        return act()
    return None


def code_on(page: Page | None) -> str:
    """Return the code, if the complete page with it arrived."""
    if page is None or page.status != 200 or not page.html.rstrip().endswith("</html>"):
        return ""
    return page.code if len((page.element("code") or "").split()) == 7 else ""


def report_form(browser: PlainBrowser) -> Callable[[str], Page]:
    """Open the report page in the browser; return the function that sends the report."""
    page = browser.get("/nl/report")
    form = page.form_with("text")
    chosen = {"counsellor": form.choices["counsellor"][0]} if "counsellor" in form.choices else {}
    return lambda text: browser.submit(page, form, 0, text=text, **chosen)


def told(box: DropBox, text: str) -> Story:
    """Send a report without any disturbance; return its record."""
    return Story(code_on(report_form(box.browser())(text)), [text])


def write_form(box: DropBox, code: str) -> Callable[[str], Page]:
    """Open the conversation in a browser; return the function that sends a message."""
    browser = box.browser()
    page = come_back(browser, "nl", code)
    return lambda text: browser.submit(page, page.form_with("text"), text=text)


def withdraw_form(box: DropBox, code: str) -> Callable[[], Page]:
    """Open the page that deletes the conversation; return the function that presses its button."""
    browser = box.browser()
    come_back(browser, "nl", code)
    page = browser.get("/nl/withdraw")
    form = page.form_with("sure")
    return lambda: browser.submit(page, form, sure=form.choices["sure"][0])
