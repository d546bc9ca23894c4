"""``Store``, the interface for storing sealed bytes, ids and days (SPEC section 5).

The rules are in ``mailboxes``. A store provides small steps, and the transactions that the rules
need. Ids, access ids and identities are opaque strings here. ``sqlite`` and ``postgres`` implement
the interface.
"""

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol

What = Literal["message", "attachment"]
REPORTER = "reporter"
IN_DATABASE = 1024 * 1024  # larger sealed files are in a folder next to the database


@dataclass(frozen=True)
class ItemInfo:
    """One sealed object.

    ``n`` of an attachment is the number of the message to which it belongs.
    """

    id: str  # hex SHA-256 of the sealed file
    what: What
    author: str  # "reporter" or an identity
    n: int  # 0 for a file whose message has not arrived yet
    day: datetime.date
    size: int


@dataclass(frozen=True)
class InboxRow:
    """An item in one counsellor's inbox, with that counsellor's own number for it."""

    number: int
    mailbox: str
    item: ItemInfo


@dataclass(frozen=True)
class MailboxInfo:
    """A mailbox. ``access`` is None after a withdrawal."""

    id: str
    access: str | None
    created: datetime.date
    last_added: datetime.date


@dataclass(frozen=True)
class Addressed:
    """An addressee of an item, and the day on which that counsellor fetched it."""

    item: str
    identity: str
    fetched: datetime.date | None


class Digest(Protocol):
    """An incremental SHA-256, passed in because the store itself uses no cryptography."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the SHA-256 of the bytes so far, in lower-case hex."""


class Sealing(Protocol):
    """A writer that seals its input. ``finish`` is called once, at the end."""

    def update(self, data: bytes) -> None:
        """Add bytes."""

    def finish(self) -> None:
        """Seal the remaining bytes."""


class SecondSeal(Protocol):
    """The second seal, for a store that cannot overwrite data (SPEC section 5); see ``Digest``."""

    def new_key(self) -> bytes:
        """Return a random key for one item only."""

    def writer(self, write: Callable[[bytes], object], key: bytes) -> Sealing:
        """Return a writer that seals with this key; ``write`` receives the sealed bytes."""

    def chunks(self, read: Callable[[int], bytes], key: bytes) -> Iterator[bytes]:
        """Yield the contents in authenticated chunks."""


class Staged(Protocol):
    """A sealed file being received: in memory if small, otherwise on disk or in the database.

    ``Staged`` is a context manager. At the end of the block, the file is removed unless
    ``add_item`` moved it into the store.
    """

    size: int
    start: bytes  # the first 16 KiB: enough for every accepted header

    def write(self, data: bytes) -> None:
        """Add the next bytes. Raises SiteFull."""

    def digest(self) -> str:
        """Return the hex SHA-256 of the bytes written so far."""

    def __enter__(self) -> "Staged": ...
    def __exit__(self, *_: object) -> None: ...


