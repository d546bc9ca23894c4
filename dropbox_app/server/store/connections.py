"""Connections to databases, with every setting that a promise depends on.

A thread has one for each database that it uses, at most OPEN: otherwise a server with hundreds of
sites would keep thousands of files open.
"""

import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dropbox_app.server.store.sqlite_errors import failures

BUSY_SECONDS = 10
CACHE = 512  # KiB of pages that a connection keeps in memory; each thread has one
WALK = 8192  # KiB for a walk through everything: the inner pages of large trees
OPEN = 4  # connections of one thread, over all databases


def read_only(path: Path) -> bool:
    """Return whether a cleanly closed database is on a read-only file system.

    SQLite cannot read it there without a log's index beside it, unless told that nobody writes.
    """
    if not path.exists() or path.with_name(path.name + "-shm").exists():
        return False
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection; the store begins transactions. Raises StoreBusy, StoreError."""
    mode = "ro&immutable=1" if read_only(path) else "rw"  # a missing one is not created
    with failures():
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # close() closes those of other threads
        )
        for setting in (
            "synchronous = FULL",  # so a confirmed report is on disk
            "secure_delete = ON",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            f"cache_size = -{CACHE}",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {setting}")
    return connection


class _Own(threading.local):
    """The open connections of the calling thread, least recently used first."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.known: weakref.WeakKeyDictionary[Connections, sqlite3.Connection]
        self.known = weakref.WeakKeyDictionary()


_own = _Own()


class Connections:
    """The connections to one database, one for each thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._all: list[sqlite3.Connection] = []

    def own(self) -> sqlite3.Connection:
        """Return the connection of the calling thread. Raises StoreBusy, StoreError."""
        if _own.process != os.getpid():
            # A forked child opens its own: SQLite's locks do not survive a fork.
            _own.process, _own.known = os.getpid(), weakref.WeakKeyDictionary()
        known = _own.known.pop(self, None)
        if known is None:
            _make_room()
            known = connect(self._path)
            self._all.append(known)
        _own.known[self] = known
        return known

    def close(self) -> None:
        """Close the connections of all threads. No new one can be opened afterwards."""
        while self._all:
            self._all.pop().close()

    def let_go(self, connection: sqlite3.Connection) -> bool:
        """Close a connection unless it is in use. Returns whether it is closed now."""
        if connection in self._all:  # otherwise ``close`` came first
            if connection.in_transaction:
                return False
            self._all.remove(connection)
            connection.close()
        return True


def _make_room() -> None:
    """Close the least recently used connections."""
    for of, connection in list(_own.known.items()):
        if len(_own.known) < OPEN:
            break
        if of.let_go(connection):
            del _own.known[of]


@contextmanager
def walk(connection: sqlite3.Connection) -> Iterator[None]:
    """Keep more pages in memory inside the block, so that steps cost the same in a large store."""
    with failures():
        connection.execute(f"PRAGMA cache_size = -{WALK}")
    try:
        yield
    finally:
        with failures():
            connection.execute(f"PRAGMA cache_size = -{CACHE}")
            connection.execute("PRAGMA shrink_memory")
