"""Showing texts of strangers on a terminal: nothing in them is obeyed, hidden or mistaken.

What a terminal would obey, or a reader would not see, is written out as ``<U+202E>``. A text is
cut into lines by this program and each carries a margin, so no line of it can pass for a line of
the desk's own.
"""

import shutil
import unicodedata
from collections.abc import Iterator

MARGIN = "  | "
MAX_COLUMNS = 100
MIN_COLUMNS = 20
TAB = "    "
MOST_MARKS = 3  # combining marks on one letter; more would cover other lines

# Letters and marks that show nothing, though their category does not say so.
_BLANK = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
_BLANK |= {0x180B, 0x180C, 0x180D, 0x180F}
_SELECTORS = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
_EMOJI_SELECTOR = 0xFE0F
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str) -> str:
    """One line on which every character can be seen and none is obeyed; LF is written out too."""
    return "".join(_shown(text, line_ends=False))


def block(text: str, columns: int | None = None) -> list[str]:
    """A text as lines with a margin, none wider than the terminal; at least one line."""
    width = (columns or terminal_columns()) - len(MARGIN)
    lines = "".join(_shown(text, line_ends=True)).split("\n")
    return [MARGIN + part for line in lines for part in _cut(line, max(width, MIN_COLUMNS))]


def terminal_columns() -> int:
    """How wide the terminal is, within reason; 80 where there is none."""
    return max(MIN_COLUMNS + len(MARGIN), min(shutil.get_terminal_size().columns, MAX_COLUMNS))


def _shown(text: str, *, line_ends: bool) -> Iterator[str]:
    marks, before = 0, ""
    for character in text:
        code, category = ord(character), unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if character == "\n" and line_ends:
            yield character
        elif character == "\t" and line_ends:
            yield TAB
        elif code == _EMOJI_SELECTOR and before and unicodedata.category(before) == "So":
            yield character
        elif category in _INVISIBLE or code in _BLANK or code in _SELECTORS or marks > MOST_MARKS:
            yield f"<U+{code:04X}>"
        elif category == "Zs":
            yield " "
        elif marks and before in ("", "\n", "\t", " "):
            yield f"<U+{code:04X}>"  # a mark with no letter of its own would sit on the margin
        else:
            yield character
        before = character


def _cut(line: str, width: int) -> Iterator[str]:
    """Cut after a space where there is one in the last third, else anywhere."""
    part, columns = "", 0
    for character in line:
        wide = _columns(character)
        if columns + wide > width:
            at = part.rfind(" ") + 1
            at = at if at > width * 2 // 3 else len(part)
            yield part[:at]
            part = part[at:]
            columns = sum(map(_columns, part))
        part += character
        columns += wide
    yield part


def _columns(character: str) -> int:
    """The widest that a terminal may draw it."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    if ord(character) < 0x300:
        return 1
    return 2 if unicodedata.east_asian_width(character) in ("W", "F", "A", "N") else 1
