"""The agenda: items that are due, and the day of each. Pure functions on events in order."""

import calendar
import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dropbox_app.desk.register import cases, consents
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.events import (
    Absence,
    Agreement,
    Certificate,
    Consent,
    Employer,
    Event,
    Step,
    Upkeep,
)

# Required hours of professional upkeep within a certificate of four years, by kind.
UPKEEP_HOURS = {"training": 24, "peer_supervision": 32, "other": 16}
RECEIPT_DAYS, FEEDBACK_MONTHS = 7, 3  # the legal deadlines for a report of wrongdoing
MOST_DAYS_OFF = 400  # the maximum number of days of one absence that are considered

KINDS = (
    "answer", "receipt", "feedback", "consent_asked_again", "consent_ends", "aftercare",
    "last_look", "no_last_day", "absence", "term_ends", "certificate_ends", "upkeep",
)  # fmt: skip


LOOKED_AT = (Absence, Agreement, Certificate, Consent, Step, Upkeep)


@dataclass(frozen=True)
class Due:
    """One row of the agenda.

    ``kind`` is one of ``KINDS``. ``name`` is the counsellor's name for the case, if the row
    concerns a case. ``hours`` is the number of missing hours of professional development, and
    ``upkeep`` their kind.
    """

    day: datetime.date
    kind: str
    employer: str = ""
    case: str = ""
    name: str = ""
    upkeep: str = ""
    hours: int = 0


def agenda(given: Sequence[Event], today: datetime.date) -> list[Due]:
    """Return all items that are due, earliest first, including overdue rows.

    Rows before ``today`` that need no further action are omitted.
    """
    return until(
        datetime.date.max, given, today, cases.standings(given).values(), cases.sheets(given)
    )


def until(
    last: datetime.date,
    given: Sequence[Event],
    today: datetime.date,
    found_cases: Iterable[Standing],
    sheets: Mapping[str, Employer],
) -> list[Due]:
    """Like ``agenda``, return the items due up to ``last``, given the cases and sheets.

    ``given`` need only contain the events of the kinds in ``LOOKED_AT``.
    """
    found: list[Due] = []
    of_case: dict[str, list[Event]] = {}
    for event in given:
        if isinstance(event, Consent | Step):
            of_case.setdefault(event.case, []).append(event)
    for one in found_cases:
        sheet = sheets.get(one.employer)
        terms = bool(sheet and sheet.legal_terms)
        found += _of_case(one, of_case.get(one.reference, []), today, legal_terms=terms)
    for event in given:
        if isinstance(event, Absence) and (event.until or event.date) >= today:
            found.append(Due(event.date, "absence"))
        elif isinstance(event, Agreement) and event.until and event.until >= today:
            found.append(Due(event.until, "term_ends", event.employer))
    found += _certificate(given)
    return sorted((one for one in found if one.day <= last), key=in_order)


def in_order(one: Due) -> tuple[object, ...]:
    """Return the sort key of the agenda: the day, then the subject."""
    return one.day, one.kind, one.employer, one.case, one.name, one.upkeep, one.hours


def days_off(given: Iterable[Event]) -> set[datetime.date]:
    """Return the counsellor's own days off."""
    found = set()
    for event in given:
        if isinstance(event, Absence):
            length = ((event.until or event.date) - event.date).days + 1
            days = range(min(length, MOST_DAYS_OFF))
            found |= {event.date + datetime.timedelta(days=n) for n in days}
    return found


def months_after(day: datetime.date, months: int) -> datetime.date:
    """Return the same day some months later, or the last day of that month."""
    year, month = divmod(day.month - 1 + months, 12)
    last = calendar.monthrange(day.year + year, month + 1)[1]
    return datetime.date(day.year + year, month + 1, min(day.day, last))


def icalendar(days: Collection[datetime.date]) -> str:
    """Return a calendar (RFC 5545) that marks days, without any details.

    The calendar has one entry per day, however many items are due, always with the same text. The
    calendar shows no employer, case, kind or number.
    """
    made = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Klankbord//Klankbord//NL"]
    for day in sorted(set(days)):
        plain = day.strftime("%Y%m%d")
        made += [
            "BEGIN:VEVENT", f"UID:{plain}@klankbord.invalid", f"DTSTAMP:{plain}T000000Z",
            f"DTSTART;VALUE=DATE:{plain}", "SUMMARY:Agenda", "CLASS:PRIVATE",
            "TRANSP:TRANSPARENT", "END:VEVENT",
        ]  # fmt: skip
    return "\r\n".join([*made, "END:VCALENDAR", ""])


def _of_case(
    one: Standing, given: Sequence[Event], today: datetime.date, *, legal_terms: bool
) -> Iterator[Due]:
    def due(day: datetime.date, kind: str) -> Due:
        return Due(day, kind, one.employer, one.reference, one.name)

    if one.aftercare_on and one.aftercare_on >= one.last:
        yield due(one.aftercare_on, "aftercare")
    if one.destroy_on:
        yield due(one.destroy_on, "last_look")
    elif one.closed:
        yield due(one.closed, "no_last_day")
    if one.closed:
        return
    if legal_terms and one.sheet.possible_report:
        if not one.contacts:
            yield due(one.opened + datetime.timedelta(days=RECEIPT_DAYS), "receipt")
        yield due(months_after(one.opened, FEEDBACK_MONTHS), "feedback")
    if not given:
        return
    done = {e.consent for e in given if isinstance(e, Step) and e.case == one.reference}
    for entry in consents.ledger(given, one.reference, today):
        asked = entry.newest
        if asked.answer == "tell_me_more":
            yield due(asked.date, "consent_asked_again")
        elif entry.good and (not asked.consent or asked.consent not in done):
            yield due(asked.date + datetime.timedelta(days=consents.GOOD_FOR), "consent_ends")


def _certificate(given: Sequence[Event]) -> Iterator[Due]:
    held = [one for one in given if isinstance(one, Certificate) and one.until]
    if not held or held[-1].until is None:
        return
    begin, until = held[-1].date, held[-1].until
    yield Due(until, "certificate_ends")
    for kind, hours in UPKEEP_HOURS.items():
        minutes = sum(
            one.minutes or 0
            for one in given
            if isinstance(one, Upkeep) and one.what == kind and begin <= one.date <= until
        )
        missing = hours - minutes // 60
        if missing > 0:
            yield Due(until, "upkeep", upkeep=kind, hours=missing)
