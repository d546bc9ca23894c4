"""Rules for events, given the earlier ones: references, consents, terms.

Pure functions. Each problem is a ``Fault`` that says what to do.
"""

import dataclasses
import datetime
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dropbox_app.desk.register import cases, categories, consents, groups, names
from dropbox_app.desk.register.events import (
    Agreement,
    Case,
    Contact,
    Employer,
    Event,
    Freeze,
    Joint,
    OfCase,
    OfEmployer,
    Statistic,
    Step,
)
from dropbox_app.desk.register.fields import Sentence
from dropbox_app.desk.register.form import Fault
from dropbox_app.desk.register.lines import Numbered

LEAST_B, LEAST_C = 250, 1_000  # the minimum number of people for forms B and C
FIXED = ("form", "price", "headcount", "term_band", "shared_with")  # fixed for a whole term
LEAST_BAND, BAND_YEARS = 50, 3  # for one band over a term: minimum people, and calendar years


@dataclass
class _Known:
    """The facts that the rules need from the earlier events."""

    employer_of: dict[str, str]
    events_of: dict[str, list[Event]]
    frozen: list[Freeze]
    agreements: dict[tuple[str, datetime.date], Agreement]  # the newest for each first day
    sheets: list[Employer]
    joint: list[Joint]
    spelled: dict[str, set[str]]  # all spellings of an employer's name, by the plain name
    kept: tuple[Joint, ...] = ()  # those of ``joint`` that are already in the register

    @property
    def told(self) -> list[Freeze | Joint]:
        """Return issued reports, and counts that were exported or imported for a report."""
        return [*self.frozen, *self.joint]


def faults(there: Sequence[Event], given: Sequence[Numbered]) -> list[Fault]:
    """Return the faults of new events, given the earlier ones.

    An event may refer to a case of any other new event, in any order. A report closes its year only
    for events that come after the report.
    """
    known = _Known({}, {}, [], {}, [], [], {})
    for event in [*there, *(one.event for one in given)]:
        _file(known, event)
    known.frozen += [one for one in there if isinstance(one, Freeze)]
    for event in there:
        _stand(known, event)
    known.kept = tuple(known.joint)
    for of_case in known.events_of.values():
        of_case.sort(key=lambda event: event.date)
    found = []
    for one in given:
        found += [Fault(one.line, *fault) for fault in _wrong(known, one.event)]
        if isinstance(one.event, Freeze):
            known.frozen.append(one.event)
        _stand(known, one.event)
    return found


def closed_years(there: Sequence[Event], changed: Sequence[Event]) -> list[Fault]:
    """Return a fault for each entry whose year is in an issued report or in exported counts."""
    known = _known_of(there)
    return [
        Fault(0, *fault)
        for event in changed
        if isinstance(event, OfEmployer)
        for fault in _closed(known, event)
    ]


def closed_by(there: Sequence[Event], employer: str, year: int) -> Freeze | Joint | None:
    """Return the issued report or exported counts that include a year; None if the year is open."""
    return _closing(_known_of(there), employer, year)


def bound(there: Sequence[Event], changed: Agreement | Employer) -> list[Fault]:
    """Return a fault if an agreement or a group can no longer be removed.

    An agreement or a group cannot be removed after a report was issued for it, or after counts for
    a joint report were exported or imported.
    """
    known = _known_of(there)
    if isinstance(changed, Agreement):
        issued = _issued_in(known, changed)
        if issued is None:
            return []
        return [Fault(0, "date", _under(issued, "which stays"))]
    near = groups.related(groups.ever(known.sheets), changed.employer) | {changed.employer}
    had = _had(known, near)
    return [Fault(0, "group", _group_stays(had))] if had else []


def _known_of(there: Sequence[Event]) -> _Known:
    known = _Known({}, {}, [one for one in there if isinstance(one, Freeze)], {}, [], [], {})
    for event in there:
        _stand(known, event)
    return known


