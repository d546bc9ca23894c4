"""Actions on the files of a thread: list, save, preview; and files of this computer to send."""

import contextlib
import datetime
import functools
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.desk.actions import threads
from dropbox_app.desk.errors import AlreadyThere, DeskError, Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.session import Desk
from dropbox_app.desk.threads import attachments
from dropbox_app.desk.threads.attachments import CaseFile, Source
from dropbox_app.desk.threads.open_thread import Case
from dropbox_app.desk.untrusted_files import metadata, preview
from dropbox_app.desk.untrusted_files.inspect import Findings, inspect, safe_name
from dropbox_app.desk.untrusted_files.preview import Rows
from dropbox_app.desk.untrusted_files.sandbox import NoSandbox, Unseen
from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.messages import MAX_FILE_NAME
from dropbox_app.protocol.stream import CHUNK

MOST_NUMBERED = 1_000  # files of one name in one folder
_FINE = (*attachments.READY, "early", "elsewhere")
_NOT_LOOKED_INTO = "What it holds beside what it shows was not looked into: {0}"


@dataclass(frozen=True)
class Looked:
    """One file of a thread. ``holds``: what it holds beside what it shows, as a sentence."""

    file: CaseFile
    findings: Findings | None
    holds: str


@dataclass(frozen=True)
class Listing:
    """The files of a thread. ``fine``: none was withheld, swapped, altered or added."""

    case: Case
    files: Sequence[Looked]

    @property
    def fine(self) -> bool:
        """Whether every file is as it was signed, or explained."""
        return all(one.file.state in _FINE for one in self.files)


@dataclass(frozen=True)
class Saved:
    """A file that was written out readable. ``removed``: what a clean copy no longer holds."""

    path: Path
    findings: Findings
    holds: str
    removed: str = ""


@dataclass(frozen=True)
class Previewed:
    """Pictures of a file's pages. ``rest`` says what is not shown."""

    pages: int
    findings: Findings
    rest: str


def list_files(place: Workplace, thread: str, site: str = "") -> Listing:
    """The files of a thread, each read to its end. Raises NotFound."""
    opened = threads.read(place, thread, site)
    found = [attachments.check(opened.desk, file) for file in attachments.of_case(opened.case)]
    looked = [Looked(file, finds, _holds(opened.desk, file, finds)) for file, finds in found]
    return Listing(opened.case, looked)


def save(
    place: Workplace, thread: str, file: str, out: Path, *, clean: bool = False, site: str = ""
) -> Saved:
    """Write a file of a thread, readable, to ``out``: a file not there yet, or a folder.

    In a folder a name that is taken gets a number. Raises NotFound, Unfit, AlreadyThere.
    """
    opened = threads.read(place, thread, site)
    desk = opened.desk
    found, attachment, findings = attachments.usable(desk, opened.case, file)
    name = safe_name(attachment.name)
    if clean:
        pieces = attachments.pieces(desk, found)
        copy, held = metadata.clean(findings.kind, pieces, attachment.size)
        name = f"{Path(name).stem}.cleaned{findings.kind.extension}"
        path = _write(out, name, [copy], desk.today)
        return Saved(path, findings, "", listed(held))
    path = _write(out, name, attachments.pieces(desk, found), desk.today)
    return Saved(path, findings, _holds(desk, found, findings))


def show_preview(place: Workplace, thread: str, file: str, out: Path, site: str = "") -> Previewed:
    """Turn a picture or a PDF into plain pictures in the new folder ``out``, in a sandbox."""
    opened = threads.read(place, thread, site)
    desk = opened.desk
    found, attachment, findings = attachments.usable(desk, opened.case, file)
    preview.job_of(findings.kind)
    with _new_folder(out, desk.today):

        def page(number: int, rows: Rows) -> None:
            with _created(out / f"page-{number:03}.png", desk.today) as write:
                preview.write_png(rows, write)

        source = attachments.pieces(desk, found)
        count, rest = preview.render(findings.kind, source, attachment.size, page)
    return Previewed(count, findings, rest)


@dataclass(frozen=True)
class Ready:
    """A file of this computer that goes with a message. ``removed``: what --clean took out."""

    source: Source
    removed: str = ""


def sources(paths: Iterable[Path], *, clean: bool) -> list[Ready]:
    """Files of this computer that go with a message. Raises Unfit, NoSandbox, Unseen."""
    made = []
    for path in paths:
        if not path.is_file():
            raise Unfit(f"{path} is no file. Nothing was sent.")
        name = _own_name(path)
        size = path.stat().st_size
        findings = inspect(_read(path), name, "")
        if clean:
            with _naming(path):
                copy, held = metadata.clean(findings.kind, _read(path), size)
            again = functools.partial(iter, (copy,))
            source = Source(name, findings.kind.declared, len(copy), again)
            made.append(Ready(source, listed(held)))
        else:
            again = functools.partial(_read, path)
            made.append(Ready(Source(name, findings.kind.declared, size, again)))
    return made


def source(name: str, content: bytes) -> Source:
    """A file that is in memory, to go with a message under its own name."""
    named = _own_name(Path(name or "bestand"))
    kind = inspect(iter((content,)), named, "").kind.declared
    return Source(named, kind, len(content), functools.partial(iter, (content,)))


def listed(held: metadata.Metadata) -> str:
    """What was found in a file beside what it shows, in words."""
    return ", ".join(held.words) or "nothing, mat2 found nothing in it"


def _holds(desk: Desk, file: CaseFile, findings: Findings | None) -> str:
    """What a file holds beside what it shows, or why that is not known."""
    if findings is None or file.attachment is None:
        return ""
    try:
        source = attachments.pieces(desk, file)
        return metadata.look(findings.kind, source, file.attachment.size).sentence
    except (NoSandbox, Unseen) as error:
        return _NOT_LOOKED_INTO.format(error)


def _write(out: Path, name: str, pieces: Iterable[bytes], day: datetime.date) -> Path:
    """Write to ``out``, or into it under ``name`` or a numbered name; where it was written."""
    with contextlib.ExitStack() as stack:
        path, write = _open(stack, out, name, day)
        for piece in pieces:
            write(piece)
    return path


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
    """A new file, 0600, of midnight of its day; nothing is left of it if something fails."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise AlreadyThere(
            f"{path} is there already and is not overwritten; choose another name."
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        _date(path, day)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _new_folder(path: Path, day: datetime.date) -> Iterator[None]:
    """A folder that was not there, 0700; it goes again if something fails."""
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


def _date(path: Path, day: datetime.date) -> None:
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC).timestamp()
    os.utime(path, (midnight, midnight))


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say of which file something is said, where there can be several."""
    try:
        yield
    except Unseen as error:
        raise DeskError(f"{path}: {error} Nothing was sent.") from None


def _own_name(path: Path) -> str:
    name = clean_text(safe_name(path.name))
    return name.encode()[:MAX_FILE_NAME].decode("utf-8", "ignore")


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece
