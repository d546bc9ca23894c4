"""Single messages: limits, form, and hostile contents (SPEC section 4)."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol.encoding import Json, to_line
from dropbox_app.protocol.errors import FormatError, KeyFormatError, MessageError, TooLong
from dropbox_app.protocol.keys import SigningKey
from dropbox_app.protocol.messages import (
    KINDS,
    MAX_TEXT,
    free_text_size,
    lay_out,
    pad_lines,
    parse,
)
from dropbox_app.protocol.padding import MESSAGE_SIZES
from tests.vectors.make import stored
from tests.vectors.message_cases import PREV, full_message
from tests.vectors.world import (
    ANNA,
    DAY,
    MAILBOX,
    REPORTER_KEYS,
    SITE,
    counsellor_fields,
    from_reporter,
    join,
    reporter_fields,
    signed,
    signed_line,
)

OWN = REPORTER_KEYS.signing
GOOD = [join(vector["plaintext"]) for vector in stored("messages") if vector["expect"]["read"]]

# Every value of JSON, of the wrong type for most fields.
SHAPES: list[Json] = [
    [], {}, [{}], [None], [[]], [["a"]], ["a"], [1], {"a": 1}, [{"by": 1}],
    [{"by": "reporter", "n": True}], "reporter", "ab" * 16, "ab" * 32,
]  # fmt: skip
VALUES: st.SearchStrategy[Json] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2**53 - 1),
    st.text(max_size=20),
    st.sampled_from(SHAPES),
)


@pytest.mark.parametrize("worst", ['"', "\\", "\n", "\t", "\u2028", "é", "🙂"])
@pytest.mark.parametrize("names", [0, 255])
def test_largest_text_fits_with_every_other_field_at_its_maximum(worst: str, names: int) -> None:
    """5 wanted, 20 former, 20 seen, 10 files, whichever of the 60,000 bytes need escaping."""
    room = MAX_TEXT - 10 * names
    text = worst * (room // len(worst.encode()))
    fields = full_message(text, names=names)
    assert free_text_size(fields) > MAX_TEXT - 4
    assert len(lay_out(fields, OWN)) in MESSAGE_SIZES


@pytest.mark.parametrize("more", [1, 2, 40_000, 71_000, 1_000_000])
def test_error_for_overlong_text_states_its_size_and_the_limit(more: int) -> None:
    """Even if the whole message fits no size, the stated limit is that of texts."""
    for fields in (
        reporter_fields(1, text="a" * (MAX_TEXT + more)),
        full_message("a" * (MAX_TEXT - 2550 + more), names=255),
    ):
        with pytest.raises(TooLong) as too_long:
            lay_out(fields, OWN)
        assert (too_long.value.size, too_long.value.limit) == (MAX_TEXT + more, MAX_TEXT)


def test_only_free_text_counts_towards_the_limit() -> None:
    options: list[Json] = [
        {"title": "ab", "pro": "é", "con": ""},
        {"title": "", "pro": "", "con": "c"},
    ]
    assert free_text_size({"text": "abc", "options": options}) == 8
    assert free_text_size({"step": "a", "with": "bc", "scope": "é"}) == 5
    files: list[Json] = [{"name": "é.pdf", "type": "application/pdf"}, {"name": "b"}]
    assert free_text_size({"text": "", "attachments": files}) == 7
    assert free_text_size({"kind": "report", "lang": "nl", "answers": {"safe": "yes"}}) == 0


@given(st.integers(0, 131072 - 90))
def test_padding_gives_the_smallest_size_that_fits(length: int) -> None:
    padded = pad_lines(b"x" * length, b"y" * 88)
    fitting = [size for size in MESSAGE_SIZES if size >= length + 90]
    assert len(padded) == fitting[0]
    assert padded.rstrip(b" ") == b"x" * length + b"\n" + b"y" * 88 + b"\n"


@given(st.sampled_from(GOOD[:14]), st.data())
def test_message_with_any_layout_byte_changed_is_refused(
    plaintext: bytes, data: st.DataObject
) -> None:
    """Outside line 1, no byte of the signature's encoding or of the padding can vary."""
    changed = bytearray(plaintext)
    end = plaintext.index(b"\n")
    at = data.draw(st.one_of(st.integers(end, end + 95), st.integers(end, len(plaintext) - 1)))
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        message = parse(bytes(changed))
    except (FormatError, MessageError):
        return
    assert message.line == plaintext[:end]
    assert message.signature != parse(plaintext).signature


