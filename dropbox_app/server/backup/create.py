"""Back up all sites while they are in use: write one sealed file and verify it.

Each database is copied in its state at a single moment, and the files next to it are read
afterwards. Data that is removed or added during the backup is not included.
"""

import datetime
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, cast

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.protocol.keys import Recipient
from dropbox_app.server.backup import directory, key, manifest
from dropbox_app.server.backup.export import exported
from dropbox_app.server.backup.key import Writing
from dropbox_app.server.config import loader, paths, settings, stores
from dropbox_app.server.config.loader import Reading
from dropbox_app.server.config.paths import Place
from dropbox_app.server.errors import BackupError, BackupFull, SiteFull
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.store import schema, snapshot
from dropbox_app.server.store.files import as_its_folder, full_disk_said, open_untouched
from dropbox_app.server.store.sqlite import DATABASE, FILES, WITHDRAWN
from dropbox_app.server.store.withdrawn_list import Withdrawn

PAD = 16 * 1024  # bytes: the length of a list must not reveal how many mailboxes were withdrawn
_BLOCK = 64 * 1024
_MARGIN = 16 * 1024 * 1024


@dataclass
class Made:
    """A finished backup, and any faults found while making it."""

    path: Path
    size: int = 0  # bytes
    sites: int = 0
    items: int = 0
    removed: int = 0  # number of older backups removed
    faults: list[str] = field(default_factory=list)  # everything that was left out or is damaged


def make(folder: Path, target: Path, today: datetime.date) -> Made:
    """Back up all sites to ``target``, and remove expired backups.

    Raises BackupError if the key or the disk space is missing, or if no site could be backed up.
    """
    public = key.recipient(folder)
    if public is None:
        raise BackupError("there is no key to seal it to; make one first: backup-key > FILE")
    read = loader.read(folder)
    places = paths.places(folder)
    days, most = directory.days_kept([one.settings.retention for one in read.sites])
    sure = not _doubted(places, read, today)
    with directory.alone(target, today):
        before = set(directory.kept(target))
        try:
            made = _make(folder, places, read, target, public, today)
        finally:
            # Expired backups are removed even if a new one failed: the sites promise a maximum age.
            for old in directory.too_old(target, today, most) if sure else ():
                directory.drop(old)
        if sure and not made.faults:
            for old in directory.too_old(target, today, days, directory.kept(target)[-1]):
                directory.drop(old)
        made.removed = len(before - set(directory.kept(target)))
    return made


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
    made = Made(kept.path)
    with ExitStack() as stack:
        places = tuple(_own_database(place, read, made, stack, today) for place in places)
        with (
            _sealed(new, kept, public) as out,
            tarfile.open(
                mode="w|", fileobj=cast(IO[bytes], out), bufsize=_BLOCK, format=tarfile.PAX_FORMAT
            ) as archive,
        ):
            _add(archive, directory.KEY, folder / directory.KEY)
            for place in places:
                _add_site(archive, place, made, today)
            if not made.sites:
                raise BackupError("; ".join(made.faults) or "there is no site here")
        made.size = kept.path.stat().st_size
        _write_list(places, read, target, public, today)
    return made


def _own_database(
    place: Place, read: Reading, made: Made, stack: ExitStack, today: datetime.date
) -> Place:
    """Return a folder to back up: for a site on PostgreSQL, a copy with an SQLite database.

    If the site cannot be copied, the site's own folder is returned. Because that folder has no
    database, the site is then left out of the backup.
    """
    known = read.of(place.name)
    if known is None or not known.settings.store:
        return place
    spare = known.settings.limits.free_bytes
    try:
        return stack.enter_context(exported(known, spare, today))
    except SiteFull:
        raise BackupError("the disk is full; none of it was kept") from None
    except (KlankbordError, OSError) as error:
        made.faults.append(f"{place.name}: {error}")
        return place


