"""The desk's state for one site, except the contents of its items (SPEC, the local store).

The state is kept in memory. ``storage/rows.py`` writes the changes to the database, all or none.
"""

import datetime
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, ValuesView
from dataclasses import dataclass, field
from typing import Literal

from dropbox_app.protocol.card import Away, Card, Kind, Scope
from dropbox_app.protocol.thread import Pins

Sent = Literal["received", "waiting", "sent", "refused"]


@dataclass
class Item:
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
class ThreadState:
    """The desk's record of a mailbox: the pins, and the server's last statements about it."""

    verify: str = ""
    recipient: str = ""
    newest: dict[str, tuple[int, str]] = field(default_factory=dict)
    listed: dict[str, int] = field(default_factory=dict)  # author -> n, under this store id
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


class Items(MutableMapping[str, Item]):
    """All items by id, in order of arrival, and also grouped by mailbox.

    ``Item.mailbox`` never changes.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._all: dict[str, Item] = {}
        self._of: dict[str, dict[str, Item]] = {}
        for item in items:
            self[item.id] = item

    def of(self, mailbox: str) -> list[Item]:
        """Return the items of a mailbox, without searching all items."""
        return list(self._of.get(mailbox, {}).values())

    def values(self) -> ValuesView[Item]:
        """Return all items."""
        return self._all.values()

    def __getitem__(self, item: str) -> Item:
        return self._all[item]

    def __setitem__(self, key: str, item: Item) -> None:
        if key in self and self[key].mailbox != item.mailbox:
            del self[key]
        self._all[key] = item
        self._of.setdefault(item.mailbox, {})[key] = item

    def __delitem__(self, key: str) -> None:
        del self._of[self._all.pop(key).mailbox][key]

    def __contains__(self, key: object) -> bool:
        return key in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


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
    threads: dict[str, ThreadState] = field(default_factory=dict)
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

    def thread(self, mailbox: str) -> ThreadState:
        """Return the entry of a mailbox, which is created if it does not exist."""
        return self.threads.setdefault(mailbox, ThreadState())

    def of(self, mailbox: str) -> list[Item]:
        """Return the items of a mailbox, in the order in which they arrived."""
        return self.items.of(mailbox)
