"""Connections to databases, with every setting that a promise depends on.

A thread has one to each database that it uses, and OPEN at most: a server with hundreds of sites
would else keep thousands of files open.
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
CACHE = 512  # KiB of pages that a connection keeps in memory; there is one a thread
WALK = 8192  # KiB for one that goes through everything: the inner pages of large trees
OPEN = 4  # of one thread, over all databases


def read_only(path: Path) -> bool:
    """Whether a database is on a disk that takes no writes, as a clean stop left it.

    Without a log's index beside it SQLite could not read it there, unless told that nobody writes.
    """
    if not path.exists() or path.with_name(path.name + "-shm").exists():
        return False
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def connect(path: Path) -> sqlite3.Connection:
    """Raises StoreBusy, StoreError. Transactions begin where the store says so."""
    mode = "ro&immutable=1" if read_only(path) else "rw"  # a missing one is not made again
    with failures():
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # close() closes those of other threads
        )
        for setting in (
            "synchronous = FULL",  # a confirmed report is on disk
            "secure_delete = ON",
            "foreign_keys = ON",
            "temp_store = MEMORY",
            f"cache_size = -{CACHE}",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {setting}")
    return connection


class _Own(threading.local):
    """What the thread that asks has open, the one that was used longest ago first."""

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
        """That of the thread that asks. Raises StoreBusy, StoreError."""
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
        """Close those of all threads. None can be had after that."""
        while self._all:
            self._all.pop().close()

    def let_go(self, connection: sqlite3.Connection) -> bool:
        """Close one that is in the middle of nothing. Whether it is closed now."""
        if connection in self._all:  # else ``close`` was there first
            if connection.in_transaction:
                return False
            self._all.remove(connection)
            connection.close()
        return True


def _make_room() -> None:
    """Close what was used longest ago."""
    for of, connection in list(_own.known.items()):
        if len(_own.known) < OPEN:
            break
        if of.let_go(connection):
            del _own.known[of]


@contextmanager
def walk(connection: sqlite3.Connection) -> Iterator[None]:
    """Inside, more pages stay in memory, so that a step costs the same in a large store."""
    with failures():
        connection.execute(f"PRAGMA cache_size = -{WALK}")
    try:
        yield
    finally:
        with failures():
            connection.execute(f"PRAGMA cache_size = -{CACHE}")
            connection.execute("PRAGMA shrink_memory")
