"""Counsellor cards: issued ones are accepted, and no expired key is used (SPEC section 3)."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.protocol import card
from dropbox_app.protocol.encoding import Json, from_line
from dropbox_app.protocol.errors import CardError
from tests.vectors.card_cases import fields_of, sign_card
from tests.vectors.world import ANNA, BRAM, DAY, OTHER_SITE, SITE, issue_card, windows

GOOD = issue_card("anna", serial=3)
DAYS = st.dates(datetime.date(2000, 3, 1), datetime.date(2999, 8, 1))
ONE_DAY = datetime.timedelta(days=1)


def test_issued_card_parses_field_by_field() -> None:
    away = card.Away(DAY + 30 * ONE_DAY, BRAM.verify_key)
    read = card.parse(issue_card("anna", serial=5, away=away))
    assert (read.site, read.serial, read.issued, read.name) == (SITE, 5, DAY, "Anna")
    assert (read.kind, read.scope, read.languages) == ("external", "both", ("nl", "en"))
    assert read.identity == ANNA.verify_key
    assert read.sealing == tuple(windows("anna", datetime.date(2026, 2, 1), 5))
    assert read.away == away
    assert fields_of(read.raw) == from_line(read.raw.split(b"\n")[0])


def test_optional_card_fields_round_trip_and_may_be_absent() -> None:
    said = {"nl": "Ik luister.", "en": "I listen."}
    read = card.parse(issue_card("anna", register_number="LVV 1234", sentence=said))
    assert (read.register_number, read.sentence) == ("LVV 1234", said)
    plain = card.parse(GOOD)
    assert (plain.register_number, plain.sentence) == ("", {})
    assert not {"register_number", "sentence"} & set(fields_of(GOOD))


def test_page_shows_the_counsellors_sentence_in_its_language_or_the_first_available_one() -> None:
    read = card.parse(issue_card("anna", sentence={"de": "Gut.", "en": "Good.", "nl": "Goed."}))
    assert read.words_in("en") == ("en", "Good.")
    assert read.words_in("uk") == ("nl", "Goed."), "the first language of the card"
    other = card.parse(issue_card("anna", sentence={"uk": "x", "ar": "y"}))
    assert other.words_in("nl") == ("ar", "y")
    assert card.parse(GOOD).words_in("nl") is None


@given(DAYS)
def test_month_window_contains_its_day_and_the_next_window_starts_the_day_after(
    day: datetime.date,
) -> None:
    first, until = card.month_window(day)
    assert first <= day <= until
    assert first.day == 1
    assert card.month_window(until + ONE_DAY)[0] == until + ONE_DAY
    assert 28 <= (until - first).days + 1 <= card.MAX_WINDOW_DAYS


@given(st.integers(-60, 260))
def test_sealing_key_is_valid_only_within_its_window(offset: int) -> None:
    """There is at most one key for a day, and never an expired one."""
    read = card.parse(GOOD)
    day = DAY + offset * ONE_DAY
    holding = [w for w in read.sealing if w.first <= day <= w.until]
    assert len(holding) <= 1
    assert read.sealing_key(day) == (holding[0].recipient if holding else None)
    assert read.over(day) == (day > read.sealing[-1].until)
    if read.over(day):
        assert read.sealing_key(day) is None


def test_invalid_card_is_not_issued() -> None:
    with pytest.raises(CardError):
        issue_card("anna", count=2)
    with pytest.raises(CardError):
        issue_card("anna", count=14)
    with pytest.raises(CardError):
        issue_card("anna", serial=0)
    with pytest.raises(CardError):
        issue_card("anna", away=card.Away(DAY + 300 * ONE_DAY, None))


@given(st.data())
def test_card_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    raw = bytearray(GOOD)
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CardError):
        card.parse(bytes(raw))


@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda t: f'{{"v":1{t}}}\nx\n'.encode()))
def test_arbitrary_bytes_raise_only_card_error(raw: bytes) -> None:
    with pytest.raises(CardError):
        card.parse(raw)


VALUES: st.SearchStrategy[Json] = st.one_of(
    st.none(), st.booleans(), st.integers(0, 2**53 - 1), st.text(max_size=20),
    st.sampled_from([[], {}, [{}], [None], [["a"]], {"until": 1},
                     {"until": "2026-05-01", "stand_in": None}]),
)  # fmt: skip


FIELDS = [*sorted(fields_of(GOOD)), "away", "register_number", "sentence"]


@given(st.sampled_from(FIELDS), VALUES)
def test_signed_card_with_wrong_field_types_is_parsed_or_refused(field: str, value: Json) -> None:
    """The key's holder may sign anything, and only CardError may result."""
    try:
        card.parse(sign_card({**fields_of(GOOD), field: value}))
    except CardError:
        return
    # The remaining values may be any of their kind; Hypothesis also uses words of the source.
    assert field in ("v", "serial", "name", "site", "kind", "scope", "register_number")


def test_card_is_accepted_only_by_its_own_site_and_counsellor() -> None:
    """Demo cards do not work on another site."""
    with pytest.raises(CardError, match="another site"):
        card.accept(GOOD, site=OTHER_SITE, pinned=ANNA.verify_key, current=None)
    with pytest.raises(CardError, match="another counsellor"):
        card.accept(GOOD, site=SITE, pinned=BRAM.verify_key, current=None)
    assert card.accept(GOOD, site=SITE, pinned=ANNA.verify_key, current=None).raw == GOOD


SERIALS = {serial: sign_card({**fields_of(GOOD), "serial": serial}) for serial in range(1, 7)}


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_server_never_accepts_an_older_card(serials: list[int]) -> None:
    current: card.Card | None = None
    for serial in serials:
        try:
            taken = card.accept(SERIALS[serial], site=SITE, pinned=ANNA.verify_key, current=current)
        except CardError:
            assert current is not None
            assert serial < current.serial
        else:
            assert current is None or serial >= current.serial
            current = taken
