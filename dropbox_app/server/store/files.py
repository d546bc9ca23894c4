"""Write files so that a crash leaves a complete file or none; read them without leaving a trace.

A file counts as written once it is on disk. The times of the file are rounded to the day
(SPEC section 5).
"""

import contextlib
import datetime
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dropbox_app.server.errors import SiteFull

FULL = {errno.ENOSPC, errno.EDQUOT}  # the system's errors for a full disk


@contextlib.contextmanager
def full_disk_said() -> Iterator[None]:
    """Raise SiteFull instead of the system's error for a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise SiteFull("the disk is full") from None
        raise


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that must not exist yet, with mode 0600 by default, and sync it to disk.

    If root writes the file, the folder's owner becomes the file's owner, because the server, which
    is not root, must be able to read it.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        as_its_folder(handle, path.parent)
        if mode != 0o600:  # otherwise the umask would remove it
            os.fchmod(handle, mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def as_its_folder(handle: int, folder: Path) -> None:
    """Give a file that root created to the owner of its folder."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(handle, owner.st_uid, owner.st_gid)


def at_midnight(path: Path, day: datetime.date) -> None:
    """Set both times of a file to the beginning of the day."""
    moment = datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp()
    try:
        os.utime(path, (moment, moment))
    except OSError as error:
        error.filename = str(path)  # the error of os.utime does not name the file
        raise


def remove(path: Path, day: datetime.date) -> None:
    """Unlink a file, if it exists, and round the folder's time to the day."""
    path.unlink(missing_ok=True)
    at_midnight(path.parent, day)


def replace_whole(path: Path, data: bytes, day: datetime.date, mode: int = 0o600) -> None:
    """Replace a file atomically: readers always find a complete version, even after a crash."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        write_new(new, data, mode)
        at_midnight(new, day)
        new.rename(path)
    except OSError:
        new.unlink(missing_ok=True)  # on a full disk even a partial file takes too much space
        raise
    sync_folder(path.parent)
    with contextlib.suppress(PermissionError):  # the folder belongs to another account
        at_midnight(path.parent, day)


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class NoFile(OSError):
    """Raised if a path is not a regular file, or the file is too large for its kind."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "it is not a file, or too large", str(path))


def open_untouched(path: Path) -> BinaryIO:
    """Open a file for reading without changing its access time, where possible.

    Raises NoFile for a pipe or a device, which could block the reader or never end.
    """
    if not stat.S_ISREG(path.stat().st_mode):  # merely opening a device can have an effect
        raise NoFile(path)
    flags = os.O_RDONLY | os.O_NONBLOCK
    try:
        handle = os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # only the owner may use O_NOATIME
        handle = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):  # replaced in the meantime
        os.close(handle)
        raise NoFile(path)
    return os.fdopen(handle, "rb")


def read_small(path: Path, most: int) -> bytes:
    """Return the contents of a file of at most ``most`` bytes. Raises NoFile, OSError."""
    with open_untouched(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise NoFile(path)
    return data
