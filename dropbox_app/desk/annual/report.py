"""Compose a report from fixed slots: what the employer saw, bands, and agreed sentences.

``Seen`` contains all printed data apart from the figures and the counsellor's own words, and
nothing about cases. In form A without an agreed band for three years, the report therefore depends
only on facts that the employer already knows.
"""

import datetime
import functools
import importlib.resources
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dropbox_app.desk.annual.checklist import Followed
from dropbox_app.desk.annual.suppression import BANDS, TERM_YEARS, Band, Figure, Form
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register.categories import DISCUSSED_WITH

LANGUAGES = ("nl", "en")
MAX_FIELD = 200  # characters of a name, a register number or the counsellor's contact details
REGULATIONS = (
    "complaints_procedure", "complaints_committee", "code_of_conduct", "reporting_procedure",
)  # fmt: skip

_BANDS_OF_PEOPLE = ((50, "under_50"), (250, "under_250"), (1_000, "under_1000"))


@dataclass(frozen=True)
class Counsellor:
    """The reporting counsellor, as the employer knows them."""

    name: str
    register_number: str = ""
    kind: str = "external"
    scope: str = "both"
    reachable: str = ""  # in the counsellor's own words: telephone, site address, hours
    stand_in: str = ""
    upkeep_hours: int | None = None  # in this year, for all employers together


@dataclass(frozen=True, order=True)
class Training:
    """A training or a talk to staff that the employer ordered.

    ``title`` is the counsellor's own wording. Form A does not print the title, because it may
    reveal why the training was held. ``kind`` is training or information.
    """

    day: datetime.date
    title: str
    people: int = 0
    kind: str = "training"

    def name(self, form: Form, say: Mapping[str, Any]) -> str:
        """Return the training's name as printed in the report and on the bill."""
        fixed = str(say["activities"]["kinds"][self.kind])
        return fixed if form is Form.A else self.title or fixed


@dataclass(frozen=True)
class Seen:
    """The facts that the employer saw, ordered or recorded itself in the year of the report."""

    employer: str
    year: int
    form: Form
    headcount: int  # at the start of the term
    term: tuple[int, int]  # first and last calendar year
    counsellor: Counsellor
    term_band: bool = False
    regulations: frozenset[str] = frozenset()
    trainings: tuple["Training", ...] = ()
    talks: tuple[datetime.date, ...] = ()  # with management, attended by somebody from the employer
    discussed_with: frozenset[str] = frozenset()


@dataclass(frozen=True)
class OwnWords:
    """The counsellor's additions in forms B and C; empty in form A."""

    signals: str = ""
    bottlenecks: str = ""


@dataclass(frozen=True)
class Section:
    """A numbered part: sentences, list items, a caption, and figures as label and value."""

    slot: str
    heading: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()
    caption: str = ""


@dataclass(frozen=True)
class Report:
    """A report as printed, in one language."""

    language: str
    title: str
    employer: str
    year: int
    day: datetime.date
    sections: tuple[Section, ...]
    file: str

    @property
    def name(self) -> str:
        """Return the file name without its extension, the same for every employer and form."""
        return f"{self.file}-{self.year}"


def build(
    seen: Seen,
    figures: Sequence[Figure],
    advice: Sequence[str],
    last: Sequence[Followed],
    words: OwnWords,
    language: str,
) -> Report:
    """Return the report of one calendar year, dated on the last day of that year.

    The date does not depend on when the report is made. Raises Unfit if the counsellor wrote words
    for a form that has no place for them, or if a field is too long for its slot.
    """
    if seen.form is Form.A and (words.signals.strip() or words.bottlenecks.strip()):
        raise Unfit(
            "A report in form A has no words of your own: in a small organisation a sentence is"
            " recognised. Discuss a signal outside the report, with the consent of its reporter.",
            "words_in_a",
        )
    _check_lengths(seen)
    say = texts(language)
    parts = (
        ("who", _who(seen, say)),
        ("context", _context(seen, say)),
        ("activities", _activities(seen, say)),
        ("contacts", _contacts(seen, figures, say)),
        ("signals", _own(words.signals, seen, say["signals"])),
        ("bottlenecks", _own(words.bottlenecks, seen, say["bottlenecks"])),
        ("advice", _advice(advice, last, say)),
        ("protection", _protection(seen, say)),
        ("upkeep", _upkeep(seen, say)),
        ("discussed", _discussed(seen, say)),
    )
    sections = tuple(Section(slot, say[slot]["heading"], *content) for slot, content in parts)
    title = say["title"].format(employer=seen.employer, year=seen.year)
    day = datetime.date(seen.year, 12, 31)
    return Report(language, title, seen.employer, seen.year, day, sections, say["file"])


_Content = tuple[tuple[str, ...], tuple[str, ...], tuple[tuple[str, str], ...], str]


def _who(seen: Seen, say: Mapping[str, Any]) -> _Content:
    who, own = seen.counsellor, say["who"]
    rows = [
        (own["name"], who.name),
        (own["register_number"], who.register_number),
        (own["kind"], own["kinds"][who.kind]),
        (own["scope"], own["scopes"][who.scope]),
        (own["term"], own["term_years"].format(first=seen.term[0], last=seen.term[1])),
        (own["reachable"], who.reachable),
        (own["stand_in"], who.stand_in),
    ]
    return (), (), tuple((label, value or own["empty"]) for label, value in rows), ""


