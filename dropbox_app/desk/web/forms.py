"""Forms of the register: their fields, how they are read, and their faults.

The event defines a field: its allowed words, its limits, and whether it is required. The typed text
is kept in a form's own fields, so that a page can show it again.
"""

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from flask import request
from werkzeug.datastructures import MultiDict

from dropbox_app.desk.register import form, recording
from dropbox_app.desk.register.events import KINDS, Event, OfCase
from dropbox_app.desk.register.fields import Sentence
from dropbox_app.desk.register.form import Fault, Refused
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.i18n import Words
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.errors import KlankbordError

Typed = MultiDict[str, str]
NOT_KEPT = (KlankbordError, OSError)  # the form had no effect, and is shown again with its text

# The fields that the pages ask for, by kind of event and in this order.
ASKED: Mapping[str, tuple[str, ...]] = {
    "contact": (
        "date", "minutes", "how", "channel", "with_whom", "topic", "help", "again",
        "record_nothing", "notes",
    ),
    "case": (
        "label", "main_group", "sub_groups", "role", "phase", "channel", "identity", "relation",
        "accused", "needs", "goal", "possible_report", "retaliation", "colleague_counts",
        "aftercare_on", "destroy_on", "notes",
    ),
    "consent": ("step", "partner", "scope", "date", "answer", "named", "formal"),
    "step": (
        "date", "step", "partner", "named", "formal", "consent_was_sought", "no_other_way",
        "serious_harm", "moral_distress", "as_small_as_possible", "why",
    ),
    "complaint": ("date", "what", "body"),
    "close": ("date", "outcome", "referral", "aftercare_on", "destroy_on"),
    "employer": (
        "headcount", "recording", "legal_terms", "counsellor_kind", "scope", "contact_person",
        "reachable", "stand_in", "procedure", "committee", "referral_list", "discussed_with",
        "avoid", "group", "notes",
    ),
    "agreement": (
        "date", "until", "form", "headcount", "price", "hours", "term_band", "shared_with",
    ),
    "advice": ("date", "minutes", "topic", "notes"),
    "activity": ("date", "what", "title", "minutes", "people", "price"),
    "hours": ("date", "work", "minutes"),
    "upkeep": ("date", "what", "minutes", "title"),
    "certificate": ("date", "until", "register_number"),
    "absence": ("date", "until"),
}  # fmt: skip
# _OWN lists fields whose label depends on the kind, and _HELPED those with an explanation.
_ALWAYS = ("date", "employer", "case", "event")  # fields that any entry may have
_OWN = frozenset({
    "consent_date", "consent_step", "close_date", "complaint_date", "employer_scope",
    "agreement_date", "activity_price",
    "certificate_date", "absence_date",
})  # fmt: skip
_HELPED = frozenset({
    "record_nothing", "again", "label", "goal", "scope", "named", "formal", "destroy_on",
    "possible_report", "as_small_as_possible", "recording", "legal_terms", "reachable", "avoid",
    "group", "term_band", "colleague_counts",
})  # fmt: skip
# Values that no form offers, because another part of the page sets them.
_NOT_ASKED = {"phase": ("new", "closed", "reopened")}
# Fields whose value is read as typed.
PLAIN = frozenset(
    name
    for kind in KINDS.values()
    for name, one in form.readers(kind).items()
    if one.shape in ("line", "text")
) - {"scope"}  # on the sheet of an employer it is a fixed word
# Groups of three digits with the same separator between them.
_GROUPED = re.compile(r"[1-9]\d{0,2}([.,\s])\d{3}(?:\1\d{3})*")
MOST_RADIOS = 8  # a longer list becomes a select


@dataclass(frozen=True)
class Asked:
    """One field of a form. ``level`` is the lowest level of recording that keeps the field."""

    name: str
    shape: str
    label: str
    help: str
    options: tuple[tuple[str, str], ...]
    level: str

    @property
    def is_long(self) -> bool:
        """Return whether the field has too many values to show all of them at once."""
        return len(self.options) > MOST_RADIOS


def asked(told: Words, kind: str, level: str = "full") -> dict[str, Asked]:
    """Return the fields of a form, by name, that are kept at a level of recording."""
    readers = form.readers(KINDS[kind])
    found = {}
    for name in ASKED[kind]:
        at = _level(kind, name)
        if _LEVELS.index(at) > _LEVELS.index(level):
            continue
        key = _key(kind, name)
        found[name] = Asked(
            name, readers[name].shape, told.say(f"field.{key}"),
            told.say(f"help.{key}") if key in _HELPED else "",
            tuple(
                (one, told.say(f"choice.{name}.{one}"))
                for one in readers[name].allowed
                if one not in _NOT_ASKED.get(name, ())
            ),
            at,
        )  # fmt: skip
    return found


