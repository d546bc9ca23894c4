"""The redacted copy of a case: which fields may be in it, and names blacked out of its texts.

Pure functions. A copy is for the reporter or for the employer. It holds the fields that were
chosen and nothing else. What is never offered cannot be chosen: notes, the counsellor's own name
for the case, marks, references, the conversation, and with whom a step was taken.
"""

import datetime
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dropbox_app.desk.register import form
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import KINDS, Case, Event
from dropbox_app.protocol.encoding import Json

Reader = Literal["reporter", "employer"]
READERS = get_args(Reader)
SHEET = 0  # the number that the sheet of the case has here; entries are counted from 1

# What may be chosen, by kind and in this order. Every other field is left out of every copy.
OFFERED: Mapping[str, tuple[str, ...]] = {
    "case": (
        "date", "channel", "identity", "relation", "role", "main_group", "sub_groups", "accused",
        "needs", "goal", "phase", "possible_report", "retaliation", "aftercare_on", "destroy_on",
    ),
    "contact": ("date", "how", "channel", "minutes", "with_whom", "topic", "help"),
    "consent": ("date", "answer", "step", "scope", "named", "formal"),
    "step": ("date", "step", "named", "formal", "why"),
    "complaint": ("date", "what", "body"),
    "close": ("date", "outcome", "referral", "aftercare_on", "destroy_on"),
}  # fmt: skip
TICKED = ("date",)  # the kind of a part is always told

# Words that begin with a capital in a name or a title, and are none by themselves.
_NO_NAMES = frozenset({
    "de", "het", "een", "van", "der", "den", "ten", "ter", "te", "op", "in", "met", "en", "mijn",
    "onze", "uw", "the", "of", "a", "an", "my", "our", "with", "and",
})  # fmt: skip

Field = tuple[int, str]  # the number of a part, and the name of one of its fields


@dataclass(frozen=True)
class Part:
    """The sheet of a case or one of its entries, with the fields that may be chosen and are filled.

    ``number``: ``SHEET``, or the place of the entry in its case, from 1. ``withheld``: the names of
    the filled fields that no copy holds.
    """

    number: int
    kind: str
    fields: Mapping[str, Json]
    withheld: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """A copy as it is handed over, and what was left out of it.

    ``parts``: what was chosen, with names blacked out of the texts. ``unchosen``: what could have
    been chosen. ``withheld``: what never can. ``blacked_out``: in how many places a name was taken
    out.
    """

    parts: tuple[Part, ...]
    unchosen: tuple[tuple[str, str], ...]
    withheld: tuple[tuple[str, str], ...]
    blacked_out: int


def parts(found: Standing, entries: Sequence[Event]) -> list[Part]:
    """Return what there is to choose from. ``entries``: all events of the case, in order."""
    made = [_part(SHEET, found.sheet, {"date": found.opened.isoformat(), "phase": found.phase})]
    others = [one for one in entries if not isinstance(one, Case)]
    made += [_part(number, one, {}) for number, one in enumerate(others, 1)]
    return made


def ticked(given: Iterable[Part]) -> set[Field]:
    """Return what is chosen before anybody chose: of each part its kind and day."""
    return {(one.number, name) for one in given for name in TICKED if name in one.fields}


def copy(given: Sequence[Part], chosen: Collection[Field], names: Sequence[str], sign: str) -> Copy:
    """Return the copy with the chosen fields, in which ``sign`` stands for each of the names.

    A part of which nothing is chosen is left out. What is chosen and not offered is not there.
    """
    pattern = _pattern(names)
    made, unchosen, withheld, count = [], [], [], 0
    for one in given:
        kept: dict[str, Json] = {}
        for name, value in one.fields.items():
            if (one.number, name) not in chosen:
                unchosen.append((one.kind, name))
            elif pattern and isinstance(value, str) and _is_text(one.kind, name):
                kept[name], found = _blacked_out(value, pattern, sign)
                count += found
            else:
                kept[name] = value
        withheld += [(one.kind, name) for name in one.withheld]
        if kept:
            made.append(Part(one.number, one.kind, kept, ()))
    return Copy(tuple(made), tuple(unchosen), tuple(withheld), count)


def known_names(
    entries: Iterable[Event], other_sides: Iterable[Standing], sheet_names: Iterable[str]
) -> list[str]:
    """Return the names that the register itself knows not to be for others.

    The counsellor's names for cases of the other side, with whom steps were taken, and what the
    employer's sheet names.
    """
    named = [one.sheet.label for one in other_sides]
    named += [getattr(one, "partner", "") for one in entries]
    return list(dict.fromkeys(one for one in [*named, *sheet_names] if one.strip()))


def _part(number: int, event: Event, instead: Mapping[str, Json]) -> Part:
    told = {**form.to_json(event), **instead}
    apart = ("event", "employer", *OFFERED[event.kind])
    return Part(
        number, event.kind, {name: told[name] for name in OFFERED[event.kind] if name in told},
        tuple(name for name in told if name not in apart),
    )  # fmt: skip


def _is_text(kind: str, name: str) -> bool:
    return form.readers(KINDS[kind])[name].shape in ("line", "text")


def _pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """What the names look like in a text: complete, and each part that begins with a capital.

    Letters count without their accents, and capitals as small ones; an s may follow: Jans, Jan's.
    """
    wanted: set[tuple[str, ...]] = set()
    for name in names:
        spelled = re.findall(r"\w+", unicodedata.normalize("NFC", name))
        if spelled:
            wanted.add(tuple(map(_plain, spelled)))
        parts = [one for one in spelled if len(one) > 1 and one[0].isupper()]
        wanted |= {(_plain(one),) for one in parts if _plain(one) not in _NO_NAMES}
    if not wanted:
        return None
    longest_first = sorted(wanted, key=lambda one: (-len(one), -len("".join(one)), one))
    one_of = "|".join(r"\W{1,3}".join(map(re.escape, words)) for words in longest_first)
    return re.compile(rf"(?<!\w)(?:{one_of})(?:['\u2019]?s)?(?!\w)")


def _plain(text: str) -> str:
    """Return the same letters without accents and capitals; the length stays."""
    return "".join(unicodedata.normalize("NFKD", one)[0].lower()[0] for one in text)


def _blacked_out(text: str, pattern: re.Pattern[str], sign: str) -> tuple[str, int]:
    composed = unicodedata.normalize("NFC", text)
    made, at, count = "", 0, 0
    for found in pattern.finditer(_plain(composed)):
        made += composed[at : found.start()] + sign
        at, count = found.end(), count + 1
    return made + composed[at:], count


def may_have(
    reader: Reader, good: Iterable[bool], exceptions: Iterable[datetime.date], today: datetime.date
) -> bool:
    """Return whether somebody may get a copy today.

    The employer gets one only on a consent that a step may rest on, or on an exception that was
    recorded as done today.
    """
    return reader == "reporter" or any(good) or today in exceptions
