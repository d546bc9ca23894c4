"""The desk's database: SQLCipher, one file for all sites, with a key that only the vault contains.

The database contains all data that the desk has opened. After data was deleted or a sealing key was
destroyed, the file is rewritten with a new key. The vault then no longer opens an older copy of the
file (SPEC, the local store).
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence

from sqlcipher3 import dbapi2 as sqlcipher  # type: ignore[import-untyped] # like the standard sqlite3

from dropbox_app.desk.errors import Damaged
from dropbox_app.desk.storage.atomic_files import Disk
from dropbox_app.desk.storage.vault import FILES, DatabaseKey, Vault

VERSION = 4
_SIDE_FILES = ("", "-wal", "-shm", "-journal")
_CHOSEN = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA secure_delete = ON",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA locking_mode = EXCLUSIVE",  # one process only, so there is no shared-memory file either
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit is safe on disk before the server is told
    # An in-memory view of the words in the message index.
    "CREATE VIRTUAL TABLE temp.terms USING fts5vocab(main, words, row)",
)
# Version 1. A new database starts with this version and is upgraded like an older one.
_SCHEMA = """
CREATE TABLE site (site TEXT PRIMARY KEY, fields TEXT NOT NULL);
CREATE TABLE item (
    number INTEGER PRIMARY KEY AUTOINCREMENT, site TEXT NOT NULL, id TEXT NOT NULL,
    mailbox TEXT NOT NULL, what TEXT NOT NULL, server_says TEXT NOT NULL, n INTEGER NOT NULL,
    day TEXT NOT NULL, size INTEGER NOT NULL, store TEXT NOT NULL, sealed_for INTEGER NOT NULL,
    fetched INTEGER NOT NULL, checked INTEGER NOT NULL, sent TEXT NOT NULL, seen INTEGER NOT NULL,
    UNIQUE (site, id)
);
CREATE INDEX item_of_thread ON item (site, mailbox);
CREATE TABLE owed (
    number INTEGER PRIMARY KEY AUTOINCREMENT, site TEXT NOT NULL, id TEXT NOT NULL,
    mailbox TEXT NOT NULL, what TEXT NOT NULL, server_says TEXT NOT NULL, n INTEGER NOT NULL,
    day TEXT NOT NULL, size INTEGER NOT NULL, store TEXT NOT NULL, sealed_for INTEGER NOT NULL,
    fetched INTEGER NOT NULL, checked INTEGER NOT NULL, sent TEXT NOT NULL, seen INTEGER NOT NULL,
    since TEXT NOT NULL, wrong INTEGER NOT NULL, UNIQUE (site, id)
);
CREATE TABLE thread (
    number INTEGER PRIMARY KEY AUTOINCREMENT, site TEXT NOT NULL, mailbox TEXT NOT NULL,
    verify TEXT NOT NULL, recipient TEXT NOT NULL, newest TEXT NOT NULL, listed TEXT NOT NULL,
    gone INTEGER NOT NULL, withdrawn INTEGER NOT NULL, label TEXT NOT NULL, UNIQUE (site, mailbox)
);
CREATE TABLE forgotten (site TEXT NOT NULL, id TEXT NOT NULL, UNIQUE (site, id));
CREATE TABLE tip (
    site TEXT NOT NULL, mailbox TEXT NOT NULL, n INTEGER NOT NULL, digest TEXT NOT NULL,
    UNIQUE (site, mailbox)
);
CREATE TABLE colleague (
    site TEXT NOT NULL, identity TEXT NOT NULL, place INTEGER NOT NULL, name TEXT NOT NULL,
    UNIQUE (site, identity)
);
CREATE TABLE opened (
    number INTEGER PRIMARY KEY, site TEXT NOT NULL, id TEXT NOT NULL, contents BLOB, length INTEGER,
    sealed BLOB, header BLOB, file_key BLOB, UNIQUE (site, id),
    FOREIGN KEY (site, id) REFERENCES item (site, id) ON DELETE CASCADE
);
CREATE TABLE summary (
    site TEXT NOT NULL, mailbox TEXT NOT NULL, fields TEXT NOT NULL, UNIQUE (site, mailbox)
);
CREATE TABLE due (what TEXT PRIMARY KEY);
CREATE VIRTUAL TABLE words USING fts5(body, tokenize = "unicode61 remove_diacritics 2");
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER words_go AFTER DELETE ON opened
BEGIN DELETE FROM words WHERE rowid = old.number; END;
"""

# Added in version 2: the counsellor's own texts, which stay at this desk.
_NOTEBOOK = (
    """
