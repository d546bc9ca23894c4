"""Bech32 without the 90-character cap: strict decoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol import bech32
from dropbox_app.protocol.errors import KeyFormatError

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


@pytest.mark.parametrize(
    ("hrp", "text", "length"),
    [
        ("a", "a12uel5l", 0),
        ("abcdef", "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", 20),
        ("split", "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w", 30),
        ("1", "11" + "q" * 82 + "c8247j", 51),
    ],
)
def test_bip_173_valid_strings_decode(hrp: str, text: str, length: int) -> None:
    raw = bech32.decode(hrp, text)
    assert len(raw) == length
    assert bech32.encode(hrp, raw) == text


@pytest.mark.parametrize(
    ("hrp", "text"),
    [
        ("a", "A12UEL5L"),  # upper case, which the caller must handle
        ("a", "a12UEL5L"),  # mixed case
        ("b", "a12uel5l"),  # another prefix
        ("a", "a12uel5"),  # a checksum too short
        ("a", "a1"),
        ("a", ""),
        ("x", "x1b4n0q5v"),  # b is not in the set
        ("a", "a12uel5\u0131"),  # nor is a letter that only looks like one
        ("a", "a12uel5m"),  # wrong checksum
        ("a", "a1lqfn3a"),  # the checksum of Bech32m
        ("11", "11" + "q" * 82 + "c8247j"),  # the prefix ends at the last 1
    ],
)
def test_invalid_bech32_strings_are_refused(hrp: str, text: str) -> None:
    with pytest.raises(KeyFormatError):
        bech32.decode(hrp, text)


@given(st.binary(max_size=1400))
def test_encoded_bytes_round_trip(raw: bytes) -> None:
    text = bech32.encode("age1pq", raw)
    assert text == text.lower()
    assert bech32.decode("age1pq", text) == raw


@given(st.binary(max_size=40), st.data())
def test_one_wrong_character_is_always_detected(raw: bytes, data: st.DataObject) -> None:
    text = bech32.encode("age", raw)
    at = data.draw(st.integers(len("age1"), len(text) - 1))
    other = data.draw(st.sampled_from([c for c in CHARSET if c != text[at]]))
    with pytest.raises(KeyFormatError):
        bech32.decode("age", text[:at] + other + text[at + 1 :])


@given(st.text(max_size=60))
def test_arbitrary_text_is_decoded_or_refused(text: str) -> None:
    try:
        raw = bech32.decode("a", "a1" + text)
    except KeyFormatError:
        return
    assert bech32.encode("a", raw) == "a1" + text


@pytest.mark.parametrize("data", ["p", "qp", "qqq", "qqqqqq"])
def test_bech32_padding_must_be_short_and_zero(data: str) -> None:
    """The checksum is valid in each; only the five-bit groups are not whole bytes."""
    with pytest.raises(KeyFormatError, match="padding"):
        bech32.decode("a", "a1" + data + _tail(data))


def _tail(data: str) -> str:
    """Return the checksum of any five-bit groups, by the definition in BIP 173."""
    values = [3, 0, 1, *(CHARSET.index(c) for c in data), *[0] * 6]
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(
            (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
        ):
            state ^= generator if top >> bit & 1 else 0
    state ^= 1
    return "".join(CHARSET[state >> 5 * (5 - i) & 31] for i in range(6))
