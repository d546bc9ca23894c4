"""The local store of one site: sealed items and the sealed state (SPEC, the local store).

An item stays as it was received until a key that opens it is to be destroyed; then it is opened
and sealed again to the desk's archive key, from memory to file: no plain text touches the disk.
A file whose SHA-256 is its name is as received; any other is sealed to the archive key.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from dropbox_app.desk.errors import Damaged, NotSetUp
from dropbox_app.desk.storage import state as states
from dropbox_app.desk.storage.atomic_files import Disk
from dropbox_app.desk.storage.state import Item, State
from dropbox_app.desk.transport.api_client import SealedFile
from dropbox_app.protocol import age
from dropbox_app.protocol.age_header import MAX_HEADER
from dropbox_app.protocol.attachment import AttachmentSealer
from dropbox_app.protocol.encoding import new_digest, sha256_hex
from dropbox_app.protocol.errors import AgeError, FormatError, NoMatch
from dropbox_app.protocol.keys import Recipient, Seed
from dropbox_app.protocol.stream import CHUNK
from dropbox_app.protocol.thread import Arrived, open_item

_STANZA = "mlkem768x25519"


class WrongFile(Exception):
    """What the server handed over is not the item that was asked for."""


class LocalStore:
    """The folder ``sites/SITE`` of a desk."""

    def __init__(self, disk: Disk, site: str, archive: Seed) -> None:
        self._disk = disk
        self._archive = archive
        self._folder = f"sites/{site}"
        self._site = site

    def exists(self) -> bool:
        """Whether the state was ever written."""
        return self._disk.exists(self._state)

    def load(self) -> State:
        """The state as last saved. Raises NotSetUp or Damaged."""
        try:
            return states.read(age.open_sealed(self._disk.read(self._state), [self._archive]))
        except FileNotFoundError:
            raise NotSetUp(
                "The desk's notes on this site are missing; run 'klankbord-desk init INVITATION' "
                "again, or restore the desk from its backup."
            ) from None
        except (AgeError, FormatError) as error:
            raise Damaged(
                f"{self._disk.path(self._state)} is damaged ({error}); restore the desk from its "
                "backup."
            ) from None

    def save(self, state: State) -> None:
        """Write the state: safe on disk, whole, before this returns."""
        self._disk.write(self._state, age.seal(state.write(), [self._archive.recipient()]))

    def has(self, item: str) -> bool:
        """Whether the file of an item is there."""
        return self._disk.exists(self._item(item))

    def put(self, item: str, sealed: bytes) -> None:
        """Keep an own item, as it is sent."""
        self._disk.write(self._item(item), sealed)

    @contextlib.contextmanager
    def receiving(self, item: str, size: int) -> Iterator[Callable[[bytes], object]]:
        """Take an item in pieces. Raises WrongFile, and keeps nothing, unless it is that item."""
        digest, length = new_digest(), 0
        with self._disk.writing(self._item(item)) as write:

            def take(piece: bytes) -> None:
                nonlocal length
                length += len(piece)
                if length > size:
                    raise WrongFile("longer than was listed")
                digest.update(piece)
                write(piece)

            yield take
            if length != size or digest.hexdigest() != item:
                raise WrongFile("another file than was listed")

    def open(self, item: Item, seeds: Sequence[Seed]) -> Arrived:
        """Open an item for the reader; what cannot be opened is named, not raised."""
        try:
            sealed = self._disk.read(self._item(item.id))
        except FileNotFoundError:
            return Arrived(item.id, None, "missing")
        if sha256_hex(sealed) == item.id:
            return open_item(item.id, sealed, seeds)
        try:
            contents = age.open_sealed(sealed, [self._archive])
        except AgeError:
            return Arrived(item.id, None, "other_file")
        return Arrived(item.id, contents, sealed_for=item.sealed_for)

    def recipients(self, item: str) -> int:
        """How many recipients the header of an item has; 0 if it is no header of ours."""
        with self._disk.path(self._item(item)).open("rb") as file:
            start = file.read(MAX_HEADER)
        try:
            stanzas = age.parse_header(start).stanzas
        except AgeError:
            return 0
        return len(stanzas) if all(one.args[0] == _STANZA for one in stanzas) else 0

    def seal(
        self, pieces: Iterable[bytes], recipients: Sequence[Recipient]
    ) -> tuple[SealedFile, int]:
        """Seal an own attachment as it comes and keep it; with it the size of its content.

        No plain text touches the disk, and memory stays at a few chunks.
        """
        digest, length = new_digest(), 0
        with self._disk.writing(
            self._item("sealing"), place=lambda: self._item(digest.hexdigest())
        ) as write:

            def take(sealed: bytes) -> None:
                nonlocal length
                digest.update(sealed)
                length += len(sealed)
                write(sealed)

            sealer = AttachmentSealer(take, recipients)
            for piece in pieces:
                sealer.update(piece)
            sealer.finish()
        item = digest.hexdigest()
        path = self._disk.path(self._item(item))
        return SealedFile(item, length, functools.partial(_pieces, path)), sealer.size

    def sealed(self, item: str) -> SealedFile | None:
        """As ``original``, for what is too large to be held whole."""
        for name in (self._item(item), self._kept(item)):
            path = self._disk.path(name)
            with contextlib.suppress(FileNotFoundError):
                if _digest(path) == item:
                    size = path.stat().st_size
                    return SealedFile(item, size, functools.partial(_pieces, path))
        return None

    def opened(self, item: str, seeds: Sequence[Seed]) -> Iterator[bytes]:
        """The contents of an item in authenticated chunks; whole only if nothing is raised.

        Raises FileNotFoundError, WrongFile if it is not the one that was kept, or AgeError if it
        came like that.
        """
        path = self._disk.path(self._item(item))
        received = _digest(path) == item
        with path.open("rb") as file:
            try:
                yield from age.open_chunks(file.read, seeds if received else [self._archive])
            except AgeError:
                if received:
                    raise
                raise WrongFile("another file than was kept") from None

    def original(self, item: str) -> bytes | None:
        """The bytes of an item as the server had them; None if only the archived copy is left."""
        for name in (self._item(item), self._kept(item)):
            with contextlib.suppress(FileNotFoundError):
                sealed = self._disk.read(name)
                if sha256_hex(sealed) == item:
                    return sealed
        return None

    def archive(self, item: str, doomed: Sequence[Seed], *, keep: bool) -> bool:
        """Seal an item again to the archive key if one of ``doomed`` opens it.

        Says whether it did. With ``keep`` the bytes as received stay beside it, for a server
        that was restored from its backup. A damaged item stays as it is: no key opens it.
        """
        name = self._item(item)
        try:
            with self._disk.path(name).open("rb") as file, self._disk.writing(name) as write:
                sealer = age.Sealer(write, [self._archive.recipient()])
                age.open_stream(file.read, sealer.update, doomed)
                sealer.finish()
                if keep:
                    # First, so that no crash leaves only the copy.
                    with self._disk.writing(self._kept(item)) as keep_as_it_was:
                        for piece in _pieces(self._disk.path(name)):
                            keep_as_it_was(piece)
        except (NoMatch, FileNotFoundError):
            return False
        except AgeError:
            return False
        return True

    def drop(self, items: Iterable[str]) -> None:
        """Delete items for good."""
        self._disk.remove(
            *(name for item in items for name in (self._item(item), self._kept(item)))
        )

    def strays(self, known: Iterable[str]) -> list[str]:
        """Items on disk that the state does not know: a crash came between the two."""
        there = {
            name.removesuffix(".age")
            for folder in ("items", "kept")
            for name in self._disk.names(f"{self._folder}/{folder}")
        }
        return sorted(there - set(known))

    @property
    def _state(self) -> str:
        return f"{self._folder}/state.age"

    def _item(self, item: str) -> str:
        return f"{self._folder}/items/{item}.age"

    def _kept(self, item: str) -> str:
        return f"{self._folder}/kept/{item}.age"


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def _digest(path: Path) -> str:
    digest = new_digest()
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()
