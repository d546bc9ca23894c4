"""``Store``, the interface of the storage of sealed bytes, ids and days (SPEC section 5).

The rules are in ``mailboxes``; a store offers small steps, and transactions in which the rules
hold. Ids, accesses and identities are opaque texts here. ``sqlite`` implements it.
"""

import datetime
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol

What = Literal["message", "attachment"]
REPORTER = "reporter"
IN_DATABASE = 1024 * 1024  # larger sealed files lie in a folder beside the database


@dataclass(frozen=True)
class ItemInfo:
    """One sealed object. ``n`` of an attachment is the number of the message it belongs to."""

    id: str  # hex SHA-256 of the sealed file
    what: What
    author: str  # "reporter" or an identity
    n: int  # 0 for a file whose message has not come yet
    day: datetime.date
    size: int


@dataclass(frozen=True)
class InboxRow:
    """An item as one counsellor's inbox lists it, under that counsellor's own number."""

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
    """A counsellor whom an item is for, and the day on which that counsellor fetched it."""

    item: str
    identity: str
    fetched: datetime.date | None


class Digest(Protocol):
    """A growing SHA-256, passed in because the store calls no primitive itself."""

    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Staged(Protocol):
    """A sealed file being received: in memory while small, else in a nameless file on disk.

    A context manager: what was not taken into the store by ``add_item`` is removed on leaving.
    """

    size: int
    start: bytes  # the first 16 KiB: enough for every header that is taken

    def write(self, data: bytes) -> None: ...
    def digest(self) -> str: ...
    def __enter__(self) -> "Staged": ...
    def __exit__(self, *_: object) -> None: ...


class Store(Protocol):
    """The steps. Every step that writes is called inside ``with store.writing():``."""

    def writing(self) -> AbstractContextManager[None]:
        """One exclusive transaction, on disk when left without an exception. Raises StoreBusy."""

    def reading(self) -> AbstractContextManager[None]:
        """One unchanging view over several reading steps."""

    def walking(self) -> AbstractContextManager[None]:
        """For going through all mailboxes step by step, with transactions inside."""

    def close(self) -> None: ...

    def store_id(self) -> str: ...

    # mailboxes
    def mailbox(self, mailbox: str) -> MailboxInfo | None: ...
    def mailbox_of(self, access: str) -> MailboxInfo | None: ...
    def mailboxes(self, after: str = "", limit: int = -1) -> list[str]:
        """The ids after ``after``, in order; without a limit all of them."""

    def add_mailbox(self, mailbox: str, access: str, day: datetime.date) -> None: ...
    def touch(self, mailbox: str, day: datetime.date) -> None: ...
    def close_access(self, mailbox: str) -> None: ...
    def remove_mailbox(self, mailbox: str) -> None: ...

    # items
    def stage(self, digest: Digest) -> Staged: ...
    def add_item(self, mailbox: str, info: ItemInfo, sealed: "bytes | Staged") -> None: ...
    def show(self, item: str, n: int, day: datetime.date) -> None: ...
    def address(self, item: str, identities: Iterable[str]) -> None: ...
    def items(self, mailbox: str) -> list[ItemInfo]: ...
    def item(self, item: str) -> tuple[str, ItemInfo] | None: ...
    def newest(self, mailbox: str) -> dict[str, int]: ...
    def read(self, item: str) -> bytes | None: ...
    def open(self, item: str) -> BinaryIO | None: ...
    def remove_items(self, items: Sequence[str]) -> None: ...

    # counsellors
    def addressed(self, mailbox: str) -> list[Addressed]: ...
    def addressed_last(self, mailbox: str) -> tuple[str, ...]: ...
    def inbox(self, identity: str, after: int, limit: int) -> list[InboxRow]: ...
    def listed(self, identity: str, after: str, most: int) -> list[str]: ...
    def is_addressed(self, identity: str, item: str) -> bool: ...
    def waits(self, identity: str) -> bool:
        """Whether there is anything that this counsellor's desk has not fetched."""

    def set_fetched(self, identity: str, item: str, day: datetime.date) -> bool: ...
    def last_fetch(self, identity: str) -> datetime.date | None: ...
    def set_last_fetch(self, identity: str, day: datetime.date) -> None: ...

    # room, withdrawn ids, cleaning
    def used(self) -> int: ...
    def used_by(self, mailbox: str) -> int: ...
    def free(self) -> int: ...
    def is_withdrawn(self, mailbox: str) -> bool: ...
    def add_withdrawn(self, mailbox: str, day: datetime.date) -> None: ...
    def drop_withdrawn(self, until: datetime.date) -> int: ...
    def newest_day(self) -> datetime.date | None: ...
    def served(self) -> datetime.date | None: ...
    def set_served(self, day: datetime.date) -> None: ...
    def redate(self, day: datetime.date) -> None: ...
    def sweep(self) -> int: ...
    def keep_room(self) -> None:
        """Reserve room on the disk for operations that free space. Raises SiteFull."""

    def make_room(self) -> bool:
        """Release the reserved room; return whether there was any."""

    def log_size(self) -> int: ...
    def truncate_log(self) -> bool: ...
