"""Gathers from the register what a report needs, in two parts that never meet.

``seen`` reads only kinds of events that the employer saw, ordered or was told. ``cases`` reads
what it must not see; nothing but counts is ever made of that.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dropbox_app.desk.annual.bill import Ordered
from dropbox_app.desk.annual.counting import Case
from dropbox_app.desk.annual.periods import Issued, Term
from dropbox_app.desk.annual.report import Counsellor, Seen
from dropbox_app.desk.annual.suppression import Form
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register import events as e

_MINUTES = 60
_OTHER = "other"  # the main group of what has none
_TRAININGS = {"training", "information"}


def terms(events: Iterable[e.Event]) -> list[Term]:
    """Return every appointment. Raises Unfit for an agreement whose end is not written down.

    The headcount is that of the agreement alone: one that is written down later could be chosen
    after the year was counted. Two agreements of one employer that begin on the same day are one,
    the later one wins.
    """
    sheets: dict[str, list[e.Employer]] = {}
    agreed: dict[tuple[str, datetime.date], e.Agreement] = {}
    for event in events:
        if isinstance(event, e.Employer):
            sheets.setdefault(event.employer, []).append(event)
        elif isinstance(event, e.Agreement):
            agreed[event.employer, event.date] = event
    return [_term(one, sheets.get(one.employer, [])) for one in agreed.values()]


def _term(agreed: e.Agreement, sheets: Sequence[e.Employer]) -> Term:
    if agreed.until is None:
        raise Unfit(
            f"The agreement with {agreed.employer} of {agreed.date} has no last day. The form of"
            " the report is fixed until that day: add it.",
            "no_term_end", employer=agreed.employer,
        )  # fmt: skip
    groups = [sheet.group for sheet in sheets if sheet.group]
    return Term(
        employer=agreed.employer,
        first_year=agreed.date.year,
        last_year=agreed.until.year,
        headcount=agreed.headcount or 0,
        form=Form(agreed.form) if agreed.form else None,
        term_band=bool(agreed.term_band),
        under=groups[-1] if groups else "",
        shared_with=agreed.shared_with,
    )


def issued(events: Iterable[e.Event]) -> list[Issued]:
    """Return every report that was handed over, one for each year that it covers."""
    return [
        Issued(one.employer, year, Form(one.form or Form.A))
        for one in events
        if isinstance(one, e.Freeze) and one.first_year and one.last_year
        for year in range(one.first_year, one.last_year + 1)
    ]


def price(events: Iterable[e.Event], term: Term) -> int | None:
    """Return the fixed yearly price of a term in euros, None if none is written down."""
    return next(
        (
            one.price
            for one in events
            if isinstance(one, e.Agreement)
            and one.employer == term.employer
            and one.price is not None
            and one.date.year <= term.first_year <= (one.until or one.date).year
        ),
        None,
    )


def ordered(events: Iterable[e.Event], employer: str) -> list[Ordered]:
    """Return the trainings that the employer ordered and pays apart."""
    return [
        Ordered(one.date, one.title or one.what, one.price)
        for one in events
        if isinstance(one, e.Activity)
        and one.employer == employer
        and one.what in _TRAININGS
        and one.price
    ]


def answers(events: Iterable[e.Event], employer: str, year: int) -> Mapping[str, str]:
    """Return the newest answer to each item of the checklist, as they were at the year's end."""
    found: dict[str, str] = {}
    last = datetime.date(year, 12, 31)
    lists = [one for one in events if isinstance(one, e.Checklist) and one.employer == employer]
    for one in sorted(lists, key=lambda checklist: checklist.date):
        if one.date <= last:
            found.update(one.items)
    return found


def advised(events: Iterable[e.Event], employer: str, year: int) -> tuple[str, ...]:
    """Return the advice of the report that was issued for a year, empty if there was none."""
    return next(
        (
            one.advice
            for one in events
            if isinstance(one, e.Freeze) and (one.employer, one.last_year) == (employer, year)
        ),
        (),
    )


def seen(events: Sequence[e.Event], term: Term, form: Form, year: int, name: str) -> Seen:
    """Return what the employer saw, ordered or was told in a year.

    ``name`` is the counsellor's, as the employer knows her.
    """
    own = [one for one in events if isinstance(one, e.Activity) and one.employer == term.employer]
    activities = [one for one in own if one.date.year == year]
    regulations = {
        item for item, said in answers(events, term.employer, year).items() if said == "yes"
    }
    return Seen(
        employer=term.employer,
        year=year,
        form=form,
        headcount=term.headcount,
        term=(term.first_year, term.last_year),
        counsellor=_counsellor(events, term.employer, year, name),
        term_band=term.term_band,
        regulations=frozenset(regulations),
        trainings=tuple(
            (one.date, one.title or one.what, one.people or 0)
            for one in activities
            if one.what in _TRAININGS
        ),
        talks=tuple(one.date for one in activities if one.what == "talk_with_management"),
        discussed_with=frozenset(_sheet(events, term.employer, year).get("discussed_with", ())),
    )


