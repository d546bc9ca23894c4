"""Pages written by a site: what is accepted, and how mistakes are reported."""

import contextlib
import html.parser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.server.config import custom_pages
from dropbox_app.server.errors import ContentError

TAGS = {
    *("h2", "h3", "h4", "p", "ul", "ol", "li", "a", "em", "strong", "code", "pre", "br", "hr"),
    "blockquote",
}
HTML = "HTML is not allowed; write it in Markdown"


class Seen(html.parser.HTMLParser):
    """Collects every tag and attribute of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]


def harmless(made: str) -> bool:
    """Return whether HTML has only plain text structure and accepted links."""
    seen = Seen(made)
    for name, value in seen.attributes:
        if name == "href":
            if not value.startswith(("https://", "mailto:", "tel:")) and (":" in value):
                return False
            if value.startswith("//"):
                return False
        elif name not in ("title", "start", "class"):
            return False
    return set(seen.tags) <= TAGS


def test_typical_page_is_rendered() -> None:
    text = (
        "Wij *luisteren*.\n\n## Bellen\n\n- [113](tel:113)\n"
        "- [de raad](https://raad.example/x?y=1&z)\n\n### Later\n\n[wat doet zij](role)\n"
    )
    made = custom_pages.render(text, "what.md")
    assert harmless(made)
    assert '<a href="https://raad.example/x?y=1&amp;z">de raad</a>' in made
    assert Seen(made).tags.count("h2") == 1


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("Een.\n\n<b>twee</b>", 3, HTML),
        ("Een\ntwee <i>drie</i>", 2, HTML),
        ("<script>alert(1)</script>", 1, HTML),
        ("x\n\n- y\n- <!-- z -->", 4, HTML),
        ("een\n![foto](foto.png)", 2, "pictures are not allowed"),
        ("# Titel", 1, "headings are ##"),
        ("Titel\n=====", 1, "headings are ##"),
        ("## a\n\n#### b", 3, "skips a level"),
        ("### a", 1, "skips a level"),
        ("## a\n\n##\n", 3, "must have words"),
        ("[x](javascript:alert(1))", 1, "a link must be https://"),
        ("[x](JaVaScRiPt:alert(1))", 1, "a link must be https://"),
        ("a\nb\n[x](http://raad.example)", 3, "a link must be https://"),
        ("[x](//raad.example)", 1, "a link must be https://"),
        ("[x](/\\raad.example)", 1, "a link must be https://"),
        ("[x](data:text/html,x)", 1, "a link must be https://"),
        ("<javascript:alert(1)>", 1, "a link must be https://"),
        ("[a]: javascript:x\n\n[a]", 3, "a link must be https://"),
        ("[](role)", 1, "a link must have words"),
        ("een\nt\u200bwee", 2, "invisible character"),
        ("een\ntwee &#8238; drie", 2, "invisible character"),
        ("een\0", 1, "invisible character"),
    ],
)
def test_mistake_in_a_custom_page_is_reported_with_its_line_number(
    text: str, line: int, said: str
) -> None:
    with pytest.raises(ContentError) as refused:
        custom_pages.render(text, "nl/what.md")
    assert str(refused.value).startswith(f"nl/what.md, line {line}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize("text", ["", " \n\t\n"])
def test_empty_page_is_reported_as_a_mistake(text: str) -> None:
    with pytest.raises(ContentError, match="it is empty"):
        custom_pages.render(text, "what.md")


def test_undecodable_bytes_are_reported() -> None:
    with pytest.raises(ContentError, match="line 3: this is not UTF-8"):
        custom_pages.decode(b"a\nb\n\xff", "what.md")
    with pytest.raises(ContentError, match="at most"):
        custom_pages.decode(b"a" * (custom_pages.MAX_BYTES + 1), "what.md")
    assert custom_pages.decode(b"\xef\xbb\xbfa\r\nb", "what.md") == "a\nb"


PIECES = st.sampled_from(
    [
        *(
            "<",
            ">",
            "script",
            "&lt;",
            "&#60;",
            "[",
            "](",
            ")",
            "javascript:",
            "//",
            "\\",
            "`",
            "```",
        ),
        *(
            "\n",
            "\n\n",
            "# ",
            "## ",
            "> ",
            "- ",
            "1. ",
            "*",
            "![",
            '"',
            "'",
            "a",
            "https://a.nl",
            "\t",
        ),
        *(
            "onclick=",
            "<a href=",
            "&colon;",
            "<!--",
            "-->",
            "<b>",
            "mailto:",
            "tel:",
            "|",
            "~",
            "=",
        ),
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=30).map("".join)))
def test_arbitrary_markdown_is_harmless_or_refused(text: str) -> None:
    try:
        made = custom_pages.render(text, "x.md")
    except ContentError:
        return
    assert harmless(made)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_decoded_or_refused(raw: bytes) -> None:
    with contextlib.suppress(ContentError):
        custom_pages.decode(raw, "x.md")
