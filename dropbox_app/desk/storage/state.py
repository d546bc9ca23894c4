"""What a desk knows of one site beside the sealed items themselves (SPEC, the local store).

One JSON line, sealed to the desk's archive key: no text of a message stands in it, but who wrote
when does. It is always written whole, so that what belongs together changes together.
"""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from dropbox_app.protocol.card import Away, Kind, Scope
from dropbox_app.protocol.encoding import Json, check_day, check_hex, from_line, to_line
from dropbox_app.protocol.errors import FormatError
from dropbox_app.protocol.fields import (
    flag_of,
    number_of,
    object_of,
    objects_of,
    one_of,
    text_of,
    texts_of,
)
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.thread import Pins

Sent = Literal["received", "waiting", "sent", "refused"]


@dataclass
class Item:
    """One sealed object that lies in the local store.

    ``server_says`` is who wrote it according to the server; the truth is inside. ``store`` is the
    store id under which it arrived. ``sealed_for``: how many recipients its header has, 0 if it
    is no header of ours; a copy that was sealed anew no longer shows it. ``fetched``: the server
    was told. ``checked``: the pins of its thread know it. ``sent``: for own messages, whether the
    server has them. ``seen``: it was shown.
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
    """An item that the server listed and then did not hand over; asked for at every fetch."""

    item: Item
    since: datetime.date
    wrong: bool  # it handed over something else; else it said that it does not have it


@dataclass
class ThreadState:
    """What the desk keeps of a mailbox: the pins, and what the server said of it last."""

    verify: str = ""
    recipient: str = ""
    newest: dict[str, tuple[int, str]] = field(default_factory=dict)
    listed: dict[str, int] = field(default_factory=dict)  # author -> n, under this store id
    gone: bool = False
    withdrawn: bool = False

    def pins(self) -> Pins | None:
        """As the reader takes them; None while nothing of the reporter's was verified."""
        if not self.verify:
            return None
        return Pins(self.verify, self.recipient, dict(self.newest))


@dataclass(frozen=True)
class Profile:
    """What stands on the card beside the keys."""

    name: str
    kind: Kind
    scope: Scope
    languages: tuple[str, ...]


MOST_NAMES = 100  # of colleagues; a server could invent any number


@dataclass
class State:
    """Everything of one site. ``number`` is the desk's own running number, read up to there."""

    site: str
    name: str
    origins: tuple[str, ...]
    proxy: str
    profile: Profile
    desk_origins: tuple[str, ...] = ()  # where desks are answered, if not at those of reporters
    card: bytes = b""
    serial: int = 0
    published: bool = False  # the server has taken the card that was issued last
    confirmed: bool = False  # the server has taken a card of this desk at least once
    away: Away | None = None
    store: str = ""
    number: int = 0
    read_to_end: datetime.date | None = None
    restored: bool = False  # from a backup: somebody must look at what the server has
    resend: bool = False  # a new store id was met: the server gets back what it lacks
    items: dict[str, Item] = field(default_factory=dict)
    owed: dict[str, Owed] = field(default_factory=dict)
    threads: dict[str, ThreadState] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)  # ids of items
    tips: dict[str, tuple[int, str]] = field(default_factory=dict)  # mailbox -> own n, digest
    names: dict[str, str] = field(default_factory=dict)  # identity -> as the site calls them

    def learn(self, names: Mapping[str, str]) -> bool:
        """Remember what the site calls its counsellors, those who left too; says if that is new."""
        if names.items() <= self.names.items():
            return False
        others = {by: name for by, name in self.names.items() if by not in names}
        self.names = dict([*others.items(), *names.items()][-MOST_NAMES:])
        return True

    def thread(self, mailbox: str) -> ThreadState:
        """The entry of a mailbox; a new one if there is none."""
        return self.threads.setdefault(mailbox, ThreadState())

    def of(self, mailbox: str) -> list[Item]:
        """The items of a mailbox, in the order in which they came in."""
        return [item for item in self.items.values() if item.mailbox == mailbox]

    def write(self) -> bytes:
        """The JSON line."""
        return to_line(
            {
                "v": 1,
                "site": self.site,
                "name": self.name,
                "origins": list(self.origins),
                "desk_origins": list(self.desk_origins),
                "proxy": self.proxy,
                "profile": {
                    "name": self.profile.name,
                    "kind": self.profile.kind,
                    "scope": self.profile.scope,
                    "languages": list(self.profile.languages),
                },
                "card": self.card.decode("utf-8"),
                "serial": self.serial,
                "published": self.published,
                "confirmed": self.confirmed,
                "away": _write_away(self.away),
                "store": self.store,
                "number": self.number,
                "read_to_end": self.read_to_end.isoformat() if self.read_to_end else None,
                "restored": self.restored,
                "resend": self.resend,
                "items": [_write_item(item) for item in self.items.values()],
                "owed": [
                    _write_item(owed.item) | {"since": owed.since.isoformat(), "wrong": owed.wrong}
                    for owed in self.owed.values()
                ],
                "threads": [
                    {
                        "mailbox": mailbox,
                        "verify": thread.verify,
                        "recipient": thread.recipient,
                        "gone": thread.gone,
                        "withdrawn": thread.withdrawn,
                    }
                    for mailbox, thread in self.threads.items()
                ],
                "pins": [
                    {"mailbox": mailbox, "by": by, "n": n, "digest": digest}
                    for mailbox, thread in self.threads.items()
                    for by, (n, digest) in thread.newest.items()
                ],
                "listed": [
                    {"mailbox": mailbox, "by": by, "n": n}
                    for mailbox, thread in self.threads.items()
                    for by, n in thread.listed.items()
                ],
                "forgotten": [*sorted(self.forgotten)],
                "tips": [
                    {"mailbox": mailbox, "n": n, "digest": digest}
                    for mailbox, (n, digest) in self.tips.items()
                ],
                "names": [{"by": by, "name": name} for by, name in self.names.items()],
            }
        )


