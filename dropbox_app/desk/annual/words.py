"""Check the counsellor's own words for details that make a person recognisable.

The check finds common mistakes but proves nothing. The counsellor decides.
"""

import functools
import importlib.resources
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dropbox_app.desk.errors import Unfit

MAX_WORDS = 1_200  # characters of one text in the report

Kind = Literal["name", "department", "title", "quote", "date", "number"]

# Text within quotation marks of nl and en. An apostrophe within a word does not count.
_QUOTES = re.compile(
    '["\u201c\u201d\u201e\u00ab\u00bb][^"\u201c\u201d\u201e\u00ab\u00bb]+'
    '["\u201c\u201d\u201e\u00ab\u00bb]'
    "|(?<!\\w)[\u2018'][^\u2018\u2019']{2,}[\u2019'](?!\\w)"
)
_MONTHS = (
    "januari|februari|maart|april|mei|juni|juli|augustus|september|oktober|november|december"
    "|january|february|march|may|june|july|august|october"
)
_DAYS = (
    "maandag|dinsdag|woensdag|donderdag|vrijdag|zaterdag|zondag"
    "|monday|tuesday|wednesday|thursday|friday|saturday|sunday"
)
_SEASONS = "voorjaar|lente|zomer|najaar|herfst|winter|kerst|spring|summer|autumn|christmas"
_DATES = re.compile(
    rf"\b(?:{_MONTHS}|{_DAYS}|{_SEASONS})\b|\b\d{{1,2}}[-/.]\d{{1,2}}(?:[-/.]\d{{2,4}})?\b"
    r"|\b(?:19|20)\d\d\b",
    re.IGNORECASE,
)
_NUMBERS = re.compile(
    r"\b\d+\b|%|\b(?:één|twee|drie|vier|vijf|zes|zeven|acht|negen|tien|elf|twaalf|twintig|dertig"
    r"|eerste|tweede|derde|enkele|meerdere|verscheidene|verschillende|tientallen|paar|dubbel"
    r"|helft|minder|vaker|meer|niemand|geen|nul|toename|afname|stijging|daling|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
    r"|twenty|thirty|first|second|third|several|multiple|few|couple|dozens?|half|double|twice"
    r"|once|nobody|none|zero|increase|decrease|rise|fewer|more often|procent|percent)\b",
    re.IGNORECASE,
)
_TITLES = re.compile(
    r"\b(?:directeur|directrice|bestuurder|manager|teamleider|leidinggevende|afdelingshoofd|hoofd"
    r"|chef|baas|voorman|eigenaar|secretaresse|secretaris|controller|boekhouder|planner"
    r"|verpleegkundige|arts|docent|leraar|rector|hr|p&o|stagiair|stagiaire|uitzendkracht"
    r"|director|executive|supervisor|team ?leader|head|boss|foreman|owner|secretary|accountant"
    r"|nurse|doctor|teacher|principal|intern|trainee|temp)s?\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?:^|[.!?:;]\s+|\n\s*(?:[-*]\s+)?)(?=\w)")
_WORD = re.compile("\\w[\\w\u2019'-]*")


@dataclass(frozen=True)
class Found:
    """A passage from which a colleague might recognise somebody, and the reason."""

    kind: Kind
    text: str


def check(text: str, *, departments: Iterable[str] = (), names: Iterable[str] = ()) -> list[Found]:
    """Return the passages to review, in text order, each wording once.

    ``departments`` and ``names`` are words that the counsellor has recorded about this employer:
    departments, places, people. Raises Unfit if the text is too long.
    """
    if len(text) > MAX_WORDS:
        raise Unfit(
            f"This text has {len(text)} characters; {MAX_WORDS} are the most that the report"
            " has room for.",
            "words_long", given=len(text), most=MAX_WORDS,
        )  # fmt: skip
    hits = [
        *_all(_QUOTES, "quote", text),
        *_all(_DATES, "date", text),
        *_all(_NUMBERS, "number", text),
        *_all(_TITLES, "title", text),
        *_known("department", departments, text),
        *_known("name", names, text),
        *_capitals(text),
    ]
    hits.sort(key=lambda hit: hit[0])
    return list(dict.fromkeys(found for _, found in hits))


def _all(pattern: re.Pattern[str], kind: Kind, text: str) -> list[tuple[int, Found]]:
    return [(hit.start(), Found(kind, hit.group().strip())) for hit in pattern.finditer(text)]


def _known(kind: Kind, words: Iterable[str], text: str) -> list[tuple[int, Found]]:
    wanted = sorted((re.escape(one.strip()) for one in words if one.strip()), key=len, reverse=True)
    if not wanted:
        return []
    return _all(re.compile(rf"(?<!\w)(?:{'|'.join(wanted)})(?!\w)", re.IGNORECASE), kind, text)


def _capitals(text: str) -> list[tuple[int, Found]]:
    """Return names: capitalised words within a sentence, and first names at its beginning."""
    starts = {hit.end() for hit in _SENTENCE.finditer(text)}
    found = []
    for hit in _WORD.finditer(text):
        word = hit.group()
        within = word[0].isupper() and hit.start() not in starts and word != "I"
        if within or (word[0].isupper() and word.casefold() in _first_names()):
            found.append((hit.start(), Found("name", word)))
    return found


@functools.cache
def _first_names() -> frozenset[str]:
    path = importlib.resources.files("dropbox_app.desk.annual") / "first_names.txt"
    lines = path.read_text("utf-8").splitlines()
    return frozenset(line.strip().casefold() for line in lines if line and line[0] != "#")
