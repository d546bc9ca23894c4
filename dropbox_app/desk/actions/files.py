"""Actions on the files of a thread (list, show, save), and on files to send."""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.desk.actions import readable, threads
from dropbox_app.desk.actions.threads import Opened
from dropbox_app.desk.errors import DeskError, Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.session import Desk
from dropbox_app.desk.threads import attachments
from dropbox_app.desk.threads.attachments import CaseFile, Source
from dropbox_app.desk.threads.open_thread import Case
from dropbox_app.desk.untrusted_files import metadata, types
from dropbox_app.desk.untrusted_files.inspect import Findings, inspect, safe_name
from dropbox_app.desk.untrusted_files.sandbox import NoSandbox, Unseen
from dropbox_app.desk.untrusted_files.types import Kind
from dropbox_app.protocol.encoding import clean_text
from dropbox_app.protocol.messages import MAX_FILE_NAME
from dropbox_app.protocol.stream import CHUNK

# Turns a thread into text for people: yields the names and contents of files.
Wording = Callable[[Opened], Iterable[tuple[str, bytes]]]

MOST_DRAWN = 100 * 1024 * 1024  # maximum bytes of a file that the browser draws
_FINE = (*attachments.READY, "early", "elsewhere")
_NOT_LOOKED_INTO = "What it holds beside what it shows was not looked into: {0}"


@dataclass(frozen=True)
class Looked:
    """One file of a thread. ``holds`` is a sentence about its hidden contents, if any."""

    file: CaseFile
    findings: Findings | None
    holds: str


@dataclass(frozen=True)
class Listing:
    """The files of a thread, and whether they are complete and unchanged."""

    case: Case
    files: Sequence[Looked]

    @property
    def fine(self) -> bool:
        """Return whether no file was withheld, swapped, altered or added without explanation."""
        return all(one.file.state in _FINE for one in self.files)


@dataclass(frozen=True)
class Saved:
    """A file that was saved unencrypted. ``removed`` lists what a clean copy no longer contains."""

    path: Path
    findings: Findings
    holds: str
    removed: str = ""


@dataclass(frozen=True)
class ToDraw:
    """A file for the browser's sandbox: its kind, its size in bytes, and its content."""

    kind: Kind
    size: int
    pieces: Iterator[bytes]


@dataclass(frozen=True)
class LeftOut:
    """A file that was not saved with the others, and the reason.

    ``asks``: whether the user may still save the file.
    """

    file: CaseFile
    why: str
    asks: bool = False


@dataclass(frozen=True)
class SavedAll:
    """A folder with the messages of a thread and the files that were saved."""

    path: Path
    files: Sequence[Path]
    left_out: Sequence[LeftOut]


def list_files(place: Workplace, thread: str, site: str = "") -> Listing:
    """Return the files of a thread, after reading each file completely. Raises NotFound."""
    opened = threads.read(place, thread, site)
    found = [attachments.check(opened.desk, file) for file in attachments.of_case(opened.case)]
    looked = [Looked(file, finds, _holds(opened.desk, file, finds)) for file, finds in found]
    return Listing(opened.case, looked)


def save(
    place: Workplace,
    thread: str,
    file: str,
    out: Path,
    *,
    clean: bool = False,
    look: bool = True,
    site: str = "",
) -> Saved:
    """Save a file of a thread unencrypted to ``out``, which is a new file or a folder.

    In a folder, a number is added to a name that is taken. With ``look``, mat2 lists the file's
    hidden contents. Raises NotFound, Unfit, AlreadyThere.
    """
    opened = threads.read(place, thread, site)
    desk = opened.desk
    found, attachment, findings = attachments.usable(desk, opened.case, file)
    name = safe_name(attachment.name)
    if clean:
        pieces = attachments.pieces(desk, found)
        copy, held = metadata.clean(findings.kind, pieces, attachment.size)
        name = f"{Path(name).stem}.cleaned{findings.kind.extension}"
        path = readable.write(out, name, [copy], desk.today)
        return Saved(path, findings, "", listed(held))
    path = readable.write(out, name, attachments.pieces(desk, found), desk.today)
    return Saved(path, findings, _holds(desk, found, findings) if look else "")


def look(place: Workplace, thread: str, file: str, site: str = "") -> Looked:
    """Read one file of a thread completely, and describe it. Raises NotFound.

    The description omits hidden contents, because finding them needs mat2 and takes a second or
    more.
    """
    opened = threads.read(place, thread, site)
    found, findings = attachments.check(opened.desk, attachments.find(opened.case, file))
    return Looked(found, findings, "")


