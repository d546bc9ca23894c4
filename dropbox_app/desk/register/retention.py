"""The data kept about a destroyed case: coded rows that are linked to nobody. Pure functions."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence

from dropbox_app.desk.register import cases
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import Case, Complaint, Contact, Event, OfCase, Statistic


def without(given: Sequence[Event], reference: str) -> list[tuple[Event, list[Event]]]:
    """Return the events that change when a case is destroyed, each with its replacement.

    Every event of the case is removed, and coded rows replace the first one. Other events no longer
    refer to the case. Cases that belonged together through the destroyed case still belong
    together. The remaining cases count as before, in the same year and main group, even if the
    employer received a complaint or a colleague counts them. ``given`` must be in order.
    """
    found = cases.standings(given)
    gone = found[reference]
    others = sorted(gone.related)
    changes: list[tuple[Event, list[Event]]] = []
    rows: list[Event] = list(_statistics(given, gone, counts=not others))
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
    first = _began(found, reference)
    if len(others) > 1 or (others and (first or gone.sheet.colleague_counts)):
        _add_after(given, others[0], _together(found, gone, others, first=first), changes)
    return changes


def _add_after(
    given: Sequence[Event], reference: str, added: Event, changes: list[tuple[Event, list[Event]]]
) -> None:
    """Add an event after all others of a case: of events on the same day, the last one counts."""
    last = next(one for one in reversed(given) if isinstance(one, OfCase) and one.case == reference)
    after = next((kept for event, kept in changes if event is last), None)
    if after is None:
        after = [last]
        changes.append((last, after))
    after.append(added)


def _began(found: Mapping[str, Standing], reference: str) -> bool:
    """Return whether a case determines the year and main group of its situation."""
    circle = next(one for one in cases.situations(found) if reference in one)
    return reference == min(circle, key=lambda one: (found[one].counted_on, one))


def _statistics(given: Sequence[Event], gone: Standing, *, counts: bool) -> list[Statistic]:
    """Return coded rows that count a case once, in its year, and keep its minutes of each year.

    ``counts`` is false if the case counts together with another case.
    """
    began = gone.counted_on.year
    minutes: dict[int, int] = {began: 0}
    for event in given:
        if isinstance(event, Contact) and event.case == gone.reference:
            minutes[event.date.year] = minutes.get(event.date.year, 0) + (event.minutes or 0)
    held = gone.held_since.year if gone.held_since else None
    return [
        Statistic(
            date=datetime.date(year, 1, 1),
            employer=gone.employer,
            main_group=gone.counted_group if year == began else gone.group,
            situations=int(year == began and counts),
            held=held if year == began and counts else None,
            colleague_counts=gone.sheet.colleague_counts if year == began and counts else None,
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


def _together(
    found: dict[str, Standing], gone: Standing, others: Sequence[str], *, first: bool
) -> Event:
    """Link the remaining cases directly, and keep the destroyed case's data about the situation.

    The year and the main group are kept if the destroyed case was the first. The mark that a
    colleague counts the situation is kept too.
    """
    one = found[others[0]]
    left = dict.fromkeys(ref for ref in one.sheet.belongs_with if ref != gone.reference)
    left |= dict.fromkeys(others[1:])
    return Case(
        date=one.last, employer=one.employer, case=one.reference, belongs_with=tuple(left),
        began=gone.counted_on.year if first else None,
        began_group=(gone.counted_group or "other") if first else "",
        colleague_counts=gone.sheet.colleague_counts or None,
    )  # fmt: skip
