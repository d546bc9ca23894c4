"""Open the items of a mailbox, and verify authors and server against the signed contents.

Only ``protocol.thread`` decides what is genuine. This module adds pins, the local store's notes,
conflicts that a server restore explains, and threads that a reporter passed on.
"""

import datetime
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage.state import Item, Owed, ThreadState
from dropbox_app.desk.threads import turn
from dropbox_app.protocol import messages, thread
from dropbox_app.protocol.age import sealed_length
from dropbox_app.protocol.errors import FormatError, MessageError
from dropbox_app.protocol.messages import MAX_TO, REPORTER, Message
from dropbox_app.protocol.padding import MESSAGE_SIZES, attachment_size
from dropbox_app.protocol.thread import Arrived, Entry, Thread

LEAST_PREFIX = 8  # minimum characters of a mailbox id that identify a thread
MAX_PASSED_ON = 64 * 1024 * 1024  # bytes of all threads that were passed on in one thread
MOST_PASSED_ON = 1_000  # messages in these threads
WITHDRAWAL = "withdrawal"
MESSAGE_LENGTHS = {
    sealed_length(size, to + 1) for size in MESSAGE_SIZES for to in range(1, MAX_TO + 1)
}


@dataclass(frozen=True)
class Case:
    """One thread as shown by the desk.

    ``unsent``: the desk's own messages that the server has not accepted, by item.
    ``after_restore``: items whose number arrived twice because the server was restored in between.
    ``before_restore``: nothing in the thread has arrived since that restore. ``not_read``: the
    number of passed-on threads beyond the reading limit. ``names``: the site's names for its
    counsellors.
    """

    mailbox: str
    own: str
    thread: Thread
    known: ThreadState
    items: dict[str, Item]
    owed: dict[str, Owed] = field(default_factory=dict)
    unsent: dict[str, str] = field(default_factory=dict)
    refused: tuple[Entry, ...] = ()
    after_restore: frozenset[str] = frozenset()
    before_restore: bool = False
    not_read: int = 0
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Return all entries in the order in which they are shown."""
        return (*self.thread.entries, *self.refused)

    @property
    def unread(self) -> int:
        """Return the number of other people's messages that have not been shown yet."""
        return len(self.unseen)

    @property
    def unseen(self) -> list[str]:
        """Return the items that have not been shown yet."""
        return [
            entry.item
            for entry in self.thread.entries
            if entry.item in self.items
            and not self.items[entry.item].seen
            and not (entry.genuine and entry.message and entry.message.by == self.own)
        ]

    @property
    def last_day(self) -> datetime.date:
        """Return the day of the newest genuine message, or else of the newest item."""
        days = [message.day for message in self.thread.genuine()]
        return max(days or [item.day for item in self.items.values()], default=datetime.date.min)

    @property
    def status(self) -> str:
        """Return the status: withdrawn, gone or open."""
        if self.known.withdrawn:
            return "withdrawn"
        return "gone" if self.known.gone else "open"

    @property
    def closed(self) -> bool:
        """Return whether the counsellor's newest closing or reopening notice closes the thread."""
        return turn.closed([*self.thread.genuine()], self.own)

    def former(self, entry: Entry) -> bool:
        """Return whether the author is a colleague to whom the reporter no longer writes."""
        if not entry.genuine or entry.message is None or entry.message.by in (REPORTER, self.own):
            return False
        return messages.parse_identity(entry.message.by) not in self.thread.wanted


