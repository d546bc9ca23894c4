"""Connections to databases, with all settings on which the site's promises depend.

A thread has one connection for each database that it uses, and at most OPEN connections. Without
this limit, a server with hundreds of sites would keep thousands of files open.
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
CACHE = 512  # KiB of pages that each connection keeps in memory
WALK = 8192  # KiB while a thread goes through all mailboxes: the inner pages of large trees
OPEN = 4  # connections of one thread to all databases


def read_only(path: Path) -> bool:
    """Return whether a cleanly closed database is on a read-only file system.

    SQLite can read such a database without an index of its log only if SQLite is told that nobody
    writes to the database.
    """
    if not path.exists() or path.with_name(path.name + "-shm").exists():
        return False
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def connect(path: Path) -> sqlite3.Connection:
    """Open a connection; the store begins transactions itself. Raises StoreBusy, StoreError."""
    mode = "ro&immutable=1" if read_only(path) else "rw"  # a missing database is not created
    with failures():
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # close() also closes connections of other threads
        )
        for setting in (
            "synchronous = FULL",  # so that a confirmed report is on disk
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
            # A forked child opens its own connection, because SQLite's locks do not survive a fork.
            _own.process, _own.known = os.getpid(), weakref.WeakKeyDictionary()
        known = _own.known.pop(self, None)
        if known is None:
            _make_room()
            known = connect(self._path)
            self._all.append(known)
        _own.known[self] = known
        return known

    def close(self) -> None:
        """Close the connections of all threads. Afterwards no connection can be opened."""
        while self._all:
            self._all.pop().close()

    def let_go(self, connection: sqlite3.Connection) -> bool:
        """Close a connection unless it is in use. Returns whether the connection is now closed."""
        if connection in self._all:  # otherwise ``close`` was called first
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
    """Keep more pages in memory during the block, so that steps take no longer in large stores."""
    with failures():
        connection.execute(f"PRAGMA cache_size = -{WALK}")
    try:
        yield
    finally:
        with failures():
            connection.execute(f"PRAGMA cache_size = -{CACHE}")
            connection.execute("PRAGMA shrink_memory")
