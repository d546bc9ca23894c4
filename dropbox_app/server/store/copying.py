"""Copy all conversations of a site from one store to another, and compare every item.

Numbers, days and ids are not changed, so no desk or code is affected.
"""

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from dropbox_app.server.errors import StoreError
from dropbox_app.server.store.interface import Digest, MailboxInfo, Store

_READ = 64 * 1024


@dataclass(frozen=True)
class Numbered:
    """An addressee of an item, with that counsellor's own number for it."""

    item: str
    identity: str
    number: int
    fetched: datetime.date | None


@dataclass(frozen=True)
class Desk:
    """A counsellor's desk: its last number, and the day of its last fetch."""

    identity: str
    last_number: int
    last_fetch: datetime.date | None


class Copyable(Store, Protocol):
    """A store with the steps that only a copy needs.

    Steps that write are called inside ``writing``.
    """

    def site_id(self) -> str | None:
        """Return the id of the site; None while a copy to this store is incomplete."""

    def set_site_id(self, site: str) -> None:
        """Set the id of the site."""

    def set_store_id(self, store: str) -> None:
        """Set the id of the store."""

    def numbered(self, mailbox: str) -> list[Numbered]:
        """Return the addressees of a mailbox's items, by identity and number."""

    def add_numbered(self, rows: Iterable[Numbered]) -> None:
        """Add addressees with their existing numbers."""

    def desks(self) -> list[Desk]:
        """Return all desks, by identity."""

    def add_desks(self, desks: Iterable[Desk]) -> None:
        """Add desks."""

    def withdrawn(self) -> dict[str, datetime.date]:
        """Return the withdrawn mailboxes, each with its day."""


@dataclass(frozen=True)
class Copied:
    """The numbers of copied mailboxes and items."""

    mailboxes: int
    items: int


def copy(source: Copyable, target: Copyable, new_digest: Callable[[], Digest]) -> Copied:
    """Copy everything to an empty store. Raises StoreError if the copy differs afterwards.

    The caller must prevent writes to the source. The site id of the target is set last.
    """
    items = 0
    boxes = source.mailboxes()
    for mailbox in boxes:
        items += _copy_mailbox(source, target, mailbox, new_digest)
    with target.writing():
        target.add_desks(source.desks())
        for mailbox, day in source.withdrawn().items():
            target.add_withdrawn(mailbox, day)
        served = source.served()
        if served is not None:
            target.set_served(served)
        target.set_store_id(source.store_id())
    seen = (target.desks(), target.withdrawn(), target.served(), target.mailboxes())
    if seen != (source.desks(), source.withdrawn(), source.served(), boxes):
        raise StoreError("the copy differs from the original")
    site = source.site_id()
    if site is None:
        raise StoreError("the store has no site id; start the server once, then try again")
    with target.writing():
        target.set_site_id(site)
    return Copied(len(boxes), items)


def _copy_mailbox(
    source: Copyable, target: Copyable, mailbox: str, new_digest: Callable[[], Digest]
) -> int:
    info = source.mailbox(mailbox)
    if info is None:
        raise StoreError("a mailbox was removed while it was being copied")
    with target.writing():
        _add_mailbox(target, info)
    items = source.items(mailbox)
    for item in items:
        opened = source.open(item.id)
        if opened is None:
            raise StoreError("a sealed file is missing; see doctor")
        with opened, target.stage(new_digest()) as staged:
            while data := opened.read(_READ):
                staged.write(data)
            if staged.digest() != item.id:
                raise StoreError("a sealed file is damaged; see doctor")
            with target.writing():
                target.add_item(mailbox, item, staged)
    numbered = source.numbered(mailbox)
    with target.writing():
        target.add_numbered(numbered)
    same = (target.mailbox(mailbox), target.items(mailbox), target.numbered(mailbox))
    if same != (info, items, numbered) or not all(
        _opens(target, item.id, new_digest()) for item in items
    ):
        raise StoreError("the copy of a mailbox differs from the original")
    return len(items)


def _add_mailbox(target: Copyable, info: MailboxInfo) -> None:
    target.add_mailbox(info.id, info.access or info.id, info.created)
    target.touch(info.id, info.last_added)
    if info.access is None:
        target.close_access(info.id)


def _opens(target: Copyable, item: str, digest: Digest) -> bool:
    """Return whether the contents of an item match its id."""
    opened = target.open(item)
    if opened is None:
        return False
    with opened:
        while data := opened.read(_READ):
            digest.update(data)
    return digest.hexdigest() == item