def open_case(desk: Desk, mailbox: str) -> Case:
    """Open a thread: read, verify and order its items."""
    state = desk.state
    known = state.threads.get(mailbox, ThreadState())
    items = {item.id: item for item in state.of(mailbox)}
    seeds = desk.vault.openers(state.site)
    # The newest store id comes first: if a number arrived twice, that item is the valid one.
    order = sorted(items.values(), key=lambda item: item.store != state.store)
    arrived = {item.id: desk.store.open(item, seeds) for item in order if item.what == "message"}
    chain = [one for one in arrived.values() if items[one.item].sent != "refused"]
    read = _read(desk, mailbox, chain, known)
    passed_on, not_read = _passed_on(desk, read, items)
    if passed_on:
        read = _read(desk, mailbox, [*chain, *passed_on], known)
    explained = _across_restores(read, items)
    if explained:
        read = replace(read, entries=tuple(_explain(read.entries, explained, items)))
    # If the server calls a file a message, the signed message decides.
    files = {file.sha256 for message in read.genuine() for file in message.attachments}
    if any(entry.item in files for entry in read.entries):
        kept = (entry for entry in read.entries if entry.genuine or entry.item not in files)
        read = replace(read, entries=tuple(kept))
    refused = [one for one in arrived.values() if items[one.item].sent == "refused"]
    return Case(
        mailbox=mailbox,
        own=desk.own,
        thread=read,
        known=known,
        items=items,
        owed={owed.item.id: owed for owed in state.owed.values() if owed.item.mailbox == mailbox},
        unsent={one.item: items[one.item].sent for one in arrived.values() if _unsent(items, one)},
        refused=tuple(_not_sent(refused)),
        after_restore=frozenset(explained),
        before_restore=bool(items) and all(i.store != state.store for i in items.values()),
        not_read=not_read,
        names=state.names,
    )


def open_all(desk: Desk) -> list[Case]:
    """Return every thread, with the newest message first."""
    cases = [open_case(desk, mailbox) for mailbox in desk.state.threads]
    return sorted(cases, key=lambda case: (case.last_day, case.mailbox), reverse=True)


def keep_pins(desk: Desk, mailbox: str) -> Case:
    """Open a thread after new items arrived, and store the pins that they prove."""
    case = open_case(desk, mailbox)
    known = desk.state.thread(mailbox)
    pins = case.thread.pins()
    if pins is not None and REPORTER in pins.newest:
        known.verify, known.recipient = pins.verify, pins.recipient
        waiting = {desk.own} if "waiting" in case.unsent.values() else set()
        for by, (n, digest) in pins.newest.items():
            if by not in waiting and n > known.newest.get(by, (0, ""))[0]:
                known.newest = {**known.newest, by: (n, digest)}
    known.withdrawn = case.thread.withdrawn
    return case


def called_files(desk: Desk, case: Case) -> list[tuple[Item, bool]]:
    """Return items that were sent as unnamed files but could be messages, judging by their length.

    Each item is returned with a flag that tells whether the item contains a message. Items that can
    be opened and contain no message are omitted. Without this check, a server could hide a message
    by calling it a file.
    """
    named = {file.sha256 for message in case.thread.genuine() for file in message.attachments}
    named |= {message.thread for message in case.thread.genuine() if message.thread}
    found = []
    for item in case.items.values():
        if item.checked or item.what == "message" or item.id in named:
            continue
        if item.size in MESSAGE_LENGTHS:
            contents = desk.store.open(item, desk.vault.openers(desk.state.site)).plaintext
            message = contents is not None and _parsed(contents) is not None
            if message or contents is None:
                found.append((item, message))
    return found


def own_tip(desk: Desk, case: Case) -> tuple[int, str]:
    """Return the desk's newest number and digest in a thread, even if messages were forgotten."""
    last = case.thread.newest.get(desk.own)
    tip = desk.state.tips.get(case.mailbox, (0, ""))
    if last is not None and last.n >= tip[0]:
        return last.n, last.digest
    return tip


def withdrawals(desk: Desk, case: Case) -> Iterable[tuple[Item, Message]]:
    """Return the verified withdrawals of a thread."""
    for entry in case.thread.entries:
        if entry.genuine and entry.message and entry.message.kind == WITHDRAWAL:
            item = case.items.get(entry.item)
            if item is not None:
                yield item, entry.message


