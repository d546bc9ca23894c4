"""What a person did, saw confirmed, and must find again: the record that is held to the server."""

import contextlib
import http.client
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.support.drop_box import DropBox
from tests.support.plain_browser import Page, PlainBrowser
from tests.support.steps import come_back

CUT_OFF = (OSError, http.client.HTTPException)  # what a browser sees of a server that was killed


def text_of(chance: random.Random, what: str) -> str:
    """A text whose beginning, length and end are known: a part of it would show."""
    number = chance.randrange(10**12)
    return f"{what}-{number}-begin " + "woord " * chance.randrange(3000) + f"end-{number}"


@dataclass
class Story:
    """One reporter. ``sure``: texts seen confirmed. ``unsure``: sent, then the server was gone."""

    code: str
    sure: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    withdrawn: bool | None = False  # None: asked for, and the answer never came

    def holds(self, box: DropBox) -> None:
        """The code opens it, every confirmed text is there whole, nothing is there in part."""
        page = come_back(box.browser(), "nl", self.code)
        if self.withdrawn or (self.withdrawn is None and page.path != "/nl/conversation"):
            assert page.path == "/nl/return", "a withdrawn report opened"
            assert "-begin " not in page.text  # the word alone may stand in the code
            return
        assert (page.status, page.path) == (200, "/nl/conversation"), page.text[:300]
        for text in self.sure:
            assert text in page.text, f"a confirmed text is lost: {text[:40]}"
        whole = re.findall(r"-(\d+)-begin (?:woord )*end-\1", page.text)
        assert page.text.count("-begin ") == len(whole), "a text is there in part"
        assert "kunnen we niet controleren" not in page.text


def attempt(act: Callable[[], Page]) -> Page | None:
    """What the person saw; None if the connection broke."""
    with contextlib.suppress(*CUT_OFF):
        return act()
    return None


def code_on(page: Page | None) -> str:
    """The code, if the whole page with it came."""
    if page is None or page.status != 200 or not page.html.rstrip().endswith("</html>"):
        return ""
    return page.code if len((page.element("code") or "").split()) == 7 else ""


def report_form(browser: PlainBrowser) -> Callable[[str], Page]:
    """The report page, open in the browser; sending is the next step."""
    page = browser.get("/nl/report")
    form = page.form_with("text")
    chosen = {"counsellor": form.choices["counsellor"][0]} if "counsellor" in form.choices else {}
    return lambda text: browser.submit(page, form, 0, text=text, **chosen)


def told(box: DropBox, text: str) -> Story:
    """A report that nothing disturbed."""
    return Story(code_on(report_form(box.browser())(text)), [text])


def write_form(box: DropBox, code: str) -> Callable[[str], Page]:
    """The conversation, open in a browser; sending is the next step."""
    browser = box.browser()
    page = come_back(browser, "nl", code)
    return lambda text: browser.submit(page, page.form_with("text"), text=text)


def withdraw_form(box: DropBox, code: str) -> Callable[[], Page]:
    """The page that takes everything back; pressing its button is the next step."""
    browser = box.browser()
    come_back(browser, "nl", code)
    page = browser.get("/nl/withdraw")
    form = page.form_with("sure")
    return lambda: browser.submit(page, form, sure=form.choices["sure"][0])
