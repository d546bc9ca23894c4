"""Pages before a session meet level B1: short sentences, short words and no jargon."""

import html.parser
import re

import pytest

from dropbox_app.server.config.languages import ALWAYS as LANGUAGES
from dropbox_app.server.web.views.info import INFO
from tests.server.web.conftest import House
from tests.server.web.test_words import catalogue
from tests.support.catalogues import texts

PAGES = ("", "safety", "report", "return", "withdrawn", *INFO)
SENTENCE = 9.0  # mean number of words per sentence on a page
LONGEST = 22  # words in the longest sentence
WORD = 4.9  # mean number of letters per word on a page
# Pages whose words may be longer, by how much, and why.
HARDER = {
    "exceptions": 0.4,  # legal terms
    "technical": 0.2,  # names of formats, for readers who verify the site
}
# Words that a frightened reader should not have to know, and those that promise too much.
JARGON = re.compile(
    r"\b(inloggen|log ?in|account|versleutel\w*|encrypt\w*|cryptogra\w*|authenti\w*|anonie?m\w*"
    r"|anonymous\w*|sleutels?|keys?|verzegel\w*|seal(s|ed|ing)?|indienen|submit|conform|middels"
    r"|betreffende|tevens|derhalve|regarding|pursuant|furthermore|slachtoffer|victim|klager|dossier"
    r"|volledig|completely|100 ?(%|procent|per cent)|gegarandeerd|guaranteed?)\b",
    re.IGNORECASE,
)
# Texts in which such a word is the plain one.
MAY = {
    "code.how2": {"account"},  # an account at work, as people call it
    "crisis.suicide": {"anoniem", "anonymously"},  # 113 describes itself so
}
BLOCKS = ("p", "li", "h1", "h2", "label", "legend", "summary", "dt", "dd", "a")


class Sentences(html.parser.HTMLParser):
    """The sentences of a page's main part, without names and numbers that are not translated."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.blocks = [""]
        self._inside = False
        self._left_out = 0
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._inside |= tag == "main"
        if tag in BLOCKS:
            self.blocks.append("")
        if tag not in ("input", "br", "link", "meta") and (
            self._left_out or ("translate", "no") in attributes
        ):
            self._left_out += 1

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Ignore elements without text."""

    def handle_endtag(self, tag: str) -> None:
        self._inside &= tag != "main"
        self._left_out = max(0, self._left_out - 1)
        if tag in BLOCKS:
            self.blocks.append("")

    def handle_data(self, data: str) -> None:
        if self._inside and not self._left_out:
            self.blocks[-1] += data.replace("\u00ad", "")

    def sentences(self) -> list[list[str]]:
        found = []
        for block in self.blocks:
            for sentence in re.split(r"(?<=[.?:])\s+", " ".join(block.split())):
                words = re.findall(r"[^\W_]+(?:[-\u2019'][^\W_]+)*", sentence)
                if words:
                    found.append(words)
        return found


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("path", PAGES)
def test_page_has_short_sentences_and_short_words(two: House, lang: str, path: str) -> None:
    found = Sentences(two.browser().get(f"/{lang}/{path}").html).sentences()
    words = [word for sentence in found for word in sentence]
    sentence = len(words) / len(found)
    letters = sum(map(len, words)) / len(words)
    longest = max(found, key=len)
    assert sentence <= SENTENCE, f"{sentence:.1f} words a sentence"
    assert letters <= WORD + HARDER.get(path, 0), f"{letters:.2f} letters a word"
    assert len(longest) <= LONGEST, " ".join(longest)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_sentence_of_any_page_is_too_long(lang: str) -> None:
    """This includes session pages and errors; a placeholder counts as one word."""
    long = {}
    for key, message in catalogue(lang).items():
        for text in texts(message):
            for sentence in re.split(r"(?<=[.?:])\s+", text):
                if len(sentence.split()) > LONGEST:
                    long[key] = sentence
    assert long == {}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_no_text_uses_jargon(lang: str) -> None:
    """The technical page is exempt, because it is for people who want to verify the site."""
    found = {}
    for key, message in catalogue(lang).items():
        for text in texts(message):
            hard = {match[0].lower() for match in JARGON.finditer(text)} - MAY.get(key, set())
            if hard and not key.startswith("technical."):
                found[key] = hard
    assert found == {}
