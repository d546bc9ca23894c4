"""Untrusted headers: one encoding of each, bounded size, and no error other than AgeError."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol import age, age_header
from dropbox_app.protocol.errors import AgeError, HeaderFailure
from dropbox_app.protocol.keys import Seed
from dropbox_app.protocol.stream import PayloadWriter

SEED = Seed(bytes(32))
HYBRID = age.seal(b"text", [SEED.recipient()] * 2)
MAC = b"--- " + b"A" * 43 + b"\n"
VERSION = b"age-encryption.org/v1\n"

# Inputs that a fuzzer would take long to guess.
FRAGMENTS = st.sampled_from(
    [
        VERSION,
        b"-> ",
        b"-> a\n",
        b"-> scrypt AAAAAAAAAAAAAAAAAAAAAA 1\n",
        b"-> mlkem768x25519 ",
        b"A" * 1494,
        b"A" * 64 + b"\n",
        b"A" * 43 + b"\n",
        b"\n",
        b" ",
        b"=",
        b"\r\n",
        MAC,
        MAC[:-1],
        b"---",
        bytes(16),
        HYBRID,
        HYBRID[:2000],
    ]
)


@given(st.lists(FRAGMENTS | st.binary(max_size=8), max_size=12).map(b"".join), st.booleans())
def test_arbitrary_bytes_are_parsed_or_refused(tail: bytes, whole: bool) -> None:
    data = tail if whole else VERSION + tail
    for attempt in (
        lambda: age.open_sealed(data, [SEED]),
        lambda: age.open_with_passphrase(data, "x"),
        lambda: age.check_shape(data, len(data), 2, "messages"),
    ):
        try:
            attempt()
        except AgeError:
            continue
    try:
        header = age.parse_header(data)
    except HeaderFailure:
        return
    written = age_header.write_header(header.stanzas, bytes(16))
    assert written[:-45] == data[: header.length - 45]
    assert len(written) == header.length


STANZAS = st.lists(
    st.builds(
        age.Stanza,
        st.lists(
            st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20),
            min_size=1,
            max_size=4,
        )
        .map(tuple)
        .filter(lambda args: args[0] != "scrypt"),
        st.binary(max_size=200),
    ),
    min_size=1,
    max_size=5,
)


@given(STANZAS, st.binary(max_size=100))
def test_header_round_trips(stanzas: list[age.Stanza], rest: bytes) -> None:
    written = age_header.write_header(stanzas, bytes(16))
    header = age.parse_header(written + rest)
    assert list(header.stanzas) == stanzas
    assert header.length == len(written)
    age_header.check_mac(written + rest, header, bytes(16))


@pytest.mark.parametrize("length", [0, 1, 47, 48, 49, 95, 96, 97])
def test_last_body_line_is_always_short(length: int) -> None:
    written = age_header.write_header([age.Stanza(("a",), bytes(length))], bytes(16))
    lines = written.split(b"\n")[2:-2]
    assert [len(line) == 64 for line in lines] == [True] * (length // 48) + [False]
    assert age.parse_header(written).stanzas[0].body == bytes(length)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        VERSION,
        VERSION + MAC,  # no recipient
        VERSION.replace(b"v1", b"v2") + b"-> a\n\n" + MAC,
        VERSION + b"-> a\n\n" + MAC[:-1],  # no LF
        VERSION + b"-> a\n\n-- " + b"A" * 43 + b"\n",
        VERSION + b"-> a\n\n--- " + b"A" * 42 + b"\n",
        VERSION + b"-> a\n\n--- " + b"A" * 42 + b"B\n",  # not canonical
        VERSION + b"-> a\x7f\n\n" + MAC,
        VERSION + b"-> \xc3\xa9\n\n" + MAC,
        VERSION + b"->\n\n" + MAC,
        VERSION + b"-> a \n\n" + MAC,
        VERSION + b"-> a\nAAAA=\n" + MAC,
        VERSION + b"-> a\nA\n" + MAC,
        VERSION + b"-> scrypt\n\n-> a\n\n" + MAC,
        VERSION + b"-> scrypt\n\n-> scrypt\n\n" + MAC,
    ],
)
def test_malformed_header_is_refused(data: bytes) -> None:
    with pytest.raises(HeaderFailure):
        age.parse_header(data)


def test_endless_header_is_not_read_forever() -> None:
    taken = 0

    def endless(wanted: int) -> bytes:
        nonlocal taken
        taken += wanted
        return (VERSION if taken == wanted else b"-> a\n\n").ljust(wanted, b"A")

    with pytest.raises(HeaderFailure):
        age.open_stream(endless, lambda chunk: None, [SEED])
    assert taken < age_header.MAX_HEADER + 5000


def test_header_over_the_limit_is_refused() -> None:
    stanzas = [age.Stanza(("a",), bytes(90_000)), age.Stanza(("b",), bytes(9_000))]
    written = age_header.write_header(stanzas, bytes(16))
    assert len(written) > age_header.MAX_HEADER
    with pytest.raises(HeaderFailure):
        age.parse_header(written)


@pytest.mark.parametrize("filler", range(4000, 4110))
def test_mac_line_may_span_two_blocks(filler: int) -> None:
    """The header is read block by block, so its end may be anywhere in one."""
    file_key = bytes(16)
    stanza = age.Stanza(("a", "x" * filler), b"")
    parts = [age_header.write_header([stanza], file_key)]
    writer = PayloadWriter(parts.append, file_key, bytes(16))
    writer.update(b"text")
    writer.finish()
    out = io.BytesIO()
    age.open_with_file_key(io.BytesIO(b"".join(parts)).read, out.write, file_key)
    assert out.getvalue() == b"text"
