"""Corrections in the register: change or remove an entry, or clear a field.

Wrong text is replaced rather than kept alongside the correction, so that nobody can demand the old
text later. The database gets a new key before ``Workplace`` is closed, so that the vault no longer
opens earlier copies of the database file. Older backups still contain the text.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from dropbox_app.desk.actions import register
from dropbox_app.desk.actions.register import Added
from dropbox_app.desk.errors import NotFound
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import cases, form, recording, rules
from dropbox_app.desk.register.book import Book
from dropbox_app.desk.register.events import (
    Agreement,
    Case,
    Contact,
    Employer,
    Event,
    OfCase,
    OfEmployer,
)
from dropbox_app.desk.register.fields import Sentence
from dropbox_app.desk.register.form import Refused
from dropbox_app.desk.register.lines import Numbered
from dropbox_app.protocol.encoding import Json

# The fields of a case on which the figures of an annual report depend.
_COUNTED = frozenset({"main_group", "belongs_with", "colleague_counts"})
# The fields of a signed answer that the counsellor fills in.
OF_SIGNED = frozenset({"named", "formal"})


def entry(place: Workplace, number: int) -> Event:
    """Return one entry of the register by its number. Raises NotFound."""
    found = place.book().event(number)
    if found is None:
        raise NotFound("This entry is not in the register any more.")
    return found


def correct(place: Workplace, number: int, values: Mapping[str, Json] | None) -> None:
    """Replace an entry's fields, or remove the entry if ``values`` is None.

    Raises NotFound. Raises Refused, and changes nothing, if the remaining entries would contradict
    each other, if a report of the entry's year was issued, or if the reporter signed the entry.
    """
    old = entry(place, number)
    new = None if values is None else form.parse(values, place.machine.today())
    if cases.is_signed(old):
        _signed(old, new)
    if new is not None and isinstance(new, OfEmployer):
        new, _ = recording.reduced(new, cases.level(register.sheet(place, new.employer)))
    if isinstance(old, Agreement):
        _agreed(place, number, old, new)
    change(place, {number: new}, old)


def _signed(old: Event, new: Event | None) -> None:
    """Refuse changes to the signed part of an entry; the counsellor's own fields may change.

    A signed entry cannot be removed either, because it would be added again from its thread.
    """
    left = [
        {name: one for name, one in form.to_json(event).items() if name not in OF_SIGNED}
        for event in (old, new)
        if event is not None
    ]
    if new is None or left[0] != left[1]:
        said = "the reporter signed this answer in the thread, so it is not changed or removed"
        raise Refused((form.Fault(0, "source", Sentence(said, "signed")),))


def _agreed(place: Workplace, number: int, old: Agreement, new: Event | None) -> None:
    """Check the rules for an agreement: after the first report, little can be corrected.

    Raises Refused.
    """
    events = [(n, one) for n, one in register.numbered(place, old.employer)]
    there = [one for _, one in events]
    if not isinstance(new, Agreement) or new.date != old.date:
        faults = rules.bound(there, old)
        there = [one for n, one in events if n != number]
    else:
        faults = []
    if isinstance(new, Agreement):
        faults += rules.faults(there, [Numbered(0, new)])
    if faults:
        raise Refused(tuple(faults))


def into_case(
    place: Workplace, number: int, reference: str = "", new_case: str | None = None
) -> Added:
    """Move a contact without a case into a case; return what was added, and the case's reference.

    ``reference`` is an existing case's reference or label; ``new_case`` is the label of a new case,
    and may be empty. The contact keeps its date, and is no longer counted separately. Raises
    NotFound or Refused, and then changes nothing.
    """
    old = entry(place, number)
    if not isinstance(old, Contact) or old.case:
        raise NotFound("This entry is no contact without a case.")
    if old.record_nothing:
        said = "nothing of this contact may be recorded, so it goes into no case"
        raise Refused((form.Fault(0, "record_nothing", Sentence(said, "recorded_nothing")),))
    with place.database.transaction():
        change(place, {number: None}, old)
        added = register.record_contact(place, replace(old, again=None), reference, new_case)
        found = added.case or register.case(place, reference).reference
        return replace(added, case=found)


def change(place: Workplace, changes: Mapping[int, Event | None], *year_of: Event) -> None:
    """Replace or remove entries by their numbers, all or none. Raises Refused.

    If ``year_of`` lists entries, neither their years nor those of the replacements may be closed.
    """
    with place.database.transaction():  # the data that the rules check must not change meanwhile
        book = place.book()
        old = [event for number in changes if (event := book.event(number)) is not None]
        new = [event for event in changes.values() if event is not None]
        terms = cases.in_order([*book.terms_without(changes), *new])
        closed = rules.closed_years(terms, [*year_of, *new] if year_of else [])
        faults = closed or _new_faults(book, changes, _cases([*new, *old]))
        if faults:
            raise Refused(tuple(faults))
        place.replace_events(
            [
                (number, [form.to_json(event)] if event is not None else [])
                for number, event in changes.items()
            ]
        )


def set_sheet(
    place: Workplace, reference: str, values: Mapping[str, Json], shown: Collection[str]
) -> Added:
    """Set the fields of a case's sheet that are in ``shown`` to their new ``values``.

    New values become an entry dated today. A field that is now empty is removed from every entry of
    the case. Raises Refused, NotFound.
    """
    found = register.case(place, reference)
    fixed: dict[str, Json] = {"employer": found.employer, "case": found.reference}
    return _set(place, found.sheet, fixed, values, shown)


def set_employer(
    place: Workplace, employer: str, values: Mapping[str, Json], shown: Collection[str]
) -> Added:
    """Set the fields of an employer's sheet that are in ``shown`` to their new ``values``.

    Works like ``set_sheet``. Raises Refused.
    """
    today = place.machine.today()
    had = register.sheet(place, employer) or Employer(date=today, employer=employer)
    return _set(place, had, {"employer": employer}, values, shown)


def _set(
    place: Workplace, sheet: Case | Employer, fixed: Mapping[str, Json],
    values: Mapping[str, Json], shown: Collection[str],
) -> Added:  # fmt: skip
    had = form.to_json(sheet)
    today = place.machine.today()
    new = {name: values[name] for name in shown if name in values and values[name] != had.get(name)}
    emptied = {name for name in shown if name in had and name not in values}
    if new.keys() & {"main_group", "sub_groups"}:  # these two are checked together
        new |= {name: values[name] for name in ("main_group", "sub_groups") if name in values}
    event: dict[str, Json] = {"event": sheet.kind, "date": today.isoformat(), **fixed, **new}
    made = form.parse(event, today)
    if "group" in emptied and isinstance(sheet, Employer):
        faults = rules.bound(place.book().terms, sheet)
        if faults:
            raise Refused(tuple(faults))
    with place.database.transaction():  # if the change is refused, no field is cleared
        if emptied:
            _empty(place, sheet, emptied)
        return register.record(place, made) if new else Added(0, 0, {})


def unmark(place: Workplace, reference: str, other: str, mark: str) -> None:
    """Remove a private mark between two cases from whichever case has the mark. Raises Refused."""
    changes: dict[int, Event | None] = {}
    touched = []
    for number, event in register.numbered(place):
        if not isinstance(event, Case) or event.case not in (reference, other):
            continue
        away = other if event.case == reference else reference
        marked = getattr(event, mark)
        if away in marked:
            left: list[Json] = [one for one in marked if one != away]
            changes[number] = form.read(form.to_json(event) | {mark: left})
            touched.append(event)
    change(place, changes, *(touched if mark in _COUNTED else ()))


def _empty(place: Workplace, sheet: Case | Employer, names: Collection[str]) -> None:
    changes: dict[int, Event | None] = {}
    counted = []
    for number, event in register.numbered(place, sheet.employer):
        if type(event) is not type(sheet) or getattr(event, "case", "") != getattr(
            sheet, "case", ""
        ):
            continue
        had = form.to_json(event)
        given = [name for name in names if name in had]
        if given:
            changes[number] = form.read({key: had[key] for key in had if key not in given})
            counted += [event] if _COUNTED.intersection(given) else []
    change(place, changes, *counted)


def _cases(given: Sequence[Event]) -> set[str]:
    return {one.case for one in given if isinstance(one, OfCase) and one.case}


def _new_faults(
    book: Book, changes: Mapping[int, Event | None], touched: set[str]
) -> list[form.Fault]:
    """Return the contradictions that the change would cause in the cases it affects.

    The function checks the events of these cases, and the events that refer to one of them.
    """
    near = [(number, event) for number, event in book.entries if _is_near(event, touched)]
    before = [event for _, event in near]
    after = [changes.get(number, event) for number, event in near]
    there = {number for number, _ in near}
    further = [event for number, event in changes.items() if number not in there]
    left = [event for event in [*after, *further] if event is not None]
    looked_at = [event for event in left if _is_near(event, touched)]
    others = [event for event in left if not _is_near(event, touched)]
    had = set(map(str, _faults(book, book.terms, before)))
    terms = cases.in_order([*book.terms_without(changes), *others])
    return [fault for fault in _faults(book, terms, looked_at) if str(fault) not in had]


def _is_near(event: Event, touched: set[str]) -> bool:
    if not isinstance(event, OfCase):
        return False
    if event.case in touched:
        return True
    return isinstance(event, Case) and not touched.isdisjoint(
        (*event.belongs_with, *event.conflicts_with)
    )


def _faults(book: Book, terms: Sequence[Event], looked_at: Sequence[Event]) -> list[form.Fault]:
    """Return the faults in the events of some cases, given the terms and related cases."""
    own = {one.case for one in looked_at if isinstance(one, OfCase)}
    named = {
        name
        for one in looked_at
        if isinstance(one, Case)
        for name in (*one.belongs_with, *one.conflicts_with)
    } | own
    held = set(map(id, looked_at))
    others = [
        event
        for name in sorted(named - own)
        for event in book.of_case(name)
        if id(event) not in held
    ]
    return rules.faults([*terms, *others], [Numbered(0, one) for one in cases.in_order(looked_at)])
