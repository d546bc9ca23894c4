"""The JSON form of events: read events and report every fault, check events, and write them."""

import dataclasses
import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from dropbox_app.desk.errors import DeskError
from dropbox_app.desk.register import categories
from dropbox_app.desk.register import fields as f
from dropbox_app.desk.register.events import KINDS, Absence, Agreement, Case, Event, Freeze, Joint
from dropbox_app.protocol.encoding import Json


@dataclass(frozen=True)
class Fault:
    """One fault in an event: its line (from 1; 0 outside a file), field, and a sentence."""

    line: int
    field: str
    sentence: str

    def __str__(self) -> str:
        where = f"Line {self.line}" if self.line else "This entry"
        return f"{where}, {self.field}: {self.sentence}."


class Refused(DeskError):
    """An event cannot be stored. The error contains all faults of the event."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(" ".join(map(str, faults)))
        self.faults = faults


# The fields that may have future days.
_AHEAD = ("until", "aftercare_on", "destroy_on")


def _readers(kind: type[Event]) -> Mapping[str, f.Reader]:
    found = {one.name: one.metadata[f.READER] for one in dataclasses.fields(kind)}
    first = {name: found[name] for name in ("date", "employer") if name in found}
    return first | found


_READERS = {name: _readers(kind) for name, kind in KINDS.items()}


def readers(kind: type[Event]) -> Mapping[str, f.Reader]:
    """Return the reader of each field of a kind, ``date`` and ``employer`` first."""
    return _READERS[kind.kind]


def parse(value: Mapping[str, Json], today: datetime.date, line: int = 0) -> Event:
    """Read one event and check its days. Raises Refused with all its faults."""
    event = read(value, line)
    found = check(event, today, line)
    if found:
        raise Refused(found)
    return event


def read(value: Mapping[str, Json], line: int = 0) -> Event:
    """Read one event from its JSON object. Raises Refused with all faults of its fields.

    A null field counts as not given. An unknown field is a fault, because it would be lost.
    """
    given = dict(value)
    name = given.pop("event", None)
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        said = f"{name[:40]!a} is not known" if isinstance(name, str) else "is missing"
        raise Refused((Fault(line, "event", f"{said}; choose one of: {', '.join(KINDS)}"),))
    known = readers(kind)
    faults, kept = [], {}
    for field, reader in known.items():
        if reader.needed and given.get(field) is None:
            said = f.Sentence(f"is missing; it is {reader.limits}", "missing")
            faults.append(Fault(line, field, said))
    for field, one in given.items():
        if field not in known:
            sentence = f"is no field of {name}; there are: {', '.join(known)}"
            faults.append(Fault(line, f"{field[:40]!a}", sentence))
        elif one is not None:
            try:
                kept[field] = known[field].read(one)
            except f.Wrong as wrong:
                faults.append(Fault(line, field, wrong.sentence))
    if faults:
        raise Refused(tuple(faults))
    return kind(**kept)


def check(event: Event, today: datetime.date, line: int = 0) -> tuple[Fault, ...]:
    """Return the faults of a single event, except those in its individual fields."""
    found = []
    if event.date > today:
        sentence = f"{event.date} lies ahead; an event is recorded on its day or later"
        if not isinstance(event, Absence | Agreement):
            found.append(Fault(line, "date", f.Sentence(sentence, "ahead")))
    latest = today + datetime.timedelta(days=366 * f.MAX_YEARS_AHEAD)
    for name in _AHEAD:
        day = getattr(event, name, None)
        if day is not None and day < event.date:
            said = f"{day} is before the event's own date, {event.date}"
            found.append(Fault(line, name, f.Sentence(said, "before", day=event.date)))
        elif day is not None and day > latest:
            said = f"{day} is more than {f.MAX_YEARS_AHEAD} years ahead"
            found.append(Fault(line, name, f.Sentence(said, "far", most=f.MAX_YEARS_AHEAD)))
    if isinstance(event, Case) and event.main_group:
        for sub in event.sub_groups:
            if categories.group_of(sub) != event.main_group:
                sentence = f"{sub} belongs to {categories.group_of(sub)}, not to {event.main_group}"
                found.append(Fault(line, "sub_groups", f.Sentence(sentence, "sub_group")))
    if isinstance(event, Case) and event.case and event.case in event.belongs_with:
        found.append(Fault(line, "belongs_with", "names the case itself; leave it out"))
    if isinstance(event, Freeze) or (isinstance(event, Joint) and event.last_year):
        found += _years(event, line)
    return tuple(found)


def _years(event: Freeze | Joint, line: int) -> list[Fault]:
    first, last = event.first_year, event.last_year
    if first is None or last is None or last < first:
        return [Fault(line, "last_year", "give first_year and last_year, in this order")]
    if event.date.year <= last:
        sentence = f"the year {last} was not over on {event.date}; a report covers whole years"
        return [Fault(line, "last_year", sentence)]
    return []


def to_json(event: Event) -> dict[str, Json]:
    """Return an event as its JSON object, without the fields that were not given."""
    made: dict[str, Json] = {"event": event.kind}
    for name in readers(type(event)):
        value = getattr(event, name)
        if value is not None and value not in ("", (), {}):
            made[name] = _as_json(value)
    return made


def _as_json(value: object) -> Json:
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_as_json(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _as_json(one) for key, one in value.items()}
    if isinstance(value, bool | int | str):
        return value
    raise TypeError(f"a field of type {type(value).__name__}")
