"""The header of an age file: parse, write and authenticate it (C2SP ``age.md``; SPEC section 1).

Parsing decrypts nothing and accepts exactly one encoding of each header, so that a parsed header
can be written again byte for byte.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dropbox_app.protocol.errors import HeaderFailure, HmacFailure

MAX_HEADER = 131_072  # bytes; about 80 recipients. age sets no limit, but memory does.
FILE_KEY_SIZE = 16

_VERSION = b"age-encryption.org/v1\n"
_MAC_MARK = b"---"
_MAC_LINE = 48  # bytes: the mark, a space, 43 characters, LF
_COLUMNS = 64
_ARGUMENT = re.compile(rb"[\x21-\x7e]+")


@dataclass(frozen=True)
class Stanza:
    """One recipient's part of a header: its arguments, starting with the type, and its body."""

    args: tuple[str, ...]
    body: bytes


@dataclass(frozen=True)
class Header:
    """A parsed header. ``length`` counts the bytes up to and including the MAC line's LF."""

    stanzas: tuple[Stanza, ...]
    mac: bytes
    length: int


def parse_header(sealed: bytes) -> Header:
    """Parse the header at the beginning of ``sealed``, and ignore the rest.

    Raises HeaderFailure unless ``sealed`` begins with a well-formed version 1 header of at most
    MAX_HEADER bytes. An scrypt stanza must be the only stanza.
    """
    head = sealed[:MAX_HEADER]
    if not head.startswith(_VERSION):
        raise HeaderFailure("not an age version 1 file")
    at = len(_VERSION)
    stanzas: list[Stanza] = []
    while True:
        line, at = _line(head, at)
        if not line.startswith(b"-> "):
            break
        stanza, at = _stanza(line, head, at)
        stanzas.append(stanza)
    if not stanzas:
        raise HeaderFailure("no recipient")
    if len(stanzas) > 1 and any(stanza.args[0] == "scrypt" for stanza in stanzas):
        raise HeaderFailure("a passphrase stanza together with another")
    if not line.startswith(_MAC_MARK + b" "):
        raise HeaderFailure("neither a stanza nor a MAC")
    mac = decode(line[len(_MAC_MARK) + 1 :])
    if len(mac) != 32:
        raise HeaderFailure("a MAC has 32 bytes")
    return Header(tuple(stanzas), mac, at)


def write_header(stanzas: Sequence[Stanza], file_key: bytes) -> bytes:
    """Write a header with its MAC, in the only form that ``parse_header`` accepts."""
    parts = [_VERSION]
    for stanza in stanzas:
        parts.append(f"-> {' '.join(stanza.args)}\n".encode("ascii"))
        text = encode(stanza.body).encode("ascii")
        # There is one line more than the full ones: the last line is always short, and may be
        # empty.
        parts += [text[at : at + _COLUMNS] + b"\n" for at in range(0, len(text) + 1, _COLUMNS)]
    parts.append(_MAC_MARK)
    covered = b"".join(parts)
    return covered + b" " + encode(_mac(covered, file_key)).encode("ascii") + b"\n"


def check_mac(sealed: bytes, header: Header, file_key: bytes) -> None:
    """Raise HmacFailure unless the header of ``sealed`` was made with this file key."""
    covered = sealed[: header.length - _MAC_LINE + len(_MAC_MARK)]
    if not hmac.compare_digest(_mac(covered, file_key), header.mac):
        raise HmacFailure("the header was altered")


def encode(raw: bytes) -> str:
    """Encode as in age: base64, RFC 4648 section 4, without padding."""
    return base64.b64encode(raw).rstrip(b"=").decode("ascii")


def decode(text: bytes) -> bytes:
    """Decode age's base64. Raises HeaderFailure for any text that ``encode`` would not write."""
    try:
        raw = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise HeaderFailure("not base64") from None
    if encode(raw).encode("ascii") != text:
        raise HeaderFailure("not the canonical base64")
    return raw


def _line(head: bytes, at: int) -> tuple[bytes, int]:
    """Return the line that begins at ``at``, without its LF, and the position of the next line."""
    end = head.find(b"\n", at)
    if end < 0:
        raise HeaderFailure("the header has no end")
    return head[at:end], end + 1


def _stanza(first: bytes, head: bytes, at: int) -> tuple[Stanza, int]:
    args = first[3:].split(b" ")
    if not all(_ARGUMENT.fullmatch(arg) for arg in args):
        raise HeaderFailure("an argument is empty or not printable ASCII")
    body = []
    while True:
        line, at = _line(head, at)
        if len(line) > _COLUMNS:
            raise HeaderFailure("a line of a stanza is too long")
        body.append(decode(line))
        if len(line) < _COLUMNS:
            break
    return Stanza(tuple(arg.decode("ascii") for arg in args), b"".join(body)), at


def _mac(covered: bytes, file_key: bytes) -> bytes:
    key = HKDF(SHA256(), 32, salt=None, info=b"header").derive(file_key)
    return hmac.digest(key, covered, hashlib.sha256)