def _stand(known: _Known, event: Event) -> None:
    """Record an agreement (or its correction), a group, counts, and names."""
    if isinstance(event, OfEmployer):
        known.spelled.setdefault(names.plain(event.employer), set()).add(event.employer)
    if isinstance(event, Agreement):
        before = known.agreements.get((event.employer, event.date))
        if before is not None and event.price is None:
            event = dataclasses.replace(event, price=before.price)
        known.agreements[event.employer, event.date] = event
    elif isinstance(event, Employer) and event.group:
        known.sheets.append(event)
    elif isinstance(event, Joint):
        known.joint.append(event)


def _file(known: _Known, event: Event) -> None:
    if not isinstance(event, OfCase) or not event.case:
        return
    if isinstance(event, Case):
        known.employer_of.setdefault(event.case, event.employer)
    known.events_of.setdefault(event.case, []).append(event)


def _wrong(known: _Known, event: Event) -> list[tuple[str, str]]:
    if not isinstance(event, OfEmployer):
        return []
    found = [] if cases.is_signed(event) else _closed(known, event)
    found += _spelling(known, "employer", event.employer)
    if isinstance(event, Employer) and event.group:
        found += _spelling(known, "group", event.group)
    if isinstance(event, OfCase):
        wrong = _references(known, event)
        found += wrong or _step(known, event)
    if isinstance(event, Agreement):
        found += _agreement(known, event)
    if isinstance(event, Employer) and event.group:
        found += _group(known, event)
    if isinstance(event, Joint):
        found += _joint(known, event)
    if isinstance(event, Freeze):
        found += [
            ("first_year", f"the report of {other.first_year} to {other.last_year} was issued on "
             f"{other.date}; a year is in one report")
            for other in known.frozen
            if other.employer == event.employer
            and _years(other).intersection(_years(event))
        ]  # fmt: skip
    return found


def _closed(known: _Known, event: OfEmployer) -> list[tuple[str, str]]:
    """Return why a year is closed: a report was issued, or its counts were exported.

    Counts from before and after a change would show the other counsellor what changed.
    """
    if isinstance(event, Agreement | Freeze | Statistic):
        return []  # an agreement has its own rule: it may be older than the report
    done = _closing(known, event.employer, event.date.year)
    if done is None:
        return []
    year, rest = str(event.date.year), "record this on a day of a later year"
    if isinstance(done, Freeze):
        said = (
            f"the report of {year} was issued on {done.date} and does not change any more; {rest}"
        )
        return [("date", Sentence(said, "frozen", year=year, day=done.date))]
    other = done.counsellor
    said = f"the counts of {year} were given to {other!a} and do not change any more; {rest}"
    return [("date", Sentence(said, "given", year=year, day=done.date, other=other))]


def _closing(known: _Known, employer: str, year: int) -> Freeze | Joint | None:
    """Return the event that closed an employer's year, or its group's; None if it is open."""
    counted_in = groups.above(groups.standing(known.sheets), employer) | {employer}
    return next(
        (
            one
            for one in known.told
            if one.employer in counted_in
            and year in _years(one)
            and (isinstance(one, Freeze) or one.given)
        ),
        None,
    )


def _spelling(known: _Known, field: str, name: str) -> list[tuple[str, str]]:
    """Reject a second name for an employer, because the employer could then have two reports."""
    there = known.spelled.get(names.plain(name), set())
    if not there or name in there or not names.plain(name):
        return []
    written = min(there)
    said = f"the register has this employer as {written!a}; write it the same way"
    return [(field, Sentence(said, "spelled", name=written))]


def _references(known: _Known, event: OfCase) -> list[tuple[str, str]]:
    found = []
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
    """Require a consent for a step, and for a contact outside the confidential talk."""
    if not isinstance(event, Step | Contact) or not event.case:
        return []
    if isinstance(event, Contact) and not set(event.with_whom) & set(categories.OUTSIDE):
        return []
    of_case = known.events_of.get(event.case, [])
    same_day = any(isinstance(one, Step) and one.date == event.date for one in of_case)
    if isinstance(event, Contact) and not event.consent and same_day:
        return []  # the step on the same day names its consent
    return list(consents.forbids(of_case, event))


