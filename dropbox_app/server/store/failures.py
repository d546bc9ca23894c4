"""What SQLite or the disk could not do, in the server's own errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from dropbox_app.server.errors import SiteFull, StoreBusy, StoreError
from dropbox_app.server.store.files import full_disk_said


@contextmanager
def failures() -> Iterator[None]:
    """Say in the server's own errors what SQLite or the disk could not do."""
    try:
        with full_disk_said():
            yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreBusy("the database was busy for too long") from None
        if error.sqlite_errorname == "SQLITE_FULL":
            raise SiteFull("the disk is full") from None
        raise StoreError(f"the database failed: {error.sqlite_errorname}") from None
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            raise StoreError("the database is damaged; restore it from a backup") from None
        raise
