"""The desk's state for one site, except the contents of its items (SPEC, the local store).

The state is kept in memory. ``storage/rows.py`` writes the changes to the database, all or none.
Items and threads know when they change, so that a save need not compare all of them.
"""

import datetime
from collections.abc import ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

from dropbox_app.protocol.card import Away, Card, Kind, Scope
from dropbox_app.protocol.thread import Pins

Sent = Literal["received", "waiting", "sent", "refused"]


class _Row:
    """An entry of a ``Table``. When a field gets another value, the table notes the entry's key.

    The values of the fields are immutable, or are replaced as a whole.
    """

    _changed: dict[str, None] | None = None  # the keys that the table has noted
    _key = ""

    def belong(self, changed: dict[str, None], key: str) -> None:
        """Note later changes under ``key`` in ``changed``."""
        object.__setattr__(self, "_changed", changed)
        object.__setattr__(self, "_key", key)

    def __setattr__(self, name: str, value: object) -> None:
        if self._changed is not None and getattr(self, name) != value:
            self._changed[self._key] = None
        object.__setattr__(self, name, value)


@dataclass
class Item(_Row):
    """One sealed object in the local store.

    ``server_says``: the author according to the server; only the signed contents prove it.
    ``store``: the store id under which it arrived. ``sealed_for``: the number of recipients in its
    header, or 0 if the format is unknown; a copy that was sealed again no longer shows that number.
    ``fetched``: whether the server knows that the desk has it. ``checked``: whether its thread's
    pins take it into account. ``sent``: for the desk's own messages, whether the server has them.
    ``seen``: whether it was shown.
    """

    id: str
    mailbox: str
    what: str  # message or attachment
    server_says: str
    n: int
    day: datetime.date
    size: int
    store: str
    sealed_for: int = 0
    fetched: bool = False
    checked: bool = False
    sent: Sent = "received"
    seen: bool = False


@dataclass(frozen=True)
class Owed:
    """An item that the server listed but did not send. An owed item is requested at every fetch."""

    item: Item
    since: datetime.date
    wrong: bool  # whether the server sent different bytes, rather than denying that it has it


@dataclass
class ThreadState(_Row):
    """The desk's record of a mailbox: the pins, and the server's last statements about it."""

    verify: str = ""
    recipient: str = ""
    newest: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    listed: Mapping[str, int] = field(default_factory=dict)  # author -> n, under this store id
    gone: bool = False
    withdrawn: bool = False
    label: str = ""  # the counsellor's own name for it; it never leaves this computer

    def pins(self) -> Pins | None:
        """Return the pins for the reader; None until a message from the reporter is verified."""
        if not self.verify:
            return None
        return Pins(self.verify, self.recipient, dict(self.newest))


@dataclass(frozen=True)
class Profile:
    """The contents of the card, apart from the keys.

    ``register_number`` and ``sentence`` (by language code) are as on the card, and empty if not
    given.
    """

    name: str
    kind: Kind
    scope: Scope
    languages: tuple[str, ...]
    register_number: str = ""
    sentence: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, card: Card) -> "Profile":
        """Return the counsellor's profile from a card."""
        return cls(
            card.name, card.kind, card.scope, card.languages, card.register_number, card.sentence
        )


_R = TypeVar("_R", bound=_Row)


class Table(MutableMapping[str, _R], Generic[_R]):
    """Rows of one kind by key, in the order in which they came.

    ``changed`` contains the keys of the rows that came, changed or went since it was last emptied.
    New rows are in the order in which they came.
    """

    def __init__(self) -> None:
        self._all: dict[str, _R] = {}
        self.changed: dict[str, None] = {}

    def values(self) -> ValuesView[_R]:
        """Return all rows."""
        return self._all.values()

    def items(self) -> ItemsView[str, _R]:
        """Return all keys and rows."""
        return self._all.items()

    def __getitem__(self, key: str) -> _R:
        return self._all[key]

    def __setitem__(self, key: str, row: _R) -> None:
        if key not in self._all:
            self.changed.pop(key, None)  # it is now the last one
        self.changed[key] = None
        self._all[key] = row
        row.belong(self.changed, key)

    def __delitem__(self, key: str) -> None:
        del self._all[key]
        self.changed[key] = None

    def __contains__(self, key: object) -> bool:
        return key in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


class Items(Table[Item]):
    """All items by id, in order of arrival, and also grouped by mailbox.

    ``Item.mailbox`` never changes.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        super().__init__()
        self._of: dict[str, dict[str, Item]] = {}
        for item in items:
            self[item.id] = item

    def of(self, mailbox: str) -> list[Item]:
        """Return the items of a mailbox, without searching all items."""
        return list(self._of.get(mailbox, {}).values())

    def __setitem__(self, key: str, item: Item) -> None:
        if key in self and self[key].mailbox != item.mailbox:
            del self[key]
        super().__setitem__(key, item)
        self._of.setdefault(item.mailbox, {})[key] = item

    def __delitem__(self, key: str) -> None:
        mailbox = self[key].mailbox
        super().__delitem__(key)
        del self._of[mailbox][key]


MOST_NAMES = 100  # of colleagues, because a server could invent any number


@dataclass
class State:
    """The whole state of one site. The desk has read its inbox up to running number ``number``."""

    site: str
    name: str
    origins: tuple[str, ...]
    proxy: str
    profile: Profile
    desk_origins: tuple[str, ...] = ()  # for desks, if they differ from those for reporters
    card: bytes = b""
    serial: int = 0
    published: bool = False  # whether the server has accepted the card that was issued last
    confirmed: bool = False  # whether the server has ever accepted a card of this desk
    away: Away | None = None
    store: str = ""
    number: int = 0
    read_to_end: datetime.date | None = None
    restored: bool = False  # restored from a backup: somebody must compare it with the server
    resend: bool = False  # a new store id appeared, so the server is sent the items that it lacks
    response_days: int = 0  # working days within which the site promises an answer; 0: unknown
    items: Items = field(default_factory=Items)
    owed: dict[str, Owed] = field(default_factory=dict)
    threads: Table[ThreadState] = field(default_factory=Table)
    forgotten: set[str] = field(default_factory=set)  # ids of items
    tips: dict[str, tuple[int, str]] = field(default_factory=dict)  # mailbox -> own n, digest
    names: dict[str, str] = field(default_factory=dict)  # identity -> the site's name for them

    def learn(self, names: Mapping[str, str]) -> bool:
        """Store the site's names for counsellors, even former ones; return whether any is new."""
        if names.items() <= self.names.items():
            return False
        others = {by: name for by, name in self.names.items() if by not in names}
        self.names = dict([*others.items(), *names.items()][-MOST_NAMES:])
        return True

    def settle(self) -> None:
        """Count the state as saved."""
        self.items.changed.clear()
        self.threads.changed.clear()

    def thread(self, mailbox: str) -> ThreadState:
        """Return the entry of a mailbox, which is created if it does not exist."""
        return self.threads.setdefault(mailbox, ThreadState())

    def of(self, mailbox: str) -> list[Item]:
        """Return the items of a mailbox, in the order in which they arrived."""
        return self.items.of(mailbox)
