"""Padded sizes (SPEC section 4)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol.padding import MESSAGE_SIZES, attachment_size, padme

SIZES = st.integers(2, 2**40)


def test_messages_are_padded_to_three_sizes() -> None:
    assert MESSAGE_SIZES == (8192, 32768, 131072)


@pytest.mark.parametrize(
    ("length", "padded"),
    [
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 3),
        (8, 8),
        (9, 10),
        (16_384, 16_384),
        (16_385, 17_408),
        (100_000, 100_352),
        (1_048_577, 1_081_344),
        (100 * 2**20, 100 * 2**20),
    ],
)
def test_padme_gives_known_values(length: int, padded: int) -> None:
    assert padme(length) == padded


@given(SIZES)
def test_padme_matches_the_formula_in_the_specification(length: int) -> None:
    exponent = math.floor(math.log2(length)) if length < 2**40 else 40
    kept = math.floor(math.log2(exponent)) + 1 if exponent else 0
    unit = 2 ** max(0, exponent - kept)
    assert padme(length) == -(-length // unit) * unit


@given(SIZES)
def test_padme_never_shortens_and_is_idempotent(length: int) -> None:
    padded = padme(length)
    assert length <= padded <= length * 1.12
    assert padme(padded) == padded


@given(SIZES, SIZES)
def test_padme_preserves_order(one: int, other: int) -> None:
    assert (one <= other) is True or padme(one) >= padme(other)


def test_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be negative"):
        padme(-1)


@pytest.mark.parametrize(
    ("length", "padded"), [(0, 16_384), (1, 16_384), (16_384, 16_384), (16_385, 17_408)]
)
def test_attachment_size_is_padded(length: int, padded: int) -> None:
    assert attachment_size(length) == padded


def test_number_of_padded_sizes_up_to_the_limit_is_small() -> None:
    """SPEC section 11 promises about 370 classes up to 100 MiB."""
    size, classes = 16_384, 0
    while size <= 100 * 2**20:
        classes += 1
        size = attachment_size(size + 1)
    assert 300 < classes < 400