def _context(seen: Seen, say: Mapping[str, Any]) -> _Content:
    own = say["context"]
    size = next((name for most, name in _BANDS_OF_PEOPLE if seen.headcount < most), "from_1000")
    there = [say["regulations"][one] for one in REGULATIONS if one in seen.regulations]
    missing = [say["regulations"][one] for one in REGULATIONS if one not in seen.regulations]
    rows = [(own["headcount"], own["sizes"][size])]
    rows += [(own["there"], ", ".join(there))] if there else []
    rows += [(own["missing"], ", ".join(missing))] if missing else []
    return (), (), tuple(rows), ""


def _activities(seen: Seen, say: Mapping[str, Any]) -> _Content:
    own, language = say["activities"], say["language"]
    found = [
        (one.day, own["training" if one.people else "without_people"].format(
            day=day_in(one.day, language), name=one.name(seen.form, say), people=one.people
        ))
        for one in sorted(seen.trainings)
    ]  # fmt: skip
    found += [(day, own["talk"].format(day=day_in(day, language))) for day in seen.talks]
    points = tuple(said for _, said in sorted(found, key=lambda one: one[0]))
    return (own["lead"],) if points else (own["none"],), points, (), ""


def _contacts(seen: Seen, figures: Sequence[Figure], say: Mapping[str, Any]) -> _Content:
    own = say["contacts"]
    if not figures:
        agreed = own["term_band_later"] if seen.term_band else own["never"]
        return (agreed, own["same_every_year"]), (), (), ""
    years = str(seen.year)
    if seen.form is Form.A:
        years = own["years"].format(first=seen.year - TERM_YEARS + 1, last=seen.year)
    rows = tuple(
        (
            own["groups"][one.group] if one.group else own["all"].format(years=years),
            _in_words(one.band, own),
        )
        for one in figures
    )
    shown = ", ".join(_in_words(one, own) for one in BANDS)
    return (own["unit"], own["left_out"], own["bands"].format(bands=shown)), (), rows, ""


def _in_words(band: Band, own: Mapping[str, Any]) -> str:
    if band.high is None:
        return str(own["and_more"].format(low=band.low))
    return str(own["to"].format(low=band.low, high=band.high))


def _own(text: str, seen: Seen, own: Mapping[str, Any]) -> _Content:
    if seen.form is Form.A:
        return (own["fixed"],), (), (), ""
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    return lines or (own["none"],), (), (), ""


def _advice(advice: Sequence[str], last: Sequence[Followed], say: Mapping[str, Any]) -> _Content:
    own = say["advice"]
    points = tuple(own["items"][item] for item in advice)
    rows = tuple((own["names"][one.item], own["states"][one.state]) for one in last)
    return (own["lead"],), points, rows, own["last"] if rows else own["first_time"]


def _protection(seen: Seen, say: Mapping[str, Any]) -> _Content:
    own = say["protection"]
    banded = seen.form is not Form.A or seen.term_band
    before, last = own["all"][:-1], own["all"][-1]
    paid = own[seen.counsellor.kind]  # an internal counsellor sends no bill
    return (*before, paid, *(own["bands"] if banded else ()), last), (), (), ""


def _upkeep(seen: Seen, say: Mapping[str, Any]) -> _Content:
    own, hours = say["upkeep"], seen.counsellor.upkeep_hours
    return ((own["none"] if hours is None else own["hours"].format(hours=hours)),), (), (), ""


def _discussed(seen: Seen, say: Mapping[str, Any]) -> _Content:
    own = say["discussed"]
    points = tuple(own["roles"][one] for one in DISCUSSED_WITH if one in seen.discussed_with)
    return (own["lead"] if points else own["none"],), points, (), ""


def _check_lengths(seen: Seen) -> None:
    who = seen.counsellor
    for text in (seen.employer, who.name, who.register_number, who.reachable, who.stand_in):
        if len(text) > MAX_FIELD:
            raise Unfit(
                f"A field of the report has at most {MAX_FIELD} characters; this one has"
                f" {len(text)}.",
                "field_long", most=MAX_FIELD, given=len(text),
            )  # fmt: skip


def as_draft(made: Report) -> Report:
    """Return a copy of a report whose title and file name mark it as a draft.

    A comparison of two versions that both look issued would show what changed.
    """
    say = texts(made.language)
    return replace(
        made, title=f"{say['draft']}: {made.title}", file=f"{say['draft_file']}-{made.file}"
    )


def day_in(day: datetime.date, language: str) -> str:
    """Return a day as written in nl or en: ``3 maart 2026``, ``3 March 2026``."""
    return f"{day.day} {texts(language)['months'][day.month - 1]} {day.year}"


@functools.cache
def texts(language: str) -> Mapping[str, Any]:
    """Return the sentences of a report in nl or en. Raises Unfit for any other language."""
    if language not in LANGUAGES:
        raise Unfit(f"Reports are made in {', '.join(LANGUAGES)} alone.", "report_language")
    path = importlib.resources.files("dropbox_app.desk.annual") / f"{language}.toml"
    found: Mapping[str, Any] = tomllib.loads(path.read_text("utf-8"))
    return found
