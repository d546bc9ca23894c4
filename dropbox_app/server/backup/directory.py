"""The folder of a server's backups: its files, their checksums, and when they are removed.

Each day has one sealed file, ``klankbord-DAY.age``. All backups share one sealed list of withdrawn
mailboxes, ``withdrawn-DAY.age``, made with the newest backup. The SHA-256 of each file is in a file
next to it. The checksum is written first, and a backup without a checksum does not count.
Everything is sealed to the operator's key: without the key, checksums can be verified, but no file
can be read.
"""

import datetime
import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dropbox_app.protocol.encoding import new_digest
from dropbox_app.server.config.settings import Retention
from dropbox_app.server.errors import BackupError
from dropbox_app.server.store.files import (
    NoFile,
    as_its_folder,
    at_midnight,
    open_untouched,
    read_small,
    replace_whole,
    sync_folder,
)

FOLDER = "backups"  # the folder's name in the server's folder
KEY = "backup-key"  # likewise: the public key to which backups are sealed
SOON = 2  # days after which a missing backup is a fault

Kind = Literal["klankbord", "withdrawn"]

_NAME = re.compile(r"(klankbord|withdrawn)-([0-9]{4}-[0-9]{2}-[0-9]{2})(?:-([0-9]{1,4}))?\.age")
_SUM = ".sha256"
_NEW = ".new"
_PIECE = 1024 * 1024
_LINE = 1024  # bytes to read for a checksum and its file name
_OTHER = "it, or its checksum, is not what was written"


@dataclass(frozen=True, order=True)
class Kept:
    """A file in the folder. ``number`` distinguishes files of the same day."""

    day: datetime.date
    number: int
    path: Path

    @property
    def sum(self) -> Path:
        """Return the path of the file's checksum, which ``sha256sum -c`` can read."""
        return self.path.with_name(self.path.name + _SUM)


def days_kept(retentions: list[Retention]) -> tuple[int, int]:
    """Return how many days backups are kept, and the longest period that the sites promise."""
    most = min((one.backup for one in retentions), default=Retention.backup)
    return Retention(backup=most).backups_kept, most


def read_name(path: Path) -> tuple[Kind, Kept] | None:
    """Parse the name of a file in the folder; return None for any other name."""
    named = _NAME.fullmatch(path.name)
    try:
        day = datetime.date.fromisoformat(named[2]) if named else None
    except ValueError:
        day = None
    if named is None or day is None:
        return None
    kind: Kind = "klankbord" if named[1] == "klankbord" else "withdrawn"
    return kind, Kept(day, int(named[3] or 1), path)


def kept(folder: Path, kind: Kind = "klankbord") -> list[Kept]:
    """Return the files in the folder, oldest first."""
    names = map(read_name, folder.iterdir() if folder.is_dir() else ())
    return sorted(named[1] for named in names if named and named[0] == kind)


@contextmanager
def alone(folder: Path, day: datetime.date) -> Iterator[None]:
    """Lock the folder for one backup, and remove the leftovers of an interrupted backup.

    Even if files are added or removed meanwhile, the folder's timestamps are rounded to the day.
    """
    new = not folder.exists()
    folder.mkdir(0o700, parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if new:
            as_its_folder(handle, folder.parent)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupError(f"another backup is being made in {folder}") from None
        try:
            _sweep(folder)
            yield
        finally:
            at_midnight(folder, day)
    finally:
        os.close(handle)


def begun(folder: Path, kind: Kind, day: datetime.date) -> tuple[Path, Kept]:
    """Return the path for a new, unfinished file, and the entry for the finished file."""
    number = 1 + max((one.number for one in kept(folder, kind) if one.day == day), default=0)
    name = f"{kind}-{day}" + (f"-{number}" if number > 1 else "") + ".age"
    return folder / f".{name}{_NEW}", Kept(day, number, folder / name)


def finished(new: Path, made: Kept, digest: str) -> None:
    """Write the checksum of a complete file, then give the file its final name."""
    at_midnight(new, made.day)
    replace_whole(made.sum, _line(digest, made).encode("utf-8"), made.day)
    new.rename(made.path)
    sync_folder(made.path.parent)
    at_midnight(made.path.parent, made.day)


def drop(one: Kept) -> None:
    """Remove a file and its checksum, in an order that never leaves a backup without a checksum."""
    one.path.unlink(missing_ok=True)
    one.sum.unlink(missing_ok=True)


def too_old(
    folder: Path, today: datetime.date, days: int, newest: Kept | None = None
) -> list[Kept]:
    """Return the expired backups, and those replaced by ``newest`` on the same day.

    A backup dated in the future was made while the clock was wrong, and is returned too.
    """
    return [
        one
        for one in kept(folder)
        if not today - datetime.timedelta(days) < one.day <= today
        or (newest is not None and one.day == newest.day and one != newest)
    ]


def faults(folder: Path) -> Iterator[tuple[str, str]]:
    """Read every file again, and yield the name and fault of each damaged file."""
    for one in sorted(kept(folder) + kept(folder, "withdrawn")):
        yield one.path.name, _fault(one)


def _fault(one: Kept) -> str:
    try:
        said = read_small(one.sum, _LINE)
        digest = new_digest()
        with open_untouched(one.path) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except FileNotFoundError:
        return "it has no checksum"
    except NoFile:
        return _OTHER
    wanted = _line(digest.hexdigest(), one).encode("utf-8")
    return "" if said == wanted else _OTHER


def _line(digest: str, one: Kept) -> str:
    return f"{digest}  {one.path.name}\n"


def _sweep(folder: Path) -> None:
    for path in folder.iterdir():
        named = path.name.removesuffix(_SUM)
        lone = named != path.name and _NAME.fullmatch(named) and not (folder / named).exists()
        ours = path.name.startswith((".klankbord-", ".withdrawn-")) and path.name.endswith(_NEW)
        if lone or ours:
            path.unlink(missing_ok=True)
