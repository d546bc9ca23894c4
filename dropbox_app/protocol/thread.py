"""Turn opened files into a verified conversation (SPEC section 4).

Author, addressees, mailbox and order are taken only from the signed lines. A message that fails a
check is kept and shown as failed.
"""

import functools
import heapq
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import b64, sha256_hex
from dropbox_app.protocol.errors import (
    AgeError,
    FormatError,
    HeaderFailure,
    HmacFailure,
    MessageError,
    NoMatch,
    TooLong,
)
from dropbox_app.protocol.keys import Seed, VerifyKey
from dropbox_app.protocol.messages import (
    REPORTER,
    SIGNED_LABEL,
    Message,
    ReporterPublic,
    pad_lines,
    parse,
    parse_identity,
)
from dropbox_app.protocol.retrieval_code import mailbox_id

_Place: TypeAlias = tuple[tuple[str, bool, str], int]  # rank, and how many its author has left

State = Literal["verified", "newer", "conflict", "not_addressed", "unverified"]
MAX_PASSED_ON = 1_000  # messages; more would only overload a reader

# The only kind of recipient allowed in a message's file. Another would be a hidden reader.
_STANZA = "mlkem768x25519"

# "newer": correctly signed, but of a kind that only a newer version can show.
GENUINE = frozenset({"verified", "newer", "conflict"})


@dataclass(frozen=True)
class Arrived:
    """One file of a mailbox: its id, and its contents or the name of a fault.

    ``sealed_for`` is the number of recipients in its header; None if it has no header.
    """

    item: str
    plaintext: bytes | None
    fault: str = ""
    passed_on: bool = False
    sealed_for: int | None = None
    message: Message | None = None  # what ``parse`` returns, if the contents were parsed before


@dataclass(frozen=True)
class Entry:
    """One file as shown to the reader. ``reason`` names the first check that failed, if any."""

    item: str
    message: Message | None
    state: State
    reason: str = ""
    passed_on: bool = False

    @property
    def genuine(self) -> bool:
        """Return whether the message is verified to be from its author."""
        return self.state in GENUINE


@dataclass(frozen=True)
class Pins:
    """The state of a thread that a desk stores, to compare with data from the server."""

    verify: str
    recipient: str
    newest: Mapping[str, tuple[int, str]]  # author -> n and digest


@dataclass(frozen=True)
class Thread:
    """The files of a mailbox, checked for one reader, in the order in which they were written.

    ``gaps``: author -> numbers missing between received ones. ``missing_beginning``: author -> how
    many of the oldest messages are missing (a purge removes only the oldest). ``withheld``:
    author -> the newest number that anybody has seen, if that message has not arrived.
    """

    site: str
    mailbox: str
    entries: tuple[Entry, ...]
    gaps: Mapping[str, tuple[int, ...]]
    missing_beginning: Mapping[str, int]
    withheld: Mapping[str, int]
    reporter: ReporterPublic | None
    newest: Mapping[str, Message]

    @property
    def wanted(self) -> tuple[VerifyKey, ...]:
        """Return the counsellors whom the reporter has chosen, according to the newest message."""
        return self.newest[REPORTER].wanted if REPORTER in self.newest else ()

    @property
    def former(self) -> tuple[VerifyKey, ...]:
        """Return the counsellors whom the reporter had chosen before."""
        return self.newest[REPORTER].former if REPORTER in self.newest else ()

    @property
    def to(self) -> tuple[VerifyKey, ...]:
        """Return the counsellors to whom the reporter's newest message was sealed."""
        return self.newest[REPORTER].to if REPORTER in self.newest else ()

    @property
    def withdrawn(self) -> bool:
        """Return whether the reporter has withdrawn the report."""
        return any(e.genuine and e.message and e.message.kind == "withdrawal" for e in self.entries)

    def genuine(self) -> Iterator[Message]:
        """Yield the genuine messages, in order."""
        for entry in self.entries:
            if entry.genuine and entry.message is not None:
                yield entry.message

    def answers(self, request: str) -> tuple[Message, ...]:
        """Return the reporter's answers to the consent request with this digest, in order."""
        return tuple(
            message
            for message in self.genuine()
            if message.kind == "consent-answer" and message.body["request"] == request
        )

    def pins(self) -> Pins | None:
        """Return this thread's state, to be stored; None before the reporter's keys are known."""
        if self.reporter is None:
            return None
        newest = {by: (message.n, message.digest) for by, message in self.newest.items()}
        return Pins(str(self.reporter.verify), self.reporter.recipient_text, newest)


