"""Hostile text on a terminal: nothing is executed, nothing hidden, and no line forged."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.desk.cli import render
from dropbox_app.desk.cli.terminal import MARGIN, block, visible

HOSTILE = [
    "\x1b[2J\x1b[H", "\x9b31m", "\x07", "\x08\x08\x08", "\r", "\x00", "\x7f",
    "\u202a", "\u202b", "\u202c", "\u202d", "\u202e", "\u2066", "\u2067", "\u2068", "\u2069",
    "\u200e", "\u200f", "\u061c", "\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad",
    "\u2028", "\u2029", "\u0085", "\ud800", "\udfff", "\ue000", "\U000f0000", "\U000e0041",
    "\U000e0001", "\ufe00", "\U000e0100", "\u3164", "\u115f", "\u2800", "\u034f", "\ufff9",
    "\u0378", "\U0010ffff",
]  # fmt: skip
ANY = st.text(alphabet=st.characters() | st.sampled_from("".join(HOSTILE)))


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: f"{ord(text[0]):04X}")
def test_control_and_invisible_characters_are_escaped(hostile: str) -> None:
    """A soft hyphen matters between digits; inside a word it keeps its function."""
    around = ("1", "2") if hostile == "\u00ad" else ("a", "b")
    text = hostile.join(around)
    for shown in (visible(text), "".join(block(text))):
        assert hostile[0] not in shown
        assert f"<U+{ord(hostile[0]):04X}>" in shown


@given(ANY)
def test_line_of_text_remains_one_line_of_visible_characters(text: str) -> None:
    shown = visible(text)
    assert all(_seen(character) for character in shown)
    assert "\n" not in shown


@given(ANY, st.integers(min_value=20, max_value=120))
def test_every_line_has_a_margin_and_fits_the_terminal(text: str, columns: int) -> None:
    lines = block(text, columns)
    assert lines
    for line in lines:
        assert line.startswith(MARGIN)
        assert all(_seen(character) for character in line)
        # A combining mark belongs to the previous letter and takes no column.
        drawn = [c for c in line if unicodedata.category(c) not in ("Mn", "Me")]
        widest = sum(2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in drawn)
        assert widest <= max(columns, 24)


def test_combining_marks_have_no_width() -> None:
    """A line with marks is cut at its visible end, not earlier."""
    assert block("\u0300" * 4 + "\x1f", 20) == [
        MARGIN + "<U+0300>\u0300\u0300<U+0300><U+0",
        MARGIN + "01F>",
    ]


@given(st.text(alphabet="abc \n", max_size=300))
def test_plain_words_are_unchanged(text: str) -> None:
    assert "".join(line[len(MARGIN) :] for line in block(text, 40)) == text.replace("\n", "")


def test_text_cannot_imitate_output_of_the_desk() -> None:
    """This covers all line endings, and spaces up to the terminal's edge."""
    faked = "2027-01-05  you  (reply, number 1)"
    for way in (
        "\n",
        "\r\n",
        "\u2028",
        "\u0085",
        "\x0b",
        "\x0c",
        " " * 96,
        "\t" * 30,
        "\u3000" * 60,
    ):
        for line in block(f"Hallo{way}{faked}", 100):
            assert not line.startswith("2027")
            assert line.startswith(MARGIN)


def test_stacked_combining_marks_are_limited() -> None:
    shown = "".join(block("a" + "\u0301" * 50))
    assert shown.count("\u0301") == 3
    assert "\u0301" not in block("\u0301a")[0]  # and none may combine with the margin


def test_ordinary_text_of_any_language_is_displayed_unchanged() -> None:
    for text in ("Zoë ging naar café 't Hoekje — écht.", "مرحبا", "你好", "🙁 ❤️", "e\u0301"):
        assert block(text) == [MARGIN + text]


@given(ANY)
def test_json_is_ascii(text: str) -> None:
    shown = render.dumps({"text": text})
    assert shown.isascii()
    assert json.loads(shown) == {"text": text}


@pytest.mark.parametrize(
    "text",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # "I want" in Persian
        "\u0915\u094d\u200d\u0937",  # two Devanagari letters, joined
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",  # a family
        "\u2764\ufe0f\u200d\U0001f525",  # a heart on fire
        "1\ufe0f\u20e3",  # a keycap, as telephones number lists
    ],
)
def test_zero_width_joiners_are_kept_where_they_are_needed(text: str) -> None:
    assert block(text) == [MARGIN + text]
    assert visible(text) == text


@pytest.mark.parametrize(
    "text",
    ["ad\u200cmin", "a\u200db", "\u200d\u0627", "\u0627\u200c", "\u0645\u202e\u0645",
     "\u0645\u200b\u0645", "\u0645\u200c\u200c\u0645"],
)  # fmt: skip
def test_zero_width_joiners_that_are_not_needed_are_escaped(text: str) -> None:
    assert "<U+20" in visible(text)


@pytest.mark.parametrize("text", ["1\ufe0f", "a\ufe0f\u20e3", "\ufe0f\u20e3", "1\ufe0fa"])
def test_variation_selector_without_emoji_is_escaped(text: str) -> None:
    assert "<U+FE0F>" in visible(text)


def test_soft_hyphen_in_a_word_is_dropped_and_page_break_ends_a_line() -> None:
    assert block("ver\u00adtrouwens\u00adpersoon") == [MARGIN + "vertrouwenspersoon"]
    assert block("pagina 1\x0cpagina 2") == [MARGIN + "pagina 1", MARGIN + "pagina 2"]


def test_word_processor_line_break_is_a_line_break() -> None:
    assert block("regel 1\x0bregel 2") == [MARGIN + "regel 1", MARGIN + "regel 2"]
    assert visible("regel 1\x0bregel 2") == "regel 1<U+000B>regel 2"


def _seen(character: str) -> bool:
    if character in "\u200c\u200d":  # the tests above cover where they belong
        return True
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
