"""A site's custom pages, in Markdown: ``content/{nl,en}/PAGE.md`` in its folder.

The rules are strict, because an organisation writes the pages and a frightened person reads them.
HTML, pictures, unsafe links and headings out of order are rejected with file and line. The HTML is
generated from the Markdown alone, so no tag from the author reaches a page.
"""

import re
from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from dropbox_app.protocol.card import unseen
from dropbox_app.protocol.encoding import clean_text
from dropbox_app.server.config import law
from dropbox_app.server.errors import ContentError

FOLDER = "content"
# The pages that a site may replace (INSTEAD) or extend (BELOW). Pages in BELOW contain promises of
# this program, so the site's text is added below them. The blocks of ``law`` are parts of a page.
INSTEAD = ("what", "options", "role")
BELOW = ("about", "exceptions", "privacy")
PAGES = (*INSTEAD, *BELOW, *law.BLOCKS)
MAX_BYTES = 16 * 1024  # all pages of a site are padded to the length of its longest page

_LINK = re.compile(
    r"https://[a-z0-9][a-z0-9.-]*(:[0-9]+)?([/?#].*)?|mailto:[^?&]+@[^?&]+|tel:[+0-9().-]+"
    r"|/([a-z0-9][a-z0-9/_-]*/?)?|[a-z][a-z0-9-]*",
    re.IGNORECASE,
)
_LINKS = "https://..., mailto:..., tel:... or a page of this site such as role"
_HEADINGS = range(2, 5)


class _Parser(MarkdownIt):
    """A parser that accepts every link, so that this module can report bad ones."""

    def validateLink(self, url: str) -> bool:  # noqa: N802 - markdown-it's own name
        return True


def render(text: str, name: str) -> str:
    """Return a page's Markdown as HTML. Raises ContentError, which names the file as ``name``."""
    parser = _Parser("commonmark", {"html": True})  # HTML is parsed so that it can be reported
    tokens = parser.parse(_checked(text, name))
    for line, said in _faults(tokens):
        raise ContentError(f"{name}, line {line}: {said}")
    return str(parser.renderer.render(tokens, parser.options, {}))


def decode(raw: bytes, name: str) -> str:
    """Return a file's bytes as text. Raises ContentError."""
    if len(raw) > MAX_BYTES:
        raise ContentError(f"{name}: it may be at most {MAX_BYTES} bytes")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ContentError(f"{name}, line {line}: this is not UTF-8") from None


def _checked(text: str, name: str) -> str:
    if not text.strip():
        raise ContentError(f"{name}: it is empty; without the file the page has its default text")
    for number, line in enumerate(text.split("\n"), start=1):
        if _hidden(line):
            raise ContentError(f"{name}, line {number}: it contains an invisible character")
    return text


def _hidden(text: str) -> bool:
    text = text.replace("\t", " ").replace("\n", " ")
    return unseen(text) or clean_text(text) != text


def _faults(tokens: Sequence[Token]) -> Iterator[tuple[int, str]]:
    """Yield the line number and a description of each fault."""
    level = 1
    line = 1
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        line = token.map[0] + 1 if token.map else line
        if token.type == "html_block":
            yield line, "HTML is not allowed; write it in Markdown"
        elif token.type == "heading_open":
            wanted = int(token.tag[1:])
            if wanted not in _HEADINGS:
                yield line, "headings are ##, ### and ####: the page has its title already"
            elif wanted > level + 1:
                yield line, f"this heading skips a level: here {'#' * (level + 1)} is expected"
            if after is not None and not after.content.strip():
                yield line, "a heading must have words"
            level = wanted
        elif token.type == "inline":
            yield from _inline_faults(token.children or [], line)


def _inline_faults(children: Sequence[Token], line: int) -> Iterator[tuple[int, str]]:
    for token, after in zip(children, [*children[1:], None], strict=True):
        if token.type == "html_inline":
            yield line, "HTML is not allowed; write it in Markdown"
        elif token.type == "image":
            yield line, "pictures are not allowed"
        elif _hidden(token.content):  # a hidden character that was written as an entity
            yield line, "it contains an invisible character"
        elif token.type == "link_open":
            if not _LINK.fullmatch(str(token.attrGet("href"))):
                yield line, f"a link must be {_LINKS}"
            if after is not None and after.type == "link_close":
                yield line, "a link must have words"
        line += (token.type in ("softbreak", "hardbreak")) + token.content.count("\n")
