"""Transmit sealed bytes between the desk and the server without opening them (SPEC section 7).

One connection at a time is used, without redirects, cookies or a cache. Every response has a limit
of size and time. Only the form of the server's statements about itself is checked.
"""

import datetime
import itertools
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from dropbox_app.desk.errors import BadAnswer, CannotReach, Refused, Unknown
from dropbox_app.desk.transport import pace, responses
from dropbox_app.desk.transport.connection import Answer, Transport
from dropbox_app.protocol import batch, desk_request
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.keys import SigningKey, VerifyKey

FIRST_SECONDS = 55.0  # until a site first responds, at any address
MAX_PAGE = 100
MOST_IDS = 50  # in one request
MOST_RESPONSE_DAYS = 60  # working days; a higher number is not a promise
MAX_LISTED = 1_000  # threads in one part of their list
# More than any counsellor has, but few enough for this computer's memory.
MOST_THREADS = 100_000
MOST_NEWEST = 500_000  # authors in all threads together
LIST_SECONDS = 1_800.0  # for all parts together
_TOKEN = re.compile(r"[A-Za-z0-9_.=-]{1,200}")
TOKEN_FOR = 60.0  # seconds; the server accepts it for twice as long

_ENDLESS = (
    "ALARM: the server's list of your threads {0}. It was not read on and nothing was compared "
    "with it; what came in is kept. Tell the operator."
)

T = TypeVar("T")


@dataclass(frozen=True)
class SealedFile:
    """A sealed file to send, which is never completely in memory. Each iteration starts over."""

    id: str
    size: int
    pieces: Callable[[], Iterator[bytes]]

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces()


@dataclass(frozen=True)
class Row:
    """One row of the inbox."""

    number: int
    id: str
    mailbox: str
    what: str
    author: str
    n: int
    day: datetime.date
    size: int


@dataclass(frozen=True)
class Page:
    """One page of the inbox."""

    store: str
    day: datetime.date
    rows: tuple[Row, ...]
    more: bool


@dataclass(frozen=True)
class Shown:
    """The facts that the site publishes."""

    day: datetime.date
    cards: tuple[bytes, ...]
    limits: Mapping[str, int] = field(default_factory=dict)
    response_days: int = 0  # working days; 0 if the site states none, or an impossible number


