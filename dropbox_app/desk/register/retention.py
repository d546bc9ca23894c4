"""What stays of a case that is destroyed: coded rows, tied to nobody. Pure functions."""

import dataclasses
from collections.abc import Sequence

from dropbox_app.desk.register import cases
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import Case, Complaint, Contact, Event, OfCase, Statistic


def without(given: Sequence[Event], reference: str) -> list[tuple[Event, list[Event]]]:
    """Return the events that change when a case is destroyed, each with what takes its place.

    Every event of the case goes; coded rows take the place of the first of them. What names the
    case elsewhere no longer does. Cases that belonged together through it still do, and count as
    before: also where the employer holds a complaint. ``given`` is in order.
    """
    found = cases.standings(given)
    gone = found[reference]
    others = sorted(gone.related)
    changes: list[tuple[Event, list[Event]]] = []
    rows: list[Event] = list(_statistics(given, gone, counted=not others))
    if others:
        rows += [
            dataclasses.replace(one, case=others[0], body="")
            for one in given
            if isinstance(one, Complaint) and one.case == reference
        ]
    for event in given:
        if isinstance(event, OfCase) and event.case == reference:
            changes.append((event, rows))
            rows = []
        elif isinstance(event, Case):
            after = _unnamed(event, reference)
            if after != event:
                changes.append((event, [after]))
    if len(others) > 1:
        changes[-1][1].extend(_together(found, gone, others))
    return changes


def _statistics(given: Sequence[Event], gone: Standing, *, counted: bool) -> list[Statistic]:
    """Count a case: once in the year in which it was opened, and its minutes in each year."""
    minutes: dict[int, int] = {gone.opened.year: 0}
    for event in given:
        if isinstance(event, Contact) and event.case == gone.reference:
            minutes[event.date.year] = minutes.get(event.date.year, 0) + (event.minutes or 0)
    return [
        Statistic(
            date=gone.opened.replace(year=year, month=1, day=1),
            employer=gone.employer,
            main_group=gone.sheet.main_group,
            situations=int(year == gone.opened.year and counted and not gone.employer_holds),
            minutes=sum_,
        )
        for year, sum_ in sorted(minutes.items())
    ]


def _unnamed(event: Case, reference: str) -> Case:
    return dataclasses.replace(
        event,
        belongs_with=tuple(one for one in event.belongs_with if one != reference),
        conflicts_with=tuple(one for one in event.conflicts_with if one != reference),
    )


def _together(found: dict[str, Standing], gone: Standing, others: Sequence[str]) -> list[Event]:
    first = found[others[0]]
    left = dict.fromkeys(one for one in first.sheet.belongs_with if one != gone.reference)
    left |= dict.fromkeys(others[1:])
    return [
        Case(
            date=first.last, employer=first.employer, case=first.reference,
            belongs_with=tuple(left),
        )
    ]  # fmt: skip
