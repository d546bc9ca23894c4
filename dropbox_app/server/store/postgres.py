"""The store on PostgreSQL. Each site has its own schema and its own role.

As on SQLite, only one writer at a time changes a site: a writer locks the empty table ``turn``.
PostgreSQL keeps the bytes of removed rows, so each item is sealed a second time, under its own key
(SPEC section 5). ``truncate_log`` rewrites the tables of keys without the removed keys.
"""

import datetime
import io
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, BinaryIO, cast

import psycopg
from psycopg.rows import TupleRow

from dropbox_app.server.errors import SiteFull, StoreError
from dropbox_app.server.store import postgres_schema, postgres_server, postgres_upkeep
from dropbox_app.server.store.interface import (
    REPORTER,
    Addressed,
    Digest,
    InboxRow,
    ItemInfo,
    MailboxInfo,
    SecondSeal,
    Staged,
)
from dropbox_app.server.store.postgres_connections import Connection, Connections, commit
from dropbox_app.server.store.postgres_errors import failures
from dropbox_app.server.store.postgres_files import Pieces, StagedPieces, StoredFile, put
from dropbox_app.server.store.postgres_schema import DAYS, KEYS, LOG, part_of

UPLOADS = 2  # connections of one process for files being received, in addition to the others

_ITEM = "items.item, what, author, n, day, size"


