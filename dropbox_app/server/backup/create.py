"""Makes a backup of all sites while they serve: one sealed file, read again once it is written.

Each database is copied as it is at one moment, then what lies beside it is read. What is removed in
between is simply not in the backup; what comes in between neither.
"""

import datetime
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.protocol.keys import Recipient
from dropbox_app.server.backup import directory, key, manifest
from dropbox_app.server.backup.key import Writing
from dropbox_app.server.config import loader, paths, settings
from dropbox_app.server.config.loader import Reading
from dropbox_app.server.config.paths import Place
from dropbox_app.server.errors import BackupError, SiteFull
from dropbox_app.server.mailboxes import retention
from dropbox_app.server.store import snapshot
from dropbox_app.server.store.files import as_its_folder, full_disk_said, open_untouched
from dropbox_app.server.store.sqlite import DATABASE, FILES, WITHDRAWN
from dropbox_app.server.store.withdrawn_list import Withdrawn

PAD = 16 * 1024  # bytes: how many were withdrawn is not to be told by a list's length
_BLOCK = 64 * 1024
_MARGIN = 16 * 1024 * 1024


@dataclass(frozen=True)
class Made:
    """A backup that was made. ``left_out``: sites that are not in it, and why."""

    path: Path
    size: int
    sites: int
    items: int
    removed: int  # older backups
    left_out: tuple[str, ...]
    damaged: tuple[str, ...]  # what is in it as it is, and is not as it should be


def make(folder: Path, target: Path, today: datetime.date) -> Made:
    """Back all sites up to ``target``, and remove what there is past its days.

    Raises BackupError if there is no key or no room, or no site could be backed up.
    """
    public = key.recipient(folder)
    if public is None:
        raise BackupError("there is no key to seal it to; make one first: backup-key > FILE")
    read = loader.read(folder)
    places = paths.places(folder)
    retentions = [one.settings.retention for one in read.sites]
    days, most = directory.days_kept(retentions)
    sure = not _doubted(places, today)
    with directory.alone(target, today):
        try:
            made = _make(folder, places, read, target, public, today)
        finally:
            # Also where no new one could be made: this long they are kept, and no longer.
            if sure:
                promised = directory.too_old(target, today, most)
                for old in promised:
                    directory.drop(old)
        removed = len(promised) if sure else 0
        if sure and not made.left_out and not made.damaged:
            newest = directory.kept(target)[-1]
            for old in directory.too_old(target, today, days, newest):
                directory.drop(old)
                removed += 1
    return Made(made.path, made.size, made.sites, made.items, removed, made.left_out, made.damaged)


def _make(
    folder: Path,
    places: tuple[Place, ...],
    read: Reading,
    target: Path,
    public: Recipient,
    today: datetime.date,
) -> Made:
    _check_room(places, read, target)
    new, kept = directory.begun(target, "klankbord", today)
    running = _Running(today)
    with (
        _sealed(new, kept, public) as out,
        tarfile.open(
            mode="w|", fileobj=cast(IO[bytes], out), bufsize=_BLOCK, format=tarfile.PAX_FORMAT
        ) as archive,
    ):
        _add(archive, directory.KEY, folder / directory.KEY)
        for place in places:
            try:
                running.take(archive, place)
            except (KlankbordError, OSError) as error:
                if running.writing or isinstance(error, SiteFull):
                    raise
                running.left_out.append(f"{place.name}: {error}")
        if not running.sites:
            raise BackupError("; ".join(running.left_out) or "there is no site here")
    _write_list(places, read, target, public, today)
    return Made(
        kept.path,
        kept.path.stat().st_size,
        running.sites,
        running.items,
        0,
        tuple(running.left_out),
        tuple(running.damaged),
    )


class _Running:
    """A backup on its way, site by site."""

    def __init__(self, today: datetime.date) -> None:
        self._today = today
        self.sites = self.items = 0
        self.writing = False  # whether something of the site that is taken is in it already
        self.left_out: list[str] = []
        self.damaged: list[str] = []

    def take(self, archive: tarfile.TarFile, place: Place) -> None:
        """Add a site. Nothing of it is written before its database has been copied and checked."""
        self.writing = False
        before, folder = manifest.prefix(place), place.folder
        with snapshot.copied(folder / DATABASE, folder / FILES, self._today) as copy:
            with snapshot.opened(copy) as database:
                snapshot.check(database)
                large = snapshot.large(database)
                bad = snapshot.altered(database, sha256_hex)
                (items,) = database.execute("SELECT count(*) FROM items").fetchone()
            self.writing = True
            _add(archive, before + DATABASE, copy)
        for item, size in large:
            if not _add(archive, f"{before}{FILES}/{item}", folder / FILES / item, size):
                bad += [item] if self._still_there(place, item) else []
        for path in manifest.of(place):
            _add(archive, before + path.relative_to(folder).as_posix(), path)
        # After the database: whatever was withdrawn from that copy stands in it.
        _add(archive, before + WITHDRAWN, folder / WITHDRAWN)
        self.sites += 1
        self.items += items
        if not (folder / settings.FILE_NAME).is_file():
            self.damaged.append(
                f"{place.name}: {settings.FILE_NAME} is gone, so it is not in the backup; "
                "see doctor"
            )
        if bad:
            self.damaged.append(
                f"{place.name}: {len(bad)} items are damaged or missing; see doctor"
            )

    def _still_there(self, place: Place, item: str) -> bool:
        """Whether a file that is not there is missed; a purge may just have removed it."""
        with snapshot.looked_at(place.folder / DATABASE) as database:
            return bool(database.execute("SELECT 1 FROM items WHERE item = ?", [item]).fetchone())


