"""Earlier years from a table, and the register as a table: looked at first, then taken or written.

All rows of a table are taken or none. What is in the register already is not taken again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dropbox_app.desk.actions import register
from dropbox_app.desk.actions.register import Added
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import earlier, lines, tables
from dropbox_app.desk.register.earlier import Read, Vocabulary
from dropbox_app.desk.register.events import Case, Event, OfCase
from dropbox_app.desk.register.form import Fault, Refused
from dropbox_app.desk.register.lines import Numbered


@dataclass(frozen=True)
class Table:
    """A table as it was read: its rows, what would be kept of new ones, what is wrong, by row.

    ``added``: what would become of it if nothing were wrong.
    """

    rows: list[Read]
    new: Mapping[int, Event]
    faults: Mapping[int, tuple[Fault, ...]]
    added: Added


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
    return Table(rows, new, faults, looked.added)


def take(place: Workplace, raw: bytes, words: Vocabulary) -> Added:
    """Keep the events of a CSV or xlsx file, all or none. Raises Refused with every fault."""
    rows = earlier.read(tables.read(raw), words, place.machine.today())
    faults = tuple(fault for one in rows for fault in one.faults)
    if faults:
        raise Refused(faults[: lines.MOST_FAULTS])
    return register.add(place, _given(place, rows), once=True)


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
