"""Earlier years from a table, and the register as a table: looked at first, then taken or written.

All rows of a table are taken or none. What is in the register already is not taken again.
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
    """A table as it was read: its rows, what would be kept of new ones, what is wrong, by row.

    ``added``: what would become of it if nothing were wrong. ``into``: the cases that are in the
    register already and of which no row of the table is there, each by the first row for it.
    """

    rows: list[Read]
    new: Mapping[int, Event]
    faults: Mapping[int, tuple[Fault, ...]]
    added: Added
    into: Mapping[int, Standing]


def look(place: Workplace, raw: bytes, words: Vocabulary) -> Table:
    """Return what would be taken of a CSV or xlsx file. Nothing is kept.

    Raises Refused if the file cannot be read, or its header does not fit.
    """
    rows = earlier.read(tables.read(raw), words, place.machine.today())
    looked = register.look(place, _given(place, rows))
    faults = {one.number: one.faults for one in rows if one.faults}
    for fault in looked.faults:
        faults[fault.line] = (*faults.get(fault.line, ()), fault)
    new = {one.line: one.event for one in looked.new}  # of a row that opens a case too, its own
    return Table(rows, new, faults, looked.added, _into(place, rows, new))


def take(place: Workplace, raw: bytes, words: Vocabulary, into: Collection[str] = ()) -> Added:
    """Keep the events of a CSV or xlsx file, all or none. Raises Refused with every fault.

    ``into``: the references of cases that are there already and that the rows belong to. Without
    it they could end up in the case of somebody else that has the same number.
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
    """The events of the rows. A case that nothing opens is opened by the first that names it."""
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
    """Return the whole register as CSV. It is not sealed."""
    return tables.write(register.every(place))
