"""A connection to the database, with every setting that something promised hangs on."""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dropbox_app.server.store.failures import failures

BUSY_SECONDS = 10
CACHE = 512  # KiB of pages that a connection keeps in memory; there is one a thread
WALK = 8192  # KiB for one that goes through everything: the inner pages of large trees


def connect(path: Path) -> sqlite3.Connection:
    """Raises StoreBusy, StoreError. Transactions begin where the store says so."""
    with failures():
        connection = sqlite3.connect(
            path,
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


@contextmanager
def alone(turn: threading.Lock, folder: Path) -> Iterator[None]:
    """A writer's turn, first in its process, then among the processes, by a lock of the folder.

    SQLite alone would let a waiting process ask again and again, ever less often: with two busy
    workers one of them then waits for a second. A lock of the system wakes it at once.
    """
    with turn:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
