"""Actions on the register: store and read events, cases, and consents from threads.

The register is never sent. The register is stored only in the desk's database and backups, unless
the counsellor exports it.
"""

import collections
import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dropbox_app.desk.actions import report_words, threads
from dropbox_app.desk.actions.threads import Listed
from dropbox_app.desk.errors import NotFound
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import cases, consents, form, lines, names, recording, rules
from dropbox_app.desk.register.book import Book
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.consents import Entry
from dropbox_app.desk.register.events import (
    Agreement,
    Case,
    Consent,
    Contact,
    Employer,
    Event,
    Freeze,
    Joint,
    OfCase,
    OfEmployer,
    Step,
)
from dropbox_app.desk.register.fields import Sentence
from dropbox_app.desk.register.form import Fault, Refused
from dropbox_app.desk.register.lines import Numbered
from dropbox_app.desk.storage import lists
from dropbox_app.desk.threads import open_thread
from dropbox_app.protocol.messages import REPORTER, Message

_ANSWERS = {"yes": "yes", "no": "no", "tell-me-more": "tell_me_more", "withdrawn": "withdrawn"}
HELD_BACK = Sentence(
    "the server holds back what the reporter wrote after this yes, which may take it back; fetch "
    "again, or ask again",
    "held_back",
)


@dataclass(frozen=True)
class Added:
    """The result of adding events. ``kept`` is the number of new events.

    ``there``: the number of events that already existed and were not added again. ``left_out``: how
    often each field was omitted because of the level of recording. ``near``: new names of
    employers, each with a similar existing name. ``case``: the reference of the case that was
    created for a contact.
    """

    kept: int
    there: int
    left_out: dict[str, int]
    near: tuple[tuple[str, str], ...] = ()
    case: str = ""


def every(place: Workplace, employer: str = "") -> list[Event]:
    """Return all events in order, or only those of an employer."""
    if not employer:
        return place.book().events
    return [event for _, event in place.book().at(employer)]


def employers(place: Workplace) -> list[str]:
    """Return the names of all employers, from sites and the register, in alphabetical order."""
    sheets = place.book().sheets
    called = {sheet.site: name for name, sheet in sheets.items() if sheet.site}
    sites = {called.get(site) or called.get(name) or name for site, name in place.names().items()}
    return sorted(sites | set(sheets), key=str.casefold)


def levels(place: Workplace) -> dict[str, str]:
    """Return the level of recording at each employer, by name."""
    sheets = place.book().sheets
    return {name: cases.level(sheets.get(name)) for name in employers(place)}


def sheet(place: Workplace, employer: str) -> Employer | None:
    """Return the sheet of an employer; None if the register has none."""
    return place.book().sheets.get(employer)


def add(place: Workplace, given: Sequence[Numbered], *, once: bool = False) -> Added:
    """Store new events, all or none. Raises Refused with all faults.

    ``once``: an event that is identical to an existing one is not added again. Only the fields that
    the employer's level of recording allows are stored.
    """
    with place.database.transaction():  # the data that the rules check must not change meanwhile
        looked = _look(place, given, once=once)
        if looked.faults:
            raise Refused(looked.faults[: lines.MOST_FAULTS])
        place.add_events([form.to_json(one.event) for one in looked.new])
        return looked.added


@dataclass(frozen=True)
class Looked:
    """The effect of adding events: the new events, as they would be stored, and the faults."""

    added: Added
    new: tuple[Numbered, ...]
    faults: tuple[Fault, ...]


def look(place: Workplace, given: Sequence[Numbered]) -> Looked:
    """Return what ``add`` would do with ``once`` set, without storing anything."""
    return _look(place, given, once=True)


