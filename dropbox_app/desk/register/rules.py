"""What an event may not say beside the events that are there: references, consents, terms.

Pure functions. Everything that is refused is a ``Fault`` that says what to do.
"""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from dropbox_app.desk.register import categories, consents
from dropbox_app.desk.register.events import (
    Agreement,
    Case,
    Contact,
    Event,
    Freeze,
    OfCase,
    OfEmployer,
    Statistic,
    Step,
)
from dropbox_app.desk.register.fields import Sentence
from dropbox_app.desk.register.form import Fault
from dropbox_app.desk.register.lines import Numbered

LEAST_B, LEAST_C = 250, 1_000  # people from which forms B and C may be agreed


@dataclass
class _Known:
    """What the events so far say, as far as the rules ask."""

    employer_of: dict[str, str]
    events_of: dict[str, list[Event]]
    frozen: list[Freeze]
    agreements: list[Agreement]


def faults(there: Sequence[Event], given: Sequence[Numbered]) -> list[Fault]:
    """Return what is wrong with new events beside those that are there.

    An event may name a case of another new event, wherever that stands. Reports freeze a year in
    the order in which events come: what comes before the report may be of its year.
    """
    known = _Known({}, {}, [], [])
    for event in [*there, *(one.event for one in given)]:
        _file(known, event)
    known.frozen += [one for one in there if isinstance(one, Freeze)]
    known.agreements += [one for one in there if isinstance(one, Agreement)]
    for of_case in known.events_of.values():
        of_case.sort(key=lambda event: event.date)
    found = []
    for one in given:
        found += [Fault(one.line, *fault) for fault in _wrong(known, one.event)]
        if isinstance(one.event, Freeze):
            known.frozen.append(one.event)
        elif isinstance(one.event, Agreement):
            known.agreements.append(one.event)
    return found


def closed_years(there: Sequence[Event], changed: Sequence[Event]) -> list[Fault]:
    """Return a fault for each entry whose year is in a report that was issued."""
    issued = [one for one in there if isinstance(one, Freeze)]
    known = _Known({}, {}, issued, [])
    return [
        Fault(0, *fault)
        for event in changed
        if isinstance(event, OfEmployer)
        for fault in _frozen(known, event)
    ]


def _file(known: _Known, event: Event) -> None:
    if not isinstance(event, OfCase) or not event.case:
        return
    if isinstance(event, Case):
        known.employer_of.setdefault(event.case, event.employer)
    known.events_of.setdefault(event.case, []).append(event)


def _wrong(known: _Known, event: Event) -> list[tuple[str, str]]:
    if not isinstance(event, OfEmployer):
        return []
    found = _frozen(known, event)
    if isinstance(event, OfCase):
        wrong = _references(known, event)
        found += wrong or _step(known, event)
    if isinstance(event, Agreement):
        found += _agreement(known, event)
    if isinstance(event, Freeze):
        found += [
            ("first_year", f"the report of {other.first_year} to {other.last_year} was issued on "
             f"{other.date}; a year is in one report")
            for other in known.frozen
            if other.employer == event.employer
            and _years(other).intersection(_years(event))
        ]  # fmt: skip
    return found


def _frozen(known: _Known, event: OfEmployer) -> list[tuple[str, str]]:
    if isinstance(event, Freeze | Statistic):
        return []
    for one in known.frozen:
        if one.employer == event.employer and event.date.year in _years(one):
            said = (f"the report of {event.date.year} was issued on {one.date} and does "
                    "not change any more; record this on a day of a later year")  # fmt: skip
            year = str(event.date.year)
            return [("date", Sentence(said, "frozen", year=year, day=one.date))]
    return []


def _references(known: _Known, event: OfCase) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if not event.case:
        if not isinstance(event, Case | Contact):
            found.append(("case", "is missing; name the case that this is about"))
        return found
    if event.case not in known.employer_of:
        said = f"there is no case {event.case!a}; give its case event too"
        return [("case", Sentence(said, "no_case"))]
    if known.employer_of[event.case] != event.employer:
        said = f"case {event.case!a} is a case at another employer"
        return [("employer", Sentence(said, "other_employer"))]
    if isinstance(event, Case):
        for field in ("belongs_with", "conflicts_with"):
            for other in getattr(event, field):
                if other not in known.employer_of:
                    found.append((field, f"there is no case {other!a}"))
                elif field == "belongs_with" and known.employer_of[other] != event.employer:
                    found.append((field, f"case {other!a} is a case at another employer"))
    return found


def _step(known: _Known, event: Event) -> list[tuple[str, str]]:
    """Ask for a consent: of a step, and of a contact outside the confidential talk."""
    if not isinstance(event, Step | Contact) or not event.case:
        return []
    if isinstance(event, Contact) and not set(event.with_whom) & set(categories.OUTSIDE):
        return []
    of_case = known.events_of.get(event.case, [])
    same_day = any(isinstance(one, Step) and one.date == event.date for one in of_case)
    if isinstance(event, Contact) and not event.consent and same_day:
        return []  # the step of that day says what it rests on
    return list(consents.forbids(of_case, event))


def _agreement(known: _Known, event: Agreement) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if event.form and event.headcount is None:
        said = "is missing; the form of the report depends on it"
        found.append(("headcount", Sentence(said, "headcount")))
    elif event.headcount is not None and event.headcount < _least(event.form):
        least = _least(event.form)
        said = (f"form {event.form} is for {least:,} people or more; with {event.headcount:,} "
                "agree on a stricter one")  # fmt: skip
        found.append(
            (
                "form",
                Sentence(said, "form_small", form=event.form, least=least, given=event.headcount),
            )
        )
    for other in known.agreements:
        if other.employer != event.employer or not _overlap(other, event):
            continue
        until = other.until or "its end"
        for field in ("form", "price", "headcount"):
            if getattr(other, field) != getattr(event, field):
                said = (f"it is fixed until {until} by the agreement of {other.date}; "
                        "change it from the next term on")  # fmt: skip
                key = "fixed_until" if other.until else "fixed"
                found.append((field, Sentence(said, key, since=other.date, day=other.until)))
    return found


def _least(form: str) -> int:
    return {"B": LEAST_B, "C": LEAST_C}.get(form, 0)


def _overlap(one: Agreement, other: Agreement) -> bool:
    last = datetime.date.max
    return one.date <= (other.until or last) and other.date <= (one.until or last)


def _years(one: Freeze) -> set[int]:
    if one.first_year is None or one.last_year is None:
        return set()
    return set(range(one.first_year, one.last_year + 1))
