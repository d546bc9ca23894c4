"""The two word lists of the retrieval code have the properties in SPEC.md and their README."""

from __future__ import annotations

import hashlib
import re
from importlib import resources

import pytest

# The hash of the published EFF large list, sorted, with one word per line.
EFF_SHA256 = "6d557f0693958fb5e650b68b5bee585eb82cf4da32965505c789e924743bc522"
EFF_OLD = {"drop-down", "felt-tip", "t-shirt", "yo-yo"}
EFF_NEW = {"keyboard", "orchard", "rainbow", "tomato"}


def text(name: str) -> str:
    """Return the shipped file, with its line ends unchanged."""
    data = (resources.files("dropbox_app.protocol") / "words" / name).read_bytes()
    return data.decode("ascii")


def words(name: str) -> list[str]:
    """Return the words of a list, each ended by one LF."""
    return text(name).split("\n")[:-1]


def near_marks(word: str) -> set[str]:
    """Return marks that two words share exactly if they are one letter apart."""
    changed = {word[:i] + "?" + word[i + 1 :] for i in range(len(word))}
    return changed | {word[:i] + "?" + word[i:] for i in range(len(word) + 1)}


def near(chosen: list[str]) -> list[tuple[str, str]]:
    """Return the pairs less than two letters apart, without comparing all pairs."""
    seen: dict[str, str] = {}
    pairs = []
    for word in chosen:
        marks = near_marks(word)
        pairs += sorted({(seen[mark], word) for mark in marks if mark in seen})
        seen.update(dict.fromkeys(marks, word))
    return pairs


@pytest.mark.parametrize("name", ["en.txt", "nl.txt"])
def test_list_has_exactly_7776_different_words(name: str) -> None:
    """A missing, extra or duplicate word would change the odds."""
    assert len(words(name)) == 7776
    assert len(set(words(name))) == 7776


@pytest.mark.parametrize("name", ["en.txt", "nl.txt"])
def test_list_is_sorted_and_contains_only_a_to_z_and_line_feeds(name: str) -> None:
    """The code reader only handles the letters a to z."""
    assert re.fullmatch("([a-z]+\n)+", text(name))
    assert words(name) == sorted(words(name))


def test_dutch_words_have_four_to_eight_letters() -> None:
    """The words are short enough to write down and long enough to tolerate a slip."""
    assert {len(word) for word in words("nl.txt")} == {4, 5, 6, 7, 8}


def test_dutch_words_differ_by_at_least_two_letters() -> None:
    """Two words differ by at least two changed, added or omitted letters."""
    assert near(words("nl.txt")) == []


def test_search_for_similar_words_finds_each_kind_of_typing_error() -> None:
    """The test above would also pass if its search never found anything."""
    assert near(["appel", "apel"]) == [("appel", "apel")]
    assert near(["lopen", "lopend"]) == [("lopen", "lopend")]
    assert near(["huis", "muis"]) == [("huis", "muis")]
    assert near(["huis", "huizen", "muizen"]) == [("huizen", "muizen")]
    assert near(["boter", "broer"]) == []


def test_english_list_is_the_published_list_except_for_four_words() -> None:
    """With the four hyphenated words restored, it is byte for byte the EFF large list."""
    chosen = set(words("en.txt"))
    assert chosen >= EFF_NEW
    published = "".join(f"{word}\n" for word in sorted(chosen - EFF_NEW | EFF_OLD))
    assert hashlib.sha256(published.encode("ascii")).hexdigest() == EFF_SHA256


def test_four_new_english_words_are_not_similar_to_others() -> None:
    """A slip of one letter cannot turn one of them into another list word."""
    assert [pair for pair in near(words("en.txt")) if EFF_NEW & set(pair)] == []


def test_no_rejected_word_is_in_the_dutch_list() -> None:
    """Words rejected in review stay out."""
    struck_out = words("excluded_nl.txt")
    assert struck_out == sorted(set(struck_out))
    assert set(struck_out).isdisjoint(words("nl.txt"))


def test_two_forms_of_one_dutch_word_are_not_both_listed() -> None:
    """This test has no stemmer; scripts/dev/make_words does the full check."""
    chosen = set(words("nl.txt"))
    endings = ("en", "ende", "je", "tje", "jes", "tjes", "ster", "ere", "ste")
    assert [(word, end) for word in chosen for end in endings if word + end in chosen] == []


@pytest.mark.parametrize("lang", ["en", "nl"])
def test_excluded_words_are_a_sorted_subset_of_the_list(lang: str) -> None:
    left_out = words(f"not_dealt_{lang}.txt")
    assert left_out == sorted(set(left_out))
    assert set(left_out) <= set(words(f"{lang}.txt"))
    readme = (resources.files("dropbox_app.protocol") / "words" / "README.md").read_text("utf-8")
    assert re.search(rf"`not_dealt_{lang}.txt` \({len(left_out)}( words)?\)", readme)


def test_offensive_or_revealing_words_are_not_drawn() -> None:
    english = "coerce fondling grope predator retaliate suffocate threaten bully ashamed blame boss"
    dutch = "baas manager directie mercator bitumen shogun eiste"
    assert set(english.split()) <= set(words("not_dealt_en.txt"))
    assert set(dutch.split()) <= set(words("not_dealt_nl.txt"))