class PostgresStore:
    """Implements ``Store``. ``today`` dates migrations and files; callers pass all other days."""

    def __init__(
        self,
        address: Mapping[str, str],
        second: SecondSeal,
        today: Callable[[], datetime.date],
        *,
        create: bool = False,
    ) -> None:
        """Open the store in a site's schema; ``create`` makes its tables. Raises StoreError.

        ``address``: the connection parameters, named as in libpq.
        """
        self._connections = Connections(address)
        self._uploads = Connections(address, UPLOADS)
        self._second = second
        self._today = today
        self._local = threading.local()
        with self._connections.taken() as connection, failures():
            postgres_server.refuse(connection)
            postgres_schema.bring_up_to_date(connection, today(), create=create)

    # transactions

    @contextmanager
    def writing(self) -> Iterator[None]:
        added: list[StagedPieces] = []
        with self._connections.taken() as connection, failures():
            connection.execute("BEGIN")
            try:
                connection.execute("LOCK TABLE turn IN EXCLUSIVE MODE")
                self._local.connection, self._local.added = connection, added
                yield
                commit(connection)
            except BaseException:
                with suppress(psycopg.Error):  # after a lost connection there is no transaction
                    connection.rollback()
                raise
            finally:
                self._local.connection = None
        for staged in added:
            staged.kept = True

    @contextmanager
    def reading(self) -> Iterator[None]:
        if self._held() is not None:
            yield
            return
        with self._connections.taken() as connection, failures():
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                # Lock before the snapshot is taken. A table of keys that was rewritten in between
                # would otherwise appear empty.
                connection.execute(f"LOCK TABLE {', '.join(KEYS)} IN ACCESS SHARE MODE")
                self._local.connection = connection
                yield
            finally:
                self._local.connection = None
                with suppress(psycopg.Error):  # see ``writing``
                    connection.rollback()

    @contextmanager
    def walking(self) -> Iterator[None]:
        """Go through all mailboxes, which only one server at a time can do. Raises StoreBusy."""
        with self._connections.alone() as connection:
            connection.execute(
                "SELECT pg_advisory_lock(current_schema()::regnamespace::oid::bigint)"
            )
            yield

    def close(self) -> None:
        """Close the unused connections of this process."""
        self._connections.close()
        self._uploads.close()

    def store_id(self) -> str:
        return str(self._one("SELECT id FROM store")[0])

    def site_id(self) -> str | None:
        """Return the id of the site to which the conversations belong; None if it is not set."""
        (site,) = self._one("SELECT site FROM store")
        return str(site) if site else None

    def set_site_id(self, site: str) -> None:
        self._change("UPDATE store SET site = %s", site)

    # mailboxes

    def mailbox(self, mailbox: str) -> MailboxInfo | None:
        return self._mailbox("mailbox = %s", mailbox)

    def mailbox_of(self, access: str) -> MailboxInfo | None:
        return self._mailbox("access = %s", access)

    def mailboxes(self, after: str = "", limit: int = -1) -> list[str]:
        statement = "SELECT mailbox FROM mailboxes WHERE mailbox > %s ORDER BY mailbox LIMIT %s"
        return [row[0] for row in self._rows(statement, after, limit if limit >= 0 else None)]

    def add_mailbox(self, mailbox: str, access: str, day: datetime.date) -> None:
        self._change("INSERT INTO mailboxes VALUES (%s, %s, %s, %s)", mailbox, access, day, day)

    def touch(self, mailbox: str, day: datetime.date) -> None:
        # Never to an earlier day: items stored while a clock was behind would expire too soon.
        statement = "UPDATE mailboxes SET last_added = greatest(last_added, %s) WHERE mailbox = %s"
        self._change(statement, day, mailbox)

    def close_access(self, mailbox: str) -> None:
        self._change("UPDATE mailboxes SET access = NULL WHERE mailbox = %s", mailbox)

    def remove_mailbox(self, mailbox: str) -> None:
        self.remove_items([item.id for item in self.items(mailbox)])
        self._change("DELETE FROM mailboxes WHERE mailbox = %s", mailbox)

    # items

    def stage(self, digest: Digest) -> StagedPieces:
        return StagedPieces(self._uploads, self._second, digest, self._today())

    def add_item(self, mailbox: str, info: ItemInfo, sealed: bytes | Staged) -> None:
        if isinstance(sealed, StagedPieces) and sealed.small is None:
            file, key = sealed.whole()
            self._change("DELETE FROM staged WHERE file = %s", file)
            self._local.added.append(sealed)
        else:
            small = sealed.small if isinstance(sealed, StagedPieces) else sealed
            file, key = self._put(bytes(cast("bytes", small)))
        self._change(
            "INSERT INTO items VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            info.id, mailbox, info.what, info.author, info.n, info.day, info.size, file,
        )  # fmt: skip
        keys = KEYS[part_of(mailbox)]
        self._change(f"INSERT INTO {keys} VALUES (%s, %s)", info.id, key)  # noqa: S608 (fixed names)
        self._change("UPDATE store SET used = used + %s", info.size)

    def show(self, item: str, n: int, day: datetime.date) -> None:
        self._change("UPDATE items SET n = %s, day = %s WHERE item = %s", n, day, item)

    def address(self, item: str, identities: Iterable[str]) -> None:
        for identity in identities:
            (number,) = self._one(
                "INSERT INTO desks (identity, last_number) VALUES (%s, 1) ON CONFLICT (identity)"
                " DO UPDATE SET last_number = desks.last_number + 1 RETURNING last_number",
                identity,
            )
            self._change("INSERT INTO addressed VALUES (%s, %s, %s)", identity, number, item)

    def items(self, mailbox: str) -> list[ItemInfo]:
        rows = self._rows(
            f"SELECT {_ITEM} FROM items WHERE mailbox = %s ORDER BY day, author, n, what",  # noqa: S608 (fixed column names)
            mailbox,
        )
        return [ItemInfo(*row) for row in rows]

    def item(self, item: str) -> tuple[str, ItemInfo] | None:
        rows = self._rows(f"SELECT {_ITEM}, mailbox FROM items WHERE item = %s", item)  # noqa: S608 (fixed column names)
        return (rows[0][6], ItemInfo(*rows[0][:6])) if rows else None

    def newest(self, mailbox: str) -> dict[str, int]:
        sql = "SELECT author, max(n) FROM items WHERE mailbox = %s AND what = 'message' GROUP BY 1"
        return dict(self._rows(sql, mailbox))

    def read(self, item: str) -> bytes | None:
        file = self.open(item)
        if file is None:
            return None
        with file:
            return file.read()

    def open(self, item: str) -> BinaryIO | None:
        rows = self._rows("SELECT mailbox, file FROM items WHERE item = %s", item)
        if not rows:
            return None
        mailbox, file = rows[0]
        keys = KEYS[part_of(mailbox)]
        found = self._rows(f"SELECT key FROM {keys} WHERE item = %s", item)  # noqa: S608 (fixed names)
        if not found:
            return None  # purged just now; doctor reports a missing key

        def piece(number: int) -> bytes | None:
            statement = "SELECT sealed FROM pieces WHERE file = %s AND number = %s"
            pieces = self._rows(statement, file, number)
            if pieces:
                return bytes(pieces[0][0])
            there = self._rows("SELECT 1 FROM items WHERE item = %s AND file = %s", item, file)
            return b"" if there else None

        return io.BufferedReader(StoredFile(self._second, found[0][0], piece))

    def remove_items(self, items: Sequence[str]) -> None:
        for item in items:
            self._change("DELETE FROM addressed WHERE item = %s", item)
            mailbox, file, size = self._one(
                "DELETE FROM items WHERE item = %s RETURNING mailbox, file, size", item
            )
            part = part_of(mailbox)
            self._change("DELETE FROM pieces WHERE file = %s", file)
            self._change(f"DELETE FROM {KEYS[part]} WHERE item = %s", item)  # noqa: S608 (fixed names)
            self._change(
                "INSERT INTO owed VALUES (%s), (%s) ON CONFLICT (part) DO NOTHING", part, LOG
            )
            self._change("UPDATE store SET used = used - %s", size)

    # counsellors

    def addressed(self, mailbox: str) -> list[Addressed]:
        rows = self._rows(
            "SELECT item, identity, fetched FROM addressed JOIN items USING (item)"
            " WHERE mailbox = %s",
            mailbox,
        )
        return [Addressed(*row) for row in rows]

    def addressed_last(self, mailbox: str) -> tuple[str, ...]:
        """Return the addressees of the reporter's newest message."""
        rows = self._rows(
            "SELECT identity FROM addressed WHERE item = (SELECT item FROM items WHERE mailbox = %s"
            " AND what = 'message' AND author = %s ORDER BY n DESC LIMIT 1) ORDER BY identity",
            mailbox, REPORTER,
        )  # fmt: skip
        return tuple(identity for (identity,) in rows)

    def inbox(self, identity: str, after: int, limit: int) -> list[InboxRow]:
        rows = self._rows(
            f"SELECT {_ITEM}, mailbox, number FROM addressed JOIN items USING (item)"  # noqa: S608 (fixed column names)
            " WHERE identity = %s AND number > %s ORDER BY number LIMIT %s",
            identity, after, limit,
        )  # fmt: skip
        return [InboxRow(row[7], row[6], ItemInfo(*row[:6])) for row in rows]

    def listed(self, identity: str, after: str, most: int) -> list[str]:
        """Return the mailboxes whose newest reporter message is addressed to this counsellor."""
        rows = self._rows(
            "SELECT mailbox FROM addressed JOIN items AS i USING (item)"
            " JOIN mailboxes USING (mailbox) WHERE identity = %s AND author = %s"
            " AND what = 'message' AND access IS NOT NULL AND n = (SELECT max(n) FROM items"
            " WHERE mailbox = i.mailbox AND what = 'message' AND author = i.author)"
            " AND mailbox > %s ORDER BY mailbox LIMIT %s",
            identity, REPORTER, after, most if most >= 0 else None,
        )  # fmt: skip
        return [mailbox for (mailbox,) in rows]

    def is_addressed(self, identity: str, item: str) -> bool:
        statement = "SELECT 1 FROM addressed WHERE item = %s AND identity = %s"
        return bool(self._rows(statement, item, identity))

    def waits(self, identity: str) -> bool:
        statement = "SELECT 1 FROM addressed WHERE identity = %s AND fetched IS NULL LIMIT 1"
        return bool(self._rows(statement, identity))

    def set_fetched(self, identity: str, item: str, day: datetime.date) -> None:
        self._change(
            "UPDATE addressed SET fetched = %s"
            " WHERE item = %s AND identity = %s AND fetched IS NULL",
            day, item, identity,
        )  # fmt: skip

    def last_fetch(self, identity: str) -> datetime.date | None:
        rows = self._rows("SELECT last_fetch FROM desks WHERE identity = %s", identity)
        return rows[0][0] if rows else None

    def set_last_fetch(self, identity: str, day: datetime.date) -> None:
        self._change(
            "INSERT INTO desks (identity, last_fetch) VALUES (%s, %s) ON CONFLICT (identity)"
            " DO UPDATE SET last_fetch = excluded.last_fetch",
            identity, day,
        )  # fmt: skip

    # room, withdrawn ids, cleaning

    def used(self) -> int:
        """Return the number of bytes in the sealed files."""
        return int(self._one("SELECT used FROM store")[0])

    def used_by(self, mailbox: str) -> int:
        sums = "SELECT coalesce(sum(size), 0) FROM items WHERE mailbox = %s"
        return int(self._one(sums, mailbox)[0])

    def free(self) -> int:
        return sys.maxsize

    def is_withdrawn(self, mailbox: str) -> bool:
        return bool(self._rows("SELECT 1 FROM withdrawn WHERE mailbox = %s", mailbox))

    def add_withdrawn(self, mailbox: str, day: datetime.date) -> None:
        self._change(
            "INSERT INTO withdrawn VALUES (%s, %s) ON CONFLICT (mailbox)"
            " DO UPDATE SET day = excluded.day",
            mailbox, day,
        )  # fmt: skip

    def drop_withdrawn(self, until: datetime.date) -> int:
        """Remove the ids withdrawn on or before ``until`` from the list; return how many."""
        return self._change("DELETE FROM withdrawn WHERE day <= %s", until)

    def newest_day(self) -> datetime.date | None:
        """Return the newest day stored anywhere. A clock that shows an earlier day is wrong."""
        return _day(
            self._one(
                "SELECT greatest((SELECT max(last_added) FROM mailboxes),"
                " (SELECT max(last_fetch) FROM desks))"
            )
        )

    def served(self) -> datetime.date | None:
        return _day(self._one("SELECT served FROM store"))

    def set_served(self, day: datetime.date) -> None:
        self._change("UPDATE store SET served = %s", day)

    def redate(self, day: datetime.date) -> None:
        """Replace every later day with this day, after a clock was ahead."""
        for table, column in DAYS:
            self._change(f"UPDATE {table} SET {column} = %s WHERE {column} > %s", day, day)  # noqa: S608 (fixed names)

    def sweep(self) -> int:
        """Remove files whose upload stopped the day before yesterday or earlier."""
        until = self._today() - datetime.timedelta(2)
        with self.writing():
            gone = [row[0] for row in self._rows("SELECT file FROM staged WHERE day <= %s", until)]
            for file in gone:
                self._change("DELETE FROM pieces WHERE file = %s", file)
                self._change("DELETE FROM staged WHERE file = %s", file)
        with self._connections.alone() as connection:
            postgres_upkeep.reuse_room(connection)
        return len(gone)

    def keep_room(self) -> None:
        """Do nothing: the database server manages the space on its disk."""

    def make_room(self) -> bool:
        return False

    def log_size(self) -> int:
        """Return how many tables of keys, including the log, may still contain removed keys."""
        return int(self._one("SELECT count(*) FROM owed")[0])

    def truncate_log(self) -> bool:
        """Rewrite the tables of keys and remove the log written so far; return whether that worked.

        The remaining work is recorded in the database, so any process can try again.
        """
        try:
            with self._connections.alone() as connection:
                postgres_upkeep.forget_keys(connection)
        except (SiteFull, StoreError):
            return False
        return True

    # internal

    def _held(self) -> Connection | None:
        """Return the connection of this thread's transaction; None outside a transaction."""
        return getattr(self._local, "connection", None)

    def _rows(self, statement: str, *values: object) -> list[TupleRow]:
        with self._ran(statement, values) as cursor:
            return cursor.fetchall()

    def _one(self, statement: str, *values: object) -> Any:  # noqa: ANN401 (a row with any columns)
        return self._rows(statement, *values)[0]

    def _change(self, statement: str, *values: object) -> int:
        with self._ran(statement, values) as cursor:
            return cursor.rowcount

    @contextmanager
    def _ran(
        self, statement: str, values: Sequence[object]
    ) -> Iterator["psycopg.Cursor[TupleRow]"]:
        held = self._held()
        with nullcontext(held) if held else self._connections.taken() as connection, failures():
            yield connection.execute(statement, values, binary=True)

    def _put(self, sealed: bytes) -> tuple[str, bytes]:
        """Insert a short file inside the transaction; return its name and its key."""
        held = self._held()
        if held is None:
            raise ValueError("an item is added inside a transaction")
        with failures():
            pieces = Pieces(self._second, lambda number, data: put(held, pieces.file, number, data))
            pieces.write(sealed)
            pieces.finish()
        return pieces.file, pieces.key

    def _mailbox(self, where: str, value: str) -> MailboxInfo | None:
        rows = self._rows(
            f"SELECT mailbox, access, created, last_added FROM mailboxes WHERE {where}",  # noqa: S608 (fixed conditions)
            value,
        )
        return MailboxInfo(*rows[0]) if rows else None


def _day(row: Sequence[Any]) -> datetime.date | None:
    found: datetime.date | None = row[0]
    return found
