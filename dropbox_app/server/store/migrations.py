"""The tables, as a list of migrations. A released migration is never changed.

All tables except sqlite-utils' own list of migrations are WITHOUT ROWID (which sqlite-utils cannot
write itself). Hidden row numbers would be shared by all mailboxes and counsellors, and a gap in
them would tell one counsellor something about another. Columns for a day reject a time of day.
"""

from __future__ import annotations

import datetime
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dropbox_app.server.errors import StoreError
from dropbox_app.server.store.interface import IN_DATABASE

if TYPE_CHECKING:
    from sqlite_utils import Database

    Step = Callable[[Database], None]

_DAY = "GLOB '2[0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'"

# Every column that holds a day.
DAYS = (
    ("mailboxes", "created"), ("mailboxes", "last_added"), ("items", "day"),
    ("addressed", "fetched"), ("desks", "last_fetch"), ("store", "served"),
)  # fmt: skip

# Bytes: of one row, SQLite keeps at most 1,002 in a shared page of 4,096.
COVER = 1002

NOTES = "_sqlite_migrations"  # sqlite-utils' own table, which differs between its versions
_SET = "klankbord"  # sqlite-utils' list could name the migrations of several programs


class Migrations:
    """Our migrations in order, which sqlite-utils runs.

    sqlite-utils is loaded only to run a migration, because it takes 2 MB of memory, and most starts
    have no migration to run.
    """

    def __init__(self) -> None:
        self._steps: list[Step] = []

    def __call__(self) -> Callable[[Step], Step]:
        """Return a decorator that adds a migration, named after its function."""

        def add(step: Step) -> Step:
            self._steps.append(step)
            return step

        return add

    @property
    def names(self) -> list[str]:
        """Return the names of all migrations."""
        return [step.__name__ for step in self._steps]

    def apply(self, connection: sqlite3.Connection, *, stop_before: str | None = None) -> None:
        """Run the pending migrations, up to the one that is named."""
        import sqlite_utils

        ours = sqlite_utils.Migrations(_SET)
        for step in self._steps:
            ours()(step)
        database = sqlite_utils.Database(connection, execute_plugins=False)
        ours.apply(database, stop_before=stop_before)


migrations = Migrations()


@migrations()
def m001_first(db: Database) -> None:
    """Create exactly the tables of SPEC section 5. Cards are stored as files."""
    for statement in (
        "CREATE TABLE store (id TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
        f"""CREATE TABLE mailboxes (
            mailbox TEXT PRIMARY KEY,
            access TEXT UNIQUE,
            created TEXT NOT NULL CHECK (created {_DAY}),
            last_added TEXT NOT NULL CHECK (last_added {_DAY})
        ) STRICT, WITHOUT ROWID""",
        f"""CREATE TABLE items (
            item TEXT PRIMARY KEY,
            mailbox TEXT NOT NULL REFERENCES mailboxes ON DELETE CASCADE,
            what TEXT NOT NULL CHECK (what IN ('message', 'attachment')),
            author TEXT NOT NULL,
            n INTEGER NOT NULL CHECK (n >= (what = 'message')),
            day TEXT NOT NULL CHECK (day {_DAY}),
            size INTEGER NOT NULL CHECK (size > 0)
        ) STRICT, WITHOUT ROWID""",
        # This index contains all columns of a mailbox's list, because its items are scattered by
        # hash.
        "CREATE INDEX items_mailbox ON items (mailbox, what, author, n, day, size)",
        f"CREATE INDEX items_beside ON items (size) WHERE size > {IN_DATABASE}",
        # Sealed files have a separate table, so that reading the rows of items never reads the
        # files.
        """CREATE TABLE sealed (
            item TEXT PRIMARY KEY REFERENCES items ON DELETE CASCADE,
            file BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
        f"""CREATE TABLE addressed (
            identity TEXT NOT NULL,
            number INTEGER NOT NULL CHECK (number > 0),
            item TEXT NOT NULL REFERENCES items ON DELETE CASCADE,
            fetched TEXT CHECK (fetched {_DAY}),
            PRIMARY KEY (identity, number)
        ) STRICT, WITHOUT ROWID""",
        "CREATE UNIQUE INDEX addressed_item ON addressed (item, identity)",
        f"""CREATE TABLE desks (
            identity TEXT PRIMARY KEY,
            last_number INTEGER NOT NULL DEFAULT 0,
            last_fetch TEXT CHECK (last_fetch {_DAY})
        ) STRICT, WITHOUT ROWID""",
    ):
        db.execute(statement)
    db.execute("INSERT INTO store VALUES (?)", [secrets.token_hex(16)])


@migrations()
def m002_served(db: Database) -> None:
    """Add the day of the last maintenance, which reveals a clock that is far ahead."""
    db.execute(f"ALTER TABLE store ADD COLUMN served TEXT CHECK (served {_DAY})")


@migrations()
def m003_cover(db: Database) -> None:
    """Add zeros before each sealed file, to fill the part of its row that is in a shared page.

    The bytes after the zeros are in separate pages, which are overwritten when they are freed. When
    SQLite splits or merges shared pages, it leaves copies of rows in the unused space.
    secure_delete does not reach these copies, so they would outlive the file.
    """
    for statement in (
        f"""CREATE TABLE covered (
            item TEXT PRIMARY KEY REFERENCES items ON DELETE CASCADE,
            cover BLOB NOT NULL DEFAULT (zeroblob({COVER})),
            file BLOB NOT NULL
        ) STRICT, WITHOUT ROWID""",
        "INSERT INTO covered (item, file) SELECT item, file FROM sealed ORDER BY item",
        "DROP TABLE sealed",
        "ALTER TABLE covered RENAME TO sealed",
    ):
        db.execute(statement)


@migrations()
def m004_site(db: Database) -> None:
    """Add the id of the site. Settings with another id are rejected."""
    db.execute("ALTER TABLE store ADD COLUMN site TEXT CHECK (length(site) = 32)")


def pending(connection: sqlite3.Connection) -> bool:
    """Return whether any migration is pending, without changing anything."""
    return bool(set(migrations.names).difference(_applied(connection)))


def refuse_newer(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StoreError, naming ``path``, if a newer program has migrated the database."""
    newer = [name for name in _applied(connection) if name not in migrations.names]
    if newer:
        raise StoreError(
            f"{path} was written by a newer version of this program ({newer[0]}); install that "
            "version again, or restore a backup from before it"
        )


def migrate(connection: sqlite3.Connection, day: datetime.date) -> None:
    """Migrate the tables. The caller opens a transaction, and rolls it back after an error."""
    if pending(connection):
        migrations.apply(connection)
        # sqlite-utils writes the time of day here, which must never reach the disk.
        connection.execute(
            f"UPDATE {NOTES} SET applied_at = ? WHERE length(applied_at) > 10",  # noqa: S608 (our own name)
            [day.isoformat()],
        )


def _applied(connection: sqlite3.Connection) -> list[str]:
    """Return the names of the migrations that were run, in the order in which they ran."""
    table = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"
    if not connection.execute(table, [NOTES]).fetchone():
        return []
    rows = connection.execute(
        f"SELECT name FROM {NOTES} WHERE migration_set = ? ORDER BY rowid",  # noqa: S608 (our own name)
        [_SET],
    )
    return [str(name) for (name,) in rows]
