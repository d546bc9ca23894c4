"""Inspect a site's database without changing a byte, a timestamp or the version.

``doctor`` and ``site check`` use this module while a server is running, after it was killed, and
before a newer program has migrated the database.
"""

import datetime
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from dropbox_app.server.errors import ServerError, StoreError
from dropbox_app.server.store import schema, snapshot
from dropbox_app.server.store.connections import BUSY_SECONDS
from dropbox_app.server.store.interface import IN_DATABASE
from dropbox_app.server.store.migrations import pending, refuse_newer
from dropbox_app.server.store.sqlite_errors import failures
from dropbox_app.server.store.withdrawn_list import Withdrawn

TRIES = 5  # because a server may start or stop during a check

Part = Literal["database", "large files", "withdrawn list"]
_Seen = TypeVar("_Seen")


@dataclass(frozen=True)
class Look:
    """The result of a check. ``faults`` maps each checked part to its fault or ""."""

    faults: tuple[tuple[Part, str], ...]
    old: bool  # whether the next start migrates it
    newest: datetime.date | None
    served: datetime.date | None
    anything: bool  # whether a mailbox exists
    fetches: Mapping[str, datetime.date]  # by identity
    used: int  # bytes


def look(database: Path, files: Path, withdrawn: Path) -> Look:
    """Check everything. Raises StoreError, StoreBusy if the database cannot be opened or read."""
    return _steady(database, lambda connection: _look(connection, files, Withdrawn(withdrawn)))


def old(database: Path) -> bool:
    """Return whether a start will migrate the database.

    Raises StoreError if the database is unusable.
    """
    return _steady(database, pending)


def fetches(database: Path) -> dict[str, datetime.date]:
    """Return the last day on which each desk fetched, by identity. Raises StoreError, StoreBusy."""
    return _steady(database, _fetches)


def days(database: Path) -> tuple[datetime.date | None, datetime.date | None]:
    """Return the newest day stored and the day of the last purge. Raises StoreError, StoreBusy."""
    return _steady(database, snapshot.days)


def site_of(database: Path) -> str | None:
    """Return the id of the site to which a database belongs.

    Returns None if the id is not known yet (an older version wrote the database), or if the
    database cannot be read now.
    """
    with suppress(ServerError, OSError), _opened(database, _in_use(database)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(store)")]
        if "site" in columns:
            row = connection.execute("SELECT site FROM store").fetchone()
            return (row[0] or None) if row else None
    return None


def _steady(database: Path, see: Callable[[sqlite3.Connection], _Seen]) -> _Seen:
    """Read the database, and read it again if a server started or stopped meanwhile."""
    for left in reversed(range(TRIES)):
        before = _in_use(database)
        try:
            with _opened(database, before) as connection:
                _refuse(database, connection)
                seen = see(connection)
        except ServerError:
            if _in_use(database) == before or not left:
                raise
        else:
            if _in_use(database) == before:
                return seen
    raise StoreError(f"{database}: a server keeps starting and stopping; try again")


def _in_use(database: Path) -> bool:
    """Return whether a running or killed server has left part of the data in the log."""
    log = database.with_name(database.name + "-wal")
    index = database.with_name(database.name + "-shm")
    return index.exists() or (log.exists() and log.stat().st_size > 0)


@contextmanager
def _opened(database: Path, in_use: bool) -> Iterator[sqlite3.Connection]:
    if not database.exists():
        raise StoreError(f"{database} is missing; restore it from a backup")
    if not database.is_file():
        raise StoreError(f"{database} is not a file")
    if not in_use:
        # Otherwise SQLite would create a log and an index next to it, and remove them again.
        with snapshot.opened(database.absolute()) as connection:
            yield connection
        return
    if not database.with_name(database.name + "-shm").exists():
        raise StoreError(
            f"{database}-wal has no {database.name}-shm beside it, so it cannot be checked; "
            "starting the server fixes that"
        )
    uri = f"{database.absolute().as_uri()}?mode=ro&readonly_shm=1"
    with (
        failures(),
        closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as one,
    ):
        one.execute("PRAGMA trusted_schema = OFF")
        yield one


def _refuse(database: Path, connection: sqlite3.Connection) -> None:
    """Raise StoreError for a database that the server would reject when it starts."""
    refuse_newer(connection, database)
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'store'").fetchone():
        raise StoreError(f"{database} is empty; restore it from a backup")


def _look(connection: sqlite3.Connection, files: Path, withdrawn: Withdrawn) -> Look:
    newest, served = snapshot.days(connection)
    run = connection.execute
    pages = run("PRAGMA page_count").fetchone()[0] - run("PRAGMA freelist_count").fetchone()[0]
    large = snapshot.large(connection)
    return Look(
        tuple(_faults(connection, large, files, withdrawn)),
        pending(connection),
        newest,
        served,
        run("SELECT 1 FROM mailboxes LIMIT 1").fetchone() is not None,
        _fetches(connection),
        pages * run("PRAGMA page_size").fetchone()[0] + sum(size for _, size in large),
    )


def _fetches(connection: sqlite3.Connection) -> dict[str, datetime.date]:
    rows = connection.execute("SELECT identity, last_fetch FROM desks WHERE last_fetch IS NOT NULL")
    return {identity: datetime.date.fromisoformat(day) for identity, day in rows}


def _faults(
    connection: sqlite3.Connection,
    large: list[tuple[str, int]],
    files: Path,
    withdrawn: Withdrawn,
) -> Iterator[tuple[Part, str]]:
    run = connection.execute
    wrong = [row[0] for row in run("PRAGMA integrity_check(5)") if row[0] != "ok"]
    wrong += [f"row of {row[0]} without its parent" for row in run("PRAGMA foreign_key_check")]
    bare = run(
        f"SELECT count(*) FROM items WHERE size <= {IN_DATABASE}"  # noqa: S608 (a constant)
        " AND item NOT IN (SELECT item FROM sealed)"
    ).fetchone()[0]
    wrong += [f"{bare} sealed files are not in it"] if bare else []
    wrong += [one for one in [schema.fault(connection)] if one]
    yield "database", "; ".join(wrong)
    lost = 0
    for item, size in large:
        if not _is_there(files / item, size):  # or a purge has just removed it
            lost += bool(run("SELECT 1 FROM items WHERE item = ?", [item]).fetchone())
    yield "large files", f"{lost} missing or of the wrong length" if lost else ""
    damaged = "a line of it is damaged"
    with suppress(ValueError):
        withdrawn.read()
        damaged = ""
    yield "withdrawn list", damaged


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except FileNotFoundError:
        return False
