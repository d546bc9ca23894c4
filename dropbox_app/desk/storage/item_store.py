"""The local store of one site: items in files and in the database (SPEC, the local store).

An item that the desk has not opened is a file ``ID.age``, as received or made. The database gets
what was opened:

- The contents of a message, and then there is no file. A message that opens when it arrives never
  becomes a file: its contents are stored together with the first record of the item. The sealed
  bytes of the desk's own messages, and of withdrawals, are also kept in the database, in case the
  server is restored from its backup.
- The header and the file key of an attachment are moved into the database, and ``ID.body`` contains
  the payload. Header and body together are the file as received. No sealing key opens the body
  alone.

Plaintext on disk exists only inside the database.
"""

import contextlib
import functools
import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from dropbox_app.desk.errors import NotSetUp
from dropbox_app.desk.storage import lists, opened_items, register, rows
from dropbox_app.desk.storage.atomic_files import Disk, Group
from dropbox_app.desk.storage.database import Database
from dropbox_app.desk.storage.incoming import WrongFile
from dropbox_app.desk.storage.lists import SummaryRow
from dropbox_app.desk.storage.opened_items import Entry, Opened
from dropbox_app.desk.storage.state import Item, State
from dropbox_app.desk.transport.api_client import SealedFile
from dropbox_app.protocol import age
from dropbox_app.protocol.attachment import AttachmentSealer
from dropbox_app.protocol.encoding import new_digest
from dropbox_app.protocol.errors import AgeError, FormatError
from dropbox_app.protocol.keys import Recipient, Seed
from dropbox_app.protocol.stream import CHUNK, payload_chunks
from dropbox_app.protocol.thread import Arrived, open_item

AT_ONCE = 100  # messages that are stored at once, and are in memory until then
FRESH = 16 * 1024 * 1024  # bytes of messages that stay in memory after they arrived


