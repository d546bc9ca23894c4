"""Retrieval codes: however typed, the same keys; drawn without bias (SPEC section 2)."""

import itertools
import math
import random
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dropbox_app.protocol.errors import CodeError, UnknownWord, WrongWordCount
from dropbox_app.protocol.retrieval_code import (
    LANGUAGES,
    LIST_SIZE,
    WORDS,
    derive_root,
    generate,
    read_typed,
    reporter_keys,
    word_list,
)
from tests.vectors.world import OTHER_SITE, SITE

EVERY_WORD = sorted({word for lang in LANGUAGES for word in word_list(lang)})
CODES = st.lists(st.sampled_from(EVERY_WORD), min_size=WORDS, max_size=WORDS)

# Drawn between the letters of a word: nothing that is read at all.
IGNORED = ["\u00ad", "\u200b", "\u200c", "\u200d", "\ufeff", "\u0301", "\u0308", "\u0323", "\u036f"]
NOTHING = "[\u0300-\u036f\u00ad\u200b-\u200d\ufeff]"  # as SPEC section 2 names it
# Drawn between words: spaces, signs, digits, letters of other alphabets.
SEPARATORS = [
    *" \t\n\r,.;:-_/'\"1870\u00a0\u2003\u3000\u2028\u00df\u0436\u05d0\u4e2d",
    "\r\n",
    "🙂",
]
LIGATURES = {
    "ffi": "\ufb03",
    "ffl": "\ufb04",
    "ff": "\ufb00",
    "fi": "\ufb01",
    "fl": "\ufb02",
    "st": "\ufb06",
}


def ways_to_write(letter: str) -> list[str]:
    """One letter in capitals, full width, bold, circled, with an accent in one piece or two."""
    capital, code = letter.upper(), ord(letter) - ord("a")
    ways = [letter, capital, chr(0xFF41 + code), chr(0xFF21 + code), chr(0x1D41A + code)]
    ways += [chr(0x24D0 + code), letter + "\u0301", capital + "\u0308"]
    for mark in ("\u0301", "\u0308"):
        composed = unicodedata.normalize("NFC", letter + mark)
        ways += [composed] if len(composed) == 1 else []
    return ways


@st.composite
def spellings(draw: st.DrawFn, words: Sequence[str]) -> str:
    """The words of a code as a person, a phone or a word processor may give them."""
    typed: list[str] = draw(st.lists(st.sampled_from(SEPARATORS), max_size=2))
    for word in words:
        at = 0
        while at < len(word):
            joined = [j for j in LIGATURES if word.startswith(j, at)]
            if joined and draw(st.sampled_from([True, False])):
                typed.append(LIGATURES[joined[0]])
                at += len(joined[0])
            else:
                typed.append(draw(st.sampled_from(ways_to_write(word[at]))))
                at += 1
            typed += draw(st.lists(st.sampled_from(IGNORED), max_size=1))
        typed += draw(st.lists(st.sampled_from(SEPARATORS), min_size=1, max_size=3))
    return "".join(typed)


@given(st.data(), CODES)
def test_a_code_comes_back_from_every_spelling(data: st.DataObject, words: list[str]) -> None:
    assert read_typed(data.draw(spellings(words))) == tuple(words)


@given(st.text(max_size=200) | st.lists(st.sampled_from([*EVERY_WORD[:50], "x"])).map(" ".join))
def test_nothing_but_seven_list_words_is_ever_read(text: str) -> None:
    try:
        words = read_typed(text)
    except CodeError:
        return
    assert len(words) == WORDS
    assert set(words) <= set(EVERY_WORD)


@pytest.mark.parametrize(
    "words",
    [
        ("water",) * 6,
        ("water",) * 8,
        (),
        ("water",) * 6 + ("Water",),
        ("water",) * 6 + ("water ",),
        ("water",) * 6 + ("xxxxxx",),
        ("water",) * 6 + ("w\u00e4ter",),
        (*("water",) * 5, "water water"),
    ],
)
def test_nothing_is_derived_from_anything_but_seven_list_words(words: tuple[str, ...]) -> None:
    """Even if a caller forgets to read what was typed."""
    with pytest.raises(CodeError):
        derive_root(words, SITE)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_new_code_is_of_one_list_and_is_read_as_it_is_shown(lang: str) -> None:
    for _ in range(200):
        words = generate(lang)
        assert set(words) <= set(word_list(lang))
        assert read_typed(" ".join(words)) == words


def test_words_of_both_lists_may_be_typed_in_one_code() -> None:
    only = [sorted(set(word_list(a)) - set(word_list(b))) for a, b in (("nl", "en"), ("en", "nl"))]
    mixed = tuple(itertools.islice(itertools.chain.from_iterable(zip(*only, strict=False)), WORDS))
    assert read_typed(" ".join(mixed)) == mixed


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_word_can_be_drawn_and_the_draw_is_asked_for_the_whole_list(lang: str) -> None:
    asked: list[int] = []

    def below(n: int) -> int:
        asked.append(n)
        return (len(asked) - 1) % n

    drawn = [word for _ in range(LIST_SIZE) for word in generate(lang, below)]
    assert set(asked) == {LIST_SIZE}
    assert Counter(drawn) == Counter(dict.fromkeys(word_list(lang), WORDS))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_ten_thousand_codes_show_no_bias_and_no_duplicate(lang: str) -> None:
    """Chi-square over the words at each position and over all of them, at alpha = 1e-9.

    With 10,000 draws over 7,776 words some 1.29 are expected of each: few, but the sum over so
    many cells is near enough to chi-square for a bound this wide. One bad run in 10^8 is chance.
    """
    codes = [generate(lang) for _ in range(10_000)]
    assert len(set(codes)) == len(codes)
    columns = [*zip(*codes, strict=True), [word for code in codes for word in code]]
    for column in columns:
        expected = len(column) / LIST_SIZE
        counts = Counter(column)
        # Too even is as suspect as too uneven: both tails are looked at.
        low, high = (chi_square_quantile(LIST_SIZE - 1, z) for z in (-Z_AT_1E_9, Z_AT_1E_9))
        statistic = sum((counts[word] - expected) ** 2 / expected for word in word_list(lang))
        assert low < statistic < high


