"""Restore a server's folder from a backup, run every check, and let desks detect the restore.

Everything is written to a folder inside the target, and moved into place once it is complete. A
failed restore leaves nothing behind. Each site gets a new store id, which tells desks to send
missing data again (SPEC section 7). Conversations withdrawn since the backup are not restored.
"""

import datetime
import os
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Self

from dropbox_app.protocol.encoding import check_day, check_hex, new_digest, sha256_hex
from dropbox_app.protocol.errors import FormatError
from dropbox_app.server.backup import directory, manifest
from dropbox_app.server.backup.key import Keys
from dropbox_app.server.config import loader, paths
from dropbox_app.server.config import site as sites
from dropbox_app.server.config.loader import Reading, ReadSite
from dropbox_app.server.config.paths import Place
from dropbox_app.server.config.settings import Retention
from dropbox_app.server.errors import BackupError, SiteFull
from dropbox_app.server.store import schema, snapshot
from dropbox_app.server.store.files import at_midnight, full_disk_said, sync_folder
from dropbox_app.server.store.sqlite import DATABASE, FILES, WITHDRAWN, SqliteStore
from dropbox_app.server.store.withdrawn_list import Withdrawn

_PIECE = 1024 * 1024
_LONGEST_HEADER = 4096  # bytes of the other fields in a header, mostly names (at most 120 bytes)
_SPARE = 64 * 1024 * 1024  # free bytes that a restore leaves, because other sites may use that disk
_STRANGE = "it holds data that no server writes"
_LIST = 64 * 1024 * 1024  # maximum bytes of a list of withdrawn mailboxes

_FRESH = "lost+found"  # a new disk has this folder at its top

Days = dict[str, datetime.date]  # withdrawn mailboxes and the day of each


@dataclass(frozen=True)
class RestoredSite:
    """The numbers of mailboxes and items affected by the restore of one site."""

    name: str
    organisation: str  # "" if the settings in the backup are wrong
    mailboxes: int
    withdrawn: int  # mailboxes that were in the backup and had been withdrawn since
    lost: int  # items whose bytes were missing or damaged


@dataclass(frozen=True)
class Restored:
    """The result of a restore. ``listed`` is True if the list next to the backup was found."""

    sites: tuple[RestoredSite, ...]
    listed: bool


@dataclass
class _Lists:
    """All known lists of withdrawn mailboxes outside the backup."""

    of_sites: dict[str, Days] = field(default_factory=dict)
    of_any: Days = field(default_factory=dict)
    beside: bool = False


def restore(
    folder: Path, file: Path, keys: Keys, lists: Sequence[Path], today: datetime.date, *, old: bool
) -> Restored:
    """Fill an empty or new folder from a backup. Raises BackupError, ServerError.

    ``lists`` are further lists of withdrawn mailboxes. ``old`` accepts a backup even if it is older
    than the period for which the sites promise to keep backups.
    """
    named = directory.read_name(file)
    if named and named[0] == "withdrawn":
        raise BackupError(
            f"{file.name} is a list of withdrawn mailboxes; give the klankbord-... file beside it"
        )
    with _begun(folder) as new:
        try:
            with full_disk_said():
                known = _read_lists(file, keys, lists)
                _unpack(file, keys, new)
                _check_schemas(new)
                read = loader.read(new)
                found = _sites(new, read)
                if not old:
                    _check_age(file, [one.settings.retention for one in read.sites], today)
                done = tuple(
                    _finish(place, read.of(place.name), site_id, known, today, len(found) > 1)
                    for place, site_id in found
                )
                _date(new, today)
        except SiteFull:
            raise BackupError("the disk is full; nothing was restored") from None
        _move(new, folder)
    return Restored(done, known.beside)


