"""Markdown reports: read as the same text, and with no sign escaped that needs no escaping."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dropbox_app.desk.annual.report import OwnWords
from tests.desk.annual.test_gathering import YEAR, trained
from tests.desk.annual.worlds import issue

TYPED = st.text("ab 1.)(-+*_`#>!|~=[]<\\{}&;x", max_size=20)


def shown(markdown: str) -> list[str]:
    """Return the texts that a reader sees, one for each block."""
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return [
        "".join(part.content for part in token.children or ())
        for token in reader.parse(markdown)
        if token.type == "inline"
    ]


@example("- a", "2. b")
@example("---", "1) ")
@example("a #", "&amp;")
@given(TYPED, TYPED)
def test_typed_text_is_never_interpreted_as_markdown(signals: str, title: str) -> None:
    own = OwnWords(signals=f" {signals} ")
    made = issue(trained(title or "Aanspreken", 400), "Zorg", (YEAR,), formats=("md",), own=own)
    report = next(data.decode() for name, data in made.items() if "verslag" in name)
    blocks = [" ".join(one.split()) for one in shown(report)]
    wanted = " ".join(signals.split())
    assert wanted in blocks or not wanted
    assert any(" ".join(title.split()) in one for one in blocks)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("een na-gesprek - kort", "een na-gesprek - kort"),
        ("- geen lijst", "\\- geen lijst"),
        ("12. geen lijst", "12\\. geen lijst"),
        ("12.000 mensen", "12.000 mensen"),
        ("Ja!", "Ja!"),
        ("a > b", "a > b"),
        ("> geen citaat", "\\> geen citaat"),
        ("R&D", "R&D"),
        ("&amp;", "\\&amp;"),
        ("snel *", "snel \\*"),
    ],
)
def test_only_characters_with_a_meaning_in_markdown_are_escaped(text: str, written: str) -> None:
    made = issue(trained("x", 400), "Zorg", (YEAR,), formats=("md",), own=OwnWords(text))
    report = next(data.decode() for name, data in made.items() if "verslag" in name)
    assert re.search(rf"^{re.escape(written)}$", report, re.MULTILINE)