def test_the_test_for_bias_finds_a_bias() -> None:
    """The lower half of the list drawn a fifth more often than the upper is found at once."""
    drawn = random.Random(1)  # noqa: S311 - no secret: a bias made on purpose
    column = [
        drawn.randrange(LIST_SIZE // 2) + (LIST_SIZE // 2 if drawn.random() > 0.55 else 0)
        for _ in range(70_000)
    ]
    counts, expected = Counter(column), len(column) / LIST_SIZE
    statistic = sum((counts[n] - expected) ** 2 / expected for n in range(LIST_SIZE))
    assert statistic > chi_square_quantile(LIST_SIZE - 1, Z_AT_1E_9)


Z_AT_1E_9 = 5.997807015  # the standard normal quantile of 1 - 1e-9


def chi_square_quantile(freedom: int, z: float) -> float:
    """Wilson and Hilferty's approximation; at 7,775 degrees of freedom it errs by far below 1 %."""
    share = 2 / (9 * freedom)
    return freedom * (1 - share + z * math.sqrt(share)) ** 3


@given(st.sampled_from(EVERY_WORD), st.integers(0, WORDS - 1), st.data())
def test_a_mistyped_word_is_named_with_the_word_that_was_meant(
    word: str, position: int, data: st.DataObject
) -> None:
    """One letter left out, put in, swapped or mistaken."""
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
    slip = data.draw(
        st.sampled_from(
            [
                word[:at] + word[at + 1 :],
                word[:at] + letter + word[at:],
                word[:at] + letter + word[at + 1 :],
                word[:at] + word[at + 1 : at + 2] + word[at] + word[at + 2 :],
            ]
        )
    )
    typed = ["water"] * WORDS
    typed[position] = slip
    if slip in EVERY_WORD or not slip:
        return
    with pytest.raises(UnknownWord) as unknown:
        read_typed(" ".join(typed))
    assert unknown.value.position == position + 1
    assert 1 <= len(unknown.value.suggestions) <= 3
    near = one_slip_away(slip) & set(EVERY_WORD)
    assert set(unknown.value.suggestions) <= near
    assert word in unknown.value.suggestions or len(near) > 3
    # An error may end up in a log: neither what was typed nor what was meant stands in its text.
    assert unknown.value.args == (f"word {position + 1} of the code stands in no list",)


def one_slip_away(word: str) -> set[str]:
    """Every text from which one letter left out, put in, swapped or mistaken makes ``word``."""
    halves = [(word[:at], word[at:]) for at in range(len(word) + 1)]
    return {
        text
        for start, end in halves
        for text in (
            start + end[1:],
            start + end[1:2] + end[:1] + end[2:],
            *(start + letter + end for letter in string.ascii_lowercase),
            *(start + letter + end[1:] for letter in string.ascii_lowercase),
        )
    }


def test_a_word_beyond_recognition_gets_no_suggestion_and_costs_nothing() -> None:
    with pytest.raises(UnknownWord) as unknown:
        read_typed("water " * 6 + "q" * 100_000)
    assert unknown.value.suggestions == ()
    with pytest.raises(WrongWordCount):
        read_typed("a" * 1_000_000)


def test_a_text_of_nothing_but_marks_costs_no_more_than_its_length() -> None:
    # Sorting these marks into Unicode's order would take minutes (the suite's time limit tells).
    with pytest.raises(WrongWordCount):
        read_typed("a" + "\u0301" * 250_000 + "\u0327" * 250_000)
    with pytest.raises(WrongWordCount):
        read_typed("a" + "\u0591" * 250_000 + "\u05a2" * 250_000)


@given(st.text(alphabet=st.characters(categories=["L", "M", "N", "Zs", "Cf", "So"])))
def test_reading_letter_by_letter_finds_the_words_of_the_whole_text(text: str) -> None:
    whole = re.sub(NOTHING, "", unicodedata.normalize("NFKD", text))
    lower = "".join(char.lower() if char.isascii() else char for char in whole)
    words = re.findall("[a-z]+", lower)
    strange = [place for place, word in enumerate(words, start=1) if word not in EVERY_WORD]
    if len(words) != WORDS:
        with pytest.raises(WrongWordCount) as count:
            read_typed(text)
        assert count.value.count == len(words)
    elif strange:
        with pytest.raises(UnknownWord) as unknown:
            read_typed(text)
        assert unknown.value.position == strange[0]
    else:
        assert list(read_typed(text)) == words


@settings(max_examples=5)
@given(CODES)
def test_a_code_gives_the_same_keys_every_time_and_others_elsewhere(words: list[str]) -> None:
    first, again = derive_root(words, SITE), derive_root(tuple(words), SITE)
    assert first == again
    elsewhere = derive_root(words, OTHER_SITE)
    assert elsewhere != first
    here, there = reporter_keys(first), reporter_keys(elsewhere)
    assert (here.mailbox, here.access) != (there.mailbox, there.access)
    assert len({here.access_token, here.reply.raw, here.signing.seed, first}) == 4


def test_the_keys_of_a_reporter_show_nothing_when_printed() -> None:
    keys = reporter_keys(bytes(range(32)))
    assert keys.access_token.hex() not in repr(keys)
    assert repr(keys.access_token) not in repr(keys)
    assert keys.signing.seed.hex() not in repr(keys)