@contextmanager
def _begun(folder: Path) -> Iterator[Path]:
    """Yield a working folder inside a target without data; clean up after a failure."""
    there = folder.exists()
    new = folder / paths.RESTORING
    inside = {path.name for path in folder.iterdir()} if folder.is_dir() else {"a file"}
    inside.discard(_FRESH)
    # Start again if a killed restore left files, some of which may already be in place.
    left = manifest.TOP | {manifest.FORMER, paths.RESTORING} if new.exists() else set()
    if there and inside - left:
        raise BackupError(f"{folder} already exists and is not empty; nothing was changed")
    folder.mkdir(0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    _empty(folder)
    new.mkdir(0o700)
    try:
        yield new
    except BaseException:
        _empty(folder)
        if not there:
            folder.rmdir()
        raise


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != _FRESH:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


# The contents of the backup.


class _Reader:
    """A readable file object that reads from an iterator of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = bytearray()

    def read(self, size: int) -> bytes:
        while len(self._held) < size:
            piece = next(self._pieces, b"")
            if not piece:
                break
            self._held += piece
        data = bytes(self._held[:size])
        del self._held[:size]
        return data


class _Entry(tarfile.TarInfo):
    """A tar entry that is validated before any of it is read or written.

    tarfile would read a header of any length into memory, and expand a sparse file into a terabyte
    of zeros.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        entry = super().frombuf(buf, encoding, errors)
        is_more = entry.type == tarfile.XHDTYPE and entry.size <= _LONGEST_HEADER
        if not is_more and entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            raise BackupError(_STRANGE)
        return entry


def _unpack(path: Path, keys: Keys, new: Path) -> None:
    """Unpack a backup, and authenticate it to the end. Raises BackupError."""
    with path.open("rb") as file:
        pieces = keys.chunks(file)
        try:
            with tarfile.open(mode="r|", fileobj=_Reader(pieces), tarinfo=_Entry) as archive:  # type: ignore[call-overload]  # it only reads
                for entry in archive:
                    plain = entry.isreg() and not entry.pax_headers.keys() - {"path", "size"}
                    inside = archive.extractfile(entry) if plain else None
                    name = manifest.parted(entry.name)
                    if inside is None or name is None:
                        raise BackupError(_STRANGE)
                    if shutil.disk_usage(new).free - entry.size < _SPARE:
                        raise SiteFull
                    _write(new / entry.name, inside, name[1])
            for _ in pieces:  # the archive may end before the file does
                pass
        except (tarfile.TarError, EOFError):
            raise BackupError("it is damaged, or not a backup of a server") from None


def _write(path: Path, inside: IO[bytes], name: str) -> None:
    """Write one file. A sealed file that does not match its name is left out."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir(0o700)
    digest = new_digest()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BackupError(f"it holds {name} twice, which no server writes") from None
    with os.fdopen(handle, "wb") as file:
        while piece := inside.read(_PIECE):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(handle)
    if name.startswith(f"{FILES}/") and digest.hexdigest() != path.name:
        path.unlink()


def _check_schemas(new: Path) -> None:
    """Raise BackupError for a database with an unknown schema, before anything else reads it."""
    for place in paths.places(new):
        path = place.folder / DATABASE
        if path.exists():
            strange = schema.file_fault(path)
            if not strange:
                with snapshot.opened(path) as database:
                    strange = schema.fault(database)
            if strange:
                raise BackupError(
                    f"the database of the site {place.name} is not as a server writes it: "
                    f"{strange}; use an earlier backup"
                )


def _sites(new: Path, read: Reading) -> list[tuple[Place, str]]:
    """Return every restored site and its id. Raises BackupError.

    A site whose settings were already wrong is restored too. The site stays closed until the
    settings are corrected, as on the old machine.
    """
    found = []
    for place in paths.places(new):
        if not (place.folder / DATABASE).exists():
            raise BackupError(f"it holds no database of the site {place.name}")
        known = read.of(place.name)
        site_id = known.settings.site if known else loader.held_id(place.folder)
        if site_id is None:
            said = "; ".join(fault.said for fault in read.faults if fault.site == place.name)
            raise BackupError(f"the id of the site {place.name} is not known: {said}")
        found.append((place, site_id))
    return found


def _check_age(file: Path, retentions: list[Retention], today: datetime.date) -> None:
    named = directory.read_name(file)
    _, most = directory.days_kept(retentions)
    if named is None:
        raise BackupError(
            f"{file.name} is not its original name, so its day is unknown; "
            "restore that name, or use --old"
        )
    day = named[1].day
    if (today - day).days > most:
        raise BackupError(
            f"it is of {day}, and no backup may be older than {most} days: conversations "
            "withdrawn since may come back. To restore it anyway, use --old"
        )


# Withdrawn mailboxes.


def _read_lists(file: Path, keys: Keys, given: Sequence[Path]) -> _Lists:
    """Read the list next to the backup and the given lists. Raises BackupError."""
    known = _Lists()
    for one in directory.kept(file.absolute().parent, "withdrawn"):
        _take_sealed(one.path, keys, known)
        known.beside = True
    for path in given:
        with path.open("rb") as opened:
            sealed = opened.read(4) == b"age-"
        if sealed:
            _take_sealed(path, keys, known)
            continue
        try:
            days = Withdrawn(path).read()
            for mailbox in days:
                check_hex(mailbox, 32)
        except (ValueError, FormatError):
            raise BackupError(f"{path}: this is not a list of withdrawn mailboxes") from None
        _merge(known.of_any, days)
    return known


def _take_sealed(path: Path, keys: Keys, known: _Lists) -> None:
    data = bytearray()
    try:
        with path.open("rb") as file:
            for piece in keys.chunks(file):
                data += piece
                if len(data) > _LIST:
                    raise BackupError("it is longer than any list")
        for line in data.decode("ascii").split("\n"):
            if line:
                site, mailbox, day = line.split(" ")
                days = known.of_sites.setdefault(check_hex(site, 16), {})
                _merge(days, {check_hex(mailbox, 32): check_day(day)})
    except (BackupError, FormatError, ValueError) as error:
        raise BackupError(f"{path.name}, the list of withdrawn mailboxes: {error}") from None


def _merge(days: Days, more: Days) -> None:
    """Add mailboxes to ``days``. If a mailbox has several days, the latest one counts."""
    for mailbox, day in more.items():
        days[mailbox] = max(day, days.get(mailbox, day))


# A single site.


def _finish(
    place: Place,
    read: ReadSite | None,
    site_id: str,
    known: _Lists,
    today: datetime.date,
    several: bool,
) -> RestoredSite:
    """Check a site's database, remove withdrawn mailboxes and set a new store id."""
    folder = place.folder
    for name in (FILES, sites.CARDS):
        (folder / name).mkdir(0o700, exist_ok=True)
    with snapshot.opened(folder / DATABASE) as database:
        snapshot.check(database)
        lost = snapshot.altered(database, sha256_hex)
        for item, size in snapshot.large(database):
            path = folder / FILES / item
            if not path.exists() or path.stat().st_size != size:
                lost.append(item)
    days: Days = {}
    try:
        _merge(days, Withdrawn(folder / WITHDRAWN).read())
    except ValueError:
        raise BackupError(f"the list of withdrawn mailboxes of {place.name} is damaged") from None
    _merge(days, known.of_sites.get(site_id, {}))
    store = SqliteStore(folder, lambda: today)
    try:
        here = set(store.mailboxes())
        # These lists name no site. A mailbox that is found nowhere could belong to any site.
        _merge(days, {m: d for m, d in known.of_any.items() if m in here or not several})
        with store.writing():
            store.remove_items(lost)
            gone = [m for m in here & days.keys() if _opens(store, m)]
            for mailbox in gone:
                store.remove_mailbox(mailbox)
            store.renew_id()
            store.set_site_id(site_id)
            left = len(store.mailboxes())
        store.sweep()
        store.truncate_log()
    finally:
        store.close()
    (folder / WITHDRAWN).unlink(missing_ok=True)
    if days:
        Withdrawn(folder / WITHDRAWN).write(days, today)
    organisation = read.settings.name if read else ""
    return RestoredSite(place.name, organisation, left, len(gone), len(lost))


def _opens(store: SqliteStore, mailbox: str) -> bool:
    """Return whether a code still opens the mailbox; if not, the mailbox contains a withdrawal."""
    info = store.mailbox(mailbox)
    return info is not None and info.access is not None


# Moving into place.


def _date(new: Path, today: datetime.date) -> None:
    """Set a file's times to the beginning of the day."""
    for path in sorted(new.rglob("*"), reverse=True):
        at_midnight(path, today)


def _move(new: Path, folder: Path) -> None:
    """Move everything into place. Before the last move, the restore counts as interrupted."""
    for path in sorted(new.iterdir()):
        path.rename(folder / path.name)
    new.rmdir()
    sync_folder(folder)
