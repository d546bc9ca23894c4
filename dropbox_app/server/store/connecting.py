"""A connection to the database, with every setting that something promised hangs on."""

import sqlite3
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
