"""Room that is kept back on the disk, so that a full disk still takes what makes room."""

import datetime
import os
import shutil
from pathlib import Path

from dropbox_app.server.store.files import at_midnight, full_disk_said

SIZE = 16 * 1024 * 1024  # bytes: the messages of one mailbox, twice


def full(folder: Path) -> bool:
    """Whether a disk has no room, or no inodes, for even the smallest things."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < SIZE or not disk.f_favail


class Reserve:
    """Room kept back on the disk for what makes room: a withdrawal, a purge, a start.

    To overwrite what goes, SQLite first writes as much to its log. Zeros that nobody reads, made
    by the upkeep; given up when the disk (its bytes, or its inodes) is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, day: datetime.date) -> None:
        """Make it, if it is not there and the disk has plenty."""
        if self._path.exists() or shutil.disk_usage(self._path.parent).free < 4 * SIZE:
            return
        with full_disk_said():
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.posix_fallocate(handle, 0, SIZE)
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
