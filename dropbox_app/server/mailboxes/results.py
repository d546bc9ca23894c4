"""The results that actions on mailboxes return."""

import datetime
from dataclasses import dataclass
from typing import BinaryIO

from dropbox_app.server.store.interface import ItemInfo


@dataclass(frozen=True)
class Conversation:
    """The items that an access id gives access to."""

    mailbox: str
    items: tuple[ItemInfo, ...]
    created: datetime.date
    last_added: datetime.date
    expires: datetime.date  # the day on which it expires if nothing is added or fetched


@dataclass(frozen=True)
class Listed:
    """A mailbox in the list for a desk, with the newest ``n`` of each author."""

    id: str
    newest: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class OpenFile:
    """A sealed file that the caller reads in pieces and then closes."""

    item: ItemInfo
    file: BinaryIO
