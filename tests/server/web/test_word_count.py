"""How much a frightened person has to read: the words on the way from the first page to "sent"."""

import html.parser
import re
from pathlib import Path

import pytest

from dropbox_app.server.config.settings import OtherContact
from tests.server.web.conftest import House
from tests.support.plain_browser import Page

WAY = ("", "safety", "report")
MOST = 480  # words until the button that sends, in Dutch
MOST_ENGLISH = 500
CODE_PAGE = 330  # words of the code page besides the code


class Visible(html.parser.HTMLParser):
    """The text of a page's main part that is seen: not folded, hidden, typed or of the code."""

    def __init__(self, page: Page) -> None:
        super().__init__()
        self.inside = self.summary = self.other = False
        self.hidden = ""  # the tag of an element that is not shown, while in it
        self.folds: list[bool] = []
        self.text: list[str] = []
        self.feed(page.html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.inside = self.inside or tag == "main"
        self.summary = self.summary or tag == "summary"
        if "hidden" in dict(attributes) and not self.hidden:
            self.hidden = tag
        if tag == "details":
            self.folds.append("open" not in dict(attributes))
        if tag == "textarea" or dict(attributes).get("id") == "code":
            self.other = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "main"
        self.summary = self.summary and tag != "summary"
        if tag == self.hidden:
            self.hidden = ""
        if tag == "details":
            self.folds.pop()
        if tag in ("textarea", "ol"):
            self.other = False

    def handle_data(self, data: str) -> None:
        shown = self.inside and not self.other and not self.hidden
        if shown and (self.summary or not any(self.folds)):
            self.text.append(data)


def count(page: Page) -> int:
    """The words that stand open on a page."""
    return len(re.findall(r"\w[\w'\u2019\u00ad-]*", " ".join(Visible(page).text)))


@pytest.mark.parametrize(("lang", "most"), [("nl", MOST), ("en", MOST_ENGLISH)])
def test_from_the_first_page_to_sent_there_is_little_to_read(
    house: House, lang: str, most: int
) -> None:
    each = {page: count(house.browser().get(f"/{lang}/{page}")) for page in WAY}
    assert sum(each.values()) <= most, each
    assert count(house.browser().tell("Iets.", lang)) <= CODE_PAGE


@pytest.mark.parametrize(("lang", "most"), [("nl", MOST), ("en", MOST_ENGLISH)])
def test_the_way_with_two_counsellors_has_little_to_read_too(
    tmp_path: Path, lang: str, most: int
) -> None:
    """Each with words and a register number of their own; somebody else to call about them."""
    other = OtherContact("Kim Bos", "030 765 43 21")
    two = House(tmp_path / "site", ("Noor Visser", "Sam Jansen"), other_contact=other)
    own = ({"nl": "Iets vragen mag ook.", "en": "Just a question is fine."},
           {"nl": "Ik luister eerst.", "en": "I listen first."})  # fmt: skip
    for one, sentence in zip(two.counsellors, own, strict=True):
        one.sentence, one.register_number = sentence, "LVV 12345-67"
        one.renew()
    each = {page: count(two.browser().get(f"/{lang}/{page}")) for page in WAY}
    assert sum(each.values()) <= most, each
    two.close()
