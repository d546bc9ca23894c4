"""Find a file's hidden contents, and make copies without them: mat2 in a sandbox.

mat2 (metadata anonymisation toolkit) supports the common image, document, audio and video formats.
A copy counts as clean only if a second, independent check finds nothing in it.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from dropbox_app.desk.untrusted_files import sandbox
from dropbox_app.desk.untrusted_files.inspect import inspect
from dropbox_app.desk.untrusted_files.sandbox import Unseen
from dropbox_app.desk.untrusted_files.types import Kind

MAX_NOTES = 1024 * 1024  # bytes of a response
MAX_CLEAN = 2 * sandbox.MOST_IN  # bytes of a cleaned copy: rendered pages can be larger than text

PROGRAM, OTHER = "the program that made it", "technical details"
# Patterns for the names of details, and descriptions for people. The first match counts.
_WORDS: tuple[tuple[str, str], ...] = (
    (r"gps|latitude|longitude|location|altitude|\bcity|country|coordinat", "a place"),
    (r"thumbnail|previewimage", "a small copy of the picture"),
    (r"software|producer|application|creatortool|encoder|generator|\bapp_?version", PROGRAM),
    (r"date|time|created|modified|\byear", "the moment it was made"),
    (r"author|artist|owner|by-?line|creator|last_?modified_?by|lastsavedby|company|manager|"
     r"copyright|publisher|performer|person|contact|e-?mail", "the name of a person or company"),
    (r"\bmake\b|\bmodel\b|device|serial|lens|camera|hostcomputer|uniqueid", "a device name"),
    (r"comment|description|keyword|title|subject|caption|category|album", "words about it"),
)  # fmt: skip
# Details that every file of its kind has, and values that replace a removed date.
_OF_THE_KIND = {"format", "ExifByteOrder"}
_NO_DATE = {"-1", "0000:00:00 00:00:00"}


@dataclass(frozen=True)
class Metadata:
    """The metadata that mat2 finds in a file, apart from its visible contents."""

    notes: tuple[tuple[str, str], ...]

    @property
    def words(self) -> list[str]:
        """Return the kinds of metadata in plain words, each once, the most revealing first."""
        found = {_word(key) for key, _ in self.notes}
        order = [*dict.fromkeys(word for _, word in _WORDS), OTHER]
        return [word for word in order if word in found]

    @property
    def sentence(self) -> str:
        """Return the metadata as one sentence."""
        if not self.notes:
            return "mat2 finds nothing in it beside what it shows."
        words = self.words
        listed = words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
        return f"It holds {listed}."


def look(kind: Kind, pieces: Iterable[bytes], size: int) -> Metadata:
    """Return a file's metadata. Raises NoSandbox, Unseen, and the errors of ``pieces``."""
    if not kind.extension:
        raise Unseen("mat2 does not know this kind of file.")
    with sandbox.running("show", kind.extension, pieces, size) as run:
        line = run.answer.readline(MAX_NOTES)
        run.end()
        return _read(line)


def clean(kind: Kind, pieces: Iterable[bytes], size: int) -> tuple[bytes, Metadata]:
    """Return a cleaned copy in memory, and the file's metadata.

    Raises the errors of ``look``. Also raises Unseen if the copy still has some of the metadata, or
    if its kind differs from the file's.
    """
    if not kind.extension:
        raise Unseen("mat2 does not know this kind of file.")
    with sandbox.running("clean", kind.extension, pieces, size) as run:
        line = run.answer.readline(MAX_NOTES)
        copy = _all(run.answer)
        run.end()
        held = _read(line)
    if inspect([copy], "", "").kind is not kind:
        raise Unseen("What mat2 made of it is another kind of file, so it is not used.")
    left = [note for note in look(kind, [copy], len(copy)).notes if _betrays(note, held)]
    if left:
        said = ", ".join(Metadata(tuple(left)).words)
        raise Unseen(f"mat2 could not take everything out ({said} stayed), so it is not used.")
    return copy, held


def _all(stream: BinaryIO) -> bytes:
    copy = stream.read(MAX_CLEAN + 1)
    if len(copy) > MAX_CLEAN:
        raise Unseen("The cleaned copy is larger than it may be.")
    return copy


def _read(line: bytes) -> Metadata:
    try:
        value: object = json.loads(line)
    except (ValueError, RecursionError):
        raise Unseen("What mat2 said of it cannot be read.") from None
    notes = ((str(key), str(said)) for key, said in _pairs(value))
    return Metadata(tuple(sorted(note for note in notes if note[1] not in _NO_DATE)))


def _betrays(note: tuple[str, str], held: Metadata) -> bool:
    """Return whether a detail of a cleaned copy comes from the file, not from mat2."""
    if note[0] in _OF_THE_KIND:
        return False
    return note in held.notes or _word(note[0]) not in (PROGRAM, OTHER)


def _pairs(value: object) -> Iterable[Sequence[object]]:
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, list) and len(one) == 2)


def _word(key: str) -> str:
    plain = re.sub(r"([a-z])([A-Z])", r"\1 \2", key.rpartition(": ")[2])
    for pattern, word in _WORDS:
        if re.search(pattern, key, re.IGNORECASE) or re.search(pattern, plain, re.IGNORECASE):
            return word
    return OTHER
