"""Collect the data for a report from the register, in two parts that are never mixed.

``seen`` reads only events of kinds that the employer saw, ordered or was told about. ``cases``
reads events that the employer must not see, and uses them only for counts.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dropbox_app.desk.annual.bill import Ordered
from dropbox_app.desk.annual.counting import Case
from dropbox_app.desk.annual.periods import Issued, Term
from dropbox_app.desk.annual.report import Counsellor, Seen, Training
from dropbox_app.desk.annual.suppression import TERM_YEARS, Form
from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.register import events as e
from dropbox_app.desk.register import groups
from dropbox_app.desk.register.cases import in_order, situations, standings

_MINUTES = 60
_OTHER = "other"  # for cases without a main group
_TRAININGS = {"training", "information"}


def terms(events: Iterable[e.Event], employer: str) -> list[Term]:
    """Return the appointments at an employer. Raises Unfit if an appointment has no recorded end.

    Only the headcount in the agreement is used, because a later one could be chosen after the year
    was counted. If two agreements begin on the same day, the later entry counts.
    """
    known = list(events)
    agreed: dict[datetime.date, e.Agreement] = {}
    for event in known:
        if isinstance(event, e.Agreement) and event.employer == employer:
            agreed[event.date] = event
    said = groups.ever(known)
    return [_term(one, groups.related(said, one.employer)) for one in agreed.values()]


def _term(agreed: e.Agreement, family: frozenset[str]) -> Term:
    if agreed.until is None:
        raise Unfit(
            f"The agreement with {agreed.employer} of {agreed.date} has no last day. The form of"
            " the report is fixed until that day: add it.",
            "no_term_end", employer=agreed.employer,
        )  # fmt: skip
    return Term(
        employer=agreed.employer,
        first_year=agreed.date.year,
        last_year=agreed.until.year,
        headcount=agreed.headcount or 0,
        form=Form(agreed.form) if agreed.form else None,
        term_band=bool(agreed.term_band),
        family=family,
        shared_with=agreed.shared_with,
    )


def issued(events: Iterable[e.Event]) -> list[Issued]:
    """Return every issued report, once for each year that it covers.

    The band in a form A report, if it has one, covers the three years up to the report's own year.
    """
    found = []
    for one in events:
        if not isinstance(one, e.Freeze) or not one.first_year or not one.last_year:
            continue
        form, years = Form(one.form or Form.A), range(one.first_year, one.last_year + 1)
        figures = years
        if form is Form.A:
            figures = range(one.last_year - TERM_YEARS + 1, one.last_year + 1)
            figures = figures if one.bands else range(0)
        found += [Issued(one.employer, year, form, figures) for year in years]
    return found


def price(events: Iterable[e.Event], term: Term) -> int | None:
    """Return the fixed yearly price of a term in euros; None if no price is recorded."""
    standing = {
        one.date: one.price
        for one in events
        if isinstance(one, e.Agreement)
        and one.employer == term.employer
        and one.price is not None
        and one.date.year <= term.first_year <= (one.until or one.date).year
    }
    return standing[min(standing)] if standing else None


def ordered(events: Iterable[e.Event], employer: str) -> list[Ordered]:
    """Return the trainings that the employer ordered and pays for separately."""
    return [
        Ordered(_training(one), one.price)
        for one in events
        if isinstance(one, e.Activity)
        and one.employer == employer
        and one.what in _TRAININGS
        and one.price
    ]


def _training(one: e.Activity) -> Training:
    return Training(one.date, one.title, one.people or 0, one.what)


def answers(events: Iterable[e.Event], employer: str, year: int) -> Mapping[str, str]:
    """Return the newest answer to each item of the checklist, as of the end of the year."""
    found: dict[str, str] = {}
    last = datetime.date(year, 12, 31)
    lists = [one for one in events if isinstance(one, e.Checklist) and one.employer == employer]
    for one in sorted(lists, key=lambda checklist: checklist.date):
        if one.date <= last:
            found.update(one.items)
    return found


def exchanged(events: Iterable[e.Event], employer: str, years: range) -> list[e.Joint]:
    """Return the counts that two counsellors exchanged for any of these years, newest last."""
    return [
        one
        for one in events
        if isinstance(one, e.Joint)
        and one.employer == employer
        and set(range(one.first_year or 1, (one.last_year or 0) + 1)).intersection(years)
    ]


def advised(events: Iterable[e.Event], employer: str, year: int) -> tuple[str, ...]:
    """Return the advice in the issued report of a year; () if there is none."""
    return next(
        (
            one.advice
            for one in events
            if isinstance(one, e.Freeze) and (one.employer, one.last_year) == (employer, year)
        ),
        (),
    )


def seen(events: Sequence[e.Event], term: Term, form: Form, year: int, name: str) -> Seen:
    """Return what the employer saw, ordered or was told about in a year.

    ``name`` is the counsellor's name, as the employer knows it.
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
        counsellor=counsellor(events, term.employer, year, name),
        term_band=term.term_band,
        regulations=frozenset(regulations),
        trainings=tuple(_training(one) for one in activities if one.what in _TRAININGS),
        talks=tuple(one.date for one in activities if one.what == "talk_with_management"),
        discussed_with=frozenset(sheet(events, term.employer, year).get("discussed_with", ())),
    )


