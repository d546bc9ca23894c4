"""Export a site on PostgreSQL to a folder that has the form of a site on SQLite.

A backup of that folder can be restored like any other, even on a machine without PostgreSQL.
"""

import datetime
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dropbox_app.protocol.encoding import new_digest
from dropbox_app.server.backup import manifest
from dropbox_app.server.config import settings, settings_writer, stores
from dropbox_app.server.config.loader import ReadSite
from dropbox_app.server.config.paths import Place
from dropbox_app.server.errors import BackupError
from dropbox_app.server.store.copying import copy
from dropbox_app.server.store.files import write_new
from dropbox_app.server.store.sqlite_copy import SqliteCopy

FOLDER = ".exported"  # in the site's folder during a backup; only a crash leaves it there


@contextmanager
def exported(read: ReadSite, spare: int, today: datetime.date) -> Iterator[Place]:
    """Yield the ``Place`` of a copy, which is removed at the end.

    ``spare``: the number of bytes that must remain free on the disk. Raises BackupError,
    StoreError, StoreBusy, SiteFull, OSError.
    """
    folder = read.place.folder / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(0o700)
        _copy_files(read.place, folder)
        _copy_conversations(read, folder, spare, today)
        yield Place(read.place.name, folder, read.place.reserve)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy_files(place: Place, folder: Path) -> None:
    """Copy the small files. The settings in the copy refer to the database in the new folder."""
    for path in manifest.of(place):
        new = folder / path.relative_to(place.folder)
        new.parent.mkdir(0o700, parents=True, exist_ok=True)
        data = path.read_bytes()
        if path.name == settings.FILE_NAME:
            data = settings_writer.with_store(data.decode("utf-8"), path, "").encode("utf-8")
        write_new(new, data)


def _copy_conversations(read: ReadSite, folder: Path, spare: int, today: datetime.date) -> None:
    source = stores.opened(read.place, read.settings, lambda: today)
    try:
        need = 2 * source.used() + spare  # the backup copies the database once more
        if shutil.disk_usage(folder).free < need:
            raise BackupError(f"there is no room: {need} bytes are needed on the disk of {folder}")
        target = SqliteCopy.create(folder, lambda: today)
        try:
            with source.reading():
                copy(source, target, new_digest)
        finally:
            target.close()
    finally:
        source.close()
