"""Sealed files and their parts (SPEC section 6): bytes, part ids and the item id."""

from collections.abc import Sequence

from dropbox_app.protocol import age
from dropbox_app.protocol.attachment import FILE_PART
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.protocol.stream import CHUNK, NONCE, PayloadWriter
from tests.vectors.world import Pieces, Vector, join, secret

UNIT = bytes(range(251))  # no divisor of a chunk or a part, so none of them begins alike
FILE_KEY = secret("a file in parts")[:16]
PAYLOAD_NONCE = secret("nonce of a file in parts")[:NONCE]


def file_vectors() -> list[Vector]:
    """Return files of several lengths. The header may be any: it is only put before the payload."""
    one, five = age.header_length(1), age.header_length(5)
    return [
        _file("an empty file, which is all padding", 0, one),
        _file("one byte", 1, one),
        _file("exactly one chunk with its padding", CHUNK, one),
        _file("one byte more than a chunk", CHUNK + 1, five),
        _file("the longest file that is one part", 4_128_768, one),
        _file("two parts, of which the second is short", FILE_PART, one),
        _file("three parts, for five counsellors", 2 * FILE_PART + 123_456, five),
    ]


def content(size: int) -> Pieces:
    """Return a content that never repeats at a chunk's length, as pieces."""
    times, rest = divmod(size, len(UNIT))
    return [
        [{"hex": UNIT[:length].hex()}, count]
        for length, count in ((251, times), (rest, 1))
        if count * length
    ]


def parts_of(sealed: bytes) -> Sequence[bytes]:
    return [sealed[at : at + FILE_PART] for at in range(0, len(sealed), FILE_PART)]


def seal(header: bytes, plain: bytes) -> bytes:
    """Seal a content as SPEC sections 4 and 6 say, with the file key and nonce of these vectors."""
    sealed = bytearray(header)
    writer = PayloadWriter(sealed.extend, FILE_KEY, PAYLOAD_NONCE)
    writer.update(plain)
    writer.update(bytes(attachment_size(len(plain)) - len(plain)))
    writer.finish()
    return bytes(sealed)


def _file(comment: str, size: int, header: int) -> Vector:
    start: Pieces = [["h", header]]
    plain = content(size)
    sealed = seal(join(start), join(plain))
    return {
        "comment": comment,
        "header": start,
        "file_key": FILE_KEY.hex(),
        "nonce": PAYLOAD_NONCE.hex(),
        "content": plain,
        "expect": {
            "length": len(sealed),
            "parts": [sha256_hex(part) for part in parts_of(sealed)],
            "item": sha256_hex(sealed),
        },
    }
