"""Retrieval codes give the same keys however typed, and are drawn without bias (SPEC 2)."""

import importlib.resources
import itertools
import math
import random
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dropbox_app.protocol.errors import CodeError, UnknownLetter, UnknownWord, WrongWordCount
from dropbox_app.protocol.retrieval_code import (
    LANGUAGES,
    LIST_SIZE,
    WORDS,
    dealt_words,
    derive_root,
    generate,
    read_typed,
    reporter_keys,
    split_typed,
    word_list,
)
from tests.vectors.world import OTHER_SITE, SITE

EVERY_WORD = sorted({word for lang in LANGUAGES for word in word_list(lang)})
CODES = st.lists(st.sampled_from(EVERY_WORD), min_size=WORDS, max_size=WORDS)

# Not read as words of a code if something else is next to them.
BESIDE = {"mijn", "my", "je", "your", "klankbord", "code", "is", "woord", "word"}
# Inserted between the letters of a word: characters that are ignored.
IGNORED = ["\u00ad", "\u200b", "\u200c", "\u200d", "\ufeff", "\u0301", "\u0308", "\u0323", "\u036f"]
# Inserted between words: spaces, signs, digits, letters of other alphabets.
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
    """Return variants of a letter: capital, full width, bold, circled, accented."""
    capital, code = letter.upper(), ord(letter) - ord("a")
    ways = [letter, capital, chr(0xFF41 + code), chr(0xFF21 + code), chr(0x1D41A + code)]
    ways += [chr(0x24D0 + code), letter + "\u0301", capital + "\u0308"]
    for mark in ("\u0301", "\u0308"):
        composed = unicodedata.normalize("NFC", letter + mark)
        ways += [composed] if len(composed) == 1 else []
    return ways


@st.composite
def spellings(draw: st.DrawFn, words: Sequence[str]) -> str:
    """Return the words of a code as a person, a phone or a word processor may write them."""
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
def test_code_is_accepted_in_every_spelling(data: st.DataObject, words: list[str]) -> None:
    assert read_typed(data.draw(spellings(words))) == tuple(words)


@given(st.text(max_size=200) | st.lists(st.sampled_from([*EVERY_WORD[:50], "x"])).map(" ".join))
def test_only_seven_list_words_are_accepted(text: str) -> None:
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
def test_keys_are_derived_only_from_seven_list_words(words: tuple[str, ...]) -> None:
    """This holds even if a caller does not validate the typed text."""
    with pytest.raises(CodeError):
        derive_root(words, SITE)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_new_code_uses_one_word_list_and_is_accepted_as_displayed(lang: str) -> None:
    for _ in range(200):
        words = generate(lang)
        assert set(words) <= set(word_list(lang))
        assert read_typed(" ".join(words)) == words


def test_code_may_mix_words_of_both_lists() -> None:
    only = [sorted(set(word_list(a)) - set(word_list(b))) for a, b in (("nl", "en"), ("en", "nl"))]
    mixed = tuple(itertools.islice(itertools.chain.from_iterable(zip(*only, strict=False)), WORDS))
    assert read_typed(" ".join(mixed)) == mixed


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_drawable_word_has_the_same_probability(lang: str) -> None:
    asked: list[int] = []

    def below(n: int) -> int:
        asked.append(n)
        return (len(asked) - 1) % n

    dealt = dealt_words(lang)
    drawn = [word for _ in range(len(dealt)) for word in generate(lang, below)]
    assert set(asked) == {len(dealt)}
    assert Counter(drawn) == Counter(dict.fromkeys(dealt, WORDS))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_excluded_words_are_still_accepted_and_derive_keys(lang: str) -> None:
    """Existing codes with such words keep working."""
    left_out = sorted(set(word_list(lang)) - set(dealt_words(lang)))
    assert len(left_out) > 150
    for start in range(0, len(left_out) - WORDS, WORDS):
        words = tuple(left_out[start : start + WORDS])
        assert read_typed(" ".join(words)) == words
    assert len(derive_root(left_out[:WORDS], SITE)) == 32


