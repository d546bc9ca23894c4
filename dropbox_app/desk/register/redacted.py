"""The redacted copy of a case: choose its fields, and remove names from its texts.

Pure functions. A copy is for the reporter or for the employer, and contains only the chosen fields.
The following are never offered and cannot be chosen: notes, the counsellor's name for the case,
marks, references, the conversation, and the other person in a step.
"""

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dropbox_app.desk.register import blackout, form
from dropbox_app.desk.register.book import Numbered
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import KINDS, Case, Event
from dropbox_app.protocol.encoding import Json

Reader = Literal["reporter", "employer"]
READERS = get_args(Reader)
SHEET = 0  # the number of the case's sheet here; entries are numbered from 1

# The fields that may be chosen, by kind and in this order. All others are left out of every copy.
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
TICKED = ("date",)  # the kind of a part is always shown

Field = tuple[int, str]  # the number of a part, and the name of one of its fields


@dataclass(frozen=True)
class Part:
    """The sheet of a case or one of its entries, with the non-empty fields that may be chosen.

    ``number`` is ``SHEET``, or the entry's number in the register, which is never reused.
    ``withheld`` lists the names of the non-empty fields that no copy contains.
    """

    number: int
    kind: str
    fields: Mapping[str, Json]
    withheld: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """A copy as given to its reader, and the parts that were left out.

    ``parts``: the chosen fields, with names removed from the texts. ``unchosen``: the other fields
    that could have been chosen. ``withheld``: the fields that can never be chosen. ``blacked_out``:
    the number of places where a name was removed. ``unfound``: the given names that occur in no
    chosen text, even in part.
    """

    parts: tuple[Part, ...]
    unchosen: tuple[tuple[str, str], ...]
    withheld: tuple[tuple[str, str], ...]
    blacked_out: int
    unfound: tuple[str, ...]


def parts(found: Standing, entries: Sequence[Numbered]) -> list[Part]:
    """Return the parts to choose from. ``entries`` are all entries of the case, in order."""
    made = [_part(SHEET, found.sheet, {"date": found.opened.isoformat(), "phase": found.phase})]
    made += [_part(number, one, {}) for number, one in entries if not isinstance(one, Case)]
    return made


def ticked(given: Iterable[Part]) -> set[Field]:
    """Return the default choice: the kind and day of each part."""
    return {(one.number, name) for one in given for name in TICKED if name in one.fields}


def copy(
    given: Sequence[Part], chosen: Collection[Field], names: Sequence[str], sign: str,
    known: Sequence[str] = (),
) -> Copy:  # fmt: skip
    """Return the copy with the chosen fields, in which ``sign`` replaces each of the names.

    ``known`` lists names that are also removed, but not reported if they are not found. A part
    without a chosen field is left out. Chosen fields that are not offered are ignored.
    """
    pattern = blackout.pattern([*names, *known])
    made, unchosen, withheld, found = [], [], [], []
    for one in given:
        kept: dict[str, Json] = {}
        for name, value in one.fields.items():
            if (one.number, name) not in chosen:
                unchosen.append((one.kind, name))
            elif isinstance(value, str) and _is_text(one.kind, name):
                kept[name], there = blackout.blacked_out(value, pattern, sign)
                found += there
            else:
                kept[name] = value
        withheld += [(one.kind, name) for name in one.withheld]
        if kept:
            made.append(Part(one.number, one.kind, kept, ()))
    unfound = tuple(blackout.unfound(names, found))
    return Copy(tuple(made), tuple(unchosen), tuple(withheld), len(found), unfound)


def known_names(
    entries: Iterable[Event], other_sides: Iterable[Standing], sheet_names: Iterable[str]
) -> list[str]:
    """Return the names in the register that others must not see.

    The result contains the counsellor's names for cases of the other side, the people with whom
    steps were taken, and the names on the employer's sheet.
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


def may_have(
    reader: Reader, good: Iterable[bool], exceptions: Iterable[datetime.date], today: datetime.date
) -> bool:
    """Return whether ``reader`` may receive a copy today.

    The employer gets a copy only with a consent on which a step may rely, or with an exception that
    was recorded today.
    """
    return reader == "reporter" or any(good) or today in exceptions
