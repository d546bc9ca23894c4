"""A browser that seals by itself, in Python, like the script of the pages (SPEC section 6)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dropbox_app.protocol import card as cards
from dropbox_app.protocol import thread as threads
from dropbox_app.protocol import writing
from dropbox_app.protocol.attachment import AttachmentSealer
from dropbox_app.protocol.batch import unpack
from dropbox_app.protocol.encoding import Json, check_day, sha256_hex, to_line
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import Attachment, ReporterPublic
from dropbox_app.protocol.retrieval_code import derive_root, generate, reporter_keys
from dropbox_app.protocol.thread import Thread

MOST_IDS = 50
OPENING = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """A response of the server."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.body)


# Method, target, body (None: no body at all), headers.
Exchange = Callable[[str, str, bytes | None, dict[str, str]], Answer]


class SealingBrowser:
    """One reporter's code and keys, and the calls made with them.

    It stores only the code: every call reads the other data from the server again.
    """

    def __init__(self, exchange: Exchange, words: Sequence[str] | None = None) -> None:
        self.exchange = exchange
        self.words = tuple(words or generate("nl"))
        about = self.ask("GET", "/api/site", token=None).json
        self.site: str = about["site"]
        self.day = check_day(about["day"])
        self.cards = [cards.parse(raw.encode()) for raw in about["cards"]]
        self.keys = reporter_keys(derive_root(self.words, self.site))

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        token: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request with this reporter's token, another one, or none; return the response."""
        given = dict(headers or {})
        if token is not None:
            given["Authorization"] = f"Bearer {token or self.token}"
        return self.exchange(method, target, body, given)

    @property
    def token(self) -> str:
        return self.keys.access_token.hex()

    def open_mailbox(self, *to: VerifyKey, **other: Json) -> Answer:
        """Open the mailbox. ``other``: fields with other values, left out if they are None."""
        fields: dict[str, Json] = {
            "mailbox": self.keys.mailbox,
            "access": self.keys.access,
            "to": [identity.hex for identity in to],
        }
        fields |= other
        said: dict[str, Json] = {key: fields[key] for key in fields if fields[key] is not None}
        return self.ask("POST", "/api/reports", to_line(said), token=None, headers=OPENING)

    def draft(
        self,
        kind: str,
        body: dict[str, Json],
        wanted: Sequence[VerifyKey] | None = None,
        files: Sequence[Attachment] = (),
    ) -> writing.Draft:
        """Return the next message, signed after reading the thread."""
        thread = None if kind == "report" else self.thread()
        return writing.from_reporter(
            self.keys,
            site=self.site,
            day=self.day,
            lang="nl",
            kind=kind,
            body=body,
            thread=thread,
            wanted=wanted,
            cards=self.cards,
            attachments=files,
        )

    def post(self, draft: writing.Draft, sealed: bytes, call: str = "messages") -> Answer:
        to = ".".join(identity.hex for identity in draft.to)
        said = json.loads(draft.plaintext.partition(b"\n")[0])
        files = ".".join(file["sha256"] for file in said.get("attachments", ()))
        more = f"&files={files}" if files else ""
        return self.ask("POST", f"/api/conversation/{call}?n={draft.n}&to={to}{more}", sealed)

    def post_report(self, draft: writing.Draft, sealed: bytes) -> Answer:
        """Send a sealed report, which opens its mailbox."""
        to = ".".join(identity.hex for identity in draft.to)
        return self.ask("POST", f"/api/reports/{self.keys.mailbox}?to={to}", sealed)

    def report(self, text: str, *to: VerifyKey) -> bytes:
        """Send a whole report; return the sealed bytes."""
        draft = self.draft("report", {"text": text, "answers": {}}, to)
        sealed = draft.seal()
        sent = self.post_report(draft, sealed)
        assert (sent.status, sent.json) == (200, {}), sent
        return sealed

    def write(self, text: str, files: Sequence[Attachment] = ()) -> bytes:
        draft = self.draft("message", {"text": text}, files=files)
        sealed = draft.seal()
        sent = self.post(draft, sealed)
        assert (sent.status, sent.json) == (200, {}), sent
        return sealed

    def seal_file(self, name: str, content: bytes) -> tuple[Attachment, bytes]:
        """Seal a file for the recipients of the next message; return it and its bytes."""
        sealed = bytearray()
        draft = self.draft("message", {"text": ""})
        sealer = AttachmentSealer(sealed.extend, draft.recipients[1:])
        sealer.update(content)
        sealer.finish()
        size = len(content)
        return Attachment(sha256_hex(bytes(sealed)), name, "text/plain", size), bytes(sealed)

    def put_file(self, name: str, content: bytes) -> Attachment:
        attachment, sealed = self.seal_file(name, content)
        put = self.ask("PUT", f"/api/files/{attachment.sha256}", sealed)
        assert (put.status, put.json) == (200, {}), put
        return attachment

    def listed(self) -> dict[str, Any]:
        answer = self.ask("GET", "/api/conversation")
        assert answer.status == 200, answer
        found: dict[str, Any] = answer.json
        return found

    def batch(self, ids: Sequence[str]) -> list[bytes]:
        """Return the first of these messages, as many as the server sends together."""
        answer = self.ask("GET", f"/api/items?ids={'.'.join(ids)}")
        assert answer.status == 200, answer
        return unpack(answer.body, len(ids))

    def thread(self) -> Thread:
        """Return the conversation as the owner of the code reads and checks it."""
        listed = self.listed()["items"]
        ids = [item["id"] for item in listed if item["what"] == "message"]
        arrived = []
        while ids:
            asked, batch = ids[:MOST_IDS], self.batch(ids[:MOST_IDS])
            for item, sealed in zip(asked, batch, strict=False):
                arrived.append(threads.open_item(item, sealed, (self.keys.reply,)))
            ids = ids[len(batch) :]
        return threads.read(
            arrived,
            site=self.site,
            mailbox=self.keys.mailbox,
            viewer=None,
            reporter=ReporterPublic(str(self.keys.recipient), self.keys.verify),
        )

    def texts(self) -> list[str]:
        return [message.text for message in self.thread().genuine()]

    def withdraw(self) -> Answer:
        draft = self.draft("withdrawal", {})
        return self.post(draft, draft.seal(), "withdrawal")
