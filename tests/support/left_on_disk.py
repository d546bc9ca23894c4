"""Find words that were left on this computer's disks, in every changed file, packed or not.

Every word begins and ends with a mark of this run: letters that no other program has ever written.
The search therefore needs no exceptions, and the tests' own sources do not contain the marks. They
are found in UTF-8 and UTF-16, in the names and contents of files, and inside zip, gzip, zlib and
the lz4 of Firefox's sessions. Other lz4 and snappy need no unpacking: they store a word literally
where it first occurs, and a copied part would have to cover both marks. The search does not cover
brotli, zstandard, the memory of programs, or deleted files outside a disk image.
"""

import contextlib
import io
import mmap
import os
import secrets
import subprocess
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

LETTERS = "bcdfghjklmnpqrstvwxz"
MOST_PACKED = 64 * 1024 * 1024  # bytes of a file in which packed parts are looked for
MOST_UNPACKED = 64 * 1024 * 1024  # bytes that are unpacked from one part
DEPTH = 2  # levels of packed parts inside packed parts
_GZIP, _MOZILLA = b"\x1f\x8b\x08", b"mozLz40\0"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


def _letters(count: int) -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(count))


BEGIN, END = _letters(8), _letters(8)
_MARKS = [
    mark.encode(form) for mark in (BEGIN, END) for form in ("utf-8", "utf-16-le", "utf-16-be")
]


def word() -> str:
    """Return a word that was never written before."""
    return f"{BEGIN}{_letters(6)}{END}"


def changed_since(stamp: Path) -> Iterator[Path]:
    """Return every file on all mounted file systems that was made or changed after this one.

    This uses the change time (ctime), which no program can set.
    """
    done = subprocess.run(
        ["find", "/", "(", "-path", "/proc", "-o", "-path", "/sys", ")", "-prune", "-o",
         "-cnewer", str(stamp), "-print0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return (Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name)


def holding(paths: Iterable[Path], *others: bytes, most_packed: int = MOST_PACKED) -> set[str]:
    """Return the paths that contain a mark, or one of the ``others``, with the bytes around it."""
    wanted = others or _MARKS
    found = set()
    for path in paths:
        if any(one in os.fsencode(path.name) for one in wanted):
            found.add(f"{path}: its name")
        with contextlib.suppress(OSError):  # a file of another program that was removed meanwhile
            if path.is_symlink() or not path.is_file() or not path.stat().st_size:
                continue
            with (
                path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            ):
                found |= {f"{path}: {around!r}" for around in _in(data, wanted)}
                if len(data) <= most_packed:
                    parts = unpacked(data)
                    found |= {f"{path}, packed: {a!r}" for part in parts for a in _in(part, wanted)}
    return found


def _in(data: bytes | mmap.mmap, wanted: Iterable[bytes]) -> Iterator[bytes]:
    for one in wanted:
        at = data.find(one)
        if at >= 0:
            yield bytes(data[max(at - 20, 0) : at + 60])


def unpacked(data: bytes | mmap.mmap, depth: int = DEPTH) -> Iterator[bytes]:
    """Yield the contents of each packed part, wherever in the data it begins."""
    for part in _parts(data):
        yield part
        if depth > 1:
            yield from unpacked(part, depth - 1)


def _parts(data: bytes | mmap.mmap) -> Iterator[bytes]:
    for magic, window in ((_GZIP, 31), *((one, 15) for one in _ZLIB)):
        for at in _places(data, magic):
            with contextlib.suppress(zlib.error):
                yield _inflate(data, at, window)
    for at in _places(data, _MOZILLA):
        start = at + len(_MOZILLA) + 4
        size = int.from_bytes(data[start - 4 : start], "little")
        yield lz4(bytes(data[start : start + MOST_PACKED]), min(size, MOST_UNPACKED))
    if data[:4] == b"PK\x03\x04":
        with (
            contextlib.suppress(zipfile.BadZipFile, zlib.error, RuntimeError, OSError),
            zipfile.ZipFile(io.BytesIO(bytes(data))) as packed,
        ):
            for name in packed.namelist():
                yield name.encode() + b"\n" + packed.read(name)


def _places(data: bytes | mmap.mmap, magic: bytes) -> Iterator[int]:
    at = data.find(magic)
    while at >= 0:
        yield at
        at = data.find(magic, at + 1)


def _inflate(data: bytes | mmap.mmap, at: int, window: int) -> bytes:
    """Return the data before the end or the first fault; raises zlib.error if there is none."""
    reading, out = zlib.decompressobj(window), bytearray()
    while len(out) < MOST_UNPACKED and not reading.eof and at < len(data):
        piece = data[at : at + 4096]
        at += len(piece)
        try:
            out += reading.decompress(piece)
        except zlib.error:
            if not out:
                raise
            break
    return bytes(out)


def lz4(block: bytes, size: int) -> bytes:
    """Return one block of lz4, unpacked up to this size as far as possible."""
    out, at = bytearray(), 0
    with contextlib.suppress(IndexError):
        while at < len(block) and len(out) < size:
            token = block[at]
            length, at = _length(block, at + 1, token >> 4)
            out += block[at : at + length]
            at += length
            back = block[at] | block[at + 1] << 8
            length, at = _length(block, at + 2, token & 15)
            if not 0 < back <= len(out):
                break
            for _ in range(length + 4):
                out.append(out[-back])
    return bytes(out)


def _length(block: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:
        while block[at] == 255:
            length, at = length + 255, at + 1
        length, at = length + block[at], at + 1
    return length, at
