"""Verify a release folder: first its signature, then the checksum of each file that is used.

Files are hashed while they are copied to a folder that only the caller can write. Only the copies
are run later, so a file that is replaced in the release folder after the check has no effect.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.protocol.encoding import new_digest
from dropbox_app.protocol.release_signature import MOST, BadRelease, ReleaseKey
from dropbox_app.server.store.files import open_untouched, read_small

SUMS = "SHA256SUMS"
SIGNATURE = SUMS + ".minisig"
LIST_MOST = 64 * 1024  # maximum bytes of the list of checksums
FILE_MOST = 512 * 1024 * 1024  # maximum bytes of one file of a release
_PIECE = 1024 * 1024
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._+-]{0,99})")
_SOURCE = re.compile(r"klankbord-([0-9]{1,5}(?:\.[0-9]{1,5}){1,3})\.tar\.gz")


@dataclass(frozen=True)
class Release:
    """A release whose files all match the signed list."""

    version: str
    source: Path  # the copy of the source archive


def read_key(path: Path) -> ReleaseKey:
    """Read the public key that this installation trusts. Raises BadRelease, OSError."""
    try:
        return ReleaseKey.read(read_small(path, MOST).decode("utf-8", "replace"))
    except FileNotFoundError:
        raise BadRelease(
            f"this machine trusts no release key yet ({path} is missing). Get the project's public "
            "key from somebody you trust, not from the place of the release, and lay it there"
        ) from None


def take(folder: Path, key: ReleaseKey, target: Path) -> Release:
    """Check a release and copy its files to ``target``, an empty folder.

    Only the caller may be able to write to ``target``. Nothing is written before the signature is
    verified. Raises BadRelease, OSError.
    """
    sums = _read(folder / SUMS, LIST_MOST)
    key.check(sums, _read(folder / SIGNATURE, MOST).decode("utf-8", "replace"))
    wanted = _listed(sums)
    versions = {name: match[1] for name in wanted if (match := _SOURCE.fullmatch(name))}
    if len(versions) != 1:
        raise BadRelease(f"{SUMS} names {len(versions)} source archives; a release has one")
    ((source, version),) = versions.items()
    for name, digest in wanted.items():
        _copy(folder / name, target / name, digest)
    return Release(version, target / source)


def newer(offered: str, installed: str) -> bool:
    """Return whether the version ``offered`` is later than ``installed``.

    Both are dotted numbers.
    """
    return _numbers(offered) > _numbers(installed)


def _numbers(version: str) -> list[int]:
    numbers = [int(part) for part in re.findall(r"[0-9]+", version)]
    while numbers and not numbers[-1]:
        numbers.pop()  # 1.0 equals 1
    return numbers


def _listed(sums: bytes) -> dict[str, str]:
    lines = sums.decode("utf-8", "replace").splitlines()
    found = [_LINE.fullmatch(line) for line in lines]
    wanted = {match[2]: match[1] for match in found if match}
    if len(wanted) != len(lines) or {SUMS, SIGNATURE} & set(wanted):
        raise BadRelease(f"{SUMS} is signed and cannot be read: it is for a newer program")
    return wanted


def _read(path: Path, most: int) -> bytes:
    try:
        return read_small(path, most)
    except FileNotFoundError:
        raise BadRelease(f"{path} is missing") from None


def _copy(path: Path, target: Path, digest: str) -> None:
    found, size = new_digest(), 0
    try:
        source = open_untouched(path)
    except FileNotFoundError:
        raise BadRelease(f"{path} is missing") from None
    with source, target.open("xb") as copy:
        while piece := source.read(_PIECE):
            size += len(piece)
            if size > FILE_MOST:
                raise BadRelease(f"{path} is larger than {FILE_MOST} bytes")
            found.update(piece)
            copy.write(piece)
    if found.hexdigest() != digest:
        raise BadRelease(f"{path} is not what was signed: its checksum differs")
