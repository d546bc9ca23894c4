"""The part of an upgrade that changes the server's data, run by the server's own account.

    python -m dropbox_app.server.release.data hosts|try|backup|room|keep|back|drop DIR

``hosts`` prints a host name of each readable site. ``try`` migrates a copy of each database; a
site on PostgreSQL has no copy, so ``try`` rejects an upgrade that would change its tables.
``backup`` backs up all sites. ``room`` checks that there is space to copy the databases. ``keep``
copies each database, while no server is running. ``back`` restores each copy whose database this
program can no longer use. ``drop`` removes the copies. An upgrade runs this module from both the
older and the newer program, so these words must not change, and neither must the exit statuses:
ENOSPC if a disk is full, EROFS if it is read-only, 1 for any other failure.
"""

from __future__ import annotations

import datetime
import errno
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.server.backup import create, directory
from dropbox_app.server.config import loader, paths, stores
from dropbox_app.server.config.paths import Place
from dropbox_app.server.errors import BackupError, BackupFull, SiteFull, StoreError
from dropbox_app.server.store import inspect, migrate
from dropbox_app.server.store.files import FULL, at_midnight, sync_folder
from dropbox_app.server.store.sqlite import DATABASE, FILES

KEPT = ".before-upgrade"  # in a site's folder: the database before the upgrade
_TO_START = 1024 * 1024  # bytes that a server may write when it starts


def hosts(folder: Path, _today: datetime.date) -> None:
    """Print one host name of each site, one per line."""
    for site in loader.read(folder).sites:
        sys.stdout.write(urlsplit(site.settings.origins[0]).netloc + "\n")


def check(folder: Path, today: datetime.date) -> None:
    """Check on copies whether each database can be migrated. Raises StoreError, StoreBusy.

    Tables in PostgreSQL are not copied, so their migration could not be undone: it is rejected.
    """
    for place in _places(folder):
        migrate.try_on_copy(place.folder / DATABASE, place.folder / FILES, today)
    for site in loader.read(folder).sites:
        if site.settings.store and stores.old(site.place, site.settings):
            raise StoreError(
                f"{site.place.folder}: the conversations are in PostgreSQL, and the release "
                "changes the tables there, which could not be undone. Move the conversations to "
                'the folder (store move --to ""), upgrade, and move them back'
            )


def backup(folder: Path, today: datetime.date) -> None:
    """Back up all sites. Raises BackupError, also if the backup is incomplete."""
    if faults := create.make(folder, folder / directory.FOLDER, today).faults:
        raise BackupError("; ".join(faults))


def room(folder: Path, _today: datetime.date) -> None:
    """Check that there is enough space for the copies of ``keep``. Raises SiteFull."""
    needed: dict[int, int] = {}  # bytes needed on each disk
    for place in _places(folder):
        database = place.folder / DATABASE
        log = database.with_name(f"{DATABASE}-wal")
        disk = place.folder.stat().st_dev
        size = database.stat().st_size + (log.stat().st_size if log.exists() else 0)
        needed[disk] = needed.get(disk, _TO_START) + size
        free = os.statvfs(place.folder)
        if (left := free.f_bavail * free.f_frsize) < needed[disk]:
            raise SiteFull(
                f"{place.folder}: the disk is full but for {left} bytes, and the copies for the "
                f"way back need {needed[disk]}"
            )


def keep(folder: Path, today: datetime.date) -> None:
    """Copy each database. The server must not be running. Raises OSError, sqlite3.Error."""
    for place in _places(folder):
        kept = place.folder / KEPT
        part = kept.with_name(f"{KEPT}.new")
        for path in (kept, part):
            path.unlink(missing_ok=True)
        try:
            with (
                closing(sqlite3.connect(place.folder / DATABASE)) as database,
                closing(sqlite3.connect(part)) as copy,
            ):
                database.backup(copy)
            part.chmod(0o600)
            at_midnight(part, today)
            part.rename(kept)
        except BaseException:  # includes Ctrl-C; raised again below
            part.unlink(missing_ok=True)  # the server that starts next may need the space
            raise
        _settle(place, today)


def back(folder: Path, today: datetime.date) -> None:
    """Restore the copy of each database that this program can no longer use."""
    for place in _places(folder):
        database, kept = place.folder / DATABASE, place.folder / KEPT
        if not kept.exists():
            continue
        try:
            inspect.old(database)
        except StoreError:
            for end in ("-wal", "-shm"):
                database.with_name(DATABASE + end).unlink(missing_ok=True)
            kept.rename(database)
        _settle(place, today)


def drop(folder: Path, today: datetime.date) -> None:
    """Remove the copies, because they may contain conversations that are withdrawn later."""
    for place in _places(folder):
        for name in (KEPT, f"{KEPT}.new"):
            (place.folder / name).unlink(missing_ok=True)
        _settle(place, today)


def _places(folder: Path) -> list[Place]:
    return [one for one in paths.places(folder) if (one.folder / DATABASE).exists()]


def _settle(place: Place, today: datetime.date) -> None:
    sync_folder(place.folder)
    at_midnight(place.folder, today)


def _status(error: Exception) -> int:
    """Return the exit status for an error, by its type and number."""
    code = error.errno if isinstance(error, OSError) else None
    name = getattr(error, "sqlite_errorname", "")
    if isinstance(error, (SiteFull, BackupFull)) or code in FULL or name == "SQLITE_FULL":
        return errno.ENOSPC
    return errno.EROFS if code == errno.EROFS or name.startswith("SQLITE_READONLY") else 1


STEPS = {
    "hosts": hosts,
    "try": check,
    "backup": backup,
    "room": room,
    "keep": keep,
    "back": back,
    "drop": drop,
}

if __name__ == "__main__":
    step, where = sys.argv[1:]
    os.umask(0o077)
    try:
        STEPS[step](Path(where), datetime.datetime.now(datetime.UTC).date())
    except (KlankbordError, OSError, sqlite3.Error) as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(_status(failure))
