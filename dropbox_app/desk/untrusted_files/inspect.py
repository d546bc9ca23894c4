"""Inspect a file without opening it: its real type, its claimed type, and active contents.

Bytes are compared and never parsed, so the contents of a file cannot mislead this code. A finding
is certain. The absence of findings proves nothing, because a script can be packed.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from dropbox_app.desk.untrusted_files import types
from dropbox_app.desk.untrusted_files.types import HEAD, HTML, PDF, SVG, Kind
from dropbox_app.protocol.file_name import only_a_name

_TAIL = 65_557  # a zip file's directory is within this many bytes of its end
_OVERLAP = 32  # longer than any mark below
MAX_NAME = 120  # bytes of a name that is written to a disk
_LONGEST_END = 16  # bytes of an extension that is kept in a shortened name
_NOT_IN_NAMES = set('/\\:*?"<>|')

# Maps a mark to a word for its meaning.
_MARKS: tuple[tuple[bytes, str], ...] = (
    (b"/JavaScript", "pdf script"),
    (b"/JS", "pdf script"),
    (b"/Launch", "pdf launch"),
    (b"/EmbeddedFile", "pdf files"),
    (b"vbaProject.bin", "macros"),
    (b"[Content_Types].xml", "[Content_Types].xml"),
    (b"word/", "word/"),
    (b"xl/", "xl/"),
    (b"ppt/", "ppt/"),
    (b"AndroidManifest.xml", "AndroidManifest.xml"),
)
_SCRIPT = re.compile(rb"<script|javascript:|\son[a-z]{3,20}\s*=", re.IGNORECASE)


# Codes of all warnings, for callers with their own wording.
Sign = Literal[
    "other_kind", "other_name", "several", "script", "launch", "files", "macros", "acts",
    "hidden_name",
]  # fmt: skip


@dataclass(frozen=True)
class Findings:
    """The kind of a file, and sentences for the user to read before opening the file.

    ``signs`` contains the code of each of the ``warnings``.
    """

    kind: Kind
    warnings: tuple[str, ...]
    signs: tuple[Sign, ...] = ()

    @property
    def sentence(self) -> str:
        """Return the findings in one line."""
        return " ".join((f"It is {self.kind.word}.", *self.warnings))


class Inspector:
    """Takes the content in pieces, and uses about 100 kB of memory."""

    def __init__(self) -> None:
        self._head = b""
        self._tail = b""
        self._last = b""
        self._marks: set[str] = set()
        self.size = 0

    def update(self, piece: bytes) -> None:
        """Inspect the next piece."""
        self.size += len(piece)
        if len(self._head) < HEAD:
            self._head += piece[: HEAD - len(self._head)]
        self._tail = (self._tail + piece)[-_TAIL:]
        window = self._last + piece
        self._marks |= {word for mark, word in _MARKS if mark in window}
        if "script" not in self._marks and _SCRIPT.search(window):
            self._marks.add("script")
        self._last = window[-_OVERLAP:]

    def findings(self, name: str, declared: str) -> Findings:
        """Return the findings, compared with the sender's claims."""
        kind = types.recognise(self._head, zip_parts=" ".join(self._marks).encode())
        found = (
            *_mismatches(kind, name, declared),
            *self._several(kind),
            *self._active(kind),
            *_misleading(name),
        )
        return Findings(kind, tuple(said for _, said in found), tuple(sign for sign, _ in found))

    def _several(self, kind: Kind) -> Iterable[tuple[Sign, str]]:
        """Return the kinds of a polyglot, a file that different programs read differently."""
        if kind is types.EMPTY:
            return
        also = []
        zipped = self._head[:4] == b"PK\3\4"
        if not zipped and b"PK\5\6" in self._tail:
            also.append("a zip archive")
        if kind is not PDF and b"%PDF-" in self._head[:1_024]:
            also.append("a PDF document")
        if kind not in (HTML, SVG, types.TEXT) and re.search(
            rb"<(script|html|svg)[\s>]", self._head, re.IGNORECASE
        ):
            also.append("a web page")
        if also:
            yield (
                "several",
                (
                    f"It is made so that it can also be taken for {' and for '.join(also)}: do not "
                    "open it with a program on this computer."
                ),
            )

    def _active(self, kind: Kind) -> Iterable[tuple[Sign, str]]:
        if kind is PDF:
            if "pdf script" in self._marks:
                yield "script", "It holds a script."
            if "pdf launch" in self._marks:
                yield "launch", "It can ask to start a program."
            if "pdf files" in self._marks:
                yield "files", "It holds other files."
        if kind in (HTML, SVG) and "script" in self._marks:
            yield "script", "It holds a script."
        if "macros" in self._marks and self._head[:4] == b"PK\3\4":
            yield "macros", "It holds macros, that is a program."
        if kind.acts:
            said = "Do not open it on this computer: it can make it do things, or call somebody."
            yield "acts", said


def inspect(pieces: Iterable[bytes], name: str, declared: str) -> Findings:
    """Inspect a complete file."""
    inspector = Inspector()
    for piece in pieces:
        inspector.update(piece)
    return inspector.findings(name, declared)


def safe_name(name: str) -> str:
    """Return a name that any file system accepts, without a path or hidden characters."""
    text = "".join(
        "_" if c in _NOT_IN_NAMES else " " if unicodedata.category(c) == "Zs" else c
        for c in unicodedata.normalize("NFC", name)
        if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    )
    # Normalise again, because the removed characters may have separated others.
    text = only_a_name(" ".join(unicodedata.normalize("NFC", text).split()))
    if not _parted(text)[1]:
        text = _cut(text, MAX_NAME)  # what is left may have an extension
    stem, end = _parted(text)
    safe = _cut(stem, MAX_NAME - len(end.encode())) + end
    return safe if safe.strip("_.") else "file"


def _parted(name: str) -> tuple[str, str]:
    """Return a name without its extension, and the extension; "" if there is no short one."""
    stem, dot, end = name.rpartition(".")
    return (stem, dot + end) if stem and len(end.encode()) <= _LONGEST_END else (name, "")


def _cut(text: str, room: int) -> str:
    return text.encode()[:room].decode("utf-8", "ignore").rstrip(". ")


def _mismatches(kind: Kind, name: str, declared: str) -> Iterable[tuple[Sign, str]]:
    said = {claimed: why for why, claimed in types.claims(name, declared)}
    if kind is types.EMPTY:
        return
    for claimed, why in said.items():
        if claimed is kind or (claimed.acts and claimed is types.SCRIPT and kind is types.TEXT):
            continue
        verb = "it looks like none" if kind is types.UNKNOWN else f"it is {kind.word}"
        yield "other_kind", f"It is called {claimed.word} ({why}), but {verb}."
    acting = next((c for c in said if c.acts), None)
    if acting is not None and not kind.acts:
        said_of = f"A computer treats a file of that name as {acting.word}: do not open it."
        yield "other_name", said_of


def _misleading(name: str) -> Iterable[tuple[Sign, str]]:
    if any(unicodedata.category(c) in ("Cf", "Cc", "Zl", "Zp") for c in name):
        said = "Its name holds signs that cannot be seen, or that turn what is read around."
        yield "hidden_name", said