@contextmanager
def _sealed(new: Path, kept: directory.Kept, public: Recipient) -> Iterator[Writing]:
    """A sealed file that takes its place once it was read again; else nothing is left of it."""
    try:
        with full_disk_said(), _created(new) as file:
            out = Writing(file, public)
            yield out
            digest = out.finish()
            directory.finished(new, kept, digest)
    except SiteFull:
        raise BackupError("the disk is full; nothing was kept of it") from None
    finally:
        new.unlink(missing_ok=True)
        if not kept.path.exists():
            kept.sum.unlink(missing_ok=True)


def _created(new: Path) -> BinaryIO:
    handle = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    as_its_folder(handle, new.parent)
    return os.fdopen(handle, "w+b")


def _write_list(
    places: tuple[Place, ...], read: Reading, target: Path, public: Recipient, today: datetime.date
) -> None:
    """Put a new list of withdrawn mailboxes beside all backups, then remove those before it.

    Lines ``SITE MAILBOX DAY``. Raises BackupError if one of a site cannot be read: then the list
    that was there stays.
    """
    lines = []
    for place in places:
        known = read.of(place.name)
        site_id = known.settings.site if known else loader.held_id(place.folder)
        try:
            days = Withdrawn(place.folder / WITHDRAWN).read()
        except ValueError:
            raise BackupError(f"{place.folder / WITHDRAWN} is damaged; see doctor") from None
        if days and site_id is None:
            raise BackupError(f"what was withdrawn at {place.name} cannot be noted; see site check")
        lines += [f"{site_id} {box} {day}\n" for box, day in days.items()]
    text = "".join(sorted(lines)).encode("ascii")
    new, kept = directory.begun(target, "withdrawn", today)
    with _sealed(new, kept, public) as out:
        out.write(text.ljust(-(-max(len(text), 1) // PAD) * PAD, b"\n"))
    for old in directory.kept(target, "withdrawn"):
        if old != kept:
            directory.drop(old)


class _Steady:
    """A file that gives zeros where the disk gives nothing: one bad sector ends no backup."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bad = False

    def read(self, size: int = -1) -> bytes:
        """As asked for; what is missing is zeros from here to the end of the file."""
        if not self.bad:
            try:
                data = self._file.read(size)
            except OSError:
                data = b""
            self.bad = len(data) < size
            return data + bytes(max(0, size - len(data)))
        return bytes(size)


def _add(archive: tarfile.TarFile, name: str, path: Path, size: int | None = None) -> bool:
    """Add a file, under no time; False if it is not there, or not whole."""
    try:
        file = open_untouched(path)
    except FileNotFoundError:
        return False
    with file:
        found = os.fstat(file.fileno()).st_size
        if size not in (None, found):
            return False
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = found, 0o600
        steady = _Steady(file)
        archive.addfile(entry, steady)
    return not steady.bad


def _check_room(places: tuple[Place, ...], read: Reading, target: Path) -> None:
    """Refuse at once what would fill the disk: a site takes no report on a full one."""
    copy, all_of_it = 0, _MARGIN
    for place in places:
        database = _size(place.folder / DATABASE)
        copy = max(copy, database)
        files = (place.folder / FILES).glob("*")
        all_of_it += database + sum(_size(path) for path in files)
    spare = max((one.settings.limits.free_bytes for one in read.sites), default=0)
    here = places[0].folder
    if os.stat(here).st_dev == os.stat(target).st_dev:
        wanted = {target: all_of_it + copy + spare}
    else:
        wanted = {target: all_of_it, here: copy + spare}
    for folder, need in wanted.items():
        free = shutil.disk_usage(folder).free
        if free < need:
            raise BackupError(
                f"there is no room: {need} bytes are needed on the disk of {folder}, "
                f"{free} are free; nothing was changed"
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _doubted(places: tuple[Place, ...], today: datetime.date) -> bool:
    """Whether the clock may be wrong, by the rule of the upkeep: then nothing is removed by it."""
    for place in places:
        try:
            with snapshot.looked_at(place.folder / DATABASE) as database:
                newest, served = snapshot.days(database)
        except (KlankbordError, OSError):
            continue  # the backup itself says so
        far = today - datetime.timedelta(retention.FAR)
        if newest > today.isoformat() or (served and served < far.isoformat()):
            return True
    return False