def _agreement(known: _Known, event: Agreement) -> list[tuple[str, str]]:
    """Return the faults of an agreement, given the employer's other agreements.

    An agreement with the same first day corrects the earlier one, until a report of the term was
    issued.
    """
    found = _by_itself(event)
    before = known.agreements.get((event.employer, event.date))
    if before is not None and (issued := _issued_in(known, before)):
        found += _corrects(before, event, issued)
    for other in known.agreements.values():
        if other.employer != event.employer or other.date == event.date:
            continue
        if not _overlap(other, event):
            continue
        until = other.until or "its end"
        for field in FIXED:
            if _differ(other, event, field):
                said = (f"it is fixed until {until} by the agreement of {other.date}; "
                        "change it from the next term on")  # fmt: skip
                key = "fixed_until" if other.until else "fixed"
                found.append((field, Sentence(said, key, since=other.date, day=other.until)))
    return found


def _by_itself(event: Agreement) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if event.form and event.headcount is None:
        said = "is missing; the form of the report depends on it"
        found.append(("headcount", Sentence(said, "headcount")))
    elif event.headcount is not None and event.headcount < _least(event.form):
        least, given = _least(event.form), event.headcount
        said = (f"form {event.form} is for {least:,} people or more; "
                f"with {given:,} agree on a stricter one")  # fmt: skip
        sentence = Sentence(said, "form_small", form=event.form, least=least, given=given)
        found.append(("form", sentence))
    if event.term_band and event.headcount is not None:
        fits = LEAST_BAND <= event.headcount < LEAST_B and event.form in ("", "A")
        if not fits:
            said = (f"one band over {BAND_YEARS} years exists in form A, for "
                    f"{LEAST_BAND} to {LEAST_B - 1} people")  # fmt: skip
            found.append(("term_band", Sentence(said, "band_unfit")))
    if event.term_band and event.until and event.until.year - event.date.year + 1 < BAND_YEARS:
        said = (f"one band over {BAND_YEARS} years needs a term that touches "
                f"{BAND_YEARS} calendar years; this one never gets to it")  # fmt: skip
        found.append(("until", Sentence(said, "band_short")))
    return found


def _corrects(before: Agreement, event: Agreement, issued: Freeze | Joint) -> list[tuple[str, str]]:
    """Return the faults in a correction of an agreement under which a report was issued.

    Exchanged counts limit corrections just as an issued report does, but the other counsellor may
    still be added if missing.
    """
    found: list[tuple[str, str]] = []
    for field in FIXED:
        names_now = field == "shared_with" and isinstance(issued, Joint) and not before.shared_with
        if _differ(before, event, field) and not names_now:
            rest = f"which says {_value(before, field)!a}; that stays until the term ends"
            found.append((field, _under(issued, rest)))
    if before.until and event.until and event.until < before.until:
        found.append(("until", _until(issued)))
    return found


def _under(issued: Freeze | Joint, rest: str) -> Sentence:
    """Return a sentence on the report or exchange under an agreement, and its consequence."""
    year = str(issued.last_year)
    if isinstance(issued, Freeze):
        said = f"the report of {year} was issued under this agreement, {rest}"
        return Sentence(said, "issued_under", year=year)
    other = issued.counsellor
    said = f"counts of {year} were exchanged with {other!a} under this agreement, {rest}"
    return Sentence(said, "joint_under", year=year, other=other)


def _until(issued: Freeze | Joint) -> Sentence:
    said = _under(issued, "so its last day may be later, not earlier")
    if isinstance(issued, Freeze):
        return Sentence(said, "issued_until", **said.values)
    return Sentence(said, "joint_until", **said.values)


def _differ(one: Agreement, other: Agreement, field: str) -> bool:
    """Return whether two values differ. A missing price counts as equal to any price."""
    if field == "price" and None in (one.price, other.price):
        return False
    return _value(one, field) != _value(other, field)


def _value(agreed: Agreement, field: str) -> object:
    """Return the effective value of a field. A missing form follows from the headcount."""
    value = getattr(agreed, field)
    if field == "form" and not value and agreed.headcount is not None:
        return "C" if agreed.headcount >= LEAST_C else "B" if agreed.headcount >= LEAST_B else "A"
    return bool(value) if field == "term_band" else value


