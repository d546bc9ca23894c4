"""Migrate a database: first a copy, then the database itself in one transaction.

The database of a newer program is rejected. To return to an older program, restore a backup.
"""

import datetime
import sqlite3
from pathlib import Path

from dropbox_app.server.errors import StoreError
from dropbox_app.server.store import snapshot
from dropbox_app.server.store.connections import read_only
from dropbox_app.server.store.migrations import migrate, pending, refuse_newer
from dropbox_app.server.store.sqlite_errors import failures
from dropbox_app.server.store.write_lock import Turns


def bring_up_to_date(
    path: Path,
    connection: sqlite3.Connection,
    files: Path,
    turns: Turns,
    today: datetime.date,
) -> None:
    """Run the pending migrations. After StoreError or SiteFull the database is unchanged."""
    with failures():
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal" and not read_only(path):
            raise StoreError(f"{path} cannot use a write-ahead log on this disk")
        refuse_newer(connection, path)
        if not pending(connection):  # a backup that holds the database then blocks nobody
            return
        with turns.taken():  # two workers may start at the same time
            if pending(connection) and connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
                try_on_copy(path, files, today)
            connection.execute("BEGIN IMMEDIATE")
            try:
                migrate(connection, today)
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                raise


def try_on_copy(path: Path, files: Path, today: datetime.date) -> None:
    """Migrate a copy, and check that the copy is intact and has as many rows as before.

    The database itself is unchanged. Raises StoreError, SiteFull.
    """
    with snapshot.copied(path, files, today) as copy:
        connection = sqlite3.connect(copy, isolation_level=None)
        try:
            with failures():
                for setting in (
                    "journal_mode = MEMORY",
                    "temp_store = MEMORY",
                    "foreign_keys = ON",
                ):
                    connection.execute(f"PRAGMA {setting}")
                before = _counts(connection)
                connection.execute("BEGIN IMMEDIATE")
                migrate(connection, today)
                connection.execute("COMMIT")
                snapshot.check(connection)
                after = _counts(connection)
        except (StoreError, sqlite3.Error, ArithmeticError, LookupError, ValueError) as error:
            raise StoreError(_FAILED.format(path, error)) from None
        finally:
            connection.close()
    fewer = [table for table, count in before.items() if after.get(table, count) != count]
    if fewer:
        raise StoreError(_FAILED.format(path, f"{fewer[0]} does not hold as much as before"))


_FAILED = (
    "{} cannot be brought up to date; it was tried on a copy, and nothing was changed ({}). "
    "Install the version before again, and report this"
)


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of rows in each of our tables."""
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table'"
        " AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_%' ESCAPE '\\'"
    ).fetchall()
    return {
        name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 (our own names)
        for (name,) in names
    }
