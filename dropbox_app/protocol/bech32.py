"""Bech32 (BIP 173) without its 90-character limit, as age writes keys (SPEC section 1).

For speed, both directions work on whole strings and integers, and the checksum takes two characters
per step. A card contains up to 13 keys of 1,959 characters each, and is read for every page.
"""

import base64

from dropbox_app.protocol.errors import KeyFormatError

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_RFC4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_DIGITS = "0123456789abcdefghijklmnopqrstuv"  # the digits of int(text, 32)

_FROM_RFC4648 = str.maketrans(_RFC4648, _CHARSET)
_TO_DIGITS = str.maketrans(_CHARSET, _DIGITS)
_TO_VALUES = bytes.maketrans(_CHARSET.encode(), bytes(range(32)))

_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = 6  # characters


def _step(state: int) -> int:
    """Run one character of value zero through the checksum, as in BIP 173."""
    top = state >> 25
    state = (state & 0x1FFFFFF) << 5
    for bit, generator in enumerate(_GENERATOR):
        if top >> bit & 1:
            state ^= generator
    return state


# The checksum is linear, so the effect of the ten bits shifted out over two characters comes from a
# table.
_TWO_STEPS = tuple(_step(_step(top << 20)) for top in range(1024))


def encode(hrp: str, raw: bytes) -> str:
    """Encode ``raw`` in lower case, with the lower-case prefix ``hrp``."""
    data = base64.b32encode(raw).decode("ascii").rstrip("=").translate(_FROM_RFC4648)
    values = data.encode("ascii").translate(_TO_VALUES)
    check = _polymod(hrp, values + bytes(_CHECKSUM)) ^ 1
    tail = "".join(_CHARSET[check >> shift & 31] for shift in range(25, -1, -5))
    return f"{hrp}1{data}{tail}"


def decode(hrp: str, text: str) -> bytes:
    """Decode a lower-case Bech32 string with exactly the lower-case prefix ``hrp``.

    Raises KeyFormatError for a different prefix, an upper-case letter, an invalid character, a
    wrong checksum, or padding that is not the shortest run of zero bits.
    """
    head = f"{hrp}1"
    if not text.startswith(head) or len(text) < len(head) + _CHECKSUM:
        raise KeyFormatError(f"does not begin with {head}")
    body = text[len(head) :]
    # Check this before translating, because characters outside the set would remain unchanged.
    if not set(body) <= set(_CHARSET):
        raise KeyFormatError("a character that Bech32 does not use")
    if _polymod(hrp, body.encode("ascii").translate(_TO_VALUES)) != 1:
        raise KeyFormatError("the checksum is wrong")
    data = body[:-_CHECKSUM]
    length, padding = divmod(len(data) * 5, 8)
    number = int(data.translate(_TO_DIGITS) or "0", 32)
    if padding >= 5 or number & ((1 << padding) - 1):
        raise KeyFormatError("the padding is wrong")
    return (number >> padding).to_bytes(length, "big")


def _polymod(hrp: str, values: bytes) -> int:
    prefix = hrp.encode("ascii")
    every = bytes(c >> 5 for c in prefix) + b"\x00" + bytes(c & 31 for c in prefix) + values
    state = 1
    if len(every) % 2:  # if the number is odd, one single character comes first, and then pairs
        state = _step(state) ^ every[0]
        every = every[1:]
    table = _TWO_STEPS
    for first, second in zip(every[::2], every[1::2], strict=True):
        state = (state & 0xFFFFF) << 10 ^ table[state >> 20] ^ first << 5 ^ second
    return state