@given(st.binary(max_size=400), st.booleans())
def test_arbitrary_bytes_raise_only_the_message_error(raw: bytes, padded: bool) -> None:
    with pytest.raises((FormatError, MessageError)):
        parse(raw.ljust(8192, b" ") if padded else raw)


@given(
    st.sampled_from([reporter_fields(1), reporter_fields(2, prev=PREV), counsellor_fields(1)]),
    st.data(),
)
def test_signed_message_with_wrong_field_types_is_parsed_or_refused(
    fields: dict[str, Json], data: st.DataObject
) -> None:
    """An author may sign anything, and a colleague's desk must not crash on it."""
    names = [*fields, "prev", "thread", "status", "options", "step", "request", "answer"]
    changed = dict(fields)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.sampled_from(names))] = data.draw(VALUES)
    if data.draw(st.booleans()):
        changed["kind"] = data.draw(st.sampled_from([*KINDS, "newer"]))
    try:
        message = parse(signed(changed, OWN))
    except (FormatError, MessageError):
        return
    assert message.line == to_line(changed)
    assert isinstance(message.text, str)
    assert isinstance(message.n, int)
    assert isinstance(message.day, datetime.date)


@given(st.recursive(VALUES, lambda inner: st.lists(inner, max_size=4), max_leaves=8))
def test_hostile_answers_are_read_as_known_values_or_refused(value: Json) -> None:
    for field in ("needs", "safe"):
        try:
            plaintext = from_reporter(reporter_fields(1, answers={field: value}))
            message = parse(plaintext)
        except (FormatError, MessageError):
            continue
        answers = message.body["answers"]
        assert isinstance(answers, dict)
        words = answers[field] if field == "needs" else [answers[field]]
        assert isinstance(words, list)
        assert all(isinstance(word, str) and word.isascii() for word in words)


def test_message_that_a_reader_would_refuse_is_not_signed() -> None:
    for fields in (
        reporter_fields(1, text="\u0000"),
        reporter_fields(2),
        reporter_fields(1, day="morgen"),
        reporter_fields(1) | {"to": []},
    ):
        with pytest.raises((FormatError, MessageError)):
            lay_out(fields, OWN)


def test_valid_message_round_trips() -> None:
    message = parse(lay_out(counsellor_fields(1, text="Dank je."), ANNA))
    assert (message.site, message.mailbox, message.by) == (SITE, MAILBOX, str(ANNA.verify_key))
    assert (message.n, message.prev, message.day, message.lang) == (1, None, DAY, "nl")
    assert (message.kind, message.text, message.known_kind) == ("reply", "Dank je.", True)
    assert message.seen == (("reporter", 1),)
    assert message.to == (ANNA.verify_key,)
    assert message.reporter is None


def test_unusable_recipient_is_detected_on_use() -> None:
    own: Json = {"recipient": "age1pq1x", "verify": str(REPORTER_KEYS.verify)}
    message = parse(from_reporter(reporter_fields(1, reporter=own)))
    assert message.reporter is not None
    with pytest.raises(KeyFormatError):
        _ = message.reporter.recipient


@given(st.integers(0, 2**256 - 1))
def test_message_does_not_reveal_its_signing_key(seed: int) -> None:
    """``parse`` checks only the form; the thread reader determines the signer."""
    signing = SigningKey(seed.to_bytes(32, "big"))
    assert parse(signed_line(to_line(reporter_fields(1)), signing)).by == "reporter"
