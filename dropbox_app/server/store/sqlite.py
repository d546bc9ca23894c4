"""The store on SQLite: one database in the site's folder, large sealed files next to it.

This store uses a write-ahead log with synced commits, overwrites removed rows, and has one
connection per thread. Writers acquire the lock from ``write_lock``.
"""

import datetime
import io
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from dropbox_app.server.errors import SiteFull, StoreError
from dropbox_app.server.store.blobs import StagedFile, abandoned
from dropbox_app.server.store.connections import BUSY_SECONDS, Connections, walk
from dropbox_app.server.store.files import at_midnight, open_untouched, remove, write_new
from dropbox_app.server.store.interface import (
    IN_DATABASE,
    REPORTER,
    Addressed,
    Digest,
    InboxRow,
    ItemInfo,
    MailboxInfo,
    Staged,
)
from dropbox_app.server.store.migrate import bring_up_to_date
from dropbox_app.server.store.migrations import DAYS
from dropbox_app.server.store.reserve import Reserve, full
from dropbox_app.server.store.sqlite_errors import failures
from dropbox_app.server.store.withdrawn_list import Withdrawn
from dropbox_app.server.store.write_lock import Turns

DATABASE = "klankbord.db"
FILES = "files"
WITHDRAWN = "withdrawn"
RESERVE = "reserve"
LOG_SECONDS = 1  # to wait for readers of the log; it is retried later

_ITEM = "items.item, what, author, n, day, size"