def _read(desk: Desk, mailbox: str, arrived: Iterable[Arrived], known: ThreadState) -> Thread:
    return thread.read(
        arrived,
        site=desk.state.site,
        mailbox=mailbox,
        viewer=desk.identity,
        pins=known.pins(),
    )


def _passed_on(desk: Desk, read: Thread, items: dict[str, Item]) -> tuple[list[Arrived], int]:
    """Return the messages of earlier threads that the reporter passed on.

    The newest thread is read first, and each message once, up to 64 MiB and 1,000 messages in
    total, because anyone can pass a thread on any number of times. The number of threads that were
    not read is also returned.
    """
    named = list(dict.fromkeys(message.thread for message in read.genuine() if message.thread))
    there = [items[one] for one in named if one in items and items[one].what == "attachment"]
    found: list[list[Arrived]] = []
    known: set[str] = set()
    size = count = not_read = 0
    for item in reversed(there):
        size += item.size
        if size > MAX_PASSED_ON or count > MOST_PASSED_ON:
            not_read += 1
            continue
        found.append(_messages_in(desk, item, known))
        count += len(found[-1])
    return [one for part in reversed(found) for one in part], not_read


def _messages_in(desk: Desk, item: Item, known: set[str]) -> list[Arrived]:
    """Return the messages of one passed-on thread that were not read before."""
    contents = desk.store.open(item, desk.vault.openers(desk.state.site)).plaintext
    if contents is None:
        return [Arrived(item.id, None, "payload", passed_on=True)]
    lines = contents.rstrip(b"\0")  # no JSON line and no signature ends in a zero byte
    try:
        if len(contents) != attachment_size(len(lines)):
            raise FormatError("the padding is not the one that belongs to the thread")
        return [*thread.read_passed_on(item.id, lines, known)]
    except FormatError:
        return [Arrived(item.id, None, "form", passed_on=True)]


def _across_restores(read: Thread, items: dict[str, Item]) -> set[str]:
    """Return conflicts that a restored server explains: the same number in two stores.

    The reporter saw only the items that the restored server still had, and used the same number
    again.
    """
    groups: dict[tuple[str, int], list[Entry]] = {}
    digests: dict[tuple[str, int], set[str]] = {}
    for entry in read.entries:
        if entry.genuine and entry.message is not None:
            message = entry.message
            groups.setdefault((message.by, message.n), []).append(entry)
            digests.setdefault((message.by, message.n), set()).add(message.digest)
    explained = set()
    for (by, n), entries in groups.items():
        stores = [items[e.item].store for e in entries if e.item in items]
        chained = all(
            e.message is not None and e.message.prev in digests.get((by, n - 1), {e.message.prev})
            for e in entries
        )
        if len(entries) > 1 and len(set(stores)) == len(entries) and chained:
            explained |= {entry.item for entry in entries}
    return explained


def _explain(
    entries: Iterable[Entry], explained: set[str], items: dict[str, Item]
) -> Iterable[Entry]:
    """Remove the conflict, and order messages with the same number by arrival."""
    arrival = {item: place for place, item in enumerate(items)}

    def number(entry: Entry) -> tuple[str, int] | str:
        message = entry.message
        return (message.by, message.n) if message and entry.item in explained else entry.item

    for _, group in itertools.groupby(entries, key=number):
        for entry in sorted(group, key=lambda one: arrival.get(one.item, 0)):
            if entry.item in explained and entry.state == "conflict":
                yield replace(entry, state="verified", reason="after_restore")
            else:
                yield entry


def _unsent(items: dict[str, Item], one: Arrived) -> bool:
    return items[one.item].sent in ("waiting", "refused")


def _not_sent(arrived: Iterable[Arrived]) -> Iterable[Entry]:
    """Return the desk's messages that the server refused, which are shown outside the chain."""
    for one in arrived:
        message = _parsed(one.plaintext) if one.plaintext is not None else None
        yield Entry(one.item, message, "unverified", "not_sent")


def _parsed(contents: bytes) -> Message | None:
    try:
        return messages.parse(contents)
    except (FormatError, MessageError):
        return None
