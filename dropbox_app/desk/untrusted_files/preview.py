"""A picture or a PDF as plain pixels: what a file may do ends in the sandbox.

The sandboxed program answers rows of colours; this desk makes the PNG itself. So whatever a file
has done to that program, what is written here is a picture of bounded size and nothing else.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from dropbox_app.desk.untrusted_files import sandbox, types
from dropbox_app.desk.untrusted_files.sandbox import Unseen
from dropbox_app.desk.untrusted_files.types import Kind

MOST_PAGES = 50  # and so does what runs in the sandbox
LONGEST_SIDE = 2_048  # pixels; what runs in the sandbox stays below
_HEAD = re.compile(rb"([1-9][0-9]{0,4}) ([1-9][0-9]{0,4})\n")


def job_of(kind: Kind) -> str:
    """Which sandboxed program shows a kind. Raises Unseen where none does."""
    if kind is types.PDF:
        return "pdf"
    if kind in types.PICTURES:
        return "picture"
    raise Unseen(f"It is {kind.word}; a preview shows PDF documents and common pictures only.")


def render(
    kind: Kind, pieces: Iterable[bytes], size: int, page: Callable[[int, "Rows"], None]
) -> tuple[int, str]:
    """Hand each page to ``page``; answers how many, and what is to be said of the rest.

    Raises NoSandbox, Unseen if not even one could be shown, and what ``pieces`` raises.
    """
    count, more = 0, ""
    with sandbox.running(job_of(kind), kind.extension, pieces, size) as run:
        for rows in _pages(run.answer):
            if count == MOST_PAGES:
                return count, f"There are more pages; a preview shows the first {MOST_PAGES}."
            count += 1
            page(count, rows)
            rows.skip()
        try:
            run.end()
        except Unseen as error:
            if not count:
                raise
            more = f"Then it stopped: {error}"
    if not count:
        raise Unseen("Nothing of it could be shown.")
    return count, more


class Rows:
    """The rows of one page, top to bottom, while they come."""

    def __init__(self, stream: BinaryIO, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._stream = stream
        self._left = height

    def __iter__(self) -> Iterator[bytes]:
        while self._left:
            row = self._stream.read(3 * self.width)
            if len(row) != 3 * self.width:
                raise Unseen("The picture broke off.")
            self._left -= 1
            yield row

    def skip(self) -> None:
        """Read past what nobody took."""
        for _ in self:
            pass


def write_png(rows: Rows, write: Callable[[bytes], object]) -> None:
    """Write a page as PNG, a row at a time."""
    write(b"\x89PNG\r\n\x1a\n")
    _chunk(write, b"IHDR", struct.pack(">IIBBBBB", rows.width, rows.height, 8, 2, 0, 0, 0))
    packer = zlib.compressobj(6)
    for row in rows:
        if packed := packer.compress(b"\0" + row):
            _chunk(write, b"IDAT", packed)
    _chunk(write, b"IDAT", packer.flush())
    _chunk(write, b"IEND", b"")


def _chunk(write: Callable[[bytes], object], name: bytes, data: bytes) -> None:
    write(struct.pack(">I", len(data)) + name + data)
    write(struct.pack(">I", zlib.crc32(name + data)))


def _pages(stream: BinaryIO) -> Iterator[Rows]:
    """The pages of an answer: plain PPM, one after another, of sizes within bounds."""
    while mark := stream.readline(8):
        size = _HEAD.fullmatch(stream.readline(16))
        if mark != b"P6\n" or size is None or stream.readline(8) != b"255\n":
            raise Unseen("What came back is no picture.")
        width, height = int(size[1]), int(size[2])
        if max(width, height) > LONGEST_SIDE:
            raise Unseen("What came back is larger than it may be.")
        yield Rows(stream, width, height)