CREATE TABLE note (
    site TEXT NOT NULL, mailbox TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (site, mailbox),
    FOREIGN KEY (site, mailbox) REFERENCES thread (site, mailbox) ON DELETE CASCADE
)""",
    """
CREATE TABLE snippet (
    name TEXT NOT NULL, language TEXT NOT NULL, text TEXT NOT NULL, UNIQUE (name, language)
)""",
    "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)

# Added in version 3: the register.
_REGISTER = (
    """
CREATE TABLE event (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, day TEXT NOT NULL,
    employer TEXT NOT NULL, reference TEXT NOT NULL, fields TEXT NOT NULL
)""",
    "CREATE INDEX event_of_employer ON event (employer, day)",
    "CREATE INDEX event_of_case ON event (reference)",
)

# Added in version 4: columns for filtering and sorting in lists.
_SUMMARY = (
    "DROP TABLE summary",  # lists create it again from the messages
    """
CREATE TABLE summary (
    site TEXT NOT NULL, mailbox TEXT NOT NULL, form INTEGER NOT NULL, turn TEXT NOT NULL,
    since TEXT NOT NULL, last_day TEXT NOT NULL, unread INTEGER NOT NULL, waiting INTEGER NOT NULL,
    not_safe INTEGER NOT NULL, consent INTEGER NOT NULL, fields TEXT NOT NULL,
    UNIQUE (site, mailbox)
)""",
    # A covering index: to filter ten thousand rows, no omitted row is read.
    "CREATE INDEX summary_in_order ON summary (last_day, mailbox, site, form, turn, since, unread, "
    "waiting, not_safe, consent)",
)
_ADDED = {1: _NOTEBOOK, 2: _REGISTER, 3: _SUMMARY}  # by the version to which they are added

Value = str | int | bytes | None
Row = tuple[Value, ...]


class Database:
    """An opened database.

    Threads may share an open database: a transaction reserves it for one thread.
    """

    def __init__(self, disk: Disk, held: DatabaseKey) -> None:
        self._disk = disk
        self._held = held
        self._lock = threading.RLock()
        self._depth = 0
        self._turns = 0
        self._connection = _connect(disk, held)

    @classmethod
    def create(cls, disk: Disk, held: DatabaseKey) -> "Database":
        """Create an empty database, replacing any leftovers of a crash."""
        remove(disk, held.file)
        made = cls(disk, held)
        try:
            made._connection.executescript(_SCHEMA)
            made._add(0)
            disk.step(f"made {held.file}")
        except BaseException:
            made.close()
            raise
        return made

    @classmethod
    def open(cls, disk: Disk, held: DatabaseKey) -> "Database":
        """Open the database that the vault names, and remove the other file. Raises Damaged."""
        if not disk.exists(held.file):
            raise Damaged(f"{disk.path(held.file)} is missing; restore the desk from its backup.")
        found = cls(disk, held)
        try:
            (version,) = found.run("PRAGMA user_version")[0]
            if version in _ADDED:
                found._add(version)
            elif version != VERSION:
                raise Damaged(
                    f"{disk.path(held.file)} was written by another version of this program; "
                    "install the newest one."
                )
        except BaseException:
            found.close()
            raise
        for other in FILES:
            if other != held.file:
                remove(disk, other)
        return found

    def run(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """Run one statement and return its rows. Raises Damaged."""
        with self._lock, _damage(self._disk, self._held):
            return [tuple(row) for row in self._connection.execute(sql, values).fetchall()]

    def run_many(self, sql: str, rows: Sequence[Sequence[Value]]) -> None:
        """Run one statement for each of ``rows``, inside a transaction. Raises Damaged."""
        with self.transaction(), _damage(self._disk, self._held):
            self._connection.executemany(sql, rows)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block completely or not at all; at the end, its writes are on disk.

        Blocks may nest.
        """
        with self._lock:
            if self._depth:
                yield
                return
            self._disk.step("before a transaction")
            self.run("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
                self._disk.step("before the commit")
                self.run("COMMIT")
            except BaseException:
                self._connection.rollback()
                self._turns += 1
                raise
            finally:
                self._depth = 0
            self._disk.step("committed")

    @property
    def version(self) -> tuple[int, int]:
        """Return a value that changes with every write, and with every rollback."""
        with self._lock:
            return self._turns, self._connection.total_changes

    def expect_rewrite(self) -> None:
        """Record in the current transaction that the file needs a new key soon."""
        self.run("INSERT OR IGNORE INTO due VALUES ('rewrite')")

    @property
    def rewrite_is_due(self) -> bool:
        """Return whether data was deleted or a key destroyed since the file got its key."""
        return bool(self.run("SELECT 1 FROM due WHERE what = 'rewrite'"))

    def rewrite(self, vault: Vault) -> tuple[tuple[int, int], tuple[int, int]]:
        """Write the database to the other file with a new key, then delete the old file and key.

        Returns ``version`` before and after: data read at the first version is still valid at the
        second.

        Writing the vault switches to the new file. If the program is killed before that write, the
        old file remains in use, and the next start removes the new one. If the program is killed
        after that write, the next start removes the old file.
        """
        with self._lock:
            old, new = self._held, vault.database.successor()
            before = self.version
            remove(self._disk, new.file)
            self._copy_to(new)
            self._disk.sync(new.file)
            self._disk.step(f"copied {new.file}")
            vault.database = new
            try:
                vault.save()
            except OSError:
                vault.database = old
                raise
            self._disk.step("switched")
            self._connection.close()
            self._held, self._connection = new, _connect(self._disk, new)
            self._turns += 1
            after = self.version
            remove(self._disk, old.file)
            return before, after

    def close(self) -> None:
        """Empty the write-ahead log and close the database.

        The file's timestamp then shows only the day.
        """
        with self._lock:
            with contextlib.suppress(sqlcipher.Error):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._connection.close()
            self._disk.date(self._held.file)
            self._disk.date("")

    def flush(self) -> None:
        """Write everything from the write-ahead log to the file, for a backup."""
        self.run("PRAGMA wal_checkpoint(TRUNCATE)")

    def _add(self, version: int) -> None:
        """Add the tables that an older version lacked, and write the current version number."""
        with self.transaction():
            for before, statements in _ADDED.items():
                for statement in statements if before >= version else ():
                    self.run(statement)
            self.run(f"PRAGMA user_version = {VERSION}")

    def _copy_to(self, new: DatabaseKey) -> None:
        path = str(self._disk.path(new.file))
        _private(self._disk, new.file)
        self.run(f"ATTACH DATABASE ? AS fresh KEY {_quoted(new)}", (path,))
        try:
            self.run("SELECT sqlcipher_export('fresh')")
            self.run("DELETE FROM fresh.due")
            self.run(f"PRAGMA fresh.user_version = {VERSION}")
        finally:
            self.run("DETACH DATABASE fresh")


def remove(disk: Disk, name: str) -> None:
    """Remove a database file, and the files that SQLite keeps next to it."""
    disk.remove(*(name + side for side in _SIDE_FILES))


def _connect(disk: Disk, held: DatabaseKey) -> sqlcipher.Connection:
    _private(disk, held.file)
    connection = sqlcipher.connect(
        str(disk.path(held.file)), isolation_level=None, check_same_thread=False
    )
    try:
        with _damage(disk, held):
            connection.execute("PRAGMA cipher_log_level = NONE").fetchall()
            connection.execute("PRAGMA cipher_memory_security = ON").fetchall()
            connection.execute(f"PRAGMA key = {_quoted(held)}").fetchall()
            for statement in _CHOSEN:
                connection.execute(statement).fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _quoted(held: DatabaseKey) -> str:
    """Return a raw key in SQLCipher's notation, so that SQLCipher does not derive it again."""
    return f"\"x'{held.key.hex()}'\""


def _private(disk: Disk, name: str) -> None:
    """Create the file with mode 0600 before SQLite opens it.

    SQLite gives its other files the same mode.
    """
    path = disk.path(name)
    if not path.exists():
        path.touch(mode=0o600)


@contextlib.contextmanager
def _damage(disk: Disk, held: DatabaseKey) -> Iterator[None]:
    """Raise Damaged with a sentence for SQLite's error. A full disk is reported as such."""
    try:
        yield
    except sqlcipher.OperationalError as error:
        if "full" in str(error) or "I/O" in str(error):
            raise OSError(f"the desk's database could not be written ({error})") from None
        raise
    except sqlcipher.DatabaseError as error:
        if isinstance(error, sqlcipher.IntegrityError | sqlcipher.ProgrammingError):
            raise
        raise Damaged(
            f"{disk.path(held.file)} is damaged ({error}); restore the desk from its backup."
        ) from None