def _look(place: Workplace, given: Sequence[Numbered], *, once: bool) -> Looked:
    book = place.book()
    given = _named(book, given)
    levels = _levels(book, [one.event for one in given])
    had = collections.Counter(map(repr, book.events) if once else ())
    left_out: collections.Counter[str] = collections.Counter()
    new, kept = [], []
    for one in given:
        employer = getattr(one.event, "employer", "")
        event, without = recording.reduced(one.event, levels.get(employer, ""))
        if had[repr(event)]:
            had[repr(event)] -= 1
            continue
        left_out.update(without)
        new.append(one)
        kept.append(Numbered(one.line, event))
    faults = rules.faults(_about(book, new), new) + _held_back(place, new)
    near = _near(set(book.first_of_employer), names.employers([one.event for one in kept]))
    added = Added(len(kept), len(given) - len(kept), dict(left_out), near)
    return Looked(added, tuple(kept), tuple(faults))


def _near(there: set[str], new: set[str]) -> tuple[tuple[str, str], ...]:
    """Return new names of employers that are similar to an existing name, or to each other."""
    known, found = set(there), []
    for name in sorted(new - there):
        found += [(name, other) for other in names.near(known, name)]
        known.add(name)
    return tuple(found)


def rename(place: Workplace, old: str, new: str) -> int:
    """Rename an employer. If another employer already has the new name, merge the two employers.

    Returns the number of changed events. Raises NotFound, Unfit or Refused, and then changes
    nothing.
    """
    with place.database.transaction():
        kept = numbered(place)
        given = [event for _, event in kept]
        if old not in names.employers(given) or old == new:
            raise NotFound(f"No employer in the register is called {old!a}, or not any other.")
        names.check_one(given, old, new)
        changed = [
            (was, form.read(form.to_json(one))) for was, one in names.renamed(given, old, new)
        ]
        numbers = {id(event): number for number, event in kept}
        after = {numbers[id(was)]: one for was, one in changed}
        both = [
            one
            for one in (after.get(number, event) for number, event in kept)
            if isinstance(one, OfEmployer) and one.employer == new
        ]
        told = [one for one in both if isinstance(one, Freeze | Joint)]
        agreed = [one for one in both if isinstance(one, Agreement)]
        if faults := rules.faults(told, [Numbered(0, one) for one in agreed]):
            raise Refused(tuple(faults[: lines.MOST_FAULTS]))
        place.replace_events([(number, [form.to_json(one)]) for number, one in after.items()])
        _keep_site(place, old, new)
        report_words.move(place, old, new)
        return len(changed)


def _keep_site(place: Workplace, old: str, new: str) -> None:
    """Record that the site with the old name belongs to the employer with the new name."""
    site = next((one for one, name in place.names().items() if names.same_name(name, old)), "")
    had = sheet(place, new)
    if site and not names.same_name(place.names()[site], new) and not (had and had.site):
        record(place, Employer(date=place.machine.today(), employer=new, site=site))


def record_contact(
    place: Workplace, given: Contact, reference: str = "", new_case: str | None = None
) -> Added:
    """Store one contact: in an existing case, in a new one, or without a case.

    ``reference`` is a case's reference or label. ``new_case`` is the label of a new case, and may
    be empty. Raises Refused, NotFound.
    """
    if new_case is None:
        found = case(place, reference).reference if reference else ""
        return record(place, replace(given, case=found))
    opened = Case(
        date=given.date, employer=given.employer, label=new_case, main_group=given.topic,
        channel=given.channel,
    )  # fmt: skip
    named = _named(place.book(), [Numbered(0, opened)])[0].event
    reference = getattr(named, "case", "")
    return replace(record(place, named, replace(given, case=reference)), case=reference)


def record(place: Workplace, *given: Event) -> Added:
    """Store typed events, all or none. Raises Refused."""
    today = place.machine.today()
    read = [Numbered(0, form.parse(form.to_json(one), today)) for one in given]
    return add(place, read)


def bring_in(place: Workplace, raw: bytes) -> Added:
    """Store the events from a file, all or none. Raises Refused with all faults of all lines.

    The same file may be imported twice, because existing events are not added again.
    """
    return add(place, lines.read(raw, place.machine.today()), once=True)


