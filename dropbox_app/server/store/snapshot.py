"""A private copy of a site's database at one moment, made while the site is in use.

The copy contains only the data of the database: sealed files, ids and days. It does not contain
removed data, of which a plain copy of the file could keep traces.
"""

import datetime
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dropbox_app.server.errors import StoreError
from dropbox_app.server.store.blobs import BESIDE, locked_part
from dropbox_app.server.store.connections import connect
from dropbox_app.server.store.files import as_its_folder, remove
from dropbox_app.server.store.interface import IN_DATABASE
from dropbox_app.server.store.sqlite_errors import failures


@contextmanager
def copied(database: Path, files: Path, day: datetime.date) -> Iterator[Path]:
    """Yield the copy, and remove it at the end. Raises SiteFull, StoreBusy, StoreError.

    The copy is a locked part file, so the next sweep removes it if this process is killed. Reports
    are still accepted during the copy.
    """
    path, handle = locked_part(files)
    try:
        as_its_folder(handle, files)
        connection = connect(database)
        try:
            with failures():
                connection.execute("VACUUM INTO ?", (str(path),))
        finally:
            connection.close()
        yield path
    finally:
        for more in ("", *BESIDE):
            remove(path.with_name(path.name + more), day)
        os.close(handle)


@contextmanager
def looked_at(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a database that is in use, for reading only. Raises StoreBusy, StoreError."""
    connection = connect(database)
    try:
        with failures():
            yield connection
    finally:
        connection.close()


@contextmanager
def opened(database: Path) -> Iterator[sqlite3.Connection]:
    """Open, for reading, a database that no other program has open. Raises StoreError."""
    with failures():
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        with failures():
            connection.execute("PRAGMA trusted_schema = OFF")
            yield connection
    finally:
        connection.close()


def days(connection: sqlite3.Connection) -> tuple[datetime.date | None, datetime.date | None]:
    """Return the newest day stored and the day of the last purge, each None if missing."""
    sql = (
        "SELECT max(day) FROM (SELECT max(last_added) AS day FROM mailboxes"
        " UNION ALL SELECT max(last_fetch) FROM desks)"
    )
    newest = connection.execute(sql).fetchone()[0]
    columns = [row[1] for row in connection.execute("PRAGMA table_info(store)")]
    served = (
        connection.execute("SELECT served FROM store").fetchone()[0] if "served" in columns else ""
    )
    return _day(newest), _day(served)


def _day(text: str | None) -> datetime.date | None:
    return datetime.date.fromisoformat(text) if text else None


def check(connection: sqlite3.Connection) -> None:
    """Raise StoreError unless a database is intact."""
    wrong = [row[0] for row in connection.execute("PRAGMA integrity_check(1)") if row[0] != "ok"]
    wrong += [f"a row of {row[0]} without its parent" for row in _lonely(connection)]
    if wrong:
        raise StoreError(f"the database is damaged: {wrong[0]}")


def large(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return the names and lengths of the files that belong to a database."""
    return list(connection.execute("SELECT item, size FROM items WHERE size > ?", [IN_DATABASE]))


def altered(connection: sqlite3.Connection, sha256: Callable[[bytes], str]) -> list[str]:
    """Return the sealed files that do not match their ids, or that are missing."""
    rows = connection.execute(
        "SELECT item, file FROM items LEFT JOIN sealed USING (item) WHERE size <= ?", [IN_DATABASE]
    )
    return [item for item, file in rows if file is None or sha256(file) != item]


def _lonely(connection: sqlite3.Connection) -> list[tuple[str]]:
    return list(connection.execute("PRAGMA foreign_key_check"))