def open_item(item: str, sealed: bytes, seeds: Sequence[Seed]) -> Arrived:
    """Open one stored file for a reader: check its id, then decrypt it with age.

    age also accepts other kinds of recipients, but a reader does not (SPEC section 10).
    """
    if sha256_hex(sealed) != item:
        return Arrived(item, None, "other_file")
    try:
        stanzas = age.parse_header(sealed).stanzas
        if any(stanza.args[0] != _STANZA for stanza in stanzas):
            return Arrived(item, None, "header")
        return Arrived(item, age.open_sealed(sealed, seeds), sealed_for=len(stanzas))
    except NoMatch:
        return Arrived(item, None, "no_key")
    except HeaderFailure:
        return Arrived(item, None, "header")
    except HmacFailure:
        return Arrived(item, None, "header_mac")
    except AgeError:
        return Arrived(item, None, "payload")


def read(
    arrived: Iterable[Arrived],
    *,
    site: str,
    mailbox: str,
    viewer: VerifyKey | None,
    reporter: ReporterPublic | None = None,
    pins: Pins | None = None,
) -> Thread:
    """Check the opened files of a mailbox as SPEC section 4 requires, and put them in order.

    A desk passes its own identity as ``viewer``, and its stored ``pins``. The reporter's client
    passes no ``viewer``; as ``reporter`` it passes the keys that it derived from the code.
    """
    rules = _Rules(site, mailbox, viewer, reporter.recipient_text if reporter else None)
    entries = [rules.form(one) for one in arrived]
    if pins or not reporter:
        rules = replace(rules, recipient=pins.recipient if pins else rules.first_recipient(entries))
    entries = [rules.check(e, ()) if _by(e) == REPORTER else e for e in entries]
    own = [e.message for e in entries if e.message and e.genuine and _by(e) == REPORTER]
    known = {identity for message in own for identity in (*message.wanted, *message.former)}
    entries = [rules.check(e, known) if _by(e) not in (REPORTER, "") else e for e in entries]
    entries = _chain(_once(entries), pins)
    genuine = [e.message for e in entries if e.message and e.genuine]
    # Of two messages with the same number, take the later by contents, not by order of arrival.
    genuine.sort(key=lambda message: (message.n, message.day, message.line))
    newest = {message.by: message for message in genuine}
    gaps, beginning = _holes(genuine)
    return Thread(
        site=site,
        mailbox=mailbox,
        entries=tuple(ordered(entries)),
        gaps=gaps,
        missing_beginning=beginning,
        withheld=_withheld(genuine, newest, pins),
        reporter=newest[REPORTER].reporter if REPORTER in newest else reporter,
        newest=newest,
    )


def write_passed_on(thread: Thread) -> bytes:
    """Return the contents of a ``thread`` attachment: both lines of every verified message.

    If there are more than MAX_PASSED_ON messages, only the newest are included.
    """
    return b"".join(
        message.line + b"\n" + b64(message.signature).encode("ascii") + b"\n"
        for message in tuple(thread.genuine())[-MAX_PASSED_ON:]
    )


def read_passed_on(
    item: str, contents: bytes, known: set[str] | None = None
) -> tuple[Arrived, ...]:
    """Split the contents of a ``thread`` attachment into messages for ``read``.

    ``known`` contains the hashes of pairs of lines that were read before; such pairs are skipped,
    and the hashes of new pairs are added to ``known``. Raises FormatError unless there are 1 to
    MAX_PASSED_ON pairs of lines.
    """
    before = set() if known is None else known
    # Count first. Otherwise a hundred megabytes of line ends would become as many messages.
    ends = contents.count(b"\n")
    if ends % 2 or not contents.endswith(b"\n") or ends > 2 * MAX_PASSED_ON:
        raise FormatError(f"a passed-on thread consists of 1 to {MAX_PASSED_ON} pairs of lines")
    lines = contents.split(b"\n")
    found = []
    for number, pair in enumerate(zip(lines[:-1:2], lines[1::2], strict=True), start=1):
        digest = sha256_hex(b"\n".join(pair))
        if digest not in before:
            before.add(digest)
            found.append(_passed_on(f"{item}#{number}", *pair))
    return tuple(found)