class Store(Protocol):
    """The steps of a store. Every step that writes is called inside ``with store.writing():``."""

    def writing(self) -> AbstractContextManager[None]:
        """Open an exclusive transaction, which is committed to disk if the block succeeds.

        Raises StoreBusy.
        """

    def reading(self) -> AbstractContextManager[None]:
        """Open an unchanging view of the data, for several reading steps."""

    def walking(self) -> AbstractContextManager[None]:
        """Open a block that goes through all mailboxes in several transactions."""

    def close(self) -> None:
        """Close the store, which cannot be used afterwards."""

    def store_id(self) -> str:
        """Return the id of this store. A restore changes it."""

    # Mailboxes.
    def mailbox(self, mailbox: str) -> MailboxInfo | None:
        """Return a mailbox by its id; None if it does not exist."""

    def mailbox_of(self, access: str) -> MailboxInfo | None:
        """Return the mailbox of an access id; None if it does not exist."""

    def mailboxes(self, after: str = "", limit: int = -1) -> list[str]:
        """Return at most ``limit`` ids after ``after``, in order; without a limit, return all."""

    def add_mailbox(self, mailbox: str, access: str, day: datetime.date) -> None:
        """Add a mailbox that was created on this day."""

    def touch(self, mailbox: str, day: datetime.date) -> None:
        """Set the day of the last addition, unless a later day is already set."""

    def close_access(self, mailbox: str) -> None:
        """Remove the access id of a mailbox."""

    def remove_mailbox(self, mailbox: str) -> None:
        """Remove a mailbox with all of its items."""

    # Items.
    def stage(self, digest: Digest) -> Staged:
        """Return temporary storage for a sealed file that is being received."""

    def add_item(self, mailbox: str, info: ItemInfo, sealed: "bytes | Staged") -> None:
        """Add an item, and move a staged file into the store."""

    def show(self, item: str, n: int, day: datetime.date) -> None:
        """Give an attachment the number and day of the message to which it belongs."""

    def address(self, item: str, identities: Iterable[str]) -> None:
        """Put an item into these counsellors' inboxes, under the next number of each inbox."""

    def items(self, mailbox: str) -> list[ItemInfo]:
        """Return the items of a mailbox, sorted by day."""

    def item(self, item: str) -> tuple[str, ItemInfo] | None:
        """Return the mailbox of an item, and the item; None if it does not exist."""

    def newest(self, mailbox: str) -> dict[str, int]:
        """Return the highest message number of each author in a mailbox."""

    def read(self, item: str) -> bytes | None:
        """Return a sealed file; None if it does not exist."""

    def open(self, item: str) -> BinaryIO | None:
        """Return a sealed file to read in pieces and then close; None if it does not exist."""

    def remove_items(self, items: Sequence[str]) -> None:
        """Remove items: bytes are overwritten and files unlinked, or the only key is removed."""

    # Counsellors.
    def addressed(self, mailbox: str) -> list[Addressed]:
        """Return the addressees of each item of a mailbox."""

    def addressed_last(self, mailbox: str) -> tuple[str, ...]:
        """Return the addressees of the reporter's newest message."""

    def inbox(self, identity: str, after: int, limit: int) -> list[InboxRow]:
        """Return the rows of a counsellor's inbox after a number, at most ``limit``."""

    def listed(self, identity: str, after: str, most: int) -> list[str]:
        """Return the mailboxes whose newest reporter message is addressed to this counsellor."""

    def is_addressed(self, identity: str, item: str) -> bool:
        """Return whether an item is addressed to this counsellor."""

    def waits(self, identity: str) -> bool:
        """Return whether any item is waiting to be fetched by this counsellor's desk."""

    def set_fetched(self, identity: str, item: str, day: datetime.date) -> None:
        """Record the first fetch of an item. Without such an item of this counsellor: nothing."""

    def last_fetch(self, identity: str) -> datetime.date | None:
        """Return the last day on which this counsellor's desk fetched; None if never."""

    def set_last_fetch(self, identity: str, day: datetime.date) -> None:
        """Set the last day on which this counsellor's desk fetched."""

    # Space, withdrawn ids, cleaning.
    def used(self) -> int:
        """Return the number of bytes in use."""

    def used_by(self, mailbox: str) -> int:
        """Return the number of bytes in the items of a mailbox."""

    def free(self) -> int:
        """Return the number of free bytes on the disk.

        A remote database does not report its free space, so the result is then very large.
        """

    def is_withdrawn(self, mailbox: str) -> bool:
        """Return whether a mailbox was withdrawn."""

    def add_withdrawn(self, mailbox: str, day: datetime.date) -> None:
        """Add a mailbox to the list of withdrawn mailboxes."""

    def drop_withdrawn(self, until: datetime.date) -> int:
        """Remove the ids withdrawn on or before ``until`` from the list; return how many."""

    def newest_day(self) -> datetime.date | None:
        """Return the newest day stored anywhere; None in an empty store."""

    def served(self) -> datetime.date | None:
        """Return the day of the last maintenance; None if there was none."""

    def set_served(self, day: datetime.date) -> None:
        """Set the day of the last maintenance."""

    def redate(self, day: datetime.date) -> None:
        """Replace every stored day that is later than this day with this day."""

    def sweep(self) -> int:
        """Remove the leftovers of a crash; return the number of files."""

    def keep_room(self) -> None:
        """Reserve space on the disk for operations that free space. Raises SiteFull."""

    def make_room(self) -> bool:
        """Release the reserved space; return whether any was reserved."""

    def log_size(self) -> int:
        """Return how much of the removed data may still be in a log or a table; 0 if none."""

    def truncate_log(self) -> bool:
        """Remove the data that ``log_size`` counts; return whether that succeeded."""
