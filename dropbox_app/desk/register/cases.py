"""Derive cases and employers' sheets from events. Pure functions on events in order."""

import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dropbox_app.desk.register import form
from dropbox_app.desk.register.events import (
    Agreement,
    Case,
    Close,
    Complaint,
    Consent,
    Contact,
    Employer,
    Event,
    OfCase,
    OfEmployer,
)

DEFAULT_LEVEL = "minimal"

E = TypeVar("E", bound=OfEmployer)


@dataclass
class Standing:
    """A case, as derived from its events.

    ``opened`` and ``last`` are the days of its first and newest event; an answer that the reporter
    signed does not open it. ``closed`` is the day on which it was closed, or None. ``sheet`` has
    the newest value of each field of its case events. ``group`` is its main group, or else the
    first main group given in its contacts. ``minutes`` and ``contacts`` are the totals of its
    contacts. ``held_since`` is the day of the first formal complaint or legal report.
    """

    reference: str
    employer: str
    opened: datetime.date
    last: datetime.date
    sheet: Case
    closed: datetime.date | None = None
    outcome: str = ""
    minutes: int = 0
    contacts: int = 0
    group: str = ""
    held_since: datetime.date | None = None
    aftercare_on: datetime.date | None = None
    destroy_on: datetime.date | None = None
    related: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Return the counsellor's name for the case, or else its reference."""
        return self.sheet.label or self.reference

    @property
    def employer_holds(self) -> bool:
        """Return whether the employer received a formal complaint or legal report on the case."""
        return self.held_since is not None

    @property
    def counted_on(self) -> datetime.date:
        """Return the day that determines the year in which the case counts."""
        began = self.sheet.began
        return self.opened if began is None else datetime.date(began, 1, 1)

    @property
    def counted_group(self) -> str:
        """Return the main group in which the case counts; "" if none was given."""
        return self.group if self.sheet.began is None else self.sheet.began_group

    @property
    def phase(self) -> str:
        """Return the phase of the case: ``closed`` after closing, ``new`` if no phase was given."""
        return "closed" if self.closed else self.sheet.phase or "new"


def in_order(given: Iterable[Event]) -> list[Event]:
    """Return events by day, and by order of addition within a day."""
    return sorted(given, key=lambda one: one.date)


def standings(given: Sequence[Event]) -> dict[str, Standing]:
    """Return every case by its reference, oldest first. ``given`` must be in order."""
    of_case: dict[str, list[Event]] = {}
    for event in given:
        if isinstance(event, OfCase) and event.case:
            of_case.setdefault(event.case, []).append(event)
    return related({reference: standing(events) for reference, events in of_case.items()})


def standing(given: Sequence[Event]) -> Standing:
    """Return the case that these events describe.

    The events must be in order, and of one case only.
    """
    first = next((one for one in given if not is_signed(one)), given[0])
    assert isinstance(first, OfCase)  # noqa: S101 - stated in the docstring
    empty = Case(date=first.date, employer=first.employer, case=first.case)
    sheet = first if isinstance(first, Case) else empty
    one = Standing(first.case, first.employer, first.date, first.date, sheet)
    for event in given:
        if isinstance(event, OfCase):
            _take(one, event)
    return one


def is_signed(event: Event) -> bool:
    """Return whether the reporter signed this answer in the thread.

    A signed answer keeps its day, even if it is fetched after the report of its year was issued. A
    signed answer is not counted, and does not change the year in which its case counts.
    """
    return isinstance(event, Consent) and event.source == "thread"


def related(found: dict[str, Standing]) -> dict[str, Standing]:
    """Return the cases, with the links between cases of one situation in both directions."""
    for one in found.values():
        one.related = set()
    for one in found.values():
        for other in one.sheet.belongs_with:
            if other in found:
                one.related.add(other)
                found[other].related.add(one.reference)
    return found


def _take(one: Standing, event: OfCase) -> None:
    one.last = event.date
    if isinstance(event, Case):
        if event is not one.sheet:
            one.sheet = merged(one.sheet, event)
        one.group = event.main_group or one.group
        one.aftercare_on = event.aftercare_on or one.aftercare_on
        one.destroy_on = event.destroy_on or one.destroy_on
        if event.phase == "closed":
            one.closed = one.closed or event.date
        elif event.phase:
            one.closed = None
    elif isinstance(event, Close):
        one.closed, one.outcome = event.date, event.outcome
        one.aftercare_on = event.aftercare_on or one.aftercare_on
        one.destroy_on = event.destroy_on or one.destroy_on
    elif isinstance(event, Contact):
        one.contacts += 1
        one.minutes += event.minutes or 0
        if one.group in ("", "other"):
            one.group = event.topic or one.group
    elif isinstance(event, Complaint):
        one.held_since = one.held_since or event.date


def merged(older: E, newer: E) -> E:
    """Return the older event with its own day and with every field that the newer event sets."""
    given = {
        name: getattr(newer, name)
        for name in form.readers(type(newer))
        if name != "date" and getattr(newer, name) not in (None, "", (), {})
    }
    return dataclasses.replace(older, **given)


def situations(found: Mapping[str, Standing]) -> list[set[str]]:
    """Return sets of references of cases that belong together. Each set is one situation."""
    left, made = set(found), []
    for reference in found:
        if reference not in left:
            continue
        reached, next_ones = set(), {reference}
        while next_ones:
            one = next_ones.pop()
            reached.add(one)
            next_ones |= found[one].related - reached
        left -= reached
        made.append(reached)
    return made


def sheets(given: Sequence[Event]) -> dict[str, Employer]:
    """Return the sheet of every employer that an event names. ``given`` must be in order."""
    found: dict[str, Employer] = {}
    for event in given:
        if isinstance(event, OfEmployer):
            one = found.get(event.employer)
            if one is None:
                one = Employer(date=event.date, employer=event.employer)
                found[event.employer] = one
            if isinstance(event, Employer):
                found[event.employer] = merged(one, event)
    return found


def level(sheet: Employer | None) -> str:
    """Return the level of recording for cases at an employer."""
    return (sheet.recording if sheet else "") or DEFAULT_LEVEL


def agreement_on(given: Iterable[Event], employer: str, day: datetime.date) -> Agreement | None:
    """Return the newest agreement with an employer that is in force on a day."""
    found = [
        one
        for one in given
        if isinstance(one, Agreement)
        and one.employer == employer
        and one.date <= day
        and (one.until is None or day <= one.until)
    ]
    return found[-1] if found else None