@dataclass(frozen=True)
class _Rules:
    """The checks on a single message, for one reader of one mailbox."""

    site: str
    mailbox: str
    viewer: VerifyKey | None
    recipient: str | None  # the reporter's recipient, or None if it is not known yet
    verify: Callable[..., bool] = field(default_factory=lambda: functools.cache(VerifyKey.verify))

    def first_recipient(self, entries: Iterable[Entry]) -> str | None:
        """Return the recipient that a desk without pins accepts as the reporter's.

        The recipient is taken from the oldest signed message with a usable recipient, so all
        readers trust the same messages, whatever their order of arrival. Returns "" if no message
        has a usable recipient; in that case no message is trusted.
        """
        own = [e.message for e in entries if e.message and e.message.reporter]
        found = None
        for message in sorted(own, key=lambda message: (message.n, message.line)):
            if message.reporter and not self._foreign(message) and not self._unsigned(message, ()):
                if message.reporter.can_be_sealed_to:
                    return message.reporter.recipient_text
                found = ""
        return found

    def form(self, one: Arrived) -> Entry:
        """Run the first four checks: opening, layout, strict JSON, types."""
        if one.plaintext is None:
            return Entry(one.item, None, "unverified", one.fault, one.passed_on)
        try:
            message = one.message or parse(one.plaintext)
        except (FormatError, MessageError):
            return Entry(one.item, None, "unverified", "form", one.passed_on)
        if one.sealed_for not in (None, len(message.to) + 1):
            return Entry(one.item, None, "unverified", "header", one.passed_on)
        return Entry(one.item, message, "unverified", "unknown_author", one.passed_on)  # for now

    def check(self, entry: Entry, known: Collection[VerifyKey]) -> Entry:
        """Run the other checks, except order and duplicates; the result names the first failure."""
        message = entry.message
        if message is None:
            return entry
        reason = self._foreign(message) or self._unsigned(message, known)
        if reason:
            return replace(entry, reason=reason)
        if not entry.passed_on and not self._addressed(message):
            return replace(entry, state="not_addressed", reason="not_addressed")
        return replace(entry, state="verified" if message.known_kind else "newer", reason="")

    def _foreign(self, message: Message) -> str:
        if message.site != self.site:
            return "other_site"
        if message.mailbox != self.mailbox:
            return "other_mailbox"
        public = message.reporter
        if public is None:
            return ""
        if mailbox_id(public.verify) != self.mailbox:
            return "other_reporter"
        expected = self.recipient in (None, public.recipient_text)
        return "" if expected else "other_recipient"

    def _unsigned(self, message: Message, known: Collection[VerifyKey]) -> str:
        if message.reporter is not None:
            author = message.reporter.verify
        else:
            author = parse_identity(message.by)
            if author not in known:
                return "unknown_author"
        genuine = self.verify(author, message.signature, SIGNED_LABEL + message.line)
        return "" if genuine else "signature"

    def _addressed(self, message: Message) -> bool:
        if self.viewer is None:
            return True
        return self.viewer in message.to or message.by == str(self.viewer)


def _passed_on(item: str, line: bytes, signature: bytes) -> Arrived:
    try:
        return Arrived(item, pad_lines(line, signature), passed_on=True)
    except TooLong:
        return Arrived(item, None, "form", passed_on=True)


def _by(entry: Entry) -> str:
    return entry.message.by if entry.message else ""


def _once(entries: Sequence[Entry]) -> list[Entry]:
    """Drop duplicates of genuine messages. Keep a direct copy rather than a passed-on one."""
    kept: dict[tuple[str, bytes], Entry] = {}
    rest = []
    for entry in sorted(entries, key=lambda e: e.passed_on):
        if entry.message is None or not entry.genuine:
            rest.append(entry)
        else:
            kept.setdefault((entry.message.by, entry.message.line), entry)
    return [*kept.values(), *rest]


