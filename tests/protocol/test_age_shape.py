"""The server's rule for files that it cannot open (SPEC section 6)."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol import age, age_header
from dropbox_app.protocol.errors import HeaderFailure
from dropbox_app.protocol.keys import Seed
from dropbox_app.protocol.padding import MESSAGE_SIZES, attachment_size

RECIPIENT = Seed(bytes(32)).recipient()
HEADERS = {count: age.seal(b"x", [RECIPIENT] * count) for count in range(1, 5)}


@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("length", [0, 1, 8192, 65_535, 65_536, 65_537, 131_072, 200_000])
def test_length_formula_matches_real_files(length: int, count: int) -> None:
    sealed = age.seal(bytes(length), [RECIPIENT] * count)
    assert len(sealed) == age.sealed_length(length, count)
    assert age.parse_header(sealed).length == age.header_length(count) == 70 + 1557 * count
    if length:
        chunks = -(-length // 65_536)
        assert len(sealed) == 70 + 1557 * count + 16 + length + 16 * chunks


@pytest.mark.parametrize("size", MESSAGE_SIZES)
def test_sealed_messages_have_an_accepted_shape(size: int) -> None:
    sealed = age.seal(bytes(size), [RECIPIENT] * 2)
    age.check_shape(sealed, len(sealed), 2, "messages")
    for count in (0, 1, 3):
        with pytest.raises(HeaderFailure, match="2 stanzas"):
            age.check_shape(sealed, len(sealed), count, "messages")


def accepted(total: int, count: int, sizes: Literal["messages", "files"]) -> bool:
    try:
        age.check_shape(HEADERS[count], total, count, sizes)
    except HeaderFailure:
        return False
    return True


@given(st.integers(1, 300_000), st.integers(1, 4))
def test_only_the_three_message_sizes_are_accepted(length: int, count: int) -> None:
    total = age.sealed_length(length, count)
    assert accepted(total, count, "messages") == (length in MESSAGE_SIZES)


@given(st.integers(1, 2**30), st.integers(1, 4))
def test_only_padded_file_sizes_are_accepted(length: int, count: int) -> None:
    assert accepted(age.sealed_length(attachment_size(length), count), count, "files")
    padded = length == attachment_size(length)
    assert accepted(age.sealed_length(length, count), count, "files") == padded


@given(st.integers(0, 400_000))
def test_only_lengths_that_the_formula_gives_are_accepted(total: int) -> None:
    totals = {age.sealed_length(size, 1) for size in MESSAGE_SIZES}
    assert accepted(total, 1, "messages") == (total in totals)


@pytest.mark.parametrize("size", [*MESSAGE_SIZES, 16_384, 65_536, 2**20])
@pytest.mark.parametrize("off", [-17, -16, -1, 1, 16, 17])
def test_length_off_by_a_few_bytes_is_refused(size: int, off: int) -> None:
    total = age.sealed_length(size, 1) + off
    assert not accepted(total, 1, "messages")
    assert not accepted(total, 1, "files")


def test_shape_check_needs_all_header_bytes_and_nothing_else() -> None:
    size = 100 * 2**20
    start = HEADERS[3][: age.header_length(3)]
    age.check_shape(start, age.sealed_length(size, 3), 3, "files")
    with pytest.raises(HeaderFailure):
        age.check_shape(start[:-1], age.sealed_length(size, 3), 3, "files")


def test_empty_file_is_refused() -> None:
    assert not accepted(age.sealed_length(0, 1), 1, "messages")
    assert not accepted(age.header_length(1), 1, "messages")


def test_header_with_any_other_kind_of_stanza_is_refused() -> None:
    stanza = age.parse_header(HEADERS[1]).stanzas[0]
    kind, enc = stanza.args
    classic = age.Stanza(("X25519", "A" * 43), bytes(32))
    for bad in (
        [stanza, classic],
        [stanza, age.Stanza(("x-grease", "a"), bytes(10))],
        [stanza, age.Stanza((kind.upper(), enc), stanza.body)],
        [stanza, age.Stanza((kind, enc[:-3]), stanza.body)],
        [stanza, age.Stanza((kind, enc, "a"), stanza.body)],
        [stanza, age.Stanza((kind, enc), stanza.body + b"\x00")],
        [stanza, age.Stanza((kind, enc), stanza.body[:-1])],
    ):
        written = age_header.write_header(bad, bytes(16))
        total = len(written) + 16 + 8192 + 16
        with pytest.raises(HeaderFailure):
            age.check_shape(written, total, 2, "messages")
    passphrase = age.seal_with_passphrase(bytes(8192), "x", log_n=1)
    with pytest.raises(HeaderFailure):
        age.check_shape(passphrase, len(passphrase), 1, "messages")
