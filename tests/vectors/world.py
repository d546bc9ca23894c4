"""The people of the vectors, and how vectors encode bytes.

Everything here is derived from fixed names, so that the vectors can be reproduced exactly.
"""

import base64
import datetime
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from dropbox_app.protocol import card
from dropbox_app.protocol.encoding import Json, b64, sha256_hex, to_line
from dropbox_app.protocol.keys import Seed, SigningKey
from dropbox_app.protocol.messages import REPORTER, SIGNED_LABEL, pad_lines
from dropbox_app.protocol.retrieval_code import ReporterKeys, reporter_keys

# Several languages read the vectors; here they are plain dicts and lists.
Vector: TypeAlias = dict[str, Any]
Pieces: TypeAlias = list[list[Any]]

SITE = "00112233445566778899aabbccddeeff"
OTHER_SITE = "ffeeddccbbaa99887766554433221100"
DAY = datetime.date(2026, 3, 10)


def secret(name: str) -> bytes:
    """Return 32 bytes derived from a name; not actually secret."""
    return hashlib.sha256(b"klankbord vectors " + name.encode()).digest()


def counsellor(name: str) -> SigningKey:
    """Return the signing key of the counsellor with this name."""
    return SigningKey(secret("identity " + name))


def sealing_seed(name: str, month: datetime.date) -> Seed:
    """Return the seed of a counsellor's window that begins on this day."""
    return Seed(secret(f"seed {name} {month.isoformat()}"))


def reporter(name: str = "reporter") -> ReporterKeys:
    """Return the keys of the reporter with this name, from a root that no code gives."""
    return reporter_keys(secret("root " + name))


ANNA = counsellor("anna")
BRAM = counsellor("bram")
CHRIS = counsellor("chris")
REPORTER_KEYS = reporter()
MAILBOX = REPORTER_KEYS.mailbox


def months(first: datetime.date, count: int) -> list[tuple[datetime.date, datetime.date]]:
    """Return ``count`` windows of whole months, from the one that contains ``first``."""
    windows = []
    day = first
    for _ in range(count):
        window = card.month_window(day)
        windows.append(window)
        day = window[1] + datetime.timedelta(days=1)
    return windows


def windows(name: str, first: datetime.date, count: int) -> list[card.Window]:
    """Return the windows of a counsellor's card, with the seeds of ``sealing_seed``."""
    return [
        card.Window(sealing_seed(name, start).recipient(), start, until)
        for start, until in months(first, count)
    ]


def issue_card(
    name: str,
    *,
    day: datetime.date = DAY,
    serial: int = 1,
    site: str = SITE,
    count: int = 5,
    away: card.Away | None = None,
    register_number: str = "",
    sentence: Mapping[str, str] | None = None,
) -> bytes:
    """Return a valid card of this counsellor, issued on ``day``, from the previous month on."""
    first = day.replace(day=1) - datetime.timedelta(days=1)
    return card.issue(
        site=site,
        serial=serial,
        issued=day,
        name=name.title(),
        kind="external",
        scope="both",
        languages=("nl", "en"),
        sealing=windows(name, first, count),
        away=away,
        signing=counsellor(name),
        register_number=register_number,
        sentence=sentence or {},
    )


def identities(*keys: SigningKey) -> list[Json]:
    """Return identities as a message contains them."""
    return [str(key.verify_key) for key in keys]


def reporter_fields(
    n: int, *, keys: ReporterKeys = REPORTER_KEYS, to: Sequence[SigningKey] = (ANNA,), **more: Json
) -> dict[str, Json]:
    """Return the fields of a reporter's message; a report for n = 1."""
    own: dict[str, Json] = (
        {"kind": "report", "text": "Het begon in maart.", "answers": {}, "attachments": []}
        if n == 1
        else {"kind": "message", "text": f"Bericht {n}.", "attachments": []}
    )
    fields: dict[str, Json] = {
        "v": 1,
        "site": SITE,
        "mailbox": keys.mailbox,
        "by": REPORTER,
        "to": identities(*to),
        "n": n,
        "seen": [],
        "day": DAY.isoformat(),
        "lang": "nl",
        "reporter": {"recipient": str(keys.recipient), "verify": str(keys.verify)},
        "wanted": identities(*to),
        "former": [],
    }
    return fields | own | more


def counsellor_fields(
    n: int, *, by: SigningKey = ANNA, to: Sequence[SigningKey] = (ANNA,), **more: Json
) -> dict[str, Json]:
    """Return the fields of a counsellor's reply."""
    fields: dict[str, Json] = {
        "v": 1,
        "site": SITE,
        "mailbox": MAILBOX,
        "by": str(by.verify_key),
        "to": identities(*to),
        "n": n,
        "seen": [{"by": REPORTER, "n": 1}],
        "day": DAY.isoformat(),
        "lang": "nl",
        "kind": "reply",
        "text": f"Antwoord {n}.",
        "attachments": [],
    }
    return fields | more


def digest(fields: Mapping[str, Json]) -> str:
    """Return the value of the next message's ``prev``."""
    return sha256_hex(to_line(dict(fields)))


def sign(line: bytes, signing: SigningKey) -> bytes:
    """Return line 2 for a line 1."""
    return b64(signing.sign(SIGNED_LABEL + line)).encode("ascii")


def signed(fields: Mapping[str, Json], signing: SigningKey) -> bytes:
    """Return a message ready for sealing, without checking its contents."""
    return signed_line(to_line(dict(fields)), signing)


def signed_line(line: bytes, signing: SigningKey) -> bytes:
    """Return a message with a line 1 that no writer would produce."""
    return pad_lines(line, sign(line, signing))


def from_reporter(fields: Mapping[str, Json], keys: ReporterKeys = REPORTER_KEYS) -> bytes:
    """Return a message signed by the reporter."""
    return signed(fields, keys.signing)


# Bytes in a vector: a list of pieces [text, times] or [{"hex": …}, times].


def pieces(data: bytes) -> Pieces:
    """Return the bytes with repeated parts written once."""
    written: Pieces = []
    at = plain = 0
    while at < len(data):
        for width in (1, 2):
            unit = data[at : at + width]
            times = 1
            while data[at + times * width : at + (times + 1) * width] == unit:
                times += 1
            if times * width > 64:
                written += _piece(data[plain:at], 1) + _piece(unit, times)
                at = plain = at + times * width
                break
        else:
            at += 1
    return written + _piece(data[plain:], 1)


def _piece(data: bytes, times: int) -> Pieces:
    if not data:
        return []
    try:
        return [[data.decode("utf-8"), times]]
    except UnicodeDecodeError:
        return [[{"hex": data.hex()}, times]]


def join(written: Pieces) -> bytes:
    """Return the bytes that ``pieces`` encoded."""
    return b"".join(
        (bytes.fromhex(unit["hex"]) if isinstance(unit, dict) else unit.encode("utf-8")) * times
        for unit, times in written
    )


def wrap(data: bytes) -> list[str]:
    """Return base64 in lines, so that a changed vector shows in a diff."""
    text = base64.b64encode(data).decode("ascii")
    return [text[at : at + 120] for at in range(0, len(text), 120)]


def unwrap(lines: Sequence[str]) -> bytes:
    """Return the bytes that ``wrap`` encoded."""
    return base64.b64decode("".join(lines))
