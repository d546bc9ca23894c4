"""Reserved disk space, so that operations that free space still work on a full disk."""

import datetime
import os
import shutil
from pathlib import Path

from dropbox_app.server.store.files import at_midnight, full_disk_said

SIZE = 16 * 1024 * 1024  # bytes: twice the messages of one mailbox


def full(folder: Path) -> bool:
    """Return whether a disk has too little space, or too few inodes, for the smallest changes."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < SIZE or not disk.f_favail


class Reserve:
    """Reserved space for operations that free space: a withdrawal, a purge, a start.

    To overwrite removed data, SQLite first writes the same amount of data to its log. The reserve
    is a file of zeros. Maintenance creates the file, which is removed when the disk runs out of
    bytes or inodes.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, day: datetime.date) -> None:
        """Create the reserve, if it does not exist and the disk has plenty of space."""
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
        """Release the reserve; return whether there was one."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        return True