def _sheet(events: Iterable[e.Event], employer: str, year: int) -> dict[str, Any]:
    """The employer's sheet as it was at the year's end: each field as it was given last."""
    found: dict[str, Any] = {}
    sheets = [one for one in events if isinstance(one, e.Employer) and one.employer == employer]
    for one in sorted(sheets, key=lambda sheet: sheet.date):
        if one.date.year <= year:
            found.update({name: value for name, value in vars(one).items() if value})
    return found


def _counsellor(events: Sequence[e.Event], employer: str, year: int, name: str) -> Counsellor:
    """Who reports: the sheet, the newest register number, the year's hours of upkeep."""
    sheet = _sheet(events, employer, year)
    numbers = [
        (one.date, one.register_number)
        for one in events
        if isinstance(one, e.Certificate) and one.register_number and one.date.year <= year
    ]
    minutes = [
        one.minutes or 0 for one in events if isinstance(one, e.Upkeep) and one.date.year == year
    ]
    return Counsellor(
        name=name,
        register_number=max(numbers, default=(None, ""))[1],
        kind=sheet.get("counsellor_kind", "external"),
        scope=sheet.get("scope", "both"),
        reachable=sheet.get("reachable", ""),
        stand_in=sheet.get("stand_in", ""),
        upkeep_hours=sum(minutes) // _MINUTES if minutes else None,
    )


def cases(events: Iterable[e.Event], employer: str) -> list[Case]:
    """Return everything that counts as a case at an employer, destroyed cases included.

    Cases at the members of a group count for the group. A contact with a reporter that has no
    case counts as one, unless it goes on with an earlier one. A case and all that its marks lead
    to carry the same mark ``together``.
    """
    known = list(events)
    names = {employer} | {
        one.employer for one in known if isinstance(one, e.Employer) and one.group == employer
    }
    own = [one for one in known if isinstance(one, e.OfEmployer) and one.employer in names]
    own.sort(key=lambda one: one.date)
    opened: dict[str, Case] = {}
    marks: dict[str, set[str]] = {}
    for number, event in enumerate(own):
        if isinstance(event, e.Case | e.Contact) and event.case:
            before = opened.get(event.case) or Case(event.case, event.date, _OTHER)
            opened[event.case] = _with(before, event)
            if isinstance(event, e.Case):
                for other in event.belongs_with:
                    marks.setdefault(event.case, set()).add(other)
                    marks.setdefault(other, set()).add(event.case)
        elif isinstance(event, e.Complaint) and event.case:
            before = opened.get(event.case) or Case(event.case, event.date, _OTHER)
            held = min(filter(None, (before.held_since, event.date)))
            opened[event.case] = replace(before, held_since=held)
        elif (made := _alone(event, number)) is not None:
            opened[made.key] = made
    circles = _components(marks)
    return [replace(case, together=circles.get(case.key, "")) for case in opened.values()]


def _with(case: Case, event: e.Case | e.Contact) -> Case:
    group = event.main_group if isinstance(event, e.Case) else ""
    if isinstance(event, e.Contact) and case.group == _OTHER:
        group = event.topic
    return replace(case, group=group or case.group)


def _alone(event: e.Event, number: int) -> Case | None:
    """What counts without a reference: such a contact or case, or the row of a destroyed one."""
    key = f"\0{number}"  # no reference holds this character
    if isinstance(event, e.Contact):
        from_reporter = not event.with_whom or "reporter" in event.with_whom
        new = from_reporter and not event.again
        return Case(key, event.date, event.topic or _OTHER) if new else None
    if isinstance(event, e.Case):
        return Case(key, event.date, event.main_group or _OTHER)
    if isinstance(event, e.Statistic) and event.situations:
        return Case(key, event.date, event.main_group or _OTHER)
    return None


def _components(marks: Mapping[str, set[str]]) -> dict[str, str]:
    """Name each group of cases that are linked, over any number of links, by its first name."""
    named: dict[str, str] = {}
    for start in sorted(marks):
        waiting = [start]
        while waiting:
            one = waiting.pop()
            if one not in named:
                named[one] = start
                waiting += marks.get(one, ())
    return named
