"""Sealed files that are too large for the database, each in its own file next to the database."""

import contextlib
import datetime
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dropbox_app.server.store.files import at_midnight, full_disk_said, remove, sync_folder
from dropbox_app.server.store.interface import IN_DATABASE, Digest

START = 16 * 1024  # bytes kept of a staged file: more than any accepted header has
PART = ".part"  # suffix of a file that is being received
BESIDE = ("-journal", "-wal", "-shm")  # suffixes of files that SQLite writes next to a database


def locked_part(folder: Path) -> tuple[Path, int]:
    """Create a part file, which is locked while its handle is open, so that no sweep removes it."""
    while True:
        path = folder / (secrets.token_hex(16) + PART)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return path, handle
        os.close(handle)  # ``sweep`` removed it as a leftover, because it had no lock yet


class StagedFile:
    """A sealed file that is being received; see ``Staged``.

    Up to IN_DATABASE bytes stay in memory. A longer file is written to a part file, which stays
    locked while its writer is running, so that ``sweep`` recognises the leftovers of a crash.
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
        """Add the next bytes. Raises SiteFull if the disk is full."""
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
        """Return the hex SHA-256 of the bytes written so far."""
        return self._hash.hexdigest()

    def keep(self, name: str, day: datetime.date) -> None:
        """Give the part file its final name on disk.

        The file stays locked until the database contains its row.
        """
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
            # The file was not kept, so its unwritten bytes do not matter.
            with contextlib.suppress(OSError):
                self._file.close()


def _part_of(path: Path) -> Path:
    for end in BESIDE:
        if path.name.endswith(PART + end):
            return path.with_name(path.name.removesuffix(end))
    return path


@contextlib.contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Lock a part file if nobody is still writing it; yield whether it was abandoned.

    A file that SQLite writes next to a part file has no lock of its own, so the lock of that part
    file counts.
    """
    locked = _part_of(path)
    try:
        handle = os.open(locked, os.O_RDONLY)
    except FileNotFoundError:
        yield locked != path  # its part file is missing, so it was left behind
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
