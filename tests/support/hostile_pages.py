"""A malicious counsellor: real keys, a real card, and unrestricted use of the desk API."""

import base64
import datetime
import http.client
import json
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dropbox_app.protocol import age, card, desk_request
from dropbox_app.protocol.age_header import parse_header
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.keys import Recipient, Seed, SigningKey, VerifyKey
from dropbox_app.protocol.stream import CHUNK, NONCE, PayloadWriter
from tests.support.drop_box import DropBox


class Hostile:
    """A second counsellor of the site, confirmed by the operator in good faith."""

    def __init__(self, box: DropBox, site: str, folder: Path, name: str = "Bas") -> None:
        self.box = box
        self.site = site
        self.signing = SigningKey.generate()
        self.seed = Seed.generate()
        self.serial = 1
        file = folder / f"{name.lower()}.card"
        file.write_bytes(self.card(name))
        fingerprint = self.signing.verify_key.fingerprint()
        box.server("card", "add", file, "--name", name.lower(), "--fingerprint", fingerprint)

    def card(self, name: str = "Bas", **changes: Any) -> bytes:  # noqa: ANN401 - any field
        """Return a valid card with the requested changes."""
        today = datetime.datetime.now(datetime.UTC).date()
        windows = []
        day = today.replace(day=1) - datetime.timedelta(days=1)
        for _ in range(6):
            first, until = card.month_window(day)
            windows.append(card.Window(self.seed.recipient(), first, until))
            day = until + datetime.timedelta(days=1)
        fields: dict[str, Any] = {
            "site": self.site,
            "serial": self.serial,
            "issued": today,
            "name": name,
            "kind": "external",
            "scope": "both",
            "languages": ["nl"],
            "sealing": windows,
            "away": None,
            "signing": self.signing,
        }
        return card.issue(**fields | changes)

    def authorization(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        origin: str | None = None,
        site: str | None = None,
        token: str | None = None,
    ) -> str:
        if token is None:
            token = json.loads(call(self.box, "GET", "/api/desk/challenge")[1])["token"]
        return desk_request.header(
            self.signing,
            origin=origin or self.box.url,
            site=site or self.site,
            token=token,
            method=method,
            target=target,
            body_hash=sha256_hex(body),
        )

    def ask(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send one valid-looking request to the desk API; return the status and the body."""
        return call(self.box, method, target, body, self.authorization(method, target, body))

    def inbox(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.ask("GET", "/api/desk/inbox?after=0")[1])[
            "items"
        ]
        return items

    def send(self, mailbox: str, n: int, to: Sequence[VerifyKey], sealed: bytes) -> int:
        addressed = ".".join(identity.hex for identity in to)
        target = f"/api/desk/mailboxes/{mailbox}/messages?n={n}&to={addressed}"
        return self.ask("POST", target, sealed)[0]

    def under_the_same_header(self, sealed: bytes, plaintext: bytes) -> bytes:
        """Return another text under the header of a file also sealed to this counsellor."""
        header = parse_header(sealed)
        file_key = None
        for stanza in header.stanzas:
            enc = _unpadded(stanza.args[1])
            file_key = file_key or self.seed.unwrap(enc, stanza.body)
        assert file_key is not None
        parts = [sealed[: header.length]]
        nonce = sealed[header.length : header.length + NONCE]
        writer = PayloadWriter(parts.append, file_key, nonce)
        writer.update(plaintext)
        writer.finish()
        assert len(plaintext) < CHUNK
        return b"".join(parts)


def call(
    box: DropBox, method: str, target: str, body: bytes = b"", authorization: str = ""
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(box.url).netloc, timeout=60)
    headers = {"Authorization": authorization} if authorization else {}
    connection.request(method, target, body or None, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def reseal(plaintext: bytes, recipients: Sequence[Recipient]) -> bytes:
    return age.seal(plaintext, recipients)


def _unpadded(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
