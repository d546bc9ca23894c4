"""Opened items in the database: the contents of messages, and what opens an attachment's body."""

from collections.abc import Sequence
from dataclasses import dataclass

from dropbox_app.desk.storage import rows, search
from dropbox_app.desk.storage.database import Database
from dropbox_app.desk.storage.state import Item
from dropbox_app.protocol.errors import FormatError, MessageError
from dropbox_app.protocol.messages import Message, parse

_PAD = b" "
_CLEAR = "DELETE FROM opened WHERE site = ? AND id = ?"


@dataclass(frozen=True)
class Entry:
    """A message ready to be stored: its contents without padding, their ``length`` with padding.

    ``sealed`` contains the sealed bytes if a restored server may need them.
    """

    item: str
    contents: bytes
    length: int
    sealed: bytes | None
    message: Message

    @property
    def plaintext(self) -> bytes:
        """Return the contents with their padding."""
        return self.contents.ljust(self.length, _PAD)


@dataclass(frozen=True)
class Opened:
    """The database's record of an item: a message's contents, or how to open an attachment."""

    contents: bytes | None
    sealed: bytes | None
    header: bytes | None
    file_key: bytes | None


def entry(item: Item, contents: bytes, sealed: bytes | None) -> Entry | None:
    """Return a message ready to be stored; None if ``contents`` are not a message."""
    try:
        message = parse(contents)
    except (FormatError, MessageError):
        return None
    keep = item.sent != "received" or message.kind == "withdrawal"
    return Entry(item.id, contents.rstrip(_PAD), len(contents), sealed if keep else None, message)


def enter(database: Database, site: str, entries: Sequence[Entry]) -> None:
    """Store messages for reading and search. Their items must have been saved."""
    with database.transaction():
        database.run_many(_CLEAR, [(site, one.item) for one in entries])
        database.run_many(
            "INSERT INTO opened (site, id, contents, length, sealed) VALUES (?, ?, ?, ?, ?)",
            [(site, one.item, one.contents, one.length, one.sealed) for one in entries],
        )
        database.run_many(
            "INSERT INTO words (rowid, body) SELECT number, ? FROM opened "
            "WHERE site = ? AND id = ?",
            [(search.words_of(one.message), site, one.item) for one in entries],
        )


def enter_attachment(
    database: Database, site: str, item: str, header: bytes, file_key: bytes
) -> None:
    """Store what opens the body of an attachment."""
    with database.transaction():
        database.run(_CLEAR, (site, item))
        database.run(
            "INSERT INTO opened (site, id, header, file_key) VALUES (?, ?, ?, ?)",
            (site, item, header, file_key),
        )


def find(database: Database, site: str, item: str) -> Opened | None:
    """Return the record of an item; None if it was not taken in. Raises Damaged."""
    found = database.run(
        "SELECT contents, length, sealed, header, file_key FROM opened WHERE site = ? AND id = ?",
        (site, item),
    )
    if not found:
        return None
    contents, length, sealed, header, file_key = found[0]
    if contents is None and file_key is None:  # SQLite returns no value if a page is bad
        raise rows.damage(FormatError("an item has no contents"))
    if isinstance(contents, bytes) and isinstance(length, int):
        contents = contents.ljust(length, _PAD)
    return Opened(
        contents if isinstance(contents, bytes) else None,
        sealed if isinstance(sealed, bytes) else None,
        header if isinstance(header, bytes) else None,
        file_key if isinstance(file_key, bytes) else None,
    )