@pytest.mark.slow
@pytest.mark.parametrize("lang", LANGUAGES)
def test_twenty_thousand_codes_contain_no_excluded_word_and_show_no_bias(lang: str) -> None:
    """A chi-square test covers the words at each position and in total, at alpha = 1e-9.

    In 20,000 draws from some 7,500 words, each is expected about 2.6 times. That is few, but over
    so many cells the sum is close enough to chi-square for so wide a bound. A false alarm is
    expected once in 10^8 runs.
    """
    codes = [generate(lang) for _ in range(20_000)]
    dealt = dealt_words(lang)
    assert {word for code in codes for word in code} <= set(dealt)
    assert len(set(codes)) == len(codes)
    columns = [*zip(*codes, strict=True), [word for code in codes for word in code]]
    for column in columns:
        expected = len(column) / len(dealt)
        counts = Counter(column)
        # Too even is as suspicious as too uneven, so both tails are checked.
        low, high = (chi_square_quantile(len(dealt) - 1, z) for z in (-Z_AT_1E_9, Z_AT_1E_9))
        statistic = sum((counts[word] - expected) ** 2 / expected for word in dealt)
        assert low < statistic < high


@pytest.mark.parametrize(("lang", "language"), [("nl", "Dutch"), ("en", "English")])
def test_specification_states_the_remaining_entropy(lang: str, language: str) -> None:
    spec = (importlib.resources.files("dropbox_app.protocol") / "SPEC.md").read_text("utf-8")
    assert len(dealt_words(lang)) > 7_400  # the technical page says so
    bits = WORDS * math.log2(len(dealt_words(lang)))
    spec = " ".join(spec.split())  # wherever a line ends
    assert f"{len(dealt_words(lang)):,} {language} " in spec
    assert f"({bits:.2f} bits" in spec
    assert bits > 90


