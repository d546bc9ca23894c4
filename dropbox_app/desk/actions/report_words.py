"""The counsellor's own words for a report, and its language, stored until it is issued.

The words are stored in the desk's database and its backups. An issued report is stored in the
register.
"""

import json
from dataclasses import dataclass, field

from dropbox_app.desk.annual.report import LANGUAGES, OwnWords
from dropbox_app.desk.annual.words import check
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.storage import notebook
from dropbox_app.protocol.encoding import clean_text


@dataclass(frozen=True)
class Kept:
    """The stored words and language for one report. ``language`` is "" if none was chosen."""

    language: str = ""
    own: OwnWords = field(default_factory=OwnWords)


def kept(place: Workplace, employer: str, year: int) -> Kept:
    """Return the stored words and language for the report of a year."""
    text = notebook.report(place.database, employer, year)
    if not text:
        return Kept()
    fields = json.loads(text)
    return Kept(fields["language"], OwnWords(fields["signals"], fields["bottlenecks"]))


def keep(place: Workplace, employer: str, year: int, new: Kept) -> None:
    """Store words and language for the report of a year. Raises Unfit, and then stores nothing."""
    if new.language not in LANGUAGES:
        raise Unfit(f"Reports are made in {', '.join(LANGUAGES)} alone.", "report_language")
    texts = {
        "signals": clean_text(new.own.signals).strip(),
        "bottlenecks": clean_text(new.own.bottlenecks).strip(),
    }
    for one in texts.values():
        check(one)
    fields = json.dumps({"language": new.language, **texts}, ensure_ascii=False)
    notebook.keep_report(place.database, employer, year, fields)


def drop(place: Workplace, employer: str, year: int) -> None:
    """Remove the stored words for the report of a year, after it was issued."""
    notebook.keep_report(place.database, employer, year, "")


def move(place: Workplace, old: str, new: str) -> None:
    """Move the stored words to another name of the employer, without losing any."""
    for year in notebook.report_years(place.database, old):
        was, there = kept(place, old, year), kept(place, new, year)
        own = OwnWords(
            _both(there.own.signals, was.own.signals),
            _both(there.own.bottlenecks, was.own.bottlenecks),
        )
        fields = {
            "language": there.language or was.language,
            "signals": own.signals,
            "bottlenecks": own.bottlenecks,
        }
        text = json.dumps(fields, ensure_ascii=False)
        notebook.keep_report(place.database, new, year, text)
        notebook.keep_report(place.database, old, year, "")


def _both(one: str, other: str) -> str:
    return "\n".join(text for text in (one, other) if text)
