"""Sealed files made and opened here; the published vectors are in test_age_vectors.py."""

import io
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol import age, age_header
from dropbox_app.protocol.errors import (
    AgeError,
    HeaderFailure,
    HmacFailure,
    NoMatch,
    PayloadFailure,
    WrongPassphrase,
)
from dropbox_app.protocol.keys import Seed
from dropbox_app.protocol.stream import CHUNK, PayloadWriter

SEEDS = [Seed(bytes([number]) * 32) for number in range(6)]
RECIPIENTS = [seed.recipient() for seed in SEEDS]
EDGES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7)


def pattern(length: int) -> bytes:
    return bytes(range(251)) * (length // 251) + bytes(range(length % 251))


def in_pieces(data: bytes, size: int) -> Callable[[int], bytes]:
    """Return a ``read`` that returns less than requested, like pipes and sockets."""
    source = io.BytesIO(data)
    return lambda wanted: source.read(min(size, wanted))


# -- Recipients


@pytest.mark.parametrize("length", EDGES)
def test_sealed_file_round_trips(length: int) -> None:
    sealed = age.seal(pattern(length), RECIPIENTS[:2])
    for seed in SEEDS[:2]:
        assert age.open_sealed(sealed, [seed]) == pattern(length)


def test_each_of_six_recipients_can_open_the_file_even_with_other_keys_present() -> None:
    sealed = age.seal(b"text", RECIPIENTS)
    for seed in SEEDS:
        assert age.open_sealed(sealed, [Seed.generate(), seed]) == b"text"


def test_other_keys_do_not_open_the_file() -> None:
    sealed = age.seal(b"text", RECIPIENTS[:2])
    for seeds in ([], SEEDS[2:]):
        with pytest.raises(NoMatch):
            age.open_sealed(sealed, seeds)


def test_equal_texts_give_different_files() -> None:
    one, other = (age.seal(b"text", RECIPIENTS[:1]) for _ in range(2))
    assert age.parse_header(one).stanzas != age.parse_header(other).stanzas
    assert one[-20:] != other[-20:]


@pytest.mark.parametrize("count", [0, age.MAX_RECIPIENTS + 1])
def test_too_few_or_too_many_recipients_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 80"):
        age.seal(b"", RECIPIENTS[:1] * count)


def test_maximum_number_of_recipients_is_accepted() -> None:
    sealed = age.seal(b"text", [*RECIPIENTS[:1] * (age.MAX_RECIPIENTS - 1), RECIPIENTS[1]])
    assert age.open_sealed(sealed, SEEDS[1:2]) == b"text"


# -- Streams


@pytest.mark.parametrize("piece", [1, 1000, CHUNK, CHUNK + 1, 10**9])
@pytest.mark.parametrize("length", [0, CHUNK, 2 * CHUNK + 5])
def test_stream_can_be_read_in_pieces_of_any_size(length: int, piece: int) -> None:
    plaintext = pattern(length)
    sealed, opened = io.BytesIO(), io.BytesIO()
    sealer = age.Sealer(sealed.write, RECIPIENTS[:1])
    for at in range(0, length, piece):
        sealer.update(plaintext[at : at + piece])
    sealer.finish()
    read = in_pieces(sealed.getvalue(), piece)
    assert age.open_stream(read, opened.write, SEEDS[:1]) == length
    assert opened.getvalue() == plaintext


def test_unfinished_file_does_not_open() -> None:
    sealed = io.BytesIO()
    sealer = age.Sealer(sealed.write, RECIPIENTS[:1])
    sealer.update(pattern(2 * CHUNK))
    with pytest.raises(PayloadFailure):
        age.open_sealed(sealed.getvalue(), SEEDS[:1])


def test_sealer_can_be_used_only_once() -> None:
    sealer = age.Sealer(io.BytesIO().write, RECIPIENTS[:1])
    sealer.finish()
    with pytest.raises(ValueError, match="finished"):
        sealer.update(b"more")
    with pytest.raises(ValueError, match="finished"):
        sealer.finish()


def test_only_complete_chunks_are_released_before_a_fault() -> None:
    sealed = bytearray(age.seal(pattern(3 * CHUNK), RECIPIENTS[:1]))
    sealed[-1] ^= 1
    released = io.BytesIO()
    with pytest.raises(PayloadFailure):
        age.open_stream(io.BytesIO(sealed).read, released.write, SEEDS[:1])
    assert released.getvalue() == pattern(3 * CHUNK)[: 2 * CHUNK]


def test_reordered_chunks_do_not_open() -> None:
    sealed = age.seal(pattern(2 * CHUNK) + b"end", RECIPIENTS[:1])
    start = age.header_length(1) + 16
    first, second = (sealed[start + n * (CHUNK + 16) :][: CHUNK + 16] for n in (0, 1))
    swapped = sealed[:start] + second + first + sealed[start + 2 * (CHUNK + 16) :]
    with pytest.raises(PayloadFailure):
        age.open_sealed(swapped, SEEDS[:1])


def test_memory_used_for_sealing_and_opening_a_large_file_stays_small() -> None:
    """200 MB pass in both directions at once, and neither end stores the file."""
    total, block = 200_000_000, bytes(100_000)
    held = bytearray()
    sealer = age.Sealer(held.extend, RECIPIENTS[:3])
    left = total // len(block)

    def read(wanted: int) -> bytes:
        nonlocal left
        while len(held) < wanted and left >= 0:
            if left:
                sealer.update(block)
            else:
                sealer.finish()
            left -= 1
        answer = bytes(held[:wanted])
        del held[:wanted]
        return answer

    tracemalloc.start()
    try:
        assert age.open_stream(read, lambda chunk: None, SEEDS[2:3]) == total
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000


# -- Faults


def test_every_flipped_byte_of_a_small_file_is_detected() -> None:
    sealed = age.seal(b"text", RECIPIENTS[:1])
    for at in range(len(sealed)):
        altered = bytearray(sealed)
        altered[at] ^= 1 << at % 8
        with pytest.raises(AgeError):
            age.open_sealed(bytes(altered), SEEDS[:1])


@given(st.data())
def test_file_with_any_flipped_bit_never_opens(data: st.DataObject) -> None:
    sealed = bytearray(TWO_CHUNKS)
    # Half of the faults are in the header, which is a hundredth of the file.
    end = data.draw(st.sampled_from([age.header_length(2), len(sealed)]))
    sealed[data.draw(st.integers(0, end - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(AgeError):
        age.open_sealed(bytes(sealed), SEEDS[1:2])


TWO_CHUNKS = age.seal(pattern(2 * CHUNK), RECIPIENTS[:2])


@given(st.integers(0, len(TWO_CHUNKS) - 1))
def test_truncated_file_never_opens(length: int) -> None:
    with pytest.raises(AgeError):
        age.open_sealed(TWO_CHUNKS[:length], SEEDS[:1])


@given(st.binary(min_size=1, max_size=40))
def test_trailing_bytes_are_refused(tail: bytes) -> None:
    with pytest.raises(PayloadFailure):
        age.open_sealed(TWO_CHUNKS + tail, SEEDS[:1])


def test_payload_forged_by_another_recipient_under_the_same_header_opens() -> None:
    """This is why SPEC section 0 takes the author from the signed line: age cannot detect this."""
    sealed = age.seal(b"hers", RECIPIENTS[:2])
    header = age.parse_header(sealed)
    stolen = file_key_of(sealed, SEEDS[0])
    parts = [sealed[: header.length]]
    writer = PayloadWriter(parts.append, stolen, bytes(16))
    writer.update(b"not hers")
    writer.finish()
    assert age.open_sealed(b"".join(parts), SEEDS[1:2]) == b"not hers"


def file_key_of(sealed: bytes, seed: Seed) -> bytes:
    for stanza in age.parse_header(sealed).stanzas:
        file_key = seed.unwrap(age_header.decode(stanza.args[1].encode()), stanza.body)
        if file_key is not None:
            return file_key
    raise AssertionError


def rewritten(stanzas: list[age.Stanza], file_key: bytes, mac_key: bytes | None = None) -> bytes:
    parts = [age_header.write_header(stanzas, mac_key or file_key)]
    writer = PayloadWriter(parts.append, file_key, bytes(16))
    writer.update(b"text")
    writer.finish()
    return b"".join(parts)


def test_grease_stanza_is_skipped() -> None:
    sealed = age.seal(b"text", RECIPIENTS[:1])
    key = file_key_of(sealed, SEEDS[0])
    grease = age.Stanza(("A-grease", "!~"), bytes(96))
    ours = age.parse_header(sealed).stanzas[0]
    assert age.open_sealed(rewritten([grease, ours, grease], key), SEEDS[:1]) == b"text"


def test_header_made_with_a_different_key_is_refused() -> None:
    sealed = age.seal(b"text", RECIPIENTS[:1])
    key = file_key_of(sealed, SEEDS[0])
    ours = age.parse_header(sealed).stanzas[0]
    with pytest.raises(HmacFailure):
        age.open_sealed(rewritten([ours], key, mac_key=bytes(16)), SEEDS[:1])


def test_malformed_stanza_is_refused_in_any_position() -> None:
    sealed = age.seal(b"text", RECIPIENTS[:1])
    key = file_key_of(sealed, SEEDS[0])
    ours = age.parse_header(sealed).stanzas[0]
    for bad in (
        age.Stanza(ours.args, ours.body[:-1]),
        age.Stanza((*ours.args, "more"), ours.body),
        age.Stanza(ours.args[:1], ours.body),
        age.Stanza((ours.args[0], ours.args[1][:-4]), ours.body),
    ):
        for stanzas in ([bad, ours], [ours, bad]):
            with pytest.raises(HeaderFailure):
                age.open_sealed(rewritten(stanzas, key), SEEDS[:1])


# -- Passphrases (log N of 10 where the cost is not what is tested)


@pytest.mark.slow
def test_passphrase_round_trip_at_default_cost() -> None:
    sealed = age.seal_with_passphrase(b"vault", "correct horse")
    assert age.parse_header(sealed).stanzas[0].args[2] == "18"
    assert age.open_with_passphrase(sealed, "correct horse") == b"vault"


@pytest.mark.long
def test_highest_passphrase_cost_is_accepted() -> None:
    """This test uses 1 GiB of memory and takes seconds."""
    sealed = age.seal_with_passphrase(b"vault", "correct horse", log_n=20)
    assert age.open_with_passphrase(sealed, "correct horse") == b"vault"


@pytest.mark.parametrize("length", [0, CHUNK, CHUNK + 1])
def test_shortest_longest_and_non_ascii_passphrases_round_trip(length: int) -> None:
    sealed = age.seal_with_passphrase(pattern(length), "één zin ☂", log_n=10)
    assert age.open_with_passphrase(sealed, "één zin ☂") == pattern(length)


def test_wrong_passphrase_is_refused() -> None:
    sealed = age.seal_with_passphrase(b"vault", "correct horse", log_n=10)
    with pytest.raises(WrongPassphrase):
        age.open_with_passphrase(sealed, "correct Horse")


def test_passphrase_and_recipient_files_are_distinguished() -> None:
    with pytest.raises(NoMatch) as caught:
        age.open_with_passphrase(age.seal(b"", RECIPIENTS[:1]), "correct horse")
    assert not isinstance(caught.value, WrongPassphrase)
    with pytest.raises(NoMatch):
        age.open_sealed(age.seal_with_passphrase(b"", "correct horse", log_n=1), SEEDS)


@pytest.mark.parametrize(("passphrase", "log_n"), [("", 18), ("x", 0), ("x", 21)])
def test_invalid_passphrase_or_cost_cannot_seal(passphrase: str, log_n: int) -> None:
    with pytest.raises(ValueError, match="1 to 20"):
        age.seal_with_passphrase(b"", passphrase, log_n)


@pytest.mark.parametrize("cost", ["21", "99", "100", "4294967297", "0", "010", "+10"])
def test_unsupported_passphrase_costs_are_refused(cost: str) -> None:
    stanza = age.parse_header(age.seal_with_passphrase(b"", "x", log_n=1)).stanzas[0]
    sealed = rewritten([age.Stanza((*stanza.args[:2], cost), stanza.body)], bytes(16))
    with pytest.raises(HeaderFailure):
        age.open_with_passphrase(sealed, "x")


@given(st.data())
def test_flipped_bit_in_passphrase_file_is_detected(data: st.DataObject) -> None:
    sealed = bytearray(PASSPHRASE_FILE)
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(AgeError):
        age.open_with_passphrase(bytes(sealed), "x")


PASSPHRASE_FILE = age.seal_with_passphrase(b"vault", "x", log_n=1)