def keys() -> set[str]:
    """Return the key of every text that a form can show, for checking the catalogues."""
    found = {"field.employer"}  # every event has one, and each page asks for it in its own way
    for kind, names in ASKED.items():
        readers = form.readers(KINDS[kind])
        for name in names:
            key = _key(kind, name)
            found.add(f"field.{key}")
            if key in _HELPED:
                found.add(f"help.{key}")
            found |= {f"choice.{name}.{one}" for one in readers[name].allowed}
    return found


def given(kind: str, names: Iterable[str] = (), /, **fixed: Json) -> dict[str, Json]:
    """Return an event's fields from the form of this request, with the ``fixed`` ones added."""
    readers = form.readers(KINDS[kind])
    made: dict[str, Json] = {"event": kind}
    for name in names or ASKED[kind]:
        value = _value(readers[name].shape, name)
        if value is not None:
            made[name] = value
    return made | fixed


def other_minutes() -> dict[str, Json]:
    """Return the minutes typed in the separate field; empty if none were typed."""
    text = request.form.get("other_minutes", "").strip()
    return {"minutes": number(text)} if text else {}


def typed(event: Event) -> Typed:
    """Return the values of an event for the fields of a form."""
    made: Typed = MultiDict()
    for name, value in form.to_json(event).items():
        if isinstance(value, list):
            made.setlist(name, [str(one) for one in value])
        else:
            made[name] = "1" if value is True else "" if value is False else str(value)
    return made


def problems(told: Words, today: datetime.date, error: Exception, kind: str) -> list[str]:
    """Return a sentence for each fault of an event, by the field's name on the page.

    For any other problem, such as a full disk, one sentence is returned.
    """
    if isinstance(error, Refused):
        return [_problem(told, today, fault, kind) for fault in error.faults]
    return [sentence(told, error)]


def status(error: Exception) -> int:
    """Return the status for a form that is shown again: 422, or 409 if the form is not at fault."""
    return 422 if isinstance(error, Refused) else 409


def _problem(told: Words, today: datetime.date, fault: Fault, kind: str) -> str:
    said = fault.sentence
    if not isinstance(said, Sentence):
        return told.say("wrong.other", what=str(said))
    values = {
        name: told.date(one, today) if isinstance(one, datetime.date) else one
        for name, one in said.values.items()
    }
    wrong = told.say(f"wrong.{said.key}", **values)
    if fault.field not in (*ASKED.get(kind, ()), *_ALWAYS):
        return wrong[:1].upper() + wrong[1:]
    label = told.say(f"field.{_key(kind, fault.field)}")
    return f"{label.rstrip('?')}: {wrong}"


def number(text: str) -> Json:
    """Return the typed whole number. Any other text is returned unchanged, and refused later.

    A thousands separator is allowed, as in 1.250. The input 7,5 is not read as 75.
    """
    plain = text.strip()
    if _GROUPED.fullmatch(plain):
        plain = "".join(one for one in plain if one.isdecimal())
    return int(plain) if plain.isdecimal() and len(plain) < 12 else text.strip() or None


def day(text: str) -> str | None:
    """Return a day in the form that events use, from a browser's form or as typed: 31-1-2027."""
    plain = text.strip().replace("/", "-").replace(".", "-")
    parts = plain.split("-")
    if len(parts) == 3 and all(part.isdecimal() for part in parts) and len(parts[2]) == 4:
        plain = f"{parts[2]}-{parts[1]:0>2}-{parts[0]:0>2}"
    return plain or None


def _value(shape: str, name: str) -> Json:
    text = request.form.get(name, "")
    if shape == "number":
        return number(text)
    if shape == "day":
        return day(text)
    if shape == "flag":
        return True if text else None
    if shape == "words":
        return list(dict.fromkeys(request.form.getlist(name))) or None
    if shape == "names":
        lines = [" ".join(line.split()) for line in text.splitlines()]
        return list(dict.fromkeys(line for line in lines if line)) or None
    return text.strip() or None


_LEVELS = ("none", "minimal", "full")


def _level(kind: str, name: str) -> str:
    if not issubclass(KINDS[kind], OfCase):
        return "none"
    kept = (one for one in _LEVELS[:2] if name in recording.KEPT[one][kind])
    return next(kept, "full")


def _key(kind: str, name: str) -> str:
    own = f"{kind}_{name}"
    return own if own in _OWN else name
