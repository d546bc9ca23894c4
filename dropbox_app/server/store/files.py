"""Files beside the database: sealed files too large for it, and the list of withdrawn mailboxes.

Everything is on disk before it counts, under a name that appears whole or not at all, and under a
time no finer than a day (SPEC section 5).
"""

import bisect
import contextlib
import datetime
import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dropbox_app.server.errors import SiteFull
from dropbox_app.server.store import IN_DATABASE, Digest

START = 16 * 1024  # bytes kept of a staged file: more than any header that is taken
FULL = {errno.ENOSPC, errno.EDQUOT}  # how the system says that there is no room
RESERVE = 16 * 1024 * 1024  # the messages of one mailbox, twice
PART = ".part"  # of a name: a file on its way in
_ID = 64  # characters of a mailbox id
_LINE = _ID + len(" 2026-11-22\n")  # bytes of a line in the list of withdrawn ones


@contextlib.contextmanager
def full_disk_said() -> Iterator[None]:
    """Turn the system's word for a full disk into SiteFull."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise SiteFull("the disk is full") from None
        raise


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that must not be there yet, 0600 unless said, and have it on disk.

    If root writes it, it belongs to the folder's owner: the server, which is not root, reads it.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        as_its_folder(handle, path.parent)
        if mode != 0o600:  # the umask would take it away
            os.fchmod(handle, mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def as_its_folder(handle: int, folder: Path) -> None:
    """What root makes belongs to who owns the folder."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def at_midnight(path: Path, day: datetime.date) -> None:
    """Set both times of a file to the beginning of the day."""
    moment = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp()
    os.utime(path, (moment, moment))


def remove(path: Path, day: datetime.date) -> None:
    """Unlink a file, if it is there, and leave no finer time of that in its folder than the day."""
    path.unlink(missing_ok=True)
    at_midnight(path.parent, day)


def replace_whole(path: Path, data: bytes, day: datetime.date, mode: int = 0o600) -> None:
    """Put a file in the place of another so that a reader, or a crash, sees one of them whole."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        write_new(new, data, mode)
        at_midnight(new, day)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)  # of a full disk even a part is too much
        raise
    sync_folder(path.parent)
    with contextlib.suppress(PermissionError):  # a folder that is another account's
        at_midnight(path.parent, day)


def sync_folder(folder: Path) -> None:
    """Have a folder's names on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def locked_part(folder: Path) -> tuple[Path, int]:
    """Make a part file, locked for as long as its handle is open: no sweep takes it till then."""
    while True:
        path = folder / (secrets.token_hex(16) + PART)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return path, handle
        os.close(handle)  # ``sweep`` took it for a leftover: it had no lock yet


class StagedFile:
    """A sealed file on its way in; see ``Staged``.

    Up to IN_DATABASE bytes stay in memory. A longer one goes to a nameless part file, which is
    locked as long as its writer lives: ``sweep`` then knows the leftovers of a crash.
    """

    def __init__(self, folder: Path, digest: Digest, today: datetime.date) -> None:
        self.size = 0
        self.start = b""
        self.small: bytearray | None = bytearray()
        self._folder = folder
        self._today = today
        self._hash = digest
        self._file: BinaryIO | None = None
        self._path: Path | None = None

    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises SiteFull if the disk is full."""
        self.size += len(data)
        self._hash.update(data)
        if len(self.start) < START:
            self.start += data[: START - len(self.start)]
        if self.small is not None and self.size <= IN_DATABASE:
            self.small += data
            return
        with full_disk_said():
            self._to_disk(data)

    def _to_disk(self, data: bytes) -> None:
        if self._file is None:
            self._file = self._part()
            self._file.write(self.small or b"")
            self.small = None
        self._file.write(data)

    def _part(self) -> BinaryIO:
        self._path, handle = locked_part(self._folder)
        return os.fdopen(handle, "wb")

    def digest(self) -> str:
        """The hex SHA-256 of what was written so far."""
        return self._hash.hexdigest()

    def keep(self, name: str, day: datetime.date) -> None:
        """Give the part file its name, on disk. Still locked: it counts once it has a row."""
        if self._file is None or self._path is None:
            raise ValueError("a small file is kept in the database")
        self._file.flush()
        os.fsync(self._file.fileno())
        at_midnight(self._path, day)
        self._path.rename(self._folder / name)
        self._path = None
        sync_folder(self._folder)
        at_midnight(self._folder, day)

    def __enter__(self) -> "StagedFile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            remove(self._path, self._today)
        if self._file is not None:
            # What is still unwritten here belongs to a file that was not kept.
            with contextlib.suppress(OSError):
                self._file.close()


@contextlib.contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether nobody is writing this file (any more); nobody is, then, as long as this lasts."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            left = False
        else:
            left = True
        yield left
    finally:
        os.close(handle)


class NoFile(OSError):
    """Something else than a file lies there, or one that is larger than any of its kind."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "it is no file, or too large", str(path))