def _chain(entries: Sequence[Entry], pins: Pins | None) -> list[Entry]:
    """Mark conflicts: two messages with the same number, or a ``prev`` that does not match."""
    digests: dict[tuple[str, int], set[str]] = {}
    for message in (e.message for e in entries if e.message and e.genuine):
        digests.setdefault((message.by, message.n), set()).add(message.digest)
    for by, (n, digest) in pins.newest.items() if pins else ():
        digests.setdefault((by, n), set()).add(digest)

    def conflict(message: Message) -> bool:
        before = digests.get((message.by, message.n - 1), {message.prev})
        return len(digests[message.by, message.n]) > 1 or message.prev not in before

    return [
        replace(e, state="conflict", reason="conflict")
        if e.message and e.genuine and conflict(e.message)
        else e
        for e in entries
    ]


def _holes(genuine: Sequence[Message]) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Find each author's missing numbers, and how many messages before the first are missing."""
    numbers: dict[str, set[int]] = {}
    for message in genuine:
        numbers.setdefault(message.by, set()).add(message.n)
    gaps, beginning = {}, {}
    for by, have in numbers.items():
        ordered = sorted(have)
        if ordered[0] > 1:
            beginning[by] = ordered[0] - 1
        holes = [
            number
            for low, high in itertools.pairwise(ordered)
            # A malicious author may sign any number, so list only the ends of a wide gap.
            for number in (range(low + 1, high) if high - low < 100 else (low + 1, high - 1))
        ]
        if holes:
            gaps[by] = tuple(holes)
    return gaps, beginning


def _withheld(
    genuine: Sequence[Message], newest: Mapping[str, Message], pins: Pins | None
) -> dict[str, int]:
    """Find, for each author, the newest number that is known to exist but is missing here."""
    claims = [claim for message in genuine for claim in message.seen]
    claims += [(by, n) for by, (n, _) in pins.newest.items()] if pins else []
    withheld: dict[str, int] = {}
    for by, n in claims:
        here = newest[by].n if by in newest else 0
        if n > max(here, withheld.get(by, 0)):
            withheld[by] = n
    return withheld


def ordered(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield each message after those that its author had seen; sort others by day, reporter first.

    Messages that are not genuine come last, because even their position cannot be trusted.
    """
    queues: dict[str, list[tuple[Message, Entry]]] = {}
    for entry in entries:
        if entry.message is not None and entry.genuine:
            queues.setdefault(entry.message.by, []).append((entry.message, entry))
    for queue in queues.values():
        queue.sort(key=lambda pair: (pair[0].n, pair[0].day, pair[0].line), reverse=True)
    # A malicious thread may have thousands of authors, so no step may examine all of them.
    ready: list[_Place] = []
    blocked: list[_Place] = []
    waiting: dict[str, list[tuple[int, str]]] = {}  # author -> (awaited number, waiting author)

    def offer(by: str) -> None:
        message = queues[by][-1][0]
        place = (_rank(message), len(queues[by]))
        for other, n in message.seen:
            if other != by and other in queues and queues[other][-1][0].n <= n:
                heapq.heappush(waiting.setdefault(other, []), (n, by))
                heapq.heappush(blocked, place)
                return
        heapq.heappush(ready, place)

    for author in queues:
        offer(author)
    while queues:
        # If two authors claim to have seen each other's later message, none is ready: use the day.
        (*_, author), left = heapq.heappop(ready or blocked)
        if len(queues.get(author, ())) != left:
            continue  # it was blocked, and has been yielded since
        yield queues[author].pop()[1]
        if queues[author]:
            offer(author)
        else:
            del queues[author]
        pending = waiting.get(author, [])
        while pending and (author not in queues or queues[author][-1][0].n > pending[0][0]):
            waiter = heapq.heappop(pending)[1]
            if waiter in queues:
                offer(waiter)
    yield from (entry for entry in entries if not entry.genuine)


def _rank(message: Message) -> tuple[str, bool, str]:
    return (message.day.isoformat(), message.by != REPORTER, message.by)
