"""Encodings: every value has exactly one (SPEC section 1)."""

import contextlib
import datetime
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol.encoding import (
    MAX_INTEGER,
    Json,
    b64,
    check_day,
    check_hex,
    clean_text,
    from_line,
    to_line,
    unb64,
)
from dropbox_app.protocol.errors import FormatError

KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
LEAVES = st.none() | st.booleans() | st.integers(0, MAX_INTEGER) | TEXTS


def nested(depth: int) -> st.SearchStrategy[Json]:
    """Return values of at most this depth."""
    if depth == 0:
        return LEAVES
    inner = nested(depth - 1)
    return LEAVES | st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3)


OBJECTS = st.dictionaries(KEYS, nested(3), max_size=4)


@given(OBJECTS)
def test_every_object_round_trips(value: dict[str, Json]) -> None:
    line = to_line(value)
    assert from_line(line) == value
    assert b"\n" not in line


@given(OBJECTS, st.data())
def test_noncanonical_encoding_is_refused(value: dict[str, Json], data: st.DataObject) -> None:
    """This covers every other style that Python's json can write, if it differs."""
    style = data.draw(
        st.sampled_from(
            [
                {"ensure_ascii": True, "separators": (",", ":")},
                {"ensure_ascii": False, "separators": (", ", ":")},
                {"ensure_ascii": False, "indent": 1},
            ]
        )
    )
    other = json.dumps(value, **style).encode()  # type: ignore[arg-type]  # one of the styles above
    if other != to_line(value):
        with pytest.raises(FormatError):
            from_line(other)


@given(
    st.binary(max_size=200) | st.text(alphabet='{}[]":,\\ua10ef-.\n', max_size=60).map(str.encode)
)
def test_arbitrary_bytes_are_read_unchanged_or_refused(line: bytes) -> None:
    try:
        value = from_line(line)
    except FormatError:
        return
    assert to_line(value) == line


@given(OBJECTS, st.data())
def test_changed_byte_is_never_read_as_the_same_value(
    value: dict[str, Json], data: st.DataObject
) -> None:
    line = bytearray(to_line(value))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at] ^= data.draw(st.integers(1, 255))
    try:
        other = from_line(bytes(line))
    except FormatError:
        return
    assert other != value or json.dumps(other) != json.dumps(value)  # true is not 1


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1.0},
        {"a": float("nan")},
        {"a": -1},
        {"a": 2**53},
        {"a": "\ud800"},
        {"A": 1},
        {"1a": 1},
        {"": 1},
        {"__proto__": 1},
        {"a": [[[[1]]]]},
        {"a": {"\udc00": 1}},
    ],
)
def test_value_that_a_reader_would_refuse_is_not_written(value: dict[str, Json]) -> None:
    with pytest.raises(FormatError):
        to_line(value)


def test_hostile_line_is_parsed_in_linear_time() -> None:
    """Unterminated quotes once took quadratic time: minutes for one message."""

    def cost(count: int) -> float:
        line = b'{"a":"' + b'\\"' * count
        begun = time.process_time()
        with pytest.raises(FormatError):
            from_line(line)
        return time.process_time() - begun

    # In quadratic time, the second would take 256 times as long as the first: some 130 seconds.
    assert cost(64_000) < 2 + 64 * cost(4_000)


@pytest.mark.parametrize("opening", [b"[", b"{", b'{"a":', b"[{"])
def test_deeply_nested_json_is_refused(opening: bytes) -> None:
    with pytest.raises(FormatError):
        from_line(opening * 20_000)


@given(st.binary(max_size=100))
def test_only_the_canonical_base64_encoding_is_accepted(raw: bytes) -> None:
    text = b64(raw)
    assert unb64(text, len(raw)) == raw
    for other in (text + "=", text + "\n", text.rstrip("="), " " + text, text + "é"):
        if other != text:
            with pytest.raises(FormatError):
                unb64(other, len(raw))
    with pytest.raises(FormatError):
        unb64(text, len(raw) + 1)


@given(st.binary(min_size=1, max_size=40), st.data())
def test_base64_with_nonzero_spare_bits_is_refused(raw: bytes, data: st.DataObject) -> None:
    text = b64(raw)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    at = data.draw(st.integers(0, len(text.rstrip("=")) - 1))
    other = text[:at] + data.draw(st.sampled_from(letters)) + text[at + 1 :]
    if other != text:
        with contextlib.suppress(FormatError):
            assert unb64(other, len(raw)) != raw


@given(st.dates(datetime.date(2000, 1, 1), datetime.date(2999, 12, 31)))
def test_date_round_trips(day: datetime.date) -> None:
    assert check_day(day.isoformat()) == day


@pytest.mark.parametrize(
    "text",
    ["", "2026-2-01", "2026-02-30", "26-02-01", "20260201", "2026-W05-1", "2026-02-01 ",
     "2026-02-01T00:00:00Z", "1999-12-31", "3000-01-01", "0001-01-01", "2026-02-0\u0661"],
)  # fmt: skip
def test_invalid_date_is_refused(text: str) -> None:
    with pytest.raises(FormatError):
        check_day(text)


@pytest.mark.parametrize(
    "text",
    ["", "ab", "AB" * 4, "ab" * 5, "ab" * 3 + "a", "gg" * 4, " " + "ab" * 4, "ab" * 4 + "\n"],
)
def test_hex_must_be_lower_case_and_of_fixed_length(text: str) -> None:
    assert check_hex("abcdef01", 4) == "abcdef01"
    with pytest.raises(FormatError):
        check_hex(text, 4)


@given(st.text(st.characters()))
def test_cleaned_text_is_stable_and_can_be_signed(text: str) -> None:
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert "\r" not in cleaned
    assert not any((ord(c) < 32 and c not in "\t\n") or 0x7F <= ord(c) <= 0x9F for c in cleaned)
    assert from_line(to_line({"text": cleaned})) == {"text": cleaned}


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]) | st.sampled_from("\t\n")))
def test_cleaning_ordinary_text_changes_only_line_breaks(text: str) -> None:
    assert clean_text(text) == text
    assert clean_text(text.replace("\n", "\r\n")) == text
    assert clean_text(text.replace("\n", "\r")) == text
