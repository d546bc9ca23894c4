"""Encodings: strict JSON lines, base64, days, hex, text (SPEC section 1).

Every decoder accepts exactly one encoding of a value and raises FormatError for any other.
"""

import base64
import binascii
import datetime
import hashlib
import json
import re
from typing import NoReturn, Protocol, TypeAlias

from dropbox_app.protocol.errors import FormatError

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

MAX_INTEGER = 2**53 - 1  # the largest integer that JavaScript represents exactly
MAX_DEPTH = 4

# A key begins with a letter: JavaScript sorts numeric keys first, and does not copy `__proto__`.
_KEY = re.compile(r"[a-z][a-z0-9_]*")
# A bracket or a string. An unclosed string extends to the end, without backtracking.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_DAY = re.compile(r"2[0-9]{3}-[0-9]{2}-[0-9]{2}")
_HEX = re.compile(r"[0-9a-f]+")
# C0 except TAB and LF, DEL, and C1: people do not type these, and terminals act on many of them.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def to_line(value: dict[str, Json]) -> bytes:
    """Write an object as a JSON line, without its LF (SPEC section 1)."""
    _check(value, 1)
    return _dump(value)


def from_line(line: bytes) -> dict[str, Json]:
    """Parse a JSON line (without its LF), and reject every other encoding of the same value.

    Raises FormatError for a duplicate key, a fraction, NaN, an integer over 2^53 - 1, a lone
    surrogate, a depth over 4, a key that is not a letter followed by ``a-z0-9_``, white space, or
    anything else that ``to_line`` would write differently.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError("not UTF-8") from None
    if _deepest(text) > MAX_DEPTH:
        raise FormatError(f"nested deeper than {MAX_DEPTH}")
    try:
        value = json.loads(
            text, object_pairs_hook=_pairs, parse_float=_refuse, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        raise FormatError("not a JSON line") from None
    if not isinstance(value, dict):
        raise FormatError("not a JSON object")
    _check(value, 1)
    if _dump(value) != line:
        raise FormatError("not the one way of writing this JSON line")
    return value


def b64(raw: bytes) -> str:
    """Encode bytes as base64, RFC 4648 section 4, with padding."""
    return base64.b64encode(raw).decode("ascii")


def unb64(text: str, length: int) -> bytes:
    """Decode base64 of exactly ``length`` bytes; reject any other encoding of the same bytes."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise FormatError("not base64") from None
    if len(raw) != length or b64(raw) != text:
        raise FormatError(f"not {length} bytes in base64")
    return raw


def check_hex(text: str, length: int) -> str:
    """Return ``text`` if it is lower-case hex of exactly ``length`` bytes."""
    if len(text) != 2 * length or not _HEX.fullmatch(text):
        raise FormatError(f"not {length} bytes in lower-case hex")
    return text


def check_day(text: str) -> datetime.date:
    """Parse a UTC day, ``YYYY-MM-DD``, from 2000 to 2999, so that adding days cannot overflow."""
    if not _DAY.fullmatch(text):
        raise FormatError("not a day (YYYY-MM-DD)")
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise FormatError("no such day") from None


def with_line_ends(text: str) -> str:
    """Replace the page breaks of PDFs and the line breaks of word processors with newlines.

    Use this function for pasted text before ``clean_text``, which would join the words on either
    side of such a break.
    """
    return text.replace("\f", "\n").replace("\v", "\n")


def clean_text(text: str) -> str:
    """Prepare a person's text for signing: convert line endings to LF, remove control characters.

    Lone surrogates, which UTF-8 cannot represent, become U+FFFD. Nothing else is normalised.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", text))


def sha256_hex(data: bytes) -> str:
    """Return a SHA-256 in lower-case hex, the form of every id and every ``prev``."""
    return hashlib.sha256(data).hexdigest()


class Digest(Protocol):
    """A SHA-256 that is updated as bytes arrive."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def hexdigest(self) -> str:
        """Return the SHA-256 of the bytes so far, in lower-case hex."""


def new_digest(data: bytes = b"") -> Digest:
    """Return a new SHA-256 for data that arrives in pieces; see ``sha256_hex``."""
    return hashlib.sha256(data)


def _dump(value: dict[str, Json]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8")


def _pairs(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise FormatError("a key occurs twice")
    return value


def _refuse(_: str) -> NoReturn:
    raise FormatError("only whole numbers")


def _deepest(text: str) -> int:
    """Return how deeply brackets outside strings are nested, without parsing or recursion."""
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        if token[0] in ("[", "{"):
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MAX_DEPTH:
                return deepest
        elif token[0] in ("]", "}"):
            depth -= 1
    return deepest


def _check(value: Json, depth: int) -> None:
    """Raise FormatError, with the reason, for a value that a JSON line may not contain."""
    if depth > MAX_DEPTH and isinstance(value, dict | list):
        raise FormatError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, dict):
        for key, member in value.items():
            if not _KEY.fullmatch(key):
                raise FormatError("a key that is not a letter followed by a-z, 0-9 and _")
            _check(member, depth + 1)
    elif isinstance(value, list):
        for member in value:
            _check(member, depth + 1)
    elif isinstance(value, str):
        if _SURROGATES.search(value):
            raise FormatError("a lone surrogate")
    elif isinstance(value, float):
        raise FormatError("only whole numbers")
    elif isinstance(value, int) and not 0 <= value <= MAX_INTEGER:
        raise FormatError("a number outside 0 to 2^53 - 1")