def all_cases(place: Workplace, employer: str = "") -> list[Standing]:
    """Create missing cases for threads, then return all cases, newest first. Raises NotFound."""
    adopt(place)
    return [one for one in place.book().newest if employer in ("", one.employer)]


def case(place: Workplace, reference: str) -> Standing:
    """Return one case by its reference or label. Raises NotFound."""
    adopt(place)
    found = place.book().standings
    if reference in found:
        return found[reference]
    called = [one for one in found.values() if one.name.casefold() == reference.casefold()]
    if len(called) != 1:
        raise NotFound(
            f"{'No' if not called else 'More than one'} case is called {reference!a}; "
            "'register cases' lists them."
        )
    return called[0]


def of_case(place: Workplace, found: Standing) -> list[tuple[int, Event]]:
    """Return the events of a case with their numbers, in order."""
    return [
        (number, event)
        for number, event in numbered(place, found.employer)
        if isinstance(event, OfCase) and event.case == found.reference
    ]


def adopt(place: Workplace) -> int:
    """Create a case for every reporter's thread that has none; return how many were created.

    A thread that only the server claims to exist does not count: at least one message from the
    reporter must have been verified. The case is opened on the day in the reporter's signed
    message, or today if the year of that day is closed.
    """
    if place.book().threads.issuperset(lists.of_reporters(place.database)):
        return 0
    listed = threads.list_threads(place)
    with place.database.transaction():
        return _adopt(place, listed)


def _adopt(place: Workplace, listed: Sequence[Listed]) -> int:
    there = every(place)
    known = {one.thread for one in there if isinstance(one, Case) and one.thread}
    new = [(one, one.summary.began) for one in listed if one.mailbox not in known]
    made, there_called = [], set(place.book().first_of_employer)
    for one, began in new:
        if began is None:
            continue
        employer = names.spelled(there_called, called(place, one.site, one.employer))
        there_called.add(employer)  # a second new site may spell it differently
        day = min(began, place.machine.today())
        if rules.closed_by(there, employer, day.year):
            day = place.machine.today()
        made.append(case_of_thread(one.mailbox, one.label, employer, day))
    if made:
        record(place, *sorted(made, key=lambda one: one.date))
    return len(made)


def case_of_thread(mailbox: str, label: str, employer: str, day: datetime.date) -> Case:
    """Return the event that creates a case for a thread. The case has no reference yet."""
    return Case(date=day, employer=employer, thread=mailbox, label=label, channel="drop_box")


def employer_of(place: Workplace, listed: Listed) -> str:
    """Return the employer of a thread as spelled in the register."""
    name = called(place, listed.site, listed.employer)
    return names.spelled(place.book().first_of_employer, name)


def called(place: Workplace, site: str, name: str) -> str:
    """Return the register's name for the employer of a site. ``name`` is the site's own name."""
    sheets = place.book().sheets
    of_sites = {sheet.site: employer for employer, sheet in sheets.items() if sheet.site}
    return of_sites.get(site) or of_sites.get(name) or name


def consent_ledger(place: Workplace, reference: str) -> list[Entry]:
    """Return the consents of a case as of today, including those in its thread. Raises NotFound."""
    found = case(place, reference)
    take_consents(place, found)
    day = place.machine.today()
    return consents.ledger(every(place, found.employer), found.reference, day)


def take_consents(place: Workplace, found: Standing) -> int:
    """Enter the reporter's signed answers from a case's thread; return how many were new.

    Answers count in the order in which they were signed, regardless of the order of arrival. An
    answer is skipped if the register has an answer to the same question that was signed later and
    has the same or an earlier day.
    """
    opened = _thread(place, found)
    if opened is None:
        return 0
    there = {
        one.message: one.date for one in every(place, found.employer) if isinstance(one, Consent)
    }
    items = {one.message.digest: one.item for one in opened.thread.entries if one.message}
    made = []
    for question in opened.thread.genuine():
        if question.kind != "consent-request":
            continue
        day, todo = datetime.date.min, []
        for said in opened.thread.answers(question.digest):
            # The day is never before that of earlier signed answers, whichever day the answer
            # states.
            day = max(day, min(said.day, place.machine.today()))
            entered = there.get(said.digest) or there.get(items[said.digest])
            if entered is None:
                todo.append(_consent(found, question, said, day))
            else:
                day = max(day, entered)
                todo = [one for one in todo if one.date < entered]
        made += todo
    if made:
        record(place, *made)
    return len(made)


