"""A server in memory behind the courier's transport: it follows the rules, or lies.

The module also has a reporter who writes to the server with the real protocol.
"""

import contextlib
import datetime
import io
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.transport.connection import Answer
from dropbox_app.protocol import (
    age,
    batch,
    desk_request,
    retrieval_code,
    thread,
    withdrawal,
    writing,
)
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.age import check_shape, parse_header
from dropbox_app.protocol.attachment import AttachmentSealer, contents
from dropbox_app.protocol.encoding import Json, sha256_hex
from dropbox_app.protocol.errors import CardError, FormatError, MessageError, RequestError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import Attachment, ReporterPublic
from dropbox_app.protocol.retrieval_code import ReporterKeys
from dropbox_app.protocol.thread import Thread

PAGE = 100
LISTED = 1000


class Clock:
    """The clock shared by default."""

    def __init__(self, day: str) -> None:
        self.day = datetime.date.fromisoformat(day)

    def __call__(self) -> datetime.date:
        return self.day

    def to(self, day: str) -> None:
        self.day = datetime.date.fromisoformat(day)


@dataclass
class Kept:
    """One item on the server."""

    mailbox: str
    what: str
    author: str
    n: int
    day: datetime.date
    sealed: bytes
    to: tuple[str, ...]


@dataclass
class Peer:
    """The server. The last fields make the server misbehave."""

    today: Clock
    origin: str = "http://127.0.0.1:8000"
    site: str = field(default_factory=lambda: secrets.token_hex(16))
    store: str = field(default_factory=lambda: secrets.token_hex(16))
    cards: dict[str, bytes] = field(default_factory=dict)
    items: dict[str, Kept] = field(default_factory=dict)
    inboxes: dict[str, list[str]] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)  # mailboxes
    log: list[tuple[str, str]] = field(default_factory=list)
    anonymous: list[tuple[int, str]] = field(default_factory=list)  # transport, target
    puts: list[bytes] = field(default_factory=list)

    # mailbox and author -> files that wait for their message
    staged: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    response_days: object = 2
    takes_files_up_to: int | None = None  # sealed bytes; larger files get 507

    days_wrong: int = 0
    shown_cards: dict[str, bytes] | None = None
    lies: dict[str, bytes] = field(default_factory=dict)  # item -> the bytes sent instead
    # Item -> bytes sent before the connection breaks.
    damaged: dict[str, int | None] = field(default_factory=dict)
    withheld: set[str] = field(default_factory=set)  # items that are listed but not delivered
    hidden: set[str] = field(default_factory=set)  # items that are not even listed
    drop_after: int | None = None  # requests until the connection breaks
    busy: bool = False  # accepts no messages at present
    restless: bool = False  # a new store id at every page
    refuses_cards: bool = False
    invents: Callable[[int], list[dict[str, object]]] | None = None  # endless rows after a number
    # A method and the end of a target: the request is handled, but the response is lost.
    lose_answer_to: str = ""

    def invitation(self, name: str = "Voorbeeld BV") -> bytes:
        day = self.today().isoformat()
        line = {"v": 1, "origins": [self.origin], "site": self.site, "name": name, "day": day}
        return json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n"

    def add_card(self, raw: bytes) -> None:
        self.cards[str(cards.parse(raw).identity)] = raw

    def keep(self, mailbox: str, what: str, author: str, n: int, sealed: bytes, to: Sequence[str],
             day: datetime.date | None = None) -> str:  # fmt: skip
        item = sha256_hex(sealed)
        if item in self.items:
            return item
        self.items[item] = Kept(mailbox, what, author, n, day or self.today(), sealed, tuple(to))
        for identity in dict.fromkeys((*to, *(() if author == "reporter" else (author,)))):
            self.inboxes.setdefault(identity, []).append(item)
        return item

    def newest(self, mailbox: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for kept in self.items.values():
            if kept.mailbox == mailbox and kept.what == "message":
                found[kept.author] = max(kept.n, found.get(kept.author, 0))
        return found

    def addressed(self, mailbox: str) -> tuple[str, ...]:
        mine = [k for k in self.items.values() if k.mailbox == mailbox and k.author == "reporter"]
        return max(mine, key=lambda kept: kept.n).to if mine else ()

    def purge(self, *items: str) -> None:
        for item in items:
            del self.items[item]

    def restore(self, items: Mapping[str, Kept]) -> None:
        """Restore earlier items, as after a crash, under a new store id."""
        self.items, self.inboxes, self.store = {}, {}, secrets.token_hex(16)
        for kept in items.values():
            self.keep(kept.mailbox, kept.what, kept.author, kept.n, kept.sealed, kept.to, kept.day)

    # the API

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes,
               transport: int) -> tuple[int, bytes]:  # fmt: skip
        path, _, query = target.partition("?")
        arguments = dict(part.split("=") for part in query.split("&") if part)
        day = (self.today() + datetime.timedelta(days=self.days_wrong)).isoformat()
        if "Authorization" not in headers:
            self.anonymous.append((transport, target))
            if path == "/api/desk/challenge":
                return _json({"token": "a.b.c", "day": day})
            shown = self.cards if self.shown_cards is None else self.shown_cards
            texts = [raw.decode() for raw in shown.values()]
            said = {"site": self.site, "day": day, "limits": self.limits, "cards": texts}
            return _json(said | {"response_days": self.response_days})
        try:
            claim = desk_request.parse_header(headers["Authorization"])
            desk_request.check(
                claim, origins=[self.origin], site=self.site, method=method, target=target
            )
        except RequestError:
            return 401, b"{}"
        by = str(claim.identity)
        if by not in self.cards or claim.body_hash != sha256_hex(body):
            return 401, b"{}"
        self.log.append((method, target))
        parts = path.removeprefix("/api/desk/").split("/")
        match (method, *parts):
            case ("GET", "inbox"):
                return self._inbox(by, int(arguments["after"]), day)
            case ("GET", "mailboxes"):
                return self._mailboxes(by, arguments.get("after", ""))
            case ("GET", "items"):
                return self.batch_for(by, arguments["ids"].split("."))
            case ("GET", "items", item):
                if by not in self._readers(item) or item in self.withheld:
                    return 404, b'{"error":"no such item"}'
                if item in self.damaged and self.damaged[item] is None:
                    return 500, b""
                return 200, self.lies.get(item, self.items[item].sealed)
            case ("POST", "items", "fetched"):
                ids = arguments["ids"].split(".")
                self.fetched += [item for item in ids if by in self._readers(item)]
                return 200, b"{}"
            case ("POST", "mailboxes", mailbox, "messages"):
                to = [str(VerifyKey.from_hex(one)) for one in arguments["to"].split(".")]
                return self._post(by, mailbox, int(arguments["n"]), to, body)
            case ("PUT", "mailboxes", mailbox, "files", item):
                return self._put_file(by, mailbox, item, body)
            case ("POST", "mailboxes", mailbox, "withdrawal"):
                return self.withdrawal(mailbox, body)
            case ("PUT", "card"):
                try:
                    if self.refuses_cards:
                        raise CardError("refused")
                    current = cards.parse(self.cards[by])
                    cards.accept(body, site=self.site, pinned=claim.identity, current=current)
                except CardError:
                    return 422, b'{"error":"refused"}'
                self.cards[by] = body
                self.puts.append(body)
                return 200, b"{}"
        return 404, b"{}"

    def _readers(self, item: str) -> tuple[str, ...]:
        kept = self.items.get(item)
        return (*kept.to, kept.author) if kept else ()

    def batch_for(self, by: str, ids: Sequence[str]) -> tuple[int, bytes]:
        """Return the messages that a request for each alone would return."""
        if any(self.damaged.get(item, 0) is None for item in ids):
            return 500, b""
        mine = [item if by in self._readers(item) else "" for item in ids]
        kept = {item: self.items[item] for item in mine if item and item not in self.withheld}
        found = {i: self.lies.get(i, k.sealed) for i, k in kept.items() if k.what == "message"}
        return 200, batch.pack([found.get(item, b"") for item in ids])

    def _inbox(self, by: str, after: int, day: str) -> tuple[int, bytes]:
        rows = [
            {"number": number, "id": item, "mailbox": kept.mailbox, "what": kept.what,
             "author": kept.author, "n": kept.n, "day": kept.day.isoformat(),
             "size": len(kept.sealed)}
            for number, item in enumerate(self.inboxes.get(by, []), start=1)
            if number > after and item not in self.hidden
            if (kept := self.items.get(item)) is not None
        ]  # fmt: skip
        more = len(rows) > PAGE
        if self.invents:
            rows, more = self.invents(after), True
        if self.restless:
            self.store = secrets.token_hex(16)
        return _json({"store": self.store, "day": day, "items": rows[:PAGE], "more": more})

    def _mailboxes(self, by: str, after: str) -> tuple[int, bytes]:
        boxes = {kept.mailbox for kept in self.items.values()} - self.gone
        listed = [
            {"id": box, "newest": [{"by": a, "n": n} for a, n in self.newest(box).items()]}
            for box in sorted(boxes)
            if by in self.addressed(box) and box > after
        ]
        return _json({"mailboxes": listed[:LISTED], "more": len(listed) > LISTED})

    def _put_file(self, by: str, mailbox: str, item: str, sealed: bytes) -> tuple[int, bytes]:
        if self.busy:
            return 503, b"{}"
        if mailbox in self.gone or by not in self.addressed(mailbox):
            return 404, b"{}"
        if self.takes_files_up_to is not None and len(sealed) > self.takes_files_up_to:
            return 507, b"{}"
        if sha256_hex(sealed) != item:
            return 422, b"{}"
        stanzas = len(parse_header(sealed).stanzas)
        check_shape(sealed, len(sealed), stanzas, "files")
        self.staged.setdefault((mailbox, by), {})[item] = sealed
        return 200, b"{}"

    def _post(
        self, by: str, mailbox: str, n: int, to: Sequence[str], sealed: bytes
    ) -> tuple[int, bytes]:
        if self.busy:
            return 503, b"{}"
        if mailbox in self.gone or by not in self.addressed(mailbox):
            return 404, b"{}"
        if sha256_hex(sealed) in self.items:
            return 200, b"{}"
        if not set(to) <= set(self.addressed(mailbox)):
            return 403, b"{}"
        check_shape(sealed, len(sealed), len(to) + 1, "messages")
        newest = self.newest(mailbox).get(by, 0)
        if n <= newest:
            return 409, json.dumps({"n": newest}).encode()
        for file in self.staged.pop((mailbox, by), {}).values():
            self.keep(mailbox, "attachment", by, n, file, to)
        self.keep(mailbox, "message", by, n, sealed, to)
        return 200, b"{}"

    def withdrawal(self, mailbox: str, body: bytes) -> tuple[int, bytes]:
        if mailbox in self.gone or mailbox not in {kept.mailbox for kept in self.items.values()}:
            return 404, b"{}"
        try:
            message, sealed = withdrawal.read(body, site=self.site, mailbox=mailbox)
        except (FormatError, MessageError):
            return 422, b"{}"
        self.purge(*[i for i, kept in self.items.items() if kept.mailbox == mailbox])
        to = [str(identity) for identity in message.to]
        self.keep(mailbox, "message", "reporter", message.n, sealed, to)
        self.gone.add(mailbox)
        return 200, b"{}"


