"""The tables, one migration after another. A migration that was released is never changed.

Every table but sqlite-utils' own list of migrations is WITHOUT ROWID (which sqlite-utils cannot
write itself): a hidden row number would count across mailboxes and counsellors, and a gap in it
would tell one about another. Columns that hold a day refuse anything finer.
"""

import datetime
import secrets

from sqlite_utils import Database, Migrations

from dropbox_app.server.store import IN_DATABASE

_DAY = "GLOB '2[0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'"

migrations = Migrations("klankbord")


@migrations()
def m001_first(db: Database) -> None:
    """Exactly the contents of SPEC section 5; the cards are files."""
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
        "CREATE INDEX items_mailbox ON items (mailbox, what, author, n)",
        f"CREATE INDEX items_beside ON items (size) WHERE size > {IN_DATABASE}",
        # On its own, so that reading the rows of items never drags the sealed files along.
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


def migrate(database: Database, day: datetime.date) -> None:
    """Bring the tables up to date; call it inside a transaction."""
    with database.atomic():
        if migrations.pending(database):
            migrations.apply(database)
            # sqlite-utils writes the time of day here: it must never reach the disk.
            database.execute(
                "UPDATE _sqlite_migrations SET applied_at = ? WHERE length(applied_at) > 10",
                [day.isoformat()],
            )
