"""Check that a database has the tables and names that a server writes, and nothing else.

Anyone who has the server's folder can seal a backup to its key, because that key is public. A
trigger in such a database would run when the server writes, and a name such as ``../x`` would lead
to other files.
"""

import functools
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from dropbox_app.server.store.interface import REPORTER
from dropbox_app.server.store.migrations import DAYS, NOTES, migrations

_PAGE = 4096  # bytes; the padding before sealed files (m003_cover) is made for this size
_HEADER = 100  # bytes of a database's header

# SQLite's length() and GLOB stop at the first NUL, so the bytes are counted too.
_LONG = "length({{0}}) != {0} OR length(CAST({{0}} AS BLOB)) != {0} OR {{0}} GLOB '*[^{1}]*'"
_HEX = _LONG.format(64, "0-9a-f")
_ID = _LONG.format(32, "0-9a-f")
_IDENTITY = _LONG.format(44, "0-9A-Za-z+/=")
# The protocol's numbers end at 2**53 - 1. A server that starts at half of that never reaches it.
_MOST = 2**52
_LAST = "SELECT last_number FROM desks WHERE desks.identity = addressed.identity"
# By table and column: conditions that no server's values meet.
_STRANGE = (
    ("mailboxes", "mailbox", _HEX),
    ("mailboxes", "access", _HEX),
    ("items", "item", _HEX),
    ("items", "author", f"{{0}} != '{REPORTER}' AND ({_IDENTITY})"),
    ("items", "n", f"{{0}} > {_MOST}"),
    ("addressed", "identity", _IDENTITY),
    ("desks", "identity", _IDENTITY),
    ("desks", "last_number", f"{{0}} > {_MOST}"),
    ("addressed", "number", f"{{0}} > coalesce(({_LAST}), 0)"),
    ("store", "id", _ID),
    ("store", "site", _ID),
    *((table, column, "date({0}) IS NOT {0}") for table, column in DAYS),
)

# Written by ANALYZE, which an operator may run: names of tables and indexes, and row counts.
_STATISTICS = (
    "table", "sqlite_stat1", "sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"
)  # fmt: skip
_SAMPLES = "sqlite_stat4"  # from some builds of SQLite; samples of rows, perhaps removed since

# A literal or another quoted name; one of our quoted names; punctuation between spaces; spaces.
_DIFFERENT = re.compile(
    r"""('[^']*'|"(?![a-z_]+")[^"]*")|"([a-z_]+)"|[ \t\n\f\r]*([(),])[ \t\n\f\r]*|[ \t\n\f\r]+"""
)

_Objects = frozenset[tuple[str, str, str, str]]


def file_fault(database: Path) -> str:
    """Return the fault in a database file's format, or "", without opening it in SQLite.

    With another page size, or with reserved space in each page, removed rows would leave traces.
    """
    with database.open("rb") as file:
        head = file.read(_HEADER)
    usual = (
        int.from_bytes(head[16:18]) == _PAGE
        and head[20:21] == b"\0"  # bytes reserved at the end of each page
        and head[52:56] == bytes(4)  # no automatic vacuum
        and head[56:60] in (bytes(4), (1).to_bytes(4))  # UTF-8, or nothing written yet
    )
    return "" if usual else "its page format is not that of a server"


def fault(connection: sqlite3.Connection) -> str:
    """Read a database, and return the first item that no server would write, or ""."""
    found = _objects(connection)
    if not any(found == known for known in _known()):
        more = sorted({name for _, name, _, _ in found.difference(*_known())})
        if more == [_SAMPLES]:
            return (
                "an ANALYZE was run, and it kept samples of rows, also of those that are removed "
                f"since; remove it with DROP TABLE {_SAMPLES}, then VACUUM"
            )
        if not more:
            return "its tables and indexes belong to no version of the server"
        named = ", ".join(more[:3])
        return f"it has tables, triggers, views or indexes that no server makes: {named}"
    if not _only_stores(connection, NOTES):
        return f"{NOTES} has generated columns or indexes on expressions"
    have = {row[1] for row in connection.execute("PRAGMA table_info(store)")}
    for table, column, is_strange in _STRANGE:
        if table == "store" and column not in have:
            continue  # a database of an earlier version
        sql = f"SELECT 1 FROM {table} WHERE {column} IS NOT NULL AND ({is_strange}) LIMIT 1"  # noqa: S608 (our own names)
        if connection.execute(sql.format(column)).fetchone():
            return f"{table}.{column} holds a value that no server writes"
    if connection.execute("SELECT count(*) FROM store").fetchone() != (1,):
        return "its table store does not have exactly one row"
    return ""


def _only_stores(connection: sqlite3.Connection, table: str) -> bool:
    """Return whether a table has neither generated columns nor indexes on expressions."""
    if any(hidden for *_, hidden in connection.execute(f"PRAGMA table_xinfo({table})")):
        return False
    expression = -2  # stands for an expression in place of a column's number
    return not connection.execute(
        "SELECT 1 FROM pragma_index_list(?) AS i, pragma_index_xinfo(i.name) AS x"
        " WHERE x.cid = ? OR i.partial",
        [table, expression],
    ).fetchone()


@functools.cache
def _known() -> tuple[_Objects, ...]:
    """Return the contents of a database's schema after each migration, the newest last."""
    made = []
    for end in [*migrations.names[1:], None]:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            migrations.apply(connection, stop_before=end)
            made.append(_objects(connection))
    return tuple(made)


def _objects(connection: sqlite3.Connection) -> _Objects:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema")
    found = {
        (str(kind), str(name), str(table), _plain(str(sql))) for kind, name, table, sql in rows
    }
    notes = {one for one in found if one[2] == NOTES and one[0] in ("table", "index")}
    return frozenset(found - notes - {_STATISTICS})


def _plain(sql: str) -> str:
    """Return a statement without the differences between versions of SQLite.

    The differences are white space and the quotes around our names. Our names are in lower case, so
    a quoted keyword is not one of them. Literals stay unchanged.
    """
    return _DIFFERENT.sub(lambda part: part[1] or part[2] or part[3] or " ", sql)