def test_bias_test_detects_a_bias() -> None:
    """Drawing the lower half of the list a fifth more often is detected at once."""
    drawn = random.Random(1)  # noqa: S311 - not secret: a deliberate bias
    column = [
        drawn.randrange(LIST_SIZE // 2) + (LIST_SIZE // 2 if drawn.random() > 0.55 else 0)
        for _ in range(70_000)
    ]
    counts, expected = Counter(column), len(column) / LIST_SIZE
    statistic = sum((counts[n] - expected) ** 2 / expected for n in range(LIST_SIZE))
    assert statistic > chi_square_quantile(LIST_SIZE - 1, Z_AT_1E_9)


Z_AT_1E_9 = 5.997807015  # the standard normal quantile of 1 - 1e-9


def chi_square_quantile(freedom: int, z: float) -> float:
    """Return Wilson and Hilferty's approximation, which errs far below 1 % at 7,775 degrees."""
    share = 2 / (9 * freedom)
    return freedom * (1 - share + z * math.sqrt(share)) ** 3


@given(st.sampled_from(EVERY_WORD), st.integers(0, WORDS - 1), st.data())
def test_mistyped_word_is_reported_with_the_intended_one(
    word: str, position: int, data: st.DataObject
) -> None:
    """One letter is omitted, inserted, swapped or replaced."""
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
    assert all(one_slip_apart(slip, near) for near in unknown.value.suggestions)
    assert word in unknown.value.suggestions or len(unknown.value.suggestions) == 3
    # An error may end up in a log, so it contains neither the typed word nor the intended one.
    assert unknown.value.args == (f"word {position + 1} of the code stands in no list",)


def one_slip_apart(typed: str, word: str) -> bool:
    """Return whether one omitted, inserted, changed or swapped letter turns one into the other."""
    begin = next((n for n, (a, b) in enumerate(zip(typed, word, strict=False)) if a != b), None)
    if begin is None:
        return abs(len(typed) - len(word)) == 1
    one, other = typed[begin:], word[begin:]
    return (
        one[1:] in (other, other[1:])
        or one == other[1:]
        or (one[1::-1] == other[:2] and one[2:] == other[2:])
    )


def test_unrecognisable_word_gets_no_suggestion_in_bounded_time() -> None:
    with pytest.raises(UnknownWord) as unknown:
        read_typed("water " * 6 + "q" * 100_000)
    assert unknown.value.suggestions == ()
    with pytest.raises(WrongWordCount):
        read_typed("a" * 1_000_000)


def test_text_consisting_only_of_combining_marks_is_read_in_linear_time() -> None:
    # Sorting these marks into Unicode's order would take minutes (the suite's time limit tells).
    with pytest.raises(WrongWordCount):
        read_typed("a" + "\u0301" * 250_000 + "\u0327" * 250_000)
    with pytest.raises(WrongWordCount):
        read_typed("a" + "\u0591" * 250_000 + "\u05a2" * 250_000)


@given(st.text(alphabet=st.characters(categories=["L", "M", "N", "Zs", "Cf", "So"])))
def test_reading_letter_by_letter_finds_the_same_words_as_reading_the_whole_text(text: str) -> None:
    whole = "".join(c for c in unicodedata.normalize("NFKD", text) if not is_unseen(c))
    small = "".join(c.lower() if c.isascii() else c for c in whole.replace("\u0131", "i"))
    words = re.findall("[a-z]+", small)
    assume(not set(words) & BESIDE)  # these have their own test
    others = [c for c in whole if c != "\u0131" and not c.isascii() and c.isalpha()]
    strange = [place for place, word in enumerate(words, start=1) if word not in EVERY_WORD]
    if len(words) == WORDS and not strange:
        assert list(read_typed(text)) == words
    elif others:
        with pytest.raises(UnknownLetter) as letter:
            read_typed(text)
        assert letter.value.letter == others[0]
    elif len(words) == WORDS:
        with pytest.raises(UnknownWord) as unknown:
            read_typed(text)
        assert unknown.value.position == strange[0]
    else:
        with pytest.raises(WrongWordCount) as count:
            read_typed(text)
        assert count.value.count == len(words)


def is_unseen(letter: str) -> bool:
    """Return whether a character is an accent or invisible."""
    return "\u0300" <= letter <= "\u036f" or unicodedata.category(letter) == "Cf"


NL = ("fles", "vlieg", "boom", "water", "koffie", "appel", "tafel")
EN = ("flame", "afford", "affix", "waffle", "cactus", "abacus", "zoom")
ONE_A_LINE = "\n".join(NL)
# The seven words as phones, password apps, PDF copies and other keyboards produce them.
WAYS = {
    "plain": " ".join(NL),
    "capitals of a phone": "Fles Vlieg Boom Water Koffie Appel Tafel",
    "all capitals": " ".join(NL).upper(),
    "capital of a sentence, full stop": "Fles vlieg boom water koffie appel tafel.",
    "double space of a phone becomes a full stop": "fles. Vlieg. Boom. Water. Koffie. Appel. Tafel",
    "commas": ", ".join(NL),
    "semicolons": ";".join(NL),
    "hyphens": "-".join(NL),
    "dashes": " \u2013 ".join(NL),
    "full stops": ".".join(NL),
    "underscores": "_".join(NL),
    "slashes": "/".join(NL),
    "bullets": "\n".join(f"\u2022 {word}" for word in NL),
    "no-break spaces": "\u00a0".join(NL),
    "narrow no-break spaces": "\u202f".join(NL),
    "ideographic spaces": "\u3000".join(NL),
    "tabs of a table": "\t".join(NL),
    "one a line": ONE_A_LINE,
    "one a line, from Windows": "\r\n".join(NL),
    "line separators": "\u2028".join(NL),
    "numbered": " ".join(f"{n}. {word}" for n, word in enumerate(NL, start=1)),
    "numbered with brackets": " ".join(f"({n}) {word}" for n, word in enumerate(NL, start=1)),
    "numbered with colons": "\n".join(f"{n}: {word}" for n, word in enumerate(NL, start=1)),
    "read out with its numbers": ", ".join(f"woord {n} {w}" for n, w in enumerate(NL, start=1)),
    "a label and its numbers": "\n".join(f"Woord {n}: {w}" for n, w in enumerate(NL, start=1)),
    "quotes": '"' + " ".join(NL) + '"',
    "quotes of a phone": "\u2018" + " ".join(NL) + "\u2019",
    "brackets": "[" + " ".join(NL) + "]",
    "a label": "Code: " + " ".join(NL),
    "a label with a name": "Mijn code: " + " ".join(NL),
    "a label on its own line": "MIJN CODE\n" + ONE_A_LINE,
    "a label without a colon": "code " + " ".join(NL),
    "a sentence": "Mijn code is " + " ".join(NL),
    "a password app's fields": "Titel: bericht\nWachtwoord: " + " ".join(NL),
    "a title of a note": "Klankbord code - " + " ".join(NL),
    "a label in full width": "Code\uff1a" + " ".join(NL),
    "Turkish, small": " ".join(NL).replace("i", "\u0131"),
    "Turkish, capitals": " ".join(NL).upper().replace("I", "\u0130"),
    "a ligature of Dutch fonts": " ".join(NL).replace("ij", "\u0133"),
    "long s of an old font": " ".join(NL).replace("s", "\u017f"),
    "full width of a Japanese keyboard": "".join(chr(ord(c) + 0xFEE0) if c != " " else "\u3000"
                                                 for c in " ".join(NL)),
    "accents of a dead key": "fl\u00ebs vl\u00efeg b\u00f2om w\u00e1ter koffie \u00e0ppel tafel",
    "accents in two pieces": " ".join(NL).replace("e", "e\u0301"),
    "soft hyphens": " ".join(NL).replace("ff", "f\u00adf"),
    "zero width spaces": "\u200b " + " \u200b".join(NL),
    "byte order mark": "\ufeff" + " ".join(NL),
    "word joiners": " ".join(NL).replace("o", "o\u2060"),
    "marks of direction": f"\u200e{' '.join(NL)}\u200f",
    "isolates of an Arabic phone": "\u2068" + "\u2069 \u2068".join(NL) + "\u2069",
    "embeddings": "\u202a" + " ".join(NL) + "\u202c",
    "a Mongolian vowel separator": " ".join(NL).replace("l", "l\u180e"),
    "bold letters of a messenger": "".join(chr(0x1D41A + ord(c) - 97) if c != " " else c
                                           for c in " ".join(NL)),
    "emoji between": " \U0001f331 ".join(NL),
    "markdown": "**" + "** **".join(NL) + "**",
    "signs of another alphabet between": "\u3001".join(NL),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_code_is_accepted_despite_formatting_by_phone_apps_and_copying(way: str) -> None:
    assert read_typed(WAYS[way]) == NL
    assert split_typed(WAYS[way]) == NL


def test_code_copied_from_a_pdf_with_ligatures_is_read() -> None:
    typed = " ".join(EN)
    for letters, ligature in LIGATURES.items():
        typed = typed.replace(letters, ligature)
    assert read_typed(typed) == EN


@pytest.mark.parametrize(
    ("typed", "letter"),
    [
        ("fles vlieg b\u00f8om water koffie appel tafel", "\u00f8"),
        ("fles vlieg boom w\u0430ter koffie appel tafel", "\u0430"),
        ("fle\u00df vlieg boom water koffie appel tafel", "\u00df"),
        ("\u03c6\u03bb\u03b5\u03c2", "\u03c6"),
        ("\u0642\u0645\u0631 \u0628\u064a\u062a", "\u0642"),
        ("Code: fles v\u0142ieg boom water koffie appel tafel", "\u0142"),
    ],
)
def test_letter_that_no_code_contains_is_reported(typed: str, letter: str) -> None:
    with pytest.raises(UnknownLetter) as unknown:
        read_typed(typed)
    assert unknown.value.letter == letter
    assert letter not in str(unknown.value)


@pytest.mark.parametrize(
    ("typed", "count"),
    [
        (" ".join(NL[:6]), 6),
        ("Mijn code: " + " ".join(NL[:6]), 6),
        (" ".join(NL) + " boom", 8),
        ("code", 1),
        ("word " * 8, 8),
    ],
)
def test_label_before_the_code_is_not_counted_as_a_word(typed: str, count: int) -> None:
    with pytest.raises(WrongWordCount) as wrong:
        read_typed(typed)
    assert wrong.value.count == count


@pytest.mark.parametrize("label", ["mijn", "my", "je", "your", "klankbord", "code", "is"])
def test_labels_that_may_precede_a_code_are_not_in_the_word_list(label: str) -> None:
    """Otherwise a code starting with that word could be mistaken for one with a label."""
    assert label not in EVERY_WORD


@settings(max_examples=5)
@given(CODES)
def test_code_always_gives_the_same_keys_on_one_site_and_different_keys_on_another(
    words: list[str],
) -> None:
    first, again = derive_root(words, SITE), derive_root(tuple(words), SITE)
    assert first == again
    elsewhere = derive_root(words, OTHER_SITE)
    assert elsewhere != first
    here, there = reporter_keys(first), reporter_keys(elsewhere)
    assert (here.mailbox, here.access) != (there.mailbox, there.access)
    assert len({here.access_token, here.reply.raw, here.signing.seed, first}) == 4


def test_reporter_keys_are_hidden_in_repr() -> None:
    keys = reporter_keys(bytes(range(32)))
    assert keys.access_token.hex() not in repr(keys)
    assert repr(keys.access_token) not in repr(keys)
    assert keys.signing.seed.hex() not in repr(keys)