class Courier:
    """A client of the desk API for one site. The client uses the first address that responds.

    ``origins`` are for reporters. Desks use ``desk_origins``, if there are any.
    """

    def __init__(
        self,
        transport: Transport,
        origins: Sequence[str],
        site: str,
        signing: SigningKey,
        *,
        desk_origins: Sequence[str] = (),
    ) -> None:
        self._transport = transport
        self._ways = [transport]
        self._origins = tuple(desk_origins or origins)
        self._shown_at = tuple(origins)
        self._site = site
        self._signing = signing
        self._origin = ""
        self._token = ""
        self._since = 0.0
        self._round = pace.Round()

    def challenge(self) -> datetime.date:
        """Get a token for subsequent requests; return the server's day. Raises CannotReach."""
        asked = (self._origin,) if self._origin else self._origins
        origin, fields = self._first(self._transport, asked, "/api/desk/challenge")
        token = responses.text(fields, "token")
        if not _TOKEN.fullmatch(token):
            raise BadAnswer("The server's challenge has another form; tell the operator.")
        self._origin, self._token = origin, token
        self._since = time.monotonic()
        return responses.day(fields, "day")

    def inbox(self, after: int) -> Page:
        """Return one page of the inbox, starting after the desk's own running number."""
        fields = self._call("GET", f"/api/desk/inbox?after={after}")
        rows = tuple(_row(entry) for entry in responses.objects(fields, "items", MAX_PAGE))
        numbers = [after, *(row.number for row in rows)]
        if any(later <= earlier for earlier, later in itertools.pairwise(numbers)):
            raise BadAnswer("The server's running numbers do not rise; tell the operator.")
        more = fields.get("more") is True
        if more and not rows:
            raise BadAnswer("The server promises more and hands over nothing; tell the operator.")
        return Page(responses.hex_id(fields, "store", 16), responses.day(fields, "day"), rows, more)

    def mailboxes(self) -> dict[str, dict[str, int]]:
        """Return the mailboxes that now address this identity, with each author's newest number."""
        listed: dict[str, dict[str, int]] = {}
        target, last, left = "/api/desk/mailboxes", "", MOST_NEWEST
        end = time.monotonic() + LIST_SECONDS
        while len(listed) <= MOST_THREADS and left:
            fields = self._call("GET", target)
            for entry in responses.objects(fields, "mailboxes", MAX_LISTED):
                here = responses.hex_id(entry, "id", 32)
                if here <= last:
                    raise BadAnswer("The server's list of threads goes back; tell the operator.")
                newest = responses.objects(entry, "newest", 1_000)[:left]
                left -= len(newest)
                listed[here] = {responses.author(e, "by"): responses.number(e, "n") for e in newest}
                last = here
            if fields.get("more") is not True and left:
                return listed
            if target.endswith(f"={last}") or not last:
                # The server announces more, but sent nothing.
                raise BadAnswer("The server's list of threads has no end; tell the operator.")
            if time.monotonic() > end:
                minutes = f"{LIST_SECONDS / 60:.0f} minutes"
                raise BadAnswer(_ENDLESS.format(f"takes longer than {minutes}"))
            target = f"/api/desk/mailboxes?after={last}"
        raise BadAnswer(_ENDLESS.format(f"is longer than that of {MOST_THREADS:,} threads"))

    def item(self, item: str, size: int, take: Callable[[bytes], object]) -> None:
        """Pass an item to ``take`` in pieces: at most ``size`` bytes and one more piece.

        Raises Refused with status 404 if the server does not have the item (any more).
        """
        seconds = self._round.another() + size / pace.SLOWEST

        def read(answer: Answer) -> None:
            left, watched = size, pace.File(self._round)
            for piece in answer.pieces:
                watched.came(piece)
                take(piece)
                left -= len(piece)
                if left < 0:
                    raise BadAnswer("The server hands over more than it listed.")

        self._signed("GET", f"/api/desk/items/{item}", b"", read, seconds)

    def messages(
        self, wanted: Mapping[str, int], count: Callable[[bytes], object]
    ) -> dict[str, bytes]:
        """Return messages by id, from one response. ``wanted``: up to MOST_IDS ids and their sizes.

        Each piece of the response is also passed to ``count``. Messages that the response lacks, or
        that did not arrive completely, are left out. Raises CannotReach if no response begins.
        """
        limit = sum(wanted.values()) + batch.LENGTH * len(wanted)
        seconds = self._round.another() + limit / pace.SLOWEST
        body = bytearray()

        def read(answer: Answer) -> None:
            watched = pace.File(self._round)
            for piece in answer.pieces:
                watched.came(piece)
                count(piece)
                body.extend(piece)
                if len(body) > limit:
                    raise BadAnswer("The server hands over more than it listed.")

        try:
            self._signed("GET", f"/api/desk/items?ids={'.'.join(wanted)}", b"", read, seconds)
        except (Refused, BadAnswer):
            return {}
        except CannotReach:
            if not body:
                raise  # the connection failed; otherwise, one damaged message may be the cause
        found = batch.complete(bytes(body), len(wanted))
        return {item: sealed for item, sealed in zip(wanted, found, strict=False) if sealed}

    def fetched(self, items: Sequence[str]) -> None:
        """Tell the server that items are safe on this computer's disk."""
        for at in range(0, len(items), MOST_IDS):
            ids = ".".join(items[at : at + MOST_IDS])
            self._call("POST", f"/api/desk/items/fetched?ids={ids}")

    def post(self, mailbox: str, n: int, to: Sequence[VerifyKey], sealed: bytes) -> None:
        """Send a sealed message. Raises OutOfStep, or Refused."""
        names = ".".join(identity.hex for identity in to)
        self._call("POST", f"/api/desk/mailboxes/{mailbox}/messages?n={n}&to={names}", sealed)

    def give_withdrawal(self, mailbox: str, given: bytes) -> None:
        """Send a restored server a withdrawal and its proof. Raises Refused."""
        self._call("POST", f"/api/desk/mailboxes/{mailbox}/withdrawal", given)

    def put_file(self, mailbox: str, file: SealedFile) -> None:
        """Send a sealed attachment, before the message that names it. Raises Refused."""
        seconds = self._round.another() + file.size / pace.SLOWEST
        self._round.moved(file.size)
        target = f"/api/desk/mailboxes/{mailbox}/files/{file.id}"
        self._signed("PUT", target, file, _read_json, seconds)

    def put_card(self, raw: bytes) -> None:
        """Send the card. Raises Refused."""
        self._call("PUT", "/api/desk/card", raw)

    def shown(self) -> Shown:
        """Return the site's public facts, requested anonymously over another connection.

        The request uses an address for reporters. At an address that only desks can reach, the
        server would know who is asking.
        """
        transport = self._transport.apart()
        self._ways.append(transport)
        first = [self._origin] if self._origin in self._shown_at else []
        try:
            _, fields = self._first(transport, first or self._shown_at, "/api/site")
        finally:
            self._ways.remove(transport)
            transport.close()
        if fields.get("site") != self._site:
            raise BadAnswer("Another site answers at this address; tell the operator.")
        cards = fields.get("cards")
        if not isinstance(cards, list) or not all(isinstance(card, str) for card in cards):
            raise BadAnswer("The site's cards cannot be read; tell the operator.")
        said = fields.get("limits")
        given = said if isinstance(said, dict) else {}
        limits = {key: n for key, n in given.items() if type(n) is int and n >= 0}
        texts = tuple(card.encode("utf-8", "replace") for card in cards)
        days = fields.get("response_days")
        promised = days if type(days) is int and 0 < days <= MOST_RESPONSE_DAYS else 0
        return Shown(responses.day(fields, "day"), texts, limits, promised)

    def _first(
        self, transport: Transport, origins: Sequence[str], target: str
    ) -> tuple[str, dict[str, object]]:
        """Return the first address that responds within its share of the time, and the response."""
        end = time.monotonic() + self._round.another(FIRST_SECONDS)
        for left in range(len(origins), 0, -1):
            origin, share = origins[-left], (end - time.monotonic()) / left
            try:
                return origin, self._json(transport, origin, target, share)
            except CannotReach:
                if left == 1:
                    raise
        raise CannotReach("The invitation named no address.")

    def break_off(self) -> None:
        """Make any call in another thread raise CannotReach. No further requests are sent."""
        self._round.break_off()
        for way in tuple(self._ways):
            way.break_off()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _call(self, method: str, target: str, body: bytes = b"") -> dict[str, object]:
        return self._signed(method, target, body, _read_json, self._round.another())

    def _signed(
        self,
        method: str,
        target: str,
        body: bytes | SealedFile,
        read: Callable[[Answer], T],
        seconds: float,
    ) -> T:
        if not self._token or time.monotonic() - self._since > TOKEN_FOR:
            self.challenge()
        fresh = self._since
        try:
            return self._once(method, target, body, read, seconds)
        except Unknown:
            # A token may have expired while the computer was asleep. A new token solves this.
            if time.monotonic() - fresh < 1.0:
                raise
            self.challenge()
            return self._once(method, target, body, read, seconds)

    def _once(
        self,
        method: str,
        target: str,
        body: bytes | SealedFile,
        read: Callable[[Answer], T],
        seconds: float,
    ) -> T:
        authorization = desk_request.header(
            self._signing,
            origin=self._origin,
            site=self._site,
            token=self._token,
            method=method,
            target=target,
            body_hash=body.id if isinstance(body, SealedFile) else sha256_hex(body),
        )
        headers = {"Authorization": authorization}
        if isinstance(body, SealedFile):
            headers["Content-Length"] = str(body.size)
        if body:
            headers["Content-Type"] = "application/octet-stream"
        with self._transport.send(method, self._origin, target, headers, body, seconds) as answer:
            responses.check_status(answer.status, answer.pieces)
            return read(answer)

    def _json(
        self, transport: Transport, origin: str, target: str, seconds: float
    ) -> dict[str, object]:
        with transport.send("GET", origin, target, {}, b"", seconds) as answer:
            responses.check_status(answer.status, answer.pieces)
            return _read_json(answer)


def _read_json(answer: Answer) -> dict[str, object]:
    return responses.read(answer.pieces)


def _row(entry: dict[str, object]) -> Row:
    what = responses.text(entry, "what")
    if what not in ("message", "attachment"):
        raise BadAnswer("The inbox lists something that is neither a message nor a file.")
    return Row(
        number=responses.number(entry, "number"),
        id=responses.hex_id(entry, "id", 32),
        mailbox=responses.hex_id(entry, "mailbox", 32),
        what=what,
        author=responses.author(entry, "author"),
        n=responses.number(entry, "n"),
        day=responses.day(entry, "day"),
        size=responses.number(entry, "size"),
    )