def read(line: bytes) -> State:
    """Read what ``State.write`` wrote. Raises FormatError."""
    fields = from_line(line)
    if number_of(fields, "v") != 1:
        raise FormatError("it was written by a newer version")
    read_to_end = fields.get("read_to_end")
    state = State(
        site=check_hex(text_of(fields, "site"), 16),
        name=text_of(fields, "name"),
        origins=tuple(texts_of(fields, "origins")),
        proxy=text_of(fields, "proxy"),
        profile=_read_profile(object_of(fields, "profile")),
        desk_origins=tuple(texts_of(fields, "desk_origins") if "desk_origins" in fields else ()),
        card=text_of(fields, "card").encode("utf-8"),
        serial=number_of(fields, "serial"),
        published=flag_of(fields, "published"),
        confirmed=flag_of(fields, "confirmed"),
        away=_read_away(fields.get("away")),
        store=text_of(fields, "store"),
        number=number_of(fields, "number"),
        read_to_end=None if read_to_end is None else _day(fields, "read_to_end"),
        restored=flag_of(fields, "restored"),
        resend=flag_of(fields, "resend"),
        items={item.id: item for item in map(_read_item, objects_of(fields, "items"))},
        forgotten={check_hex(item, 32) for item in texts_of(fields, "forgotten")},
    )
    for entry in objects_of(fields, "owed"):
        item = _read_item(entry)
        state.owed[item.id] = Owed(item, _day(entry, "since"), flag_of(entry, "wrong"))
    for entry in objects_of(fields, "threads"):
        state.threads[check_hex(text_of(entry, "mailbox"), 32)] = ThreadState(
            verify=text_of(entry, "verify"),
            recipient=text_of(entry, "recipient"),
            gone=flag_of(entry, "gone"),
            withdrawn=flag_of(entry, "withdrawn"),
        )
    for entry in objects_of(fields, "pins"):
        pinned = (number_of(entry, "n"), check_hex(text_of(entry, "digest"), 32))
        state.thread(text_of(entry, "mailbox")).newest[text_of(entry, "by")] = pinned
    for entry in objects_of(fields, "listed"):
        state.thread(text_of(entry, "mailbox")).listed[text_of(entry, "by")] = number_of(entry, "n")
    for entry in objects_of(fields, "tips"):
        tip = (number_of(entry, "n"), check_hex(text_of(entry, "digest"), 32))
        state.tips[check_hex(text_of(entry, "mailbox"), 32)] = tip
    if "names" in fields:  # an older version wrote none
        for entry in objects_of(fields, "names"):
            state.names[text_of(entry, "by")] = text_of(entry, "name")
    return state


def _write_item(item: Item) -> dict[str, Json]:
    return {
        "id": item.id,
        "mailbox": item.mailbox,
        "what": item.what,
        "server_says": item.server_says,
        "n": item.n,
        "day": item.day.isoformat(),
        "size": item.size,
        "store": item.store,
        "sealed_for": item.sealed_for,
        "fetched": item.fetched,
        "checked": item.checked,
        "sent": item.sent,
        "seen": item.seen,
    }


def _read_item(fields: Mapping[str, Json]) -> Item:
    return Item(
        id=check_hex(text_of(fields, "id"), 32),
        mailbox=check_hex(text_of(fields, "mailbox"), 32),
        what=text_of(fields, "what"),
        server_says=text_of(fields, "server_says"),
        n=number_of(fields, "n"),
        day=_day(fields, "day"),
        size=number_of(fields, "size"),
        store=text_of(fields, "store"),
        sealed_for=number_of(fields, "sealed_for"),
        fetched=flag_of(fields, "fetched"),
        checked=flag_of(fields, "checked"),
        sent=cast(Sent, one_of(fields, "sent", get_args(Sent))),
        seen=flag_of(fields, "seen"),
    )


def _write_away(away: Away | None) -> Json:
    if away is None:
        return None
    stand_in = str(away.stand_in) if away.stand_in else None
    return {"until": away.until.isoformat(), "stand_in": stand_in}


def _read_away(value: Json) -> Away | None:
    if not isinstance(value, dict):
        return None
    stand_in = value.get("stand_in")
    return Away(
        _day(value, "until"), VerifyKey.parse(stand_in) if isinstance(stand_in, str) else None
    )


def _read_profile(value: Mapping[str, Json]) -> Profile:
    return Profile(
        text_of(value, "name"),
        cast(Kind, one_of(value, "kind", get_args(Kind))),
        cast(Scope, one_of(value, "scope", get_args(Scope))),
        tuple(texts_of(value, "languages")),
    )


def _day(fields: Mapping[str, Json], key: str) -> datetime.date:
    return check_day(text_of(fields, key))