def sheet(events: Iterable[e.Event], employer: str, year: int) -> dict[str, Any]:
    """Return the employer's sheet at the end of the year, with the last value of each field."""
    found: dict[str, Any] = {}
    sheets = [one for one in events if isinstance(one, e.Employer) and one.employer == employer]
    for one in sorted(sheets, key=lambda sheet: sheet.date):
        if one.date.year <= year:
            found.update({name: value for name, value in vars(one).items() if value})
    return found


def counsellor(events: Sequence[e.Event], employer: str, year: int, name: str) -> Counsellor:
    """Return the reporting counsellor, with the newest register number and the year's training."""
    said = sheet(events, employer, year)
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
        kind=said.get("counsellor_kind", "external"),
        scope=said.get("scope", "both"),
        reachable=said.get("reachable", ""),
        stand_in=said.get("stand_in", ""),
        upkeep_hours=sum(minutes) // _MINUTES if minutes else None,
    )


def cases(events: Iterable[e.Event], employer: str) -> list[Case]:
    """Return all cases and similar entries that count for an employer, even destroyed ones.

    Cases at the members of a group, at any level, count for the group. A contact with a reporter
    that belongs to no case counts as a case, unless it continues an earlier contact. All cases that
    marks link to each other have the same ``together``.
    """
    known = list(events)
    names = {employer} | groups.members(groups.standing(known), employer)
    own = in_order(one for one in known if isinstance(one, e.OfEmployer) and one.employer in names)
    found = standings(own)
    circles = {one: min(circle) for circle in situations(found) for one in circle}
    counted = [
        Case(
            key=one.reference,
            opened=one.counted_on,
            group=one.counted_group or _OTHER,
            together=circles[one.reference],
            held_since=one.held_since,
            colleague_counts=bool(one.sheet.colleague_counts),
        )
        for one in found.values()
    ]
    return counted + [
        made for number, event in enumerate(own) if (made := _alone(event, number)) is not None
    ]


def _alone(event: e.Event, number: int) -> Case | None:
    """Make a case without a reference from a contact, a case, or the row of a destroyed case."""
    if isinstance(event, e.OfCase) and event.case:
        return None
    key = f"\0{number}"  # no reference contains this character
    if isinstance(event, e.Contact):
        from_reporter = not event.with_whom or "reporter" in event.with_whom
        new = from_reporter and not event.again
        return Case(key, event.date, event.topic or _OTHER) if new else None
    if isinstance(event, e.Case):
        return Case(key, event.date, event.main_group or _OTHER,
                    colleague_counts=bool(event.colleague_counts))  # fmt: skip
    if isinstance(event, e.Statistic) and event.situations:
        held = datetime.date(event.held, 1, 1) if event.held else None
        return Case(key, event.date, event.main_group or _OTHER, held_since=held,
                    colleague_counts=bool(event.colleague_counts))  # fmt: skip
    return None
