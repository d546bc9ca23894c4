"""Write unencrypted files outside the desk's folder: mode 0600, dated midnight, no overwriting."""

import contextlib
import datetime
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dropbox_app.desk.errors import AlreadyThere
from dropbox_app.desk.storage.atomic_files import writing_outside

MOST_NUMBERED = 1_000  # files with the same name in one folder


def write(out: Path, name: str, pieces: Iterable[bytes], day: datetime.date) -> Path:
    """Write to ``out``, or to the file ``name`` in ``out`` if ``out`` is a folder; return the path.

    If the name is taken, a number is added. Raises AlreadyThere and the errors of ``pieces``, and
    then leaves no file behind.
    """
    with contextlib.ExitStack() as stack:
        path, put = _open(stack, out, name, day)
        for piece in pieces:
            put(piece)
    return path


@contextlib.contextmanager
def new_folder(path: Path, day: datetime.date) -> Iterator[None]:
    """Create a new folder with mode 0700, and remove it if the block fails."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        raise AlreadyThere(f"{path} is there already; choose a folder that is not.") from None
    try:
        yield
        _date(path, day)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def _open(
    stack: contextlib.ExitStack, out: Path, name: str, day: datetime.date
) -> tuple[Path, Callable[[bytes], object]]:
    if not out.is_dir():
        return out, stack.enter_context(_created(out, day))
    for number in range(1, MOST_NUMBERED):
        stem, ending = Path(name).stem, Path(name).suffix
        path = out / (name if number == 1 else f"{stem} ({number}){ending}")
        with contextlib.suppress(AlreadyThere):
            return path, stack.enter_context(_created(path, day))
    raise AlreadyThere(f"{out} has a thousand files called {name}; choose another folder.")


@contextlib.contextmanager
def _created(path: Path, day: datetime.date) -> Iterator[Callable[[bytes], object]]:
    try:
        with writing_outside(path) as put:
            yield put
        _date(path, day)
    except AlreadyThere:
        raise
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _date(path: Path, day: datetime.date) -> None:
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()
    os.utime(path, (midnight, midnight))
