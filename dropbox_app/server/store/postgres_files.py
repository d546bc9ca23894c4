"""Sealed files in PostgreSQL, which are stored, written and read in pieces."""

import datetime
import io
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeAlias

from dropbox_app.server.errors import ServerError, StoreError
from dropbox_app.server.store.blobs import START
from dropbox_app.server.store.interface import IN_DATABASE, Digest, Sealing, SecondSeal
from dropbox_app.server.store.postgres_connections import Connection, Connections
from dropbox_app.server.store.postgres_errors import failures

PIECE = 256 * 1024  # sealed bytes in one row
_READ = 64 * 1024

Numbered: TypeAlias = Callable[[int], bytes | None]  # returns the piece with this number


class Pieces:
    """Seals a file and cuts the sealed bytes into pieces; ``put`` receives each numbered piece."""

    def __init__(self, second: SecondSeal, put: Callable[[int, bytes], None]) -> None:
        self.file = secrets.token_hex(16)
        self.key = second.new_key()
        self.count = 0
        self._put = put
        self._held = bytearray()
        self._sealing: Sealing = second.writer(self._take, self.key)

    def write(self, data: bytes) -> None:
        """Add the next bytes."""
        self._sealing.update(data)

    def finish(self) -> None:
        """Seal the remaining bytes, and store the last piece."""
        self._sealing.finish()
        if self._held:
            self._cut(len(self._held))

    def _take(self, sealed: bytes) -> None:
        self._held += sealed
        while len(self._held) >= PIECE:
            self._cut(PIECE)

    def _cut(self, length: int) -> None:
        self._put(self.count, bytes(self._held[:length]))
        self.count += 1
        del self._held[:length]


class StagedPieces:
    """A sealed file being received; see ``Staged``.

    Up to IN_DATABASE bytes stay in memory. The pieces of a longer file are stored in the database
    immediately; they cannot be opened before ``add_item`` stores the key.
    """

    def __init__(
        self, connections: Connections, second: SecondSeal, digest: Digest, today: datetime.date
    ) -> None:
        self.size = 0
        self.start = b""
        self.small: bytearray | None = bytearray()
        self.kept = False
        self._connections = connections
        self._hash = digest
        self._today = today
        self._finished = False
        self._pieces = Pieces(second, self._put)

    def write(self, data: bytes) -> None:
        """Add the next bytes. Raises SiteFull, StoreBusy, StoreError."""
        self.size += len(data)
        self._hash.update(data)
        if len(self.start) < START:
            self.start += data[: START - len(self.start)]
        if self.small is not None:
            if self.size <= IN_DATABASE:
                self.small += data
                return
            data, self.small = bytes(self.small) + data, None
        self._pieces.write(data)

    def digest(self) -> str:
        """Return the hex SHA-256 of the bytes written so far."""
        return self._hash.hexdigest()

    def whole(self) -> tuple[str, bytes]:
        """Return the name and key of a long file, after storing its last piece in the database."""
        if not self._finished:  # the same file may be passed again after an error
            self._pieces.finish()
            self._finished = True
        return self._pieces.file, self._pieces.key

    def __enter__(self) -> "StagedPieces":
        return self

    def __exit__(self, *_: object) -> None:
        if self._pieces.count and not self.kept:
            with (
                suppress(ServerError),  # the sweep removes it in two days
                self._connections.taken() as connection,
                failures(),
                connection.transaction(),
            ):
                remove(connection, self._pieces.file)

    def _put(self, number: int, sealed: bytes) -> None:
        with self._connections.taken() as connection, failures(), connection.transaction():
            # The commit that stores the key waits for the disk, and therefore for these pieces too.
            connection.execute("SET LOCAL synchronous_commit = off")
            if number == 0:
                put_staged = "INSERT INTO staged VALUES (%s, %s)"
                connection.execute(put_staged, (self._pieces.file, self._today))
            put(connection, self._pieces.file, number, sealed)


class StoredFile(io.RawIOBase):
    """Reads a file in pieces. ``piece`` returns a piece by its number; None if it is missing."""

    def __init__(self, second: SecondSeal, key: bytes, piece: Numbered) -> None:
        self._second = second
        self._key = key
        self._piece = piece
        self._held = b""
        self._chunks = self._begin()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True. Only seeking to the beginning is possible."""
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go back to the beginning. Raises io.UnsupportedOperation for any other position."""
        if (offset, whence) != (0, 0):
            raise io.UnsupportedOperation("only to the beginning")
        self._held, self._chunks = b"", self._begin()
        return 0

    def tell(self) -> int:
        """Raise io.UnsupportedOperation."""
        raise io.UnsupportedOperation("only forwards")

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # typeshed uses Buffer, which Python 3.11 does not have
        """Read at most as many bytes as the buffer can contain.

        Raises StoreError if the file was removed.
        """
        if not self._held:
            self._held = next(self._chunks, b"")
        taken = min(len(self._held), len(buffer))
        buffer[:taken] = self._held[:taken]
        self._held = self._held[taken:]
        return taken

    def _begin(self) -> Iterator[bytes]:
        number, held = 0, b""

        def read(size: int) -> bytes:
            nonlocal number, held
            if not held:
                found = self._piece(number)
                if found is None:
                    raise StoreError("a file was removed while it was being read")
                number, held = number + 1, found
            out, held = held[:size], held[size:]
            return out

        return self._second.chunks(read, self._key)


def put(connection: Connection, file: str, number: int, sealed: bytes) -> None:
    """Insert one piece of a file."""
    connection.execute("INSERT INTO pieces VALUES (%s, %s, %s)", (file, number, sealed))


def remove(connection: Connection, file: str) -> None:
    """Remove a file that is being received, with its pieces."""
    connection.execute("DELETE FROM pieces WHERE file = %s", (file,))
    connection.execute("DELETE FROM staged WHERE file = %s", (file,))
