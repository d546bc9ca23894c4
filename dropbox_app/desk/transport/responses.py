"""Check the form of a server's responses before any other code uses them.

Each function raises BadAnswer, with a sentence for the counsellor.
"""

import contextlib
import datetime
import functools
import json
from collections.abc import Iterable, Mapping

from dropbox_app.desk.errors import BadAnswer, OutOfStep, Refused, Unknown
from dropbox_app.protocol.encoding import check_day, check_hex
from dropbox_app.protocol.errors import FormatError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import REPORTER

MAX_ANSWER = 4 * 1024 * 1024  # bytes of JSON: about sixty cards of full size


_REFUSALS = {
    404: "The server does not have it (any more).",
    503: "The server is busy now; try again in some minutes.",
    507: "The server has no room left; tell the operator.",
}


def read(pieces: Iterable[bytes]) -> dict[str, object]:
    """Return a JSON object; {} if there is no content."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > MAX_ANSWER:
            raise BadAnswer("The server's answer has no end; tell the operator.")
    if not data:
        return {}
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise BadAnswer(
            "What answers at this address is no Klankbord server, or something stands in between."
        ) from None
    if not isinstance(value, dict):
        raise BadAnswer("The server's answer has another form than agreed; tell the operator.")
    return value


def headers(given: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Return headers as text."""
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in given)


def author(fields: Mapping[str, object], key: str) -> str:
    """Return the author: the reporter or an identity."""
    named = text(fields, key)
    if named == REPORTER:
        return REPORTER
    try:
        return _identity(named)
    except FormatError:
        raise BadAnswer("The server names an author that is none; tell the operator.") from None


@functools.lru_cache(1_024)  # a long list repeats a few names: each is checked and cached once
def _identity(named: str) -> str:
    VerifyKey.parse(named)
    return named


def text(fields: Mapping[str, object], key: str) -> str:
    """Return a text that may contain any characters."""
    value = fields.get(key)
    if not isinstance(value, str):
        raise BadAnswer(f"The server's answer lacks {key}; tell the operator.")
    return value


def number(fields: Mapping[str, object], key: str) -> int:
    """Return a whole number that is not negative."""
    value = fields.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise BadAnswer(f"The server's answer lacks {key}; tell the operator.")
    return value


def hex_id(fields: Mapping[str, object], key: str, length: int) -> str:
    """Return an id of ``length`` bytes."""
    try:
        return check_hex(text(fields, key), length)
    except FormatError:
        raise BadAnswer(f"The server's answer has a wrong {key}; tell the operator.") from None


def day(fields: Mapping[str, object], key: str) -> datetime.date:
    """Return a day."""
    try:
        return check_day(text(fields, key))
    except FormatError:
        raise BadAnswer(f"The server's answer has a wrong {key}; tell the operator.") from None


def objects(fields: Mapping[str, object], key: str, most: int) -> list[dict[str, object]]:
    """Return a list of at most ``most`` objects."""
    value = fields.get(key)
    if not isinstance(value, list) or len(value) > most:
        raise BadAnswer(f"The server's answer lacks {key}; tell the operator.")
    found = [entry for entry in value if isinstance(entry, dict)]
    if len(found) != len(value):
        raise BadAnswer(f"The server's answer has a wrong {key}; tell the operator.")
    return found


def check_status(status: int, pieces: Iterable[bytes]) -> None:
    """Raise an error for every unsuccessful response, without trusting its contents."""
    if 200 <= status < 300:
        return
    if status == 401:
        raise Unknown(
            "The server does not know this desk: either the operator has not added the card yet "
            "(see 'klankbord-desk card'), or it was retired."
        )
    if status == 409:
        with contextlib.suppress(BadAnswer):
            raise OutOfStep(number(read(pieces), "n"))
    sentence = _REFUSALS.get(status, f"The server refused this (status {status}).")
    raise Refused(sentence, status)