class PeerTransport:
    """The courier's transport to a Peer in the same process."""

    made = 0

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        PeerTransport.made += 1
        self.number = PeerTransport.made

    @contextlib.contextmanager
    def send(self, method: str, origin: str, target: str, headers: Mapping[str, str],
             body: bytes | Iterable[bytes], seconds: float) -> Iterator[Answer]:  # fmt: skip
        if origin != self.peer.origin:
            raise CannotReach(f"{origin} could not be reached.")
        if self.peer.drop_after is not None:
            self.peer.drop_after -= 1
            if self.peer.drop_after < 0:
                raise CannotReach(f"{origin} could not be reached.")
        if not isinstance(body, bytes):
            body = b"".join(body)
            assert headers["Content-Length"] == str(len(body))
        status, data = self.peer.answer(method, target, headers, body, self.number)
        lost = self.peer.lose_answer_to
        if lost and f"{method} {target.partition('?')[0]}".endswith(lost):
            self.peer.lose_answer_to = ""
            raise CannotReach("The connection was lost.")
        lengths = [n for item, n in self.peer.damaged.items() if item in target]
        whole = lengths[0] if lengths else None

        def pieces() -> Iterator[bytes]:
            for at in range(0, len(data), 1000):
                if whole is not None and at >= whole:
                    raise CannotReach("The connection was lost.")
                yield data[at : at + 1000]

        yield Answer(status, pieces())

    def break_off(self) -> None:
        """Do nothing: no request waits here."""

    def apart(self) -> "PeerTransport":
        return PeerTransport(self.peer)

    def close(self) -> None:
        """Do nothing: no connection is open."""


