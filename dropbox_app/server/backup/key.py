"""The operator's key for backups, and all code that encrypts or decrypts with that key.

The server's folder contains the public half in a file. The secret half is printed once, and is
needed for a restore. The secret half opens only the backups: the conversations in them remain
sealed to counsellors and reporters. Besides the reporter's agent, this is the only module of the
server that may use functions that decrypt. No module that serves requests imports this module
(tests/test_zones.py).
"""

import codecs
import datetime
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from dropbox_app.protocol import age
from dropbox_app.protocol.age import Sealer
from dropbox_app.protocol.encoding import new_digest
from dropbox_app.protocol.errors import AgeError, KeyFormatError, NoMatch
from dropbox_app.protocol.keys import Recipient, Seed
from dropbox_app.server.backup.directory import KEY
from dropbox_app.server.errors import BackupError
from dropbox_app.server.store.files import replace_whole

_MOST = 64 * 1024  # maximum bytes of a file with secret keys


def make() -> tuple[str, Recipient]:
    """Return a new key: the secret half as text, and the public half."""
    seed = Seed.generate()
    return seed.reveal(), seed.recipient()


def keep(folder: Path, public: Recipient, day: datetime.date) -> None:
    """Seal future backups to this key. Existing backups stay sealed to the previous key."""
    replace_whole(folder / KEY, f"{public}\n".encode("ascii"), day)


def recipient(folder: Path) -> Recipient | None:
    """Return the public key; None if it does not exist.

    Raises BackupError if the key is damaged.
    """
    try:
        return Recipient.parse((folder / KEY).read_text("ascii", errors="replace").strip())
    except FileNotFoundError:
        return None
    except KeyFormatError as error:
        raise BackupError(
            f"{folder / KEY}: {error}; make a new key with backup-key --new"
        ) from None


class Keys:
    """The secret keys that the operator gives to a restore."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Read files in age's format: one key per line, comments after #. Raises BackupError."""
        self._seeds: list[Seed] = []
        for path in files:
            with path.open("rb") as file:
                raw = file.read(_MOST)
            # PowerShell's > writes UTF-16, and Notepad adds a byte order mark.
            wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            lines = raw.decode("utf-16" if wide else "utf-8-sig", "replace").splitlines()
            for line in (line.strip() for line in lines):
                if line and not line.startswith("#"):
                    self._seeds.append(_parse(line, path))
        if not self._seeds:
            raise BackupError("there is no secret key in the file that was given with --key")

    def chunks(self, file: BinaryIO) -> Iterator[bytes]:
        """Yield the contents of a sealed file, and authenticate it to the end.

        Raises BackupError.
        """
        try:
            yield from age.open_chunks(file.read, self._seeds)
        except NoMatch:
            raise BackupError("it is sealed to another key than the one given") from None
        except AgeError as error:
            raise BackupError(f"it is damaged, or not a backup: {error}") from None


def _parse(line: str, path: Path) -> Seed:
    try:
        return Seed.parse(line)
    except KeyFormatError:  # the text of this error might reveal part of the key
        raise BackupError(f"{path}: not a secret key such as backup-key prints") from None


class Writing:
    """A sealed file that is being written in bounded memory. ``finish`` verifies it."""

    def __init__(self, file: BinaryIO, to: Recipient) -> None:
        self._file = file
        self._plain, self._sealed = new_digest(), new_digest()
        self._sealer = Sealer(self._put, [to])

    def write(self, data: bytes) -> int:
        """Seal the next bytes."""
        self._plain.update(data)
        self._sealer.update(data)
        return len(data)

    def finish(self) -> str:
        """Finish the file, sync it to disk, and read it back as a restore would.

        Returns the hex SHA-256. Raises BackupError if the disk returns different bytes.
        """
        self._sealer.finish()
        self._file.flush()
        handle = self._file.fileno()
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)  # else the cache would be read
        self._file.seek(0)
        plain, sealed = new_digest(), new_digest()

        def read(size: int) -> bytes:
            data = self._file.read(size)
            sealed.update(data)
            return data

        try:
            age.open_with_file_key(read, plain.update, self._sealer.file_key)
        except AgeError as error:
            raise BackupError(f"the disk returned different data: {error}") from None
        if (plain.hexdigest(), sealed.hexdigest()) != (
            self._plain.hexdigest(),
            self._sealed.hexdigest(),
        ):
            raise BackupError("the disk returned different data from what was written")
        return sealed.hexdigest()

    def _put(self, data: bytes) -> None:
        self._sealed.update(data)
        self._file.write(data)