class SqliteStore:
    """Implements ``Store``. ``today`` dates migrations and files; callers pass all other days."""

    def __init__(
        self, folder: Path, today: Callable[[], datetime.date], reserve: Path | None = None
    ) -> None:
        """Open the store of a site's folder, made by ``create``. Raises StoreError.

        ``reserve`` is the path of the reserved space, which sites on one disk share.
        """
        self._path = folder / DATABASE
        self._files = folder / FILES
        self._withdrawn = Withdrawn(folder / WITHDRAWN)
        self._reserve = Reserve(reserve or folder / RESERVE)
        self._connections = Connections(self._path)
        self._today = today
        self._local = threading.local()
        self._turns = Turns(self._files)
        self._owed = False  # whether removed rows may still be in the log
        if not self._path.exists():
            raise StoreError(f"{self._path} is missing; restore it from a backup")
        try:
            self._migrate()
        except (SiteFull, StoreError):
            if not (full(folder) and self.make_room()):  # the log's index did not fit on the disk
                raise
            self._migrate()

    @classmethod
    def create(cls, folder: Path, today: Callable[[], datetime.date]) -> Self:
        """Create an empty store. Raises FileExistsError if a store exists."""
        write_new(folder / DATABASE, b"")  # mode 0600; the write-ahead log gets the same mode
        (folder / FILES).mkdir(0o700)
        return cls(folder, today)

    # Transactions.

    @contextmanager
    def writing(self) -> Iterator[None]:
        connection = self._connection()
        unlink: list[str] = []
        with self._turns.taken(), failures():
            # IMMEDIATE: data that is read inside must still be valid when it is written.
            connection.execute("BEGIN IMMEDIATE")
            self._local.unlink, self._local.kept = unlink, []
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                connection.rollback()
                for item in self._local.kept:  # without their rows these files would only use space
                    remove(self._files / item, self._today())
                raise
            # Not earlier: a row without its file would be worse than the reverse. Not later: the
            # same file may arrive again.
            for item in unlink:
                remove(self._files / item, self._today())
        if self._owed:
            with suppress(SiteFull, StoreError):  # the data itself is already written
                self._truncate(wait=0)

    @contextmanager
    def reading(self) -> Iterator[None]:
        connection = self._connection()
        if connection.in_transaction:
            yield
            return
        with failures():
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.rollback()

    def walking(self) -> AbstractContextManager[None]:
        return walk(self._connection())

    def close(self) -> None:
        """Close every thread's connection. A closed store cannot be used again.

        The last process to close the store removes the write-ahead log. The times of the database
        and its folders are set to the beginning of the day, to hide the time of the last report.
        """
        self._connections.close()
        with suppress(OSError):  # the folder is missing or belongs to another account
            for path in (self._path, self._files, self._path.parent):
                at_midnight(path, self._today())

    def store_id(self) -> str:
        return str(self._one("SELECT id FROM store")[0])

    def renew_id(self) -> None:
        """Give the store a new id, by which each desk recognises a restore."""
        self._run("UPDATE store SET id = ?", secrets.token_hex(16))

    def site_id(self) -> str | None:
        """Return the id of the site to which the conversations belong; None if it was never set."""
        (site,) = self._one("SELECT site FROM store")
        return str(site) if site else None

    def set_site_id(self, site: str) -> None:
        self._run("UPDATE store SET site = ?", site)

    # Mailboxes.

    def mailbox(self, mailbox: str) -> MailboxInfo | None:
        return self._mailbox("mailbox = ?", mailbox)

    def mailbox_of(self, access: str) -> MailboxInfo | None:
        return self._mailbox("access = ?", access)

    def mailboxes(self, after: str = "", limit: int = -1) -> list[str]:
        statement = "SELECT mailbox FROM mailboxes WHERE mailbox > ? ORDER BY mailbox LIMIT ?"
        return [row[0] for row in self._run(statement, after, limit)]

    def add_mailbox(self, mailbox: str, access: str, day: datetime.date) -> None:
        text = day.isoformat()
        self._run("INSERT INTO mailboxes VALUES (?, ?, ?, ?)", mailbox, access, text, text)

    def touch(self, mailbox: str, day: datetime.date) -> None:
        # Never set an earlier day: items dated by a slow clock would expire too soon.
        statement = "UPDATE mailboxes SET last_added = max(last_added, ?) WHERE mailbox = ?"
        self._run(statement, day.isoformat(), mailbox)

    def close_access(self, mailbox: str) -> None:
        self._run("UPDATE mailboxes SET access = NULL WHERE mailbox = ?", mailbox)

    def remove_mailbox(self, mailbox: str) -> None:
        self.remove_items([item.id for item in self._items("mailbox = ?", mailbox)])
        self._run("DELETE FROM mailboxes WHERE mailbox = ?", mailbox)

    # Items.

    def stage(self, digest: Digest) -> StagedFile:
        return StagedFile(self._files, digest, self._today())

    def add_item(self, mailbox: str, info: ItemInfo, sealed: bytes | Staged) -> None:
        self._run(
            "INSERT INTO items VALUES (?, ?, ?, ?, ?, ?, ?)",
            info.id, mailbox, info.what, info.author, info.n, info.day.isoformat(), info.size,
        )  # fmt: skip
        if isinstance(sealed, StagedFile):
            if sealed.small is None:
                with failures():
                    if info.id in self._local.unlink:  # the same file again
                        self._local.unlink.remove(info.id)
                    else:
                        self._local.kept.append(info.id)
                    sealed.keep(info.id, info.day)
                return
            sealed = bytes(sealed.small)
        self._run("INSERT INTO sealed (item, file) VALUES (?, ?)", info.id, sealed)

    def show(self, item: str, n: int, day: datetime.date) -> None:
        self._run("UPDATE items SET n = ?, day = ? WHERE item = ?", n, day.isoformat(), item)

    def address(self, item: str, identities: Iterable[str]) -> None:
        for identity in identities:
            (number,) = self._one(
                "INSERT INTO desks (identity, last_number) VALUES (?, 1) ON CONFLICT DO UPDATE"
                " SET last_number = last_number + 1 RETURNING last_number",
                identity,
            )
            self._run("INSERT INTO addressed VALUES (?, ?, ?, NULL)", identity, number, item)

    def items(self, mailbox: str) -> list[ItemInfo]:
        return self._items("mailbox = ? ORDER BY day, author, n, what", mailbox)

    def item(self, item: str) -> tuple[str, ItemInfo] | None:
        row = self._run(f"SELECT {_ITEM}, mailbox FROM items WHERE item = ?", item).fetchone()  # noqa: S608 (fixed column names)
        return (row[6], _info(row)) if row else None

    def newest(self, mailbox: str) -> dict[str, int]:
        sql = "SELECT author, max(n) FROM items WHERE mailbox = ? AND what = 'message' GROUP BY 1"
        return dict(self._run(sql, mailbox))

    def read(self, item: str) -> bytes | None:
        file = self.open(item)
        if file is None:
            return None
        with file:
            return file.read()

    def open(self, item: str) -> BinaryIO | None:
        row = self._run("SELECT file FROM sealed WHERE item = ?", item).fetchone()
        if row:
            return io.BytesIO(row[0])
        if self._run("SELECT 1 FROM items WHERE item = ?", item).fetchone() is None:
            return None
        try:
            return open_untouched(self._files / item)
        except FileNotFoundError:
            return None  # just purged; doctor reports a lost file

    def remove_items(self, items: Sequence[str]) -> None:
        for item in items:
            (size,) = self._one("DELETE FROM items WHERE item = ? RETURNING size", item)
            if size > IN_DATABASE:
                self._local.unlink.append(item)

    # Counsellors.

    def addressed(self, mailbox: str) -> list[Addressed]:
        rows = self._run(
            "SELECT item, identity, fetched FROM addressed JOIN items USING (item)"
            " WHERE mailbox = ?",
            mailbox,
        )
        return [Addressed(item, identity, _day(fetched)) for item, identity, fetched in rows]

    def addressed_last(self, mailbox: str) -> tuple[str, ...]:
        """Return the addressees of the reporter's newest message."""
        rows = self._run(
            "SELECT identity FROM addressed WHERE item = (SELECT item FROM items WHERE mailbox = ?"
            " AND what = 'message' AND author = ? ORDER BY n DESC LIMIT 1)",
            mailbox, REPORTER,
        )  # fmt: skip
        return tuple(identity for (identity,) in rows)

    def inbox(self, identity: str, after: int, limit: int) -> list[InboxRow]:
        rows = self._run(
            f"SELECT {_ITEM}, mailbox, number FROM addressed JOIN items USING (item)"  # noqa: S608 (fixed column names)
            " WHERE identity = ? AND number > ? ORDER BY number LIMIT ?",
            identity, after, limit,
        )  # fmt: skip
        return [InboxRow(row[7], row[6], _info(row)) for row in rows]

    def listed(self, identity: str, after: str, most: int) -> list[str]:
        """Return the mailboxes whose newest reporter message is addressed to this counsellor."""
        rows = self._run(
            "SELECT mailbox FROM addressed JOIN items AS i USING (item)"
            " JOIN mailboxes USING (mailbox) WHERE identity = ? AND author = ?"
            " AND what = 'message' AND access IS NOT NULL AND n = (SELECT max(n) FROM items"
            " WHERE mailbox = i.mailbox AND what = 'message' AND author = i.author)"
            " AND mailbox > ? ORDER BY mailbox LIMIT ?",
            identity, REPORTER, after, most,
        )  # fmt: skip
        return [mailbox for (mailbox,) in rows]

    def is_addressed(self, identity: str, item: str) -> bool:
        statement = "SELECT 1 FROM addressed WHERE item = ? AND identity = ?"
        return self._run(statement, item, identity).fetchone() is not None

    def waits(self, identity: str) -> bool:
        statement = "SELECT 1 FROM addressed WHERE identity = ? AND fetched IS NULL LIMIT 1"
        return self._run(statement, identity).fetchone() is not None

    def set_fetched(self, identity: str, item: str, day: datetime.date) -> None:
        self._run(
            "UPDATE addressed SET fetched = ?"
            " WHERE item = ? AND identity = ? AND fetched IS NULL",
            day.isoformat(), item, identity,
        )  # fmt: skip

    def last_fetch(self, identity: str) -> datetime.date | None:
        row = self._run("SELECT last_fetch FROM desks WHERE identity = ?", identity).fetchone()
        return _day(row[0]) if row else None

    def set_last_fetch(self, identity: str, day: datetime.date) -> None:
        self._run(
            "INSERT INTO desks (identity, last_fetch) VALUES (?, ?) ON CONFLICT DO UPDATE"
            " SET last_fetch = excluded.last_fetch",
            identity, day.isoformat(),
        )  # fmt: skip

    # Space, withdrawn ids, cleaning.

    def used(self) -> int:
        """Return the number of bytes in use by the database and the files next to it."""
        pages = self._one("PRAGMA page_count")[0] - self._one("PRAGMA freelist_count")[0]
        statement = f"SELECT total(size) FROM items WHERE size > {IN_DATABASE}"  # noqa: S608 (a constant)
        return int(pages * self._one("PRAGMA page_size")[0] + self._one(statement)[0])

    def used_by(self, mailbox: str) -> int:
        return int(self._one("SELECT total(size) FROM items WHERE mailbox = ?", mailbox)[0])

    def free(self) -> int:
        return shutil.disk_usage(self._files).free

    def is_withdrawn(self, mailbox: str) -> bool:
        return self._withdrawn.holds(mailbox)

    def add_withdrawn(self, mailbox: str, day: datetime.date) -> None:
        self._withdrawn.add(mailbox, day)

    def drop_withdrawn(self, until: datetime.date) -> int:
        """Remove the ids withdrawn on or before ``until`` from the list; return how many."""
        known = self._withdrawn.read()
        kept = {mailbox: day for mailbox, day in known.items() if day > until}
        if len(kept) < len(known):
            self._withdrawn.write(kept, self._today())
        return len(known) - len(kept)

    def newest_day(self) -> datetime.date | None:
        """Return the newest day stored anywhere. A clock that shows an earlier day is wrong."""
        (day,) = self._one(
            "SELECT max(day) FROM (SELECT max(last_added) AS day FROM mailboxes"
            " UNION ALL SELECT max(last_fetch) FROM desks)"
        )
        return _day(day)

    def served(self) -> datetime.date | None:
        return _day(self._one("SELECT served FROM store")[0])

    def set_served(self, day: datetime.date) -> None:
        self._run("UPDATE store SET served = ?", day.isoformat())

    def redate(self, day: datetime.date) -> None:
        """Replace every later day with this day, after a clock was ahead."""
        for table, column in DAYS:
            self._run(f"UPDATE {table} SET {column} = ?1 WHERE {column} > ?1", day.isoformat())  # noqa: S608 (fixed names)

    def sweep(self) -> int:
        """Remove the leftovers of a crash: part files, and files without a row."""
        removed = 0
        for path in self._files.iterdir():
            # Take the part file's lock first: a valid file has its row once its writer is gone.
            # Then take the write lock: the same file may be arriving again.
            with abandoned(path) as left:
                if left and self.item(path.name) is None:
                    with self._turns.taken():
                        if self.item(path.name) is None:
                            remove(path, self._today())
                            removed += 1
        return removed

    def keep_room(self) -> None:
        self._reserve.keep(self._today())

    def make_room(self) -> bool:
        return self._reserve.give_up()

    def log_size(self) -> int:
        """Return the size of the write-ahead log, where removed rows may remain."""
        try:
            return self._path.with_name(DATABASE + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def truncate_log(self) -> bool:
        """Empty the write-ahead log. Returns whether that succeeded.

        If a reader is using the log, or the disk is full, every later write by this process tries
        again, and so does the maintenance for all processes.
        """
        try:
            return self._truncate(LOG_SECONDS)
        except (SiteFull, StoreError):
            self._owed = True
            return False

    def _truncate(self, wait: float) -> bool:
        with self._turns.taken(), failures():
            self._run(f"PRAGMA busy_timeout = {int(wait * 1000)}")
            try:
                busy, _, _ = self._one("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                self._run(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
        self._owed = bool(busy)
        return not busy

    # Internal steps.

    def _migrate(self) -> None:
        connection = self._connection()
        bring_up_to_date(self._path, connection, self._files, self._turns, self._today())

    def _connection(self) -> sqlite3.Connection:
        return self._connections.own()

    def _run(self, statement: str, *values: object) -> sqlite3.Cursor:
        with failures():
            return self._connection().execute(statement, values)

    def _one(self, statement: str, *values: object) -> Any:  # noqa: ANN401 (a row of any columns)
        return self._run(statement, *values).fetchone()

    def _mailbox(self, where: str, value: str) -> MailboxInfo | None:
        row = self._run(
            f"SELECT mailbox, access, created, last_added FROM mailboxes WHERE {where}",  # noqa: S608 (fixed conditions)
            value,
        ).fetchone()
        if row is None:
            return None
        return MailboxInfo(
            row[0], row[1], datetime.date.fromisoformat(row[2]), datetime.date.fromisoformat(row[3])
        )

    def _items(self, where: str, value: str) -> list[ItemInfo]:
        rows = self._run(f"SELECT {_ITEM} FROM items WHERE {where}", value)  # noqa: S608 (fixed conditions)
        return [_info(row) for row in rows]


def _info(row: Sequence[Any]) -> ItemInfo:
    return ItemInfo(row[0], row[1], row[2], row[3], datetime.date.fromisoformat(row[4]), row[5])


def _day(text: str | None) -> datetime.date | None:
    return datetime.date.fromisoformat(text) if text else None