def _add_site(archive: tarfile.TarFile, place: Place, made: Made, today: datetime.date) -> None:
    """Copy and check a site's database, then add the site to the backup.

    A site whose database cannot be copied is left out. Raises KlankbordError, OSError for later
    failures.
    """
    before, folder = manifest.prefix(place), place.folder
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(snapshot.copied(folder / DATABASE, folder / FILES, today))
            with snapshot.opened(copy) as database:
                strange = schema.file_fault(copy) or schema.fault(database)
                snapshot.check(database)
                large = snapshot.large(database)
                bad = snapshot.altered(database, sha256_hex)
                (items,) = database.execute("SELECT count(*) FROM items").fetchone()
        except (KlankbordError, OSError) as error:
            if isinstance(error, SiteFull):
                raise
            made.faults.append(f"{place.name}: {error} (not in it)")
            return
        _add(archive, before + DATABASE, copy)
    if strange:
        made.faults.append(f"{place.name}: {strange}; a restore would refuse it; run doctor")
    for item, size in large:
        if not _add(archive, f"{before}{FILES}/{item}", folder / FILES / item, size):
            bad += [item] if _still_there(place, item) else []
    for path in manifest.of(place):
        _add(archive, before + path.relative_to(folder).as_posix(), path)
    # The list is read after the database, so it includes everything withdrawn from that copy.
    _add(archive, before + WITHDRAWN, folder / WITHDRAWN)
    made.sites += 1
    made.items += items
    if not (folder / settings.FILE_NAME).is_file():
        said = f"{settings.FILE_NAME} is gone, so it is not in the backup; see doctor"
        made.faults.append(f"{place.name}: {said}")
    if bad:
        made.faults.append(f"{place.name}: {len(bad)} items are damaged or missing; see doctor")


def _still_there(place: Place, item: str) -> bool:
    """Return whether a missing file should still exist; a purge may just have removed it."""
    with snapshot.looked_at(place.folder / DATABASE) as database:
        return bool(database.execute("SELECT 1 FROM items WHERE item = ?", [item]).fetchone())


@contextmanager
def _sealed(new: Path, kept: directory.Kept, public: Recipient) -> Iterator[Writing]:
    """Write a sealed file, read it back, then give it its final name. Remove it on failure."""
    try:
        with full_disk_said(), _created(new) as file:
            out = Writing(file, public)
            yield out
            digest = out.finish()
            directory.finished(new, kept, digest)
    except SiteFull:
        raise BackupFull("the disk is full; none of it was kept") from None
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
    """Write a new list of withdrawn mailboxes next to the backups, then remove older lists.

    Lines are ``SITE MAILBOX DAY``. Raises BackupError if a site's list cannot be read, and keeps
    the previous list.
    """
    lines = []
    for place in places:
        known = read.of(place.name)
        if known and known.settings.store and place == known.place:  # it could not be copied
            raise BackupError(f"the withdrawals of {place.name} cannot be listed; see doctor")
        site_id = known.settings.site if known else loader.held_id(place.folder)
        try:
            days = Withdrawn(place.folder / WITHDRAWN).read()
        except ValueError:
            raise BackupError(f"{place.folder / WITHDRAWN} is damaged; see doctor") from None
        if days and site_id is None:
            raise BackupError(f"the withdrawals of {place.name} cannot be listed; see site check")
        lines += [f"{site_id} {box} {day}\n" for box, day in days.items()]
    text = "".join(sorted(lines)).encode("ascii")
    new, kept = directory.begun(target, "withdrawn", today)
    with _sealed(new, kept, public) as out:
        out.write(text.ljust(-(-max(len(text), 1) // PAD) * PAD, b"\n"))
    for old in directory.kept(target, "withdrawn"):
        if old != kept:
            directory.drop(old)


class _Steady:
    """A file object that returns zeros for bad sectors, so that they do not stop a backup."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.bad = False

    def read(self, size: int = -1) -> bytes:
        """Return ``size`` bytes; unreadable bytes are replaced by zeros."""
        if not self.bad:
            try:
                data = self._file.read(size)
            except OSError:
                data = b""
            self.bad = len(data) < size
            return data + bytes(max(0, size - len(data)))
        return bytes(size)


def _add(archive: tarfile.TarFile, name: str, path: Path, size: int | None = None) -> bool:
    """Back up a file without its timestamp. Return False if the file is missing or incomplete."""
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
    """Refuse a backup that would fill the disk: a site on a full disk accepts no reports."""
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
            raise BackupFull(
                f"there is no room: {need} bytes are needed on the disk of {folder}, "
                f"{free} are free; nothing was changed"
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _doubted(places: tuple[Place, ...], read: Reading, today: datetime.date) -> bool:
    """Return whether the purge's rule says that the clock may be wrong; if so, remove no backup."""
    for place in places:
        known = read.of(place.name)
        with suppress(KlankbordError, OSError):  # the backup reports this error itself
            if known and known.settings.store:
                newest, served = stores.days(place, known.settings)
                if purge.doubted(newest, served, True, today):
                    return True
                continue
        with (
            suppress(KlankbordError, OSError),  # the backup itself reports these errors
            snapshot.looked_at(place.folder / DATABASE) as database,
        ):
            newest, served = snapshot.days(database)
            if purge.doubted(newest, served, True, today):
                return True
    return False
