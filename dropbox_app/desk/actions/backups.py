"""Actions on backups: write a desk to one sealed file, test the file, restore it (SPEC section 12).

A desk may contain many large files, so files are read and written in pieces.
"""

import contextlib
import datetime
import io
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.desk.errors import AlreadyThere, Damaged, DeskError, NotSetUp
from dropbox_app.desk.folder import Machine, Workplace, opened
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.atomic_files import Disk, writing_outside
from dropbox_app.desk.storage.state import State
from dropbox_app.protocol.errors import WrongPassphrase
from dropbox_app.protocol.stream import CHUNK

_BACKED_UP = re.compile(
    r"vault\.age|desk-[ab]\.db|sites/[0-9a-f]{32}/(items/[0-9a-f]{64}\.(age|body)|"
    r"kept/[0-9a-f]{64}\.age|state\.age)",  # state.age belongs to the first format
    re.ASCII,
)


_ROOM = 64 * 1024 * 1024  # bytes that must remain free after unpacking


@dataclass(frozen=True)
class Held:
    """The contents of a backup for one site.

    ``read_to_end`` is the day of the last complete fetch.
    """

    employer: str
    threads: int
    messages: int
    files: int
    read_to_end: datetime.date | None


def backup(place: Workplace, file: Path) -> int:
    """Write the desk to one age file sealed with the passphrase; return the number of files in it.

    The age file contains a plain tar archive, so ``age -d FILE | tar x`` restores the folder. The
    file gets its final name only when it is complete. Raises AlreadyThere.
    """
    count = 0
    place.database.flush()
    with writing_outside(file) as write:
        sealer = place.vault.backup(write)
        with tarfile.open(
            fileobj=_Sink(sealer.update), mode="w|", format=tarfile.USTAR_FORMAT
        ) as archive:
            for path in sorted(place.disk.root.rglob("*")):
                name = path.relative_to(place.disk.root).as_posix()
                if not _BACKED_UP.fullmatch(name) or not path.is_file():
                    continue
                with path.open("rb") as kept:
                    entry = tarfile.TarInfo(name)
                    entry.size, entry.mode = path.stat().st_size, 0o600
                    archive.addfile(entry, kept)
                count += 1
        sealer.finish()
    return count


def rehearse(file: Path, passphrase: str, machine: Machine, beside: Path) -> list[Held]:
    """Read a whole backup, as a restore would; return its contents for each site.

    The backup is unpacked into a new folder next to ``beside``, where everything stays sealed as in
    a desk's folder. The new folder is then removed. Raises WrongPassphrase, Damaged, or DeskError
    if there is not enough space.
    """
    parent = beside.parent if beside.parent.is_dir() else Path(tempfile.gettempdir())
    needed = file.stat().st_size + _ROOM
    if shutil.disk_usage(parent).free < needed:
        raise DeskError(
            f"To try this backup out, {parent} needs {needed // 1_000_000 + 1} MB of free space. "
            "Nothing was written."
        )
    with tempfile.TemporaryDirectory(prefix=".klankbord-rehearsal-", dir=parent) as made:
        new = Path(made) / "desk"
        with _unpacked(new, file, passphrase, machine) as place:
            if place.database.run("PRAGMA quick_check") != [("ok",)]:
                raise Damaged("The database in this backup is damaged; make a new backup.")
            return [_held(place.desk(site).state) for site in place.vault.sites]


def _held(state: State) -> Held:
    items = list(state.items.values())
    messages = sum(item.what == "message" for item in items)
    return Held(state.name, len(state.threads), messages, len(items) - messages, state.read_to_end)


def restore(folder: Path, file: Path, passphrase: str, machine: Machine) -> list[str]:
    """Restore a desk into a folder that is empty or missing; return the names of its sites.

    Raises AlreadyThere, WrongPassphrase, Damaged. If the restore fails, the folder is unchanged.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AlreadyThere(f"{folder} is not empty; restore into a new folder with --dir.")
    new = folder.with_name(f".{folder.name}-restoring")
    if new.exists():
        raise AlreadyThere(f"{new} is left from an interrupted restore; remove it, then try again.")
    try:
        names = []
        with _unpacked(new, file, passphrase, machine) as place:
            for site in place.vault.sites:
                desk = place.desk(site)
                desk.state.restored, desk.state.number = True, 0
                desk.save()
                names.append(desk.state.name)
        if folder.exists():
            folder.rmdir()
        new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return names


@contextlib.contextmanager
def _unpacked(new: Path, file: Path, passphrase: str, machine: Machine) -> Iterator[Workplace]:
    """Unpack a backup into a new folder, and open the desk in it."""
    try:
        _unpack_with(file, passphrase, Disk(new, machine.today))
        with opened(new, passphrase, machine) as place:
            yield place
    except NotSetUp:
        raise Damaged("This is no complete backup of a desk.") from None


def _unpack_with(file: Path, passphrase: str, disk: Disk) -> None:
    """Unpack a backup with the form of the passphrase that opens it.

    Older versions used the passphrase exactly as typed.
    """
    *others, last = vault.forms(passphrase)
    for form in (*others, last):
        try:
            with file.open("rb") as sealed:
                _unpack(vault.open_backup(sealed.read, form), disk)
            return
        except WrongPassphrase:  # detected before anything is unpacked
            if form == last:
                raise


def _unpack(contents: Iterator[bytes], disk: Disk) -> None:
    source = _Source(contents)
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            disk.make()
            for entry in archive:
                file = archive.extractfile(entry) if entry.isreg() else None
                if file is None or not _BACKED_UP.fullmatch(entry.name):
                    raise Damaged("The backup holds something that no desk writes.")
                with disk.writing(entry.name) as write:
                    while piece := file.read(CHUNK):
                        write(piece)
    except (tarfile.TarError, EOFError):
        raise Damaged("This is no backup of a desk, or it is damaged.") from None
    while source.read(CHUNK):
        """The archive has ended; its end shows that the file is complete."""


class _Sink(io.BufferedIOBase):
    """A file object to which tarfile writes an archive."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write

    def write(self, data: bytes) -> int:  # type: ignore[override] # tarfile writes only bytes
        self._write(data)
        return len(data)


class _Source(io.BufferedIOBase):
    """A file object through which tarfile reads an archive that arrives in pieces of any length."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int | None = -1) -> bytes:
        """Return up to ``size`` bytes of the current piece; b"" only at the end."""
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._left = piece
        length = len(self._left) if size is None or size < 0 else size
        data, self._left = self._left[:length], self._left[length:]
        return data