def to_draw(place: Workplace, thread: str, file: str, site: str = "") -> ToDraw:
    """Return a file of a thread for the browser to render in its sandbox. Raises NotFound, Unfit.

    The whole file has already been read and authenticated. If the file has changed since then,
    reading ``pieces`` raises an error.
    """
    opened = threads.read(place, thread, site)
    found, attachment, findings = attachments.usable(opened.desk, opened.case, file)
    if findings.kind not in types.DRAWN:
        raise Unfit(f"It is {findings.kind.word}, which cannot be shown here.", "not_shown")
    if attachment.size > MOST_DRAWN:
        raise Unfit(
            f"It is {attachment.size:,} bytes; files of more than {MOST_DRAWN:,} bytes are not "
            "shown. It can be saved.",
            "large_shown", most=MOST_DRAWN,
        )  # fmt: skip
    pieces = attachments.pieces(opened.desk, found)
    return ToDraw(findings.kind, attachment.size, pieces)


def export(place: Workplace, thread: str, out: Path, text: Wording, site: str = "") -> Opened:
    """Write the messages of a thread unencrypted to the new folder ``out``.

    ``text`` converts the messages to text. Raises NotFound or AlreadyThere, and then leaves no
    files behind.
    """
    opened = threads.read(place, thread, site)
    with readable.new_folder(out, opened.desk.today):
        _write_text(opened, out, text)
    return opened


def save_all(
    place: Workplace,
    thread: str,
    out: Path,
    text: Wording,
    *,
    others: bool = False,
    site: str = "",
) -> SavedAll:
    """Write the messages and files of a thread unencrypted to the new folder ``out``.

    ``text`` converts the messages to text. An attachment is named after the number of its message.
    Without ``others``, only texts, pictures and PDF documents that need no warning are written.
    Raises NotFound or AlreadyThere, and then leaves no files behind.
    """
    opened = threads.read(place, thread, site)
    desk, case = opened.desk, opened.case
    numbers = {id(entry.message): n for n, entry in enumerate(case.entries, start=1)}
    written, left_out = [], []
    with readable.new_folder(out, desk.today):
        _write_text(opened, out, text)
        for index, listed_file in enumerate(attachments.of_case(case), start=1):
            file, findings = attachments.check(desk, listed_file)
            if file.attachment is None or findings is None:
                left_out.append(LeftOut(file, attachments.SAID[file.state]))
                continue
            if not (others or harmless(findings)):
                left_out.append(LeftOut(file, findings.sentence, asks=True))
                continue
            number = numbers[id(file.message)]
            name = f"{number:03}-{index:02}-{safe_name(file.attachment.name)}"
            pieces = attachments.pieces(desk, file)
            written.append(readable.write(out / name, name, pieces, desk.today))
    return SavedAll(out, written, left_out)


def _write_text(opened: Opened, out: Path, text: Wording) -> None:
    for name, content in text(opened):
        readable.write(out / name, name, [content], opened.desk.today)


def harmless(findings: Findings) -> bool:
    """Return whether opening this file only displays it, as far as the desk can tell.

    Only such files are saved without a warning.
    """
    return findings.kind in (*types.DRAWN, types.TEXT) and not findings.warnings


@dataclass(frozen=True)
class Ready:
    """A file on this computer that is ready to be sent. ``removed`` lists what --clean removed."""

    source: Source
    removed: str = ""


def sources(paths: Iterable[Path], *, clean: bool) -> list[Ready]:
    """Prepare files on this computer for a message. Raises Unfit, NoSandbox, Unseen."""
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
    """Return a file in memory, which is sent under its own name."""
    named = _own_name(Path(name or "bestand"))
    kind = inspect(iter((content,)), named, "").kind.declared
    return Source(named, kind, len(content), functools.partial(iter, (content,)))


def listed(held: metadata.Metadata) -> str:
    """Return a description of the hidden contents of a file."""
    return ", ".join(held.words) or "nothing, mat2 found nothing in it"


def _holds(desk: Desk, file: CaseFile, findings: Findings | None) -> str:
    """Return the hidden contents of a file, or why they are unknown."""
    if findings is None or file.attachment is None:
        return ""
    try:
        source = attachments.pieces(desk, file)
        return metadata.look(findings.kind, source, file.attachment.size).sentence
    except (NoSandbox, Unseen) as error:
        return _NOT_LOOKED_INTO.format(error)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the file name to errors if there may be several files."""
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
