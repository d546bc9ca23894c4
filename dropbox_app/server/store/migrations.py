"""The tables, as a list of migrations. A released migration is never changed.

All tables except sqlite-utils' own list of migrations are WITHOUT ROWID (which sqlite-utils cannot
write itself). A hidden row number would count across mailboxes and counsellors, and a gap in it
would reveal something about one of them to another. Columns for a day reject a time of day.
"""

import datetime
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlite_utils import Database, Migrations

from dropbox_app.server.errors import StoreError
from dropbox_app.server.store.interface import IN_DATABASE

_DAY = "GLOB '2[0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'"

# Every column that holds a day.
DAYS = (
    ("mailboxes", "created"), ("mailboxes", "last_added"), ("items", "day"),
    ("addressed", "fetched"), ("desks", "last_fetch"), ("store", "served"),
)  # fmt: skip

# Bytes: of one row, SQLite keeps at most 1,002 in a shared page of 4,096.
COVER = 1002

migrations = Migrations("klankbord")


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
    """Add the last day of the upkeep, which reveals a clock that is far ahead."""
    db.execute(f"ALTER TABLE store ADD COLUMN served TEXT CHECK (served {_DAY})")


@migrations()
def m003_cover(db: Database) -> None:
    """Add zeros before each sealed file, to fill the part of its row that is in a shared page.

    The bytes after them are in separate pages, which are overwritten when they are freed. When
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


def pending(database: Database) -> bool:
    """Return whether any migration is pending. Only reads."""
    return bool(migrations.pending(database))


def refuse_newer(database: Database, path: Path) -> None:
    """Raise StoreError, naming ``path``, if a newer program has migrated the database."""
    with closing(sqlite3.connect(":memory:")) as nothing:
        fresh = Database(nothing, execute_plugins=False)
        known = {migration.name for migration in migrations.pending(fresh)}
    newer = [one.name for one in migrations.applied(database) if one.name not in known]
    if newer:
        raise StoreError(
            f"{path} was written by a newer version of this program ({newer[0]}); install that "
            "version again, or restore a backup from before it"
        )


def migrate(database: Database, day: datetime.date) -> None:
    """Migrate the tables; call it inside a transaction."""
    with database.atomic():
        if migrations.pending(database):
            migrations.apply(database)
            # sqlite-utils writes the time of day here, which must never reach the disk.
            database.execute(
                "UPDATE _sqlite_migrations SET applied_at = ? WHERE length(applied_at) > 10",
                [day.isoformat()],
            )