def open_untouched(path: Path) -> BinaryIO:
    """Open a file for reading without leaving a time of reading, where the system can.

    Raises NoFile for a pipe or a device: it would keep the reader waiting, or never end.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # opening a device can do something by itself
        raise NoFile(path)
    flags = os.O_RDONLY | os.O_NONBLOCK
    try:
        handle = os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # not the owner: O_NOATIME is refused
        handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # put there this moment
        os.close(handle)
        raise NoFile(path)
    return os.fdopen(handle, "rb")


def read_small(path: Path, most: int) -> bytes:
    """What a file of at most so many bytes holds. Raises NoFile, OSError."""
    with open_untouched(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise NoFile(path)
    return data


def full(folder: Path) -> bool:
    """Whether a disk has no room, or no inodes, for even the smallest things."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < RESERVE or not disk.f_favail


class Reserve:
    """Room kept back on the disk for what makes room: a withdrawal, a purge, a start.

    To overwrite what goes, SQLite first writes as much to its log. Zeros that nobody reads, made
    by the upkeep; given up when the disk (its bytes, or its inodes) is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, day: datetime.date) -> None:
        """Make it, if it is not there and the disk has plenty."""
        if self._path.exists() or shutil.disk_usage(self._path.parent).free < 4 * RESERVE:
            return
        with full_disk_said():
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(handle, 0, RESERVE)
            finally:
                os.close(handle)
            at_midnight(self._path, day)

    def give_up(self) -> bool:
        """Free it. Whether there was one."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True


class Withdrawn:
    """The ids of withdrawn mailboxes, each with its day: lines ``ID YYYY-MM-DD``, sorted.

    The file lies beside the database so that a restored backup cannot bring a mailbox back. It is
    replaced whole, on disk, by one writer at a time (the store's transaction sees to that).
    Sorted by id: the order of a day's withdrawals is nobody's business.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, datetime.date]:
        """All of them. Raises ValueError for a damaged list."""
        try:
            text = self._path.read_text("ascii")
        except FileNotFoundError:
            return {}
        pairs = (line.split(" ") for line in text.split("\n")[:-1])
        return {mailbox: datetime.date.fromisoformat(day) for mailbox, day in pairs}

    def holds(self, mailbox: str) -> bool:
        """Whether it is in the list: by halves, so that a long list keeps no report waiting."""
        wanted = mailbox.encode("ascii")
        try:
            handle = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            lines, rest = divmod(os.fstat(handle).st_size, _LINE)
            if rest == 0 and len(wanted) == _ID:
                at = bisect.bisect_left(
                    range(lines), wanted, key=lambda n: os.pread(handle, _ID, n * _LINE)
                )
                line = os.pread(handle, _LINE, at * _LINE)
                if line[:_ID] == wanted:
                    return True
                if not line or line[_ID : _ID + 1] == b" ":
                    return False
        finally:
            os.close(handle)
        return mailbox in self.read()  # not as ``write`` leaves it

    def add(self, mailbox: str, day: datetime.date) -> None:
        """Put one more in its place, or a new day in the place of the old one."""
        line = f"{mailbox} {day}\n".encode("ascii")
        data = self._path.read_bytes() if self._path.exists() else b""
        if len(data) % _LINE or len(line) != _LINE:
            self.write(self.read() | {mailbox: day}, day)
            return
        wanted = line[:_ID]
        at = _LINE * bisect.bisect_left(
            range(len(data) // _LINE), wanted, key=lambda n: data[n * _LINE : n * _LINE + _ID]
        )
        end = at + _LINE if data[at : at + _ID] == wanted else at
        replace_whole(self._path, data[:at] + line + data[end:], day)

    def write(self, days: dict[str, datetime.date], today: datetime.date) -> None:
        """Replace the list, dated ``today``."""
        text = "".join(f"{mailbox} {day}\n" for mailbox, day in sorted(days.items()))
        replace_whole(self._path, text.encode("ascii"), today)
