"""Items between their arrival and their record in the state.

A message that opens waits in memory, and its contents are stored in the same transaction as its
record. Every other item is a file, which is synced to disk before its record.
"""

import contextlib
from collections.abc import Callable, Iterator

from dropbox_app.desk.errors import DeskError
from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage.atomic_files import Group
from dropbox_app.desk.storage.incoming import Incoming
from dropbox_app.desk.storage.opened_items import Entry
from dropbox_app.desk.storage.state import Item


class Arrivals:
    """Items that were fetched but not recorded yet. ``items`` contains them by id."""

    def __init__(self, desk: Desk, group: Group) -> None:
        self.items: dict[str, Item] = {}
        self._messages: dict[str, Entry] = {}
        self._desk = desk
        self._group = group
        self._seeds = desk.vault.openers(desk.state.site)

    @contextlib.contextmanager
    def receiving(self, item: Item) -> Iterator[Callable[[bytes], object]]:
        """Receive an item in pieces. If a different item arrives, keep nothing.

        Raises WrongFile.
        """
        if item.server_says == self._desk.own:
            item.sent, item.fetched = "sent", True
        if item.what == "message":
            pieces: list[bytes] = []
            with _checking(item, pieces.append) as take:
                yield take
            self._open(item, b"".join(pieces))
        else:
            with (
                self._desk.store.writing(item.id, self._group) as write,
                _checking(item, write) as take,
            ):
                yield take
        self.items[item.id] = item

    def _open(self, item: Item, sealed: bytes) -> None:
        message = self._desk.store.open_arrived(item, sealed, self._seeds)
        if message is not None:
            self._messages[item.id] = message
            return
        with self._desk.store.writing(item.id, self._group) as write:
            write(sealed)

    def settle(self) -> None:
        """Sync the files, then record the items. Recorded items are no longer owed."""
        self._group.settle()
        state, store = self._desk.state, self._desk.store
        for item in self.items.values():
            if item.id in self._messages:  # before its item, so that none is saved without it
                store.add_arrived(self._messages.pop(item.id))
            state.owed.pop(item.id, None)
            state.items[item.id] = item
            state.thread(item.mailbox)
        self.items.clear()


@contextlib.contextmanager
def arriving(desk: Desk) -> Iterator[Arrivals]:
    """Fetch several items. At the end all of them are recorded, and saved with the next save.

    If the server interrupts the round, the state is saved, so that received items are not fetched
    again. After other failures, such as a full disk or the end of the program, received items are
    fetched again.
    """
    with desk.store.together() as group:
        arrivals = Arrivals(desk, group)
        try:
            yield arrivals
        except DeskError:
            arrivals.settle()
            desk.save()
            raise
        arrivals.settle()


@contextlib.contextmanager
def _checking(item: Item, write: Callable[[bytes], object]) -> Iterator[Callable[[bytes], object]]:
    incoming = Incoming(item.id, item.size, write)
    yield incoming.take
    incoming.finish()
    item.sealed_for = incoming.recipients
