"""The tables of a site's schema in PostgreSQL, as a list of steps. A released step never changes.

Columns that contain a day have the type ``date``, so they cannot contain a time. Each item has its
own key in one of PARTS small tables. PostgreSQL keeps the bytes of removed rows (SPEC section 5),
so the table that contained a removed key is rewritten.
"""

import datetime
import secrets

from psycopg import sql

from dropbox_app.server.errors import StoreError
from dropbox_app.server.store.postgres_connections import Connection

PARTS = 16  # tables of keys; all keys of a mailbox are in one of them
KEYS = tuple(f"keys_{part:x}" for part in range(PARTS))
LOG = -1  # the write-ahead log in ``owed``, which also contains numbers of tables of keys

# Every column that contains a day, except those of a withdrawal and of a file being received.
DAYS = (
    ("mailboxes", "created"), ("mailboxes", "last_added"), ("items", "day"),
    ("addressed", "fetched"), ("desks", "last_fetch"), ("store", "served"),
)  # fmt: skip

EMPTY = "the schema has no tables; a site is made there with init or site add"

_ID = 'text COLLATE "C"'

_FIRST = (
    """CREATE TABLE store (
        id text NOT NULL,
        site text CHECK (length(site) = 32),
        served date,
        used bigint NOT NULL DEFAULT 0,
        single boolean PRIMARY KEY DEFAULT true CHECK (single)
    )""",
    "CREATE TABLE turn ()",  # always empty; writers lock it in turn
    f"""CREATE TABLE mailboxes (
        mailbox {_ID} PRIMARY KEY,
        access {_ID} UNIQUE,
        created date NOT NULL,
        last_added date NOT NULL
    )""",
    f"""CREATE TABLE items (
        item {_ID} PRIMARY KEY,
        mailbox {_ID} NOT NULL REFERENCES mailboxes,
        what text NOT NULL CHECK (what IN ('message', 'attachment')),
        author {_ID} NOT NULL,
        n integer NOT NULL CHECK (n >= (what = 'message')::integer),
        day date NOT NULL,
        size bigint NOT NULL CHECK (size > 0),
        file {_ID} NOT NULL UNIQUE
    )""",
    "CREATE INDEX items_mailbox ON items (mailbox)",
    # A file being received. Its pieces are in the database, its key only in memory.
    f"CREATE TABLE staged (file {_ID} PRIMARY KEY, day date NOT NULL)",
    f"""CREATE TABLE pieces (
        file {_ID},
        number integer,
        sealed bytea NOT NULL,
        PRIMARY KEY (file, number)
    )""",
    "ALTER TABLE pieces ALTER sealed SET STORAGE EXTERNAL",  # sealed bytes cannot be compressed
    f"""CREATE TABLE addressed (
        identity {_ID},
        number integer CHECK (number > 0),
        item {_ID} NOT NULL REFERENCES items,
        fetched date,
        PRIMARY KEY (identity, number)
    )""",
    "CREATE UNIQUE INDEX addressed_item ON addressed (item, identity)",
    f"""CREATE TABLE desks (
        identity {_ID} PRIMARY KEY,
        last_number integer NOT NULL DEFAULT 0,
        last_fetch date
    )""",
    f"CREATE TABLE withdrawn (mailbox {_ID} PRIMARY KEY, day date NOT NULL)",
    f"CREATE TABLE owed (part integer PRIMARY KEY CHECK (part BETWEEN {LOG} AND {PARTS - 1}))",
    *(f"CREATE TABLE {keys} (item {_ID} PRIMARY KEY, key bytea NOT NULL)" for keys in KEYS),
    # PostgreSQL would keep samples of these columns, for its query plans, after the rows are gone.
    *(f"ALTER TABLE {keys} ALTER key SET STATISTICS 0" for keys in KEYS),
    "ALTER TABLE pieces ALTER sealed SET STATISTICS 0",
    "ALTER TABLE mailboxes ALTER access SET STATISTICS 0",
)

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (("m001_first", _FIRST),)


def part_of(mailbox: str) -> int:
    """Return the number of the table that contains the keys of a mailbox."""
    last = mailbox[-1:]
    return "0123456789abcdef".find(last) % PARTS  # keys of any other text are in the last table


def pending(connection: Connection) -> bool:
    """Return whether a step is missing, without changing anything."""
    return not {name for name, _ in STEPS} <= _done(connection)


def refuse_newer(connection: Connection) -> None:
    """Raise StoreError if a newer program has changed the schema."""
    newer = sorted(_done(connection) - {name for name, _ in STEPS})
    if newer:
        raise StoreError(
            f"the schema was written by a newer version of this program ({newer[0]}); install "
            "that version again"
        )


def bring_up_to_date(connection: Connection, today: datetime.date, *, create: bool) -> None:
    """Run all of the missing steps, or none of them. Raises StoreError.

    ``create``: create the tables in an empty schema, and reject a schema with tables.
    """
    with connection.transaction():
        there = connection.execute("SELECT to_regclass('store') IS NOT NULL").fetchone()
        if there is not None and there[0] is create:
            raise StoreError("the schema holds a site already" if create else EMPTY)
        if create:
            connection.execute("CREATE TABLE steps (name text PRIMARY KEY, day date NOT NULL)")
        refuse_newer(connection)
        if not pending(connection):
            return
        connection.execute("LOCK TABLE steps IN EXCLUSIVE MODE")  # two workers may start together
        done = _done(connection)
        for name, statements in STEPS:
            if name not in done:
                for statement in statements:
                    connection.execute(statement)
                connection.execute("INSERT INTO steps VALUES (%s, %s)", (name, today))
        if create:
            connection.execute("INSERT INTO store (id) VALUES (%s)", (secrets.token_hex(16),))


def remove_all(connection: Connection) -> None:
    """Remove every table of the schema."""
    with connection.transaction():
        names = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_user"
        )
        for (name,) in names.fetchall():
            connection.execute(sql.SQL("DROP TABLE {} CASCADE").format(sql.Identifier(name)))


def _done(connection: Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM steps")}
