"""The number of words that a frightened person must read from the first page to "sent"."""

import html.parser
import re
from pathlib import Path

import pytest

from dropbox_app.server.config.settings import OtherContact
from tests.server.web.conftest import House
from tests.support.plain_browser import Page

WAY = ("", "safety", "report")  # and then the code page
MOST = {"nl": 480, "en": 500}  # visible words on the four pages, with one counsellor
# With two counsellors to choose from, each with a sentence and a number, and another contact.
MOST_OF_TWO = {"nl": 550, "en": 580}

# Facts that must be visible without opening a fold, by page: who it is, who could read messages,
# that it is not a complaint, how soon an answer comes, danger, the code and how to keep it, how to
# come back.
OPEN = {
    "": (
        {"nl": "Noor Visser", "en": "Noor Visser"},
        {"nl": "Je hoeft je naam niet te noemen.", "en": "You do not have to give your name."},
        {"nl": "binnen 2 werkdagen", "en": "within 2 working days"},
        {"nl": "Schrijf dan niet hier.", "en": "Then do not write here."},
        {"nl": "alleen Noor Visser je bericht openen. En jij, met je code.",
         "en": "only Noor Visser and you, with your code, can open it."},
        {"nl": "zou Stichting Hosting kunnen meelezen",
         "en": "Stichting Hosting could read them too"},
        {"nl": "behalve als jij dat goedvindt. Er zijn een paar uitzonderingen",
         "en": "unless you agree. There are a few exceptions"},
        {"nl": "geen officiële klacht of melding", "en": "not an official complaint or report"},
    ),
    "safety": (
        {"nl": "Gebruik je eigen telefoon", "en": "Use your own phone"},
        {"nl": "Dit is geen noodnummer.", "en": "This is not an emergency service."},
        {"nl": "Wie kan je nog meer helpen?", "en": "Who else can help you?"},
    ),
    "report": (
        {"nl": "Je schrijft aan Noor Visser.", "en": "You are writing to Noor Visser."},
        {"nl": "Dit is geen noodnummer.", "en": "This is not an emergency service."},
        {"nl": "Houd pen en papier klaar", "en": "Have pen and paper ready"},
        {"nl": "Je kunt je bericht later van deze site wissen.",
         "en": "You can delete your message from this site later."},
    ),
    "code": (
        {"nl": "Je bericht is verstuurd.", "en": "Your message has been sent."},
        {"nl": "Niemand kan hem terugvinden.", "en": "Nobody can recover the code."},
        {"nl": "Bewaar het papier thuis", "en": "Keep the paper somewhere safe at home"},
        {"nl": "kan je gesprek lezen en uit jouw naam schrijven",
         "en": "can read your conversation and write in your name"},
        {"nl": "kies “Ik heb al een code”. http", "en": "choose “I have a code”. http"},
        {"nl": "Kom terug na 2 werkdagen.", "en": "Come back after 2 working days."},
        {"nl": "Dit is geen noodnummer.", "en": "This is not an emergency service."},
        {"nl": "Voel je je niet veilig?", "en": "Not feeling safe?"},
    ),
}  # fmt: skip


class Visible(html.parser.HTMLParser):
    """The visible text of a page's main part: not folded, hidden, typed, or of the code."""

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


def opened(page: Page) -> str:
    """Return the visible text of a page, in one line and without soft hyphens."""
    return " ".join(" ".join(Visible(page).text).replace("\u00ad", "").split())


def count(page: Page) -> int:
    """Return the number of visible words on a page."""
    return len(re.findall(r"\w[\w'\u2019-]*", opened(page)))


def walked(house: House, lang: str, **answers: str) -> dict[str, Page]:
    """Return the pages from the first to the confirmation."""
    way = {page: house.browser().get(f"/{lang}/{page}") for page in WAY}
    return way | {"code": house.browser().tell("Iets.", lang, **answers)}


@pytest.mark.parametrize("lang", MOST)
def test_path_from_first_page_to_sent_report_has_few_words(house: House, lang: str) -> None:
    each = {name: count(page) for name, page in walked(house, lang).items()}
    assert sum(each.values()) <= MOST[lang], each


@pytest.mark.parametrize("lang", MOST)
def test_most_important_facts_are_visible_on_the_path_to_a_report(house: House, lang: str) -> None:
    way = walked(house, lang)
    for name, wanted in OPEN.items():
        text = opened(way[name])
        for one in wanted:
            assert one[lang] in text, (name, one[lang], text)


@pytest.mark.parametrize("lang", MOST_OF_TWO)
def test_path_to_a_report_with_two_counsellors_also_has_few_words(
    tmp_path: Path, lang: str
) -> None:
    """Each has a sentence and a register number; there is a contact for complaints about them."""
    other = OtherContact("Kim Bos", "030 765 43 21")
    two = House(tmp_path / "site", ("Noor Visser", "Sam Jansen"), other_contact=other)
    own = ({"nl": "Iets vragen mag ook.", "en": "Just a question is fine."},
           {"nl": "Ik luister eerst.", "en": "I listen first."})  # fmt: skip
    for one, sentence in zip(two.counsellors, own, strict=True):
        one.sentence, one.register_number = sentence, "LVV 12345-67"
        one.renew()
    way = walked(two, lang, counsellor=two.counsellors[0].identity.hex)
    each = {name: count(page) for name, page in way.items()}
    assert sum(each.values()) <= MOST_OF_TWO[lang], each
    two.close()
