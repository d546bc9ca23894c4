"""Check and import a table with events of earlier years, and export the register as a table.

All rows of a table are imported, or none. Existing entries are not imported again.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dropbox_app.desk.actions import register
from dropbox_app.desk.actions.register import Added
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import earlier, lines, tables
from dropbox_app.desk.register.cases import Standing
from dropbox_app.desk.register.earlier import Read, Vocabulary
from dropbox_app.desk.register.events import Case, Event, OfCase
from dropbox_app.desk.register.fields import Sentence
from dropbox_app.desk.register.form import Fault, Refused
from dropbox_app.desk.register.lines import Numbered


@dataclass(frozen=True)
class Table:
    """A parsed table: its rows, the new events by row, and the faults by row.

    ``added`` is what an import would add if the table had no faults. ``into`` maps the first new
    row for an existing case to that case, unless the register already has a row of this table for
    that case.
    """

    rows: list[Read]
    new: Mapping[int, Event]
    faults: Mapping[int, tuple[Fault, ...]]
    added: Added
    into: Mapping[int, Standing]


def look(place: Workplace, raw: bytes, words: Vocabulary) -> Table:
    """Return what an import of a CSV or xlsx file would add. Nothing is stored.

    Raises Refused if the file cannot be read, or its header is not recognised.
    """
    rows = earlier.read(tables.read(raw), words, place.machine.today())
    looked = register.look(place, _given(place, rows))
    faults = {one.number: one.faults for one in rows if one.faults}
    for fault in looked.faults:
        faults[fault.line] = (*faults.get(fault.line, ()), fault)
    new = {one.line: one.event for one in looked.new}  # not the event that opens a row's case
    return Table(rows, new, faults, looked.added, _into(place, rows, new))


def take(place: Workplace, raw: bytes, words: Vocabulary, into: Collection[str] = ()) -> Added:
    """Store the events of a CSV or xlsx file, all or none. Raises Refused with all faults.

    ``into`` lists the references of existing cases to which the rows belong. Without ``into``, rows
    could end up in another person's case that has the same number.
    """
    with place.database.transaction():
        found = look(place, raw, words)
        faults = [fault for number in sorted(found.faults) for fault in found.faults[number]]
        if not faults:
            faults = [
                _is_there(number, one)
                for number, one in found.into.items()
                if one.reference not in into
            ]
        if faults:
            raise Refused(tuple(faults[: lines.MOST_FAULTS]))
        return register.add(place, _given(place, found.rows), once=True)


def _into(place: Workplace, rows: list[Read], new: Mapping[int, Event]) -> dict[int, Standing]:
    known = place.book().standings
    told = {
        getattr(one.event.event, "case", "") for one in rows if one.event and one.number not in new
    }
    found = {}
    for number, event in sorted(new.items()):
        reference = getattr(event, "case", "")
        if reference in known and reference not in told:
            told.add(reference)
            found[number] = known[reference]
    return found


def _is_there(number: int, one: Standing) -> Fault:
    said = (
        f"the register has a case {one.reference} already, opened on {one.opened}; if yours is"
        " another, change its name in the table; if it is the same, say so with"
        f" --into {one.reference}"
    )
    return Fault(number, "case", Sentence(said, "case_there", day=one.opened))


def _given(place: Workplace, rows: list[Read]) -> list[Numbered]:
    """Return the events of the rows, and an opening event for each case that no row opens."""
    given = [one.event for one in rows if one.event is not None]
    opened = {*place.book().references}
    opened |= {one.event.case for one in given if isinstance(one.event, Case)}
    made: list[Numbered] = []
    for one in sorted(given, key=lambda one: one.event.date):
        event = one.event
        if isinstance(event, OfCase) and event.case and event.case not in opened:
            opened.add(event.case)
            case = Case(date=event.date, employer=event.employer, case=event.case)
            made.append(Numbered(one.line, case))
    return [*made, *given]


def table(place: Workplace) -> bytes:
    """Return the whole register as CSV. The CSV is not sealed."""
    return tables.write(register.every(place))