class LocalStore:
    """The folder ``sites/SITE`` of a desk, and its rows in the database."""

    def __init__(self, disk: Disk, database: Database, site: str) -> None:
        self._disk = disk
        self._database = database
        self._folder = f"sites/{site}"
        self._site = site
        self._saved: rows.Rows = {}
        self._arrived: dict[str, Entry] = {}  # not saved yet
        self._fresh: dict[str, Entry] = {}  # saved, and not read since
        self._room = FRESH

    def exists(self) -> bool:
        """Return whether a state has been written."""
        return rows.exists(self._database, self._site)

    def load(self) -> State:
        """Return the last saved state. Raises NotSetUp or Damaged."""
        try:
            state = rows.load(self._database, self._site)
        except FormatError as error:
            raise rows.damage(error) from None
        if state is None:
            raise NotSetUp(
                "The desk's notes on this site are missing; run 'klankbord-desk init INVITATION' "
                "again, or restore the desk from its backup."
            )
        self._saved = rows.of(state)
        return state

    def save(self, state: State) -> None:
        """Write the changes, all or none. The changes are on disk before the function returns.

        The contents of messages that arrived are written with the first record of their items.
        """
        with self._saving(state):
            pass

    @contextlib.contextmanager
    def _saving(self, state: State) -> Iterator[None]:
        """Write the changes and run the block in one transaction.

        The changes count as saved once the transaction is complete.
        """
        new = rows.of(state)
        with self._database.transaction():
            rows.save(self._database, self._site, rows.changes(state, self._saved, new))
            arrived = [one for one in self._arrived.values() if one.item in state.items]
            opened_items.enter(self._database, self._site, arrived)
            yield
        self._saved = new
        self._arrived.clear()
        state.settle()
        for one in arrived:
            if one.length <= self._room:
                self._fresh[one.item] = one
                self._room -= one.length

    def forget(self, state: State, mailbox: str) -> None:
        """Like ``save``, and remove the thread from the register's entries.

        The database must then be rewritten with a new key.
        """
        with self._saving(state):
            register.unlink(self._database, mailbox)
            self._database.expect_rewrite()

    def expect_rewrite(self) -> None:
        """Schedule a rewrite of the database with a new key at the end of the current work."""
        with self._database.transaction():
            self._database.expect_rewrite()

    def keep_summaries(self, made: Mapping[str, SummaryRow]) -> None:
        """Store summaries of threads, for lists.

        The next change of a thread deletes its summary.
        """
        lists.keep(self._database, self._site, made)

    # Items as files.

    def has(self, item: str) -> bool:
        """Return whether the desk has an item."""
        return self._disk.exists(self._item(item)) or self._row(item) is not None

    def put(self, item: str, sealed: bytes) -> None:
        """Store one of the desk's own items as sent."""
        self._disk.write(self._item(item), sealed)

    def writing(
        self, item: str, group: Group
    ) -> contextlib.AbstractContextManager[Callable[[bytes], object]]:
        """Write the file of an item that arrives in pieces."""
        return group.writing(self._item(item))

    def together(self) -> contextlib.AbstractContextManager[Group]:
        """Receive many items, all of which are safe on disk at the end of the block.

        The group's ``settle`` makes the items received so far safe on disk earlier.
        """
        return self._disk.together()

    def open_arrived(self, item: Item, sealed: bytes, seeds: Sequence[Seed]) -> Entry | None:
        """Open a message that has just arrived; None if it has to be stored as a file."""
        if not item.sealed_for:
            return None
        try:
            return opened_items.entry(item, age.open_sealed(sealed, seeds), sealed)
        except AgeError:
            return None

    def add_arrived(self, message: Entry) -> None:
        """Store a message in the transaction in which its item is saved for the first time."""
        self._arrived[message.item] = message

    def seal(
        self, pieces: Iterable[bytes], recipients: Sequence[Recipient]
    ) -> tuple[SealedFile, int]:
        """Seal one of the desk's attachments while reading it; return it and the content's size.

        No plaintext reaches the disk, and memory use is limited to a few chunks.
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
        return SealedFile(item, length, functools.partial(self._pieces, self._item(item))), (
            sealer.size
        )

    def free(self) -> int:
        """Return the free space on the items' disk, in bytes."""
        return shutil.disk_usage(self._disk.root).free

    # Moving items into the database.

    def take_in(self, items: Iterable[Item], seeds: Sequence[Seed]) -> None:
        """Move the items that ``seeds`` open into the database, in one transaction.

        Damaged items, and items that the reader rejects, stay as they are. No key is kept for such
        items.
        """
        named = {self._item(item.id): item for item in items if item.sealed_for}
        here = {name: item for name, item in named.items() if self._disk.exists(name)}
        if not here:
            return
        taken: list[str] = []
        messages: list[Entry] = []
        with self._database.transaction(), self._disk.together() as bodies:
            for name, item in here.items():
                try:
                    message = self._message(item, seeds) if item.what == "message" else None
                    if message is None:
                        self._part(item.id, seeds, bodies)
                except AgeError:
                    continue
                taken.append(name)
                messages += [message] if message else []
                if len(messages) == AT_ONCE:
                    opened_items.enter(self._database, self._site, messages)
                    messages.clear()
            opened_items.enter(self._database, self._site, messages)
        self._disk.remove(*taken)

    def _message(self, item: Item, seeds: Sequence[Seed]) -> Entry | None:
        sealed = self._disk.read(self._item(item.id))
        return opened_items.entry(item, age.open_sealed(sealed, seeds), sealed)

    def enter(self, item: Item, contents: bytes, sealed: bytes | None) -> bool:
        """Store the contents of a message in the database, for reading and search.

        Returns whether the contents are a message. The sealed bytes are kept if a restored server
        may need them.
        """
        message = opened_items.entry(item, contents, sealed)
        if message is not None:
            opened_items.enter(self._database, self._site, [message])
        return message is not None

    def _part(self, item: str, seeds: Sequence[Seed], bodies: Group) -> None:
        """Split an attachment: header and file key for the database, the payload for a file."""
        with self._disk.path(self._item(item)).open("rb") as file:
            header, file_key = age.unwrap(file.read, seeds)
            file.seek(len(header))
            payload = iter(lambda: file.read(CHUNK), b"")
            self.keep_body(item, header, file_key, payload, bodies)

    def keep_body(
        self,
        item: str,
        header: bytes,
        file_key: bytes,
        payload: Iterable[bytes],
        bodies: Disk | Group,
    ) -> None:
        """Store a split attachment. The body is on disk before the database refers to it.

        If ``bodies`` is a group, the caller must call its ``settle`` before the transaction ends.
        """
        with bodies.writing(self._body(item)) as write:
            for piece in payload:
                write(piece)
        opened_items.enter_attachment(self._database, self._site, item, header, file_key)

    # Reading items.

    def open(self, item: Item, seeds: Sequence[Seed]) -> Arrived:
        """Open an item for the reader. Failures are reported in the result, not raised.

        A message that has just arrived is not read and parsed again.
        """
        fresh = self._fresh.pop(item.id, None)
        if fresh is not None:
            self._room += fresh.length
            return Arrived(
                item.id, fresh.plaintext, sealed_for=item.sealed_for, message=fresh.message
            )
        row = self._row(item.id)
        if row is not None and row.contents is not None:
            return Arrived(item.id, row.contents, sealed_for=item.sealed_for)
        try:
            if row is None:
                return open_item(item.id, self._disk.read(self._item(item.id)), seeds)
            contents = b"".join(self.opened(item.id, seeds))
        except FileNotFoundError:
            return Arrived(item.id, None, "missing")
        except WrongFile:
            return Arrived(item.id, None, "other_file")
        except AgeError:
            return Arrived(item.id, None, "payload")
        return Arrived(item.id, contents, sealed_for=item.sealed_for)

    def opened(self, item: str, seeds: Sequence[Seed]) -> Iterator[bytes]:
        """Yield an attachment in authenticated chunks. After an error, the content is incomplete.

        Raises FileNotFoundError, WrongFile if the file is not the stored one, or AgeError if the
        attachment was already damaged when received.
        """
        row = self._row(item)
        if row is not None and row.contents is not None:  # a file that contains a message
            yield row.contents
            return
        received = self._digest(item, row) == item
        try:
            if row is not None and row.file_key is not None:
                with self._disk.path(self._body(item)).open("rb") as file:
                    yield from payload_chunks(file.read, row.file_key)
            else:
                with self._disk.path(self._item(item)).open("rb") as file:
                    yield from age.open_chunks(file.read, seeds)
        except AgeError:
            if received:
                raise
            raise WrongFile("another file than was kept") from None

    def original(self, item: str) -> bytes | None:
        """Return a message's bytes as the server has them; None if only the contents remain."""
        row = self._row(item)
        if row is not None and row.sealed is not None:
            return row.sealed
        sealed = self.sealed(item)
        return b"".join(sealed.pieces()) if sealed is not None else None

    def sealed(self, item: str) -> SealedFile | None:
        """Like ``original``, but for items that are too large for memory."""
        row = self._row(item)
        ways: list[Callable[[], Iterator[bytes]]] = [
            functools.partial(self._whole, item, row),
            functools.partial(self._pieces, self._kept(item)),
        ]
        for pieces in ways:
            with contextlib.suppress(FileNotFoundError):
                digest, size = new_digest(), 0
                for piece in pieces():
                    digest.update(piece)
                    size += len(piece)
                if digest.hexdigest() == item:
                    return SealedFile(item, size, pieces)
        return None

    def is_parted(self, item: str) -> bool:
        """Return whether an attachment was split: header in the database, body in a file."""
        row = self._row(item)
        return row is not None and row.header is not None

    def digest(self, item: str) -> str:
        """Return the SHA-256 of an attachment as stored. Raises FileNotFoundError."""
        return self._digest(item, self._row(item))

    # Deleting items.

    def drop(self, items: Iterable[str]) -> None:
        """Delete the items' files permanently. Their rows are deleted when the state is saved."""
        self._disk.remove(
            *(n for item in items for n in (self._item(item), self._body(item), self._kept(item)))
        )

    def sweep(self, state: State) -> None:
        """Remove files left by a crash, which the database does not refer to or need."""
        taken = {
            str(item): header is not None
            for item, header in self._database.run(
                "SELECT id, header FROM opened WHERE site = ?", (self._site,)
            )
        }
        gone = [f"{self._folder}/state.age"]  # from a converted desk of the first format
        for name in self._disk.names(f"{self._folder}/items"):
            item, _, ending = name.partition(".")
            wanted = taken.get(item, False) if ending == "body" else item not in taken
            if item not in state.items or not wanted:
                gone.append(f"{self._folder}/items/{name}")
        for name in self._disk.names(f"{self._folder}/kept"):
            item = name.partition(".")[0]
            if item not in state.items or not taken.get(item, True):  # its row has the message
                gone.append(f"{self._folder}/kept/{name}")
        self._disk.remove(*gone)

    def _row(self, item: str) -> Opened | None:
        return opened_items.find(self._database, self._site, item)

    def _whole(self, item: str, row: Opened | None) -> Iterator[bytes]:
        """Yield a stored item: one file, or a header from the database and a body file."""
        if row is None or row.header is None:
            return self._pieces(self._item(item))
        return itertools.chain([row.header], self._pieces(self._body(item)))

    def _digest(self, item: str, row: Opened | None) -> str:
        digest = new_digest()
        for piece in self._whole(item, row):
            digest.update(piece)
        return digest.hexdigest()

    def _pieces(self, name: str) -> Iterator[bytes]:
        with self._disk.path(name).open("rb") as file:
            while piece := file.read(CHUNK):
                yield piece

    def _item(self, item: str) -> str:
        return f"{self._folder}/items/{item}.age"

    def _body(self, item: str) -> str:
        return f"{self._folder}/items/{item}.body"

    def _kept(self, item: str) -> str:
        return f"{self._folder}/kept/{item}.age"
