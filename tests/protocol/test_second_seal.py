"""The second seal of a stored file: what can be opened and what cannot (SPEC section 5)."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol import second_seal
from dropbox_app.protocol.errors import PayloadFailure
from dropbox_app.protocol.stream import CHUNK


def sealed(plain: bytes, key: bytes, step: int = CHUNK) -> bytes:
    written = bytearray()
    writer = second_seal.writer(written.extend, key)
    for at in range(0, len(plain), step):
        writer.update(plain[at : at + step])
    writer.finish()
    return bytes(written)


def opened(data: bytes, key: bytes) -> bytes:
    return b"".join(second_seal.chunks(io.BytesIO(data).read, key))


@given(st.binary(max_size=300), st.integers(1, 50))
def test_sealed_data_opens_with_its_key_regardless_of_chunk_size(plain: bytes, step: int) -> None:
    key = second_seal.new_key()
    assert opened(sealed(plain, key, step), key) == plain


def test_keys_and_sealed_results_never_repeat() -> None:
    keys = {second_seal.new_key() for _ in range(1000)}
    assert {len(key) for key in keys} == {32}
    assert len(keys) == 1000
    key = second_seal.new_key()
    assert len({sealed(b"the same", key) for _ in range(100)}) == 100


def test_wrong_key_and_altered_bytes_are_refused() -> None:
    key, plain = second_seal.new_key(), b"age-encryption.org/v1\n" * 4
    whole = sealed(plain, key)
    with pytest.raises(PayloadFailure):
        opened(whole, second_seal.new_key())
    for at in range(len(whole)):
        altered = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        with pytest.raises(PayloadFailure):
            opened(altered, key)


@pytest.mark.parametrize("size", [CHUNK, CHUNK + 1, 3 * CHUNK])
def test_truncated_and_extended_data_are_refused(size: int) -> None:
    key = second_seal.new_key()
    whole = sealed(bytes(size), key)
    for cut in (whole[:-1], whole[: CHUNK + 32], whole + b"\0"):
        if cut != whole:
            with pytest.raises(PayloadFailure):
                opened(cut, key)
