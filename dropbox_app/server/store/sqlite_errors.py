"""Turn SQLite and disk failures into the server's own errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from dropbox_app.server.errors import SiteFull, StoreBusy, StoreError
from dropbox_app.server.store.files import full_disk_said


@contextmanager
def failures() -> Iterator[None]:
    """Raise the server's own errors for failures of SQLite or the disk."""
    try:
        with full_disk_said():
            yield
    except sqlite3.DatabaseError as error:
        # Python's own errors about a statement (a column that is not UTF-8) lack this name.
        name: str = getattr(error, "sqlite_errorname", type(error).__name__)
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreBusy("the database was busy for too long") from None
        if name == "SQLITE_FULL":
            raise SiteFull("the disk is full") from None
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise StoreError("the database is damaged; restore it from a backup") from None
        if isinstance(error, sqlite3.OperationalError):
            raise StoreError(f"the database failed: {name}") from None
        raise