def _thread(place: Workplace, found: Standing) -> open_thread.Case | None:
    """Return the opened thread of a case; None if the desk has none."""
    if not found.sheet.thread:
        return None
    try:
        return open_thread.open_case(*threads.find(place, found.sheet.thread))
    except NotFound:
        return None


def _consent(found: Standing, question: Message, said: Message, day: datetime.date) -> Consent:
    return Consent(
        date=day,
        employer=found.employer,
        case=found.reference,
        consent=question.digest[:16],
        step=str(question.body["step"])[:4_000],
        partner=str(question.body["with"])[:200],
        scope=str(question.body["scope"])[:4_000],
        answer=_ANSWERS[str(said.body["answer"])],
        source="thread",
        message=said.digest,
    )


def _held_back(place: Workplace, given: Sequence[Numbered]) -> list[Fault]:
    """Return faults for steps based on a consent if a later message of the reporter is missing."""
    faults = []
    for line, one in ((each.line, each.event) for each in given):
        if not isinstance(one, Step | Contact) or not one.consent or not one.case:
            continue
        found = place.book().standings.get(one.case)
        opened = _thread(place, found) if found else None
        if opened is None:
            continue
        last = max(
            (said.n for question in opened.thread.genuine()
             if question.kind == "consent-request" and question.digest[:16] == one.consent
             for said in opened.thread.answers(question.digest)),
            default=None,
        )  # fmt: skip
        missing = [*opened.thread.gaps.get(REPORTER, ())]
        missing += [opened.thread.withheld[REPORTER]] if REPORTER in opened.thread.withheld else []
        if last is not None and any(n > last for n in missing):
            faults.append(Fault(line, "consent", HELD_BACK))
    return faults


def export(place: Workplace) -> str:
    """Return all events as lines of JSON, in order."""
    return lines.write(every(place))


def numbered(place: Workplace, employer: str = "") -> list[tuple[int, Event]]:
    """Return events with their numbers. Stored events need no further check."""
    return place.book().at(employer) if employer else place.book().entries


def _levels(book: Book, given: Sequence[Event]) -> dict[str, str]:
    """Return the level of recording at each employer after these events."""
    names = {one.employer for one in given if isinstance(one, OfEmployer)}
    there = [event for name in names for _, event in book.at(name) if isinstance(event, Employer)]
    sheets = cases.sheets(cases.in_order([*there, *given]))
    return {name: cases.level(sheets.get(name)) for name in names}


def _about(book: Book, given: Sequence[Numbered]) -> list[Event]:
    """Return the existing events of the cases that new events name, for checking the new ones."""
    named: dict[str, None] = {}
    for one in given:
        if isinstance(one.event, OfCase):
            named[one.event.case] = None
        if isinstance(one.event, Case):
            named |= dict.fromkeys([*one.event.belongs_with, *one.event.conflicts_with])
    return [*book.terms, *(event for name in named for event in book.of_case(name))]


def _named(book: Book, given: Sequence[Numbered]) -> list[Numbered]:
    """Give each new case a reference: its year, and the next number in that year."""
    used = {one.event.case for one in given if isinstance(one.event, OfCase)}
    found = []
    for one in given:
        event = one.event
        if isinstance(event, Case) and not event.case:
            number = 1
            while (name := f"{event.date.year}-{number}") in used or name in book.references:
                number += 1
            event = replace(event, case=name)
            used.add(event.case)
        found.append(Numbered(one.line, event))
    return found
