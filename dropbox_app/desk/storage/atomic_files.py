"""Write to the desk's folder so that a crash leaves either the old file or the new one.

Files have mode 0600 and folders 0700. A file's timestamp is midnight of its day, so the folder
shows the days on which the desk was used, but not the hours.
"""

import contextlib
import datetime
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO

from dropbox_app.desk.errors import AlreadyThere, InUse, NotSetUp

LOCK = "lock"
UNFINISHED = ".unfinished"  # the suffix of a file outside the folder until it is complete
NEW = ".new"  # the suffix of a file being written; leftovers of a crash are removed at the start
TOGETHER = 16  # files that are synced together; their handles stay open until then
TOGETHER_BYTES = 16 * 1024 * 1024  # likewise, the total size of their contents


def _nothing(_: str) -> None:
    """Do nothing between two steps of a write. The crash tests replace this function."""


class Disk:
    """One folder of the desk. ``today`` dates the files; ``step`` is called at each write step.

    Names are relative, use ``/``, and are made by the program from ids and fixed words.
    """

    def __init__(
        self,
        root: Path,
        today: Callable[[], datetime.date],
        step: Callable[[str], None] = _nothing,
    ) -> None:
        self.root = root
        self._today = today
        self.step = step

    def path(self, name: str) -> Path:
        """Return the path of a file of the desk."""
        return self.root / name

    def exists(self, name: str) -> bool:
        """Return whether the file exists."""
        return self.path(name).is_file()

    def names(self, folder: str) -> list[str]:
        """Return the finished files and folders in a folder, sorted; [] if it does not exist."""
        try:
            return sorted(n for n in os.listdir(self.path(folder)) if not n.endswith(NEW))
        except FileNotFoundError:
            return []

    def read(self, name: str) -> bytes:
        """Return a whole file. Raises FileNotFoundError."""
        return self.path(name).read_bytes()

    def write(self, name: str, data: bytes, *, once: bool = False) -> None:
        """Replace a file with ``data``.

        With ``once``, create it, and raise AlreadyThere instead of overwriting.
        """
        with self.writing(name, once=once) as write:
            write(data)

    @contextlib.contextmanager
    def writing(
        self, name: str, *, once: bool = False, place: Callable[[], str] | None = None
    ) -> Iterator[Callable[[bytes], object]]:
        """Like ``write``, in pieces. An exception in the block leaves the earlier file unchanged.

        ``place`` is called at the end, and returns the file's final name in the same folder, such
        as its hash.
        """
        target, new = self.path(name), self.begin(name)
        if once and target.exists():
            raise AlreadyThere(f"{target} is there already and is not overwritten.")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                self.step(f"opened {name}")
                yield file.write
                file.flush()
                self.step(f"written {name}")
                os.fsync(file.fileno())
            self._date(new)
            self.step(f"safe {name}")
            if place is not None:
                target = self.path(place())
            if once:
                _claim(new, target)
            else:
                os.replace(new, target)
            self.step(f"in place {name}")
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        self.sync_folder(target.parent)
        self.step(f"done {name}")

    @contextlib.contextmanager
    def together(self) -> Iterator["Group"]:
        """Write many files and sync them together, which is faster.

        At the end all files are safe on disk. After an exception in the block, only the files that
        ``settle`` had already put in place remain.
        """
        group = Group(self)
        try:
            yield group
            group.settle()
        except BaseException:
            group.drop()
            raise
        finally:
            group.close()

    def remove(self, *names: str) -> None:
        """Delete files permanently, as far as the file system allows; missing ones are ignored."""
        folders = set()
        for name in names:
            path = self.path(name)
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                folders.add(path.parent)
        for folder in folders:
            self.sync_folder(folder)

    def date(self, name: str) -> None:
        """Set a file's time to midnight of its day. A missing file is ignored."""
        with contextlib.suppress(FileNotFoundError):
            self._date(self.path(name))

    def sync(self, name: str) -> None:
        """Sync a file that another library wrote, and its entry in its folder, to disk."""
        handle = os.open(self.path(name), os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        self.sync_folder(self.path(name).parent)

    def sweep(self) -> None:
        """Remove half-written files that a crash left behind. Call this only under the lock."""
        for path in self.root.rglob(f"*{NEW}"):
            path.unlink()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder for one desk. Raises InUse, or NotSetUp if the folder does not exist."""
        if not self.root.is_dir():
            raise NotSetUp(
                f"There is no desk in {self.root}; make one with 'klankbord-desk init INVITATION', "
                "or name its folder with --dir."
            )
        handle = os.open(self.path(LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if not _lock(handle):
                raise InUse(
                    f"Another desk is working on {self.root}; wait until it has ended, then try "
                    "again."
                )
            self._date(self.path(LOCK))
            self.sweep()
            yield
        finally:
            os.close(handle)

    def make(self) -> None:
        """Create the folder and its parents, with no access for other users."""
        self._folders(self.root)
        self.root.chmod(0o700)

    def begin(self, name: str) -> Path:
        """Create a file's folder; return the path to use until the file is complete."""
        target = self.path(name)
        self._folders(target.parent)
        new = target.with_name(target.name + NEW)
        new.unlink(missing_ok=True)
        return new

    def _folders(self, folder: Path) -> None:
        for missing in reversed([f for f in (folder, *folder.parents) if not f.exists()]):
            missing.mkdir(mode=0o700, exist_ok=True)  # another thread may have created it
            self.sync_folder(missing.parent)

    def sync_folder(self, folder: Path) -> None:
        """Sync the names in a folder to disk."""
        _sync(folder)
        if folder == self.root or self.root in folder.parents:
            self._date(folder)

    def _date(self, path: Path) -> None:
        midnight = datetime.datetime.combine(self._today(), datetime.time(), datetime.UTC)
        os.utime(path, (midnight.timestamp(), midnight.timestamp()))


class Group:
    """Files of a ``Disk`` synced together, which takes little longer than syncing one file.

    Each file is in place and safe on disk when ``settle`` returns. Files are also synced as soon as
    TOGETHER files or TOGETHER_BYTES are waiting.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._open: dict[str, BinaryIO] = {}
        self._bytes = 0
        self._threads = ThreadPoolExecutor(TOGETHER)  # each thread starts when it is first needed

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[Callable[[bytes], object]]:
        """Write a file in pieces. An exception in the block leaves the earlier file unchanged."""
        if name in self._open:
            self.settle()  # a file of this name is open, and Windows cannot replace it
        new = self._disk.begin(name)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        file = os.fdopen(handle, "wb")
        try:
            self._disk.step(f"opened {name}")
            yield file.write
            file.flush()
            self._disk.step(f"written {name}")
        except BaseException:
            with contextlib.suppress(OSError):  # unwritten data may be lost
                file.close()
            new.unlink(missing_ok=True)
            raise
        self._open[name] = file
        self._bytes += file.tell()
        if len(self._open) >= TOGETHER or self._bytes >= TOGETHER_BYTES:
            self.settle()

    def settle(self) -> None:
        """Sync the written files, move them into place, then sync the folders."""
        waiting = list(self._open.items())
        if not waiting:
            return
        handles = [file.fileno() for _, file in waiting]
        if len(handles) > 1:
            syncing = [self._threads.submit(os.fsync, handle) for handle in handles]
            wait(syncing)  # also after a failure, because the files are closed then
            for one in syncing:
                one.result()
        else:
            os.fsync(handles[0])
        folders = set()
        for name, file in waiting:
            file.close()  # Windows cannot rename an open file
            target = self._disk.path(name)
            self._disk.date(name + NEW)
            self._disk.step(f"safe {name}")
            os.replace(target.with_name(target.name + NEW), target)
            del self._open[name]
            folders.add(target.parent)
            self._disk.step(f"in place {name}")
        for folder in folders:
            self._disk.sync_folder(folder)
        self._bytes = 0
        self._disk.step(f"done {len(waiting)} files")

    def drop(self) -> None:
        """Remove the files that are not in place yet."""
        for name, file in self._open.items():
            with contextlib.suppress(OSError):
                file.close()
            self._disk.path(name + NEW).unlink(missing_ok=True)
        self._open.clear()

    def close(self) -> None:
        """End the threads that sync files."""
        self._threads.shutdown()


def write_outside(path: Path, data: bytes) -> None:
    """Write a new file with mode 0600 outside the desk's folder. Raises AlreadyThere."""
    with writing_outside(path) as write:
        write(data)


@contextlib.contextmanager
def writing_outside(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Like ``write_outside``, in pieces.

    Until the file is complete, its name is ``NAME.unfinished``. A leftover of a crash with that
    name is replaced.
    """
    if os.path.lexists(path):
        raise AlreadyThere(f"{path} is there already and is not overwritten; choose another name.")
    new = path.with_name(path.name + UNFINISHED)
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        _claim(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _claim(new: Path, target: Path) -> None:
    """Give a file its final name if that name is free. The second of two writers is refused."""
    taken = f"{target} is there already and is not overwritten; choose another name."
    try:
        os.link(new, target)
        new.unlink()
    except FileExistsError:
        raise AlreadyThere(taken) from None
    except OSError:  # a file system without hard links, for example on a USB stick
        if os.path.lexists(target):
            raise AlreadyThere(taken) from None
        os.replace(new, target)


def _sync(folder: Path) -> None:
    if sys.platform != "win32":  # on Windows a folder cannot be opened, and need not be synced
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