def _issued_in(known: _Known, agreed: Agreement) -> Freeze | Joint | None:
    """Return a report of this term, or exported or imported counts for such a report.

    A year in two terms belongs to the first term.
    """
    first, last = agreed.date.year, agreed.until.year if agreed.until else datetime.MAXYEAR
    first += any(
        one.employer == agreed.employer
        and one.date < agreed.date
        and (one.until is None or one.until.year >= first)
        for one in known.agreements.values()
    )
    for done in known.told:
        if done.employer == agreed.employer and any(first <= y <= last for y in _years(done)):
            return done
    return None


def _group(known: _Known, event: Employer) -> list[tuple[str, str]]:
    """Reject a group that is set after a report, because reports could then be subtracted."""
    said = groups.standing(known.sheets)
    before = said.get(event.employer, frozenset())
    if event.group in before:
        return []
    below = groups.members(said, event.employer) | {event.employer}
    if event.group in below:
        why = f"{event.group!a} is this employer itself, or belongs to it already"
        return [("group", Sentence(why, "group_itself"))]
    counted_in = groups.above(said, event.employer)
    had = _had(known, below | counted_in)
    more = ". From a next term on, record the employer under a new name"
    return [("group", _group_stays(had, more))] if had else []


def _had(known: _Known, near: Collection[str]) -> Freeze | Joint | None:
    """Return a report, or exported or imported counts, for one of these employers."""
    return next((one for one in known.told if one.employer in near), None)


def _group_stays(had: Freeze | Joint, more: str = "") -> Sentence:
    who, rest = had.employer, f"a group is chosen before the first report and stays{more}"
    if isinstance(had, Freeze):
        return Sentence(f"{who!a} had a report already; {rest}", "group_had", who=who)
    other = had.counsellor
    said = f"counts of {who!a} were exchanged with {other!a} already; {rest}"
    return Sentence(said, "group_joint", who=who, other=other)


def _least(form: str) -> int:
    return {"B": LEAST_B, "C": LEAST_C}.get(form, 0)


def _overlap(one: Agreement, other: Agreement) -> bool:
    last = datetime.date.max
    return one.date <= (other.until or last) and other.date <= (one.until or last)


def _joint(known: _Known, event: Joint) -> list[tuple[str, str]]:
    """Reject a second report for the years of a joint one, because the two could be subtracted.

    An issued report without figures does not conflict with a joint one: in a term of three years
    with a single band, each counsellor makes the first two reports. A file may contain counts from
    two colleagues that an older version recorded, because that version's register must be
    importable.
    """
    for one in known.frozen:
        figures = bool(one.bands) or one.form != "A"  # only a form A report may have no figures
        if figures and one.employer == event.employer and _years(one) & _years(event):
            return [("first_year", f"the report of {one.last_year} was issued on {one.date} and "
                     "does not change any more; counts of it are of no use")]  # fmt: skip
    for other in known.joint:
        same = other.employer == event.employer and _years(other) & _years(event)
        if same and bool(other.given) is not bool(event.given):
            did = "were given to" if other.given else "came from"
            return [("given", f"the counts of {other.last_year} {did} {other.counsellor!a}; one of "
                     "you makes the report")]  # fmt: skip
        one_colleague = names.same_colleague(other, event.counsellor, event.fingerprint)
        if same and other in known.kept and not one_colleague:
            return [("counsellor", _second(str(other.last_year), other, event))]
    return []


def _second(year: str, other: Joint, event: Joint) -> Sentence:
    """Return why no other colleague can get the same counts, or send counts for the same years."""
    who = other.counsellor
    if names.plain(who) == names.plain(event.counsellor):
        said = (f"the counts of {year} were exchanged with a colleague of this name, with other "
                f"ten groups: {other.fingerprint}; a report is made by two "
                "counsellors")  # fmt: skip
        return Sentence(said, "joint_namesake", year=year, other=who, groups=other.fingerprint)
    if other.given:
        said = f"the counts of {year} were given to {who!a}; a report is made by two counsellors"
        return Sentence(said, "joint_second", year=year, other=who)
    said = f"you have the counts of {year} from {who!a}; a report is made by two counsellors"
    return Sentence(said, "joint_second_taken", year=year, other=who)


def _years(one: Freeze | Joint) -> set[int]:
    if one.first_year is None or one.last_year is None:
        return set()
    return set(range(one.first_year, one.last_year + 1))
