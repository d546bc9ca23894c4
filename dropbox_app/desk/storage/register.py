"""Events of the register as database rows: stored, read, and permanently deleted.

A row contains the event's JSON as exported, and the columns by which rows are found. The text of an
event is not in the full-text index. A deletion requires a rewrite of the database, as ``forget``
does.
"""

import json
from collections.abc import Iterable, Sequence

from dropbox_app.desk.storage.database import Database, Row
from dropbox_app.protocol.encoding import Json


def events(database: Database, after: int = 0) -> list[tuple[int, str]]:
    """Return all events by day, and by order of addition within a day.

    Each event is returned with its number, which is never reused, and its JSON. ``after`` restricts
    the result to events with a higher number.
    """
    sql = "SELECT number, fields FROM event WHERE number > ? ORDER BY day, number"
    found = database.run(sql, (after,))
    return [_kept(row) for row in found]


def some(database: Database, numbers: Iterable[int]) -> list[tuple[int, str]]:
    """Return the existing events with these numbers, each with its number and its JSON."""
    sql = "SELECT number, fields FROM event WHERE number = ?"
    return [_kept(row) for number in numbers for row in database.run(sql, (number,))]


def add(database: Database, given: Iterable[dict[str, Json]]) -> None:
    """Store events, all or none."""
    database.run_many(
        "INSERT INTO event (kind, day, employer, reference, fields) VALUES (?, ?, ?, ?, ?)",
        [(*_columns(one), json.dumps(one, ensure_ascii=False)) for one in given],
    )


def replace(database: Database, changes: Iterable[tuple[int, Sequence[dict[str, Json]]]]) -> None:
    """Replace or remove events by their numbers, all or none.

    The database must then be rewritten with a new key.
    """
    with database.transaction():
        for number, given in changes:
            database.run("DELETE FROM event WHERE number = ?", (number,))
            for one in given[:1]:
                database.run(
                    "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
                    (number, *_columns(one), json.dumps(one, ensure_ascii=False)),
                )
            add(database, given[1:])
        database.expect_rewrite()


def unlink(database: Database, mailbox: str) -> None:
    """Remove the ids of a thread and its messages from the events that refer to it."""
    found = database.run(
        "SELECT number, fields FROM event WHERE reference IN "
        "(SELECT reference FROM event WHERE instr(fields, ?) AND reference != '')",
        (mailbox,),
    )
    for number, text in map(_kept, found):
        fields = json.loads(text)
        left = {key: one for key, one in fields.items() if key not in ("thread", "message")}
        if left != fields:
            database.run(
                "UPDATE event SET fields = ? WHERE number = ?",
                (json.dumps(left, ensure_ascii=False), number),
            )


def _columns(fields: dict[str, Json]) -> tuple[str, ...]:
    return tuple(str(fields.get(key) or "") for key in ("event", "date", "employer", "case"))


def _kept(row: Row) -> tuple[int, str]:
    number, fields = row
    if not isinstance(number, int):
        raise TypeError("the number of an event is a whole number")
    return number, str(fields)