class Reporter:
    """A reporter who writes to the peer with the seven words, with real signatures and sealing."""

    def __init__(self, peer: Peer, *wanted: VerifyKey) -> None:
        self.peer = peer
        self.wanted: tuple[VerifyKey, ...] = wanted
        self.language = "nl"
        words = retrieval_code.generate("nl")
        root = retrieval_code.derive_root(words, peer.site)
        self.keys: ReporterKeys = retrieval_code.reporter_keys(root)

    @property
    def mailbox(self) -> str:
        return self.keys.mailbox

    def report(self, text: str, **answers: Json) -> str:
        return self.send("report", {"text": text, "answers": dict(answers)}, first=True)

    def write(self, text: str) -> str:
        return self.send("message", {"text": text})

    def withdraw(self) -> str:
        item = self.send("withdrawal", {})
        mine = [i for i, k in self.peer.items.items() if k.mailbox == self.mailbox and i != item]
        self.peer.purge(*mine)
        return item

    def send(self, kind: str, body: Mapping[str, Json], *, first: bool = False) -> str:
        draft = self.draft(kind, body, first=first)
        to = [str(identity) for identity in draft.to]
        return self.peer.keep(self.mailbox, "message", "reporter", draft.n, draft.seal(), to)

    def attach(
        self, text: str, *files: tuple[str, str, bytes], sizes: Sequence[int] = ()
    ) -> list[str]:
        """Send a message with files (name, type, content), sealed to the counsellors only.

        ``sizes``: the signed sizes, instead of the true ones.
        """
        day = self.peer.today()
        shown = [cards.parse(raw) for raw in self.peer.cards.values()]
        keys = [c.sealing_key(day) for w in self.wanted for c in shown if c.identity == w]
        made, sealed_files = [], []
        for number, (name, kind, content) in enumerate(files):
            parts: list[bytes] = []
            sealer = AttachmentSealer(parts.append, [key for key in keys if key])
            sealer.update(content)
            sealer.finish()
            sealed_files.append(b"".join(parts))
            size = sizes[number] if sizes else len(content)
            made.append(Attachment(sha256_hex(sealed_files[-1]), name, kind, size))
        draft = self.draft("message", {"text": text}, attachments=made)
        to = [str(identity) for identity in draft.to]
        for sealed in sealed_files:
            self.peer.keep(self.mailbox, "attachment", "reporter", draft.n, sealed, to)
        self.peer.keep(self.mailbox, "message", "reporter", draft.n, draft.seal(), to)
        return [one.sha256 for one in made]

    def received(self) -> dict[str, bytes]:
        """Return the files of the counsellors' messages, opened with the seven words, by name."""
        found = {}
        for message in self.thread().genuine():
            for file in message.attachments if message.by != "reporter" else ():
                sealed = self.peer.items[file.sha256].sealed
                opened = age.open_chunks(io.BytesIO(sealed).read, [self.keys.reply])
                found[file.name] = b"".join(contents(opened, file.size))
        return found

    def draft(
        self,
        kind: str,
        body: Mapping[str, Json],
        *,
        first: bool = False,
        attachments: Sequence[Attachment] = (),
    ) -> writing.Draft:
        return writing.from_reporter(
            self.keys,
            site=self.peer.site,
            day=self.peer.today(),
            lang=self.language,
            kind=kind,
            body=body,
            thread=None if first else self.thread(),
            wanted=self.wanted,
            cards=[cards.parse(raw) for raw in self.peer.cards.values()],
            attachments=attachments,
        )

    def thread(self) -> Thread:
        arrived = [
            thread.open_item(item, kept.sealed, [self.keys.reply])
            for item, kept in self.peer.items.items()
            if kept.mailbox == self.mailbox and kept.what == "message"
        ]
        return thread.read(
            arrived,
            site=self.peer.site,
            mailbox=self.mailbox,
            viewer=None,
            reporter=ReporterPublic(str(self.keys.recipient), self.keys.verify),
        )

    def texts(self) -> list[str]:
        return [message.text for message in self.thread().genuine()]


def _json(value: Mapping[str, object]) -> tuple[int, bytes]:
    return 200, json.dumps(value).encode()
