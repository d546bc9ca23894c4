"""Show texts from other people on a terminal, so that no text can control it or deceive the reader.

Control characters and invisible characters are written out as ``<U+202E>``. A text is cut into
lines that each have a margin, so none of them can look like one of the desk's own lines.
"""

import shutil
import unicodedata
from collections.abc import Iterator

MARGIN = "  | "
MAX_COLUMNS = 100
MIN_COLUMNS = 20
TAB = "    "
MOST_MARKS = 3  # combining marks on one letter; more would cover other lines

# Invisible letters and marks whose Unicode category does not show that.
_BLANK = {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
_BLANK |= {0x180B, 0x180C, 0x180D, 0x180F}
_SELECTORS = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
_EMOJI_SELECTOR = 0xFE0F
_ZWNJ, _ZWJ, _SOFT_HYPHEN = "\u200c", "\u200d", "\u00ad"
_EMOJI_ENDS = {"\ufe0f", *map(chr, range(0x1F3FB, 0x1F400))}  # emoji selector and skin tones
_JOINING = {
    "ARABIC", "SYRIAC", "NKO", "MONGOLIAN", "DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI",
    "ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA", "KHMER", "MYANMAR",
}  # fmt: skip
_BREAKS = {"\f", "\v"}  # a page break as in a PDF, a line break as in Word
_KEYCAP = "\u20e3"
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str) -> str:
    """Return one line with all invisible and control characters, including LF, written out."""
    return "".join(_shown(text, line_ends=False))


def document(data: bytes) -> str:
    """Return a text file for a terminal: its lines are kept, and control characters written out."""
    lines = data.decode("utf-8-sig").replace("\r\n", "\n").split("\n")
    return "\n".join(map(visible, lines))


def block(text: str, columns: int | None = None) -> list[str]:
    """Return a text as lines with a margin, none wider than the terminal; at least one line."""
    width = (columns or terminal_columns()) - len(MARGIN)
    lines = "".join(_shown(text, line_ends=True)).split("\n")
    return [MARGIN + part for line in lines for part in _cut(line, max(width, MIN_COLUMNS))]


def terminal_columns() -> int:
    """Return the width of the terminal, within limits; 80 if there is no terminal."""
    return max(MIN_COLUMNS + len(MARGIN), min(shutil.get_terminal_size().columns, MAX_COLUMNS))


def _joins(before: str, character: str, after: str) -> bool:
    """Return whether an invisible character is used as intended, judging by its two neighbours.

    Readers expect ZWNJ and ZWJ between letters of joining scripts (Arabic, Indic scripts), ZWJ
    between emoji, and a soft hyphen inside a word. Between Latin letters these characters would
    only make two words look like one.
    """
    if not before or not after:
        return False
    if character == _SOFT_HYPHEN:
        return before.isalpha() and after.isalpha()
    if character == _ZWJ and unicodedata.category(after) == "So":
        return unicodedata.category(before) == "So" or before in _EMOJI_ENDS
    if character in (_ZWNJ, _ZWJ):
        return all(_script(one) in _JOINING for one in (before, after))
    return False


def _selects(before: str, after: str) -> bool:
    """Return whether a selector makes an emoji here: after a pictograph, or in a keycap."""
    if after == _KEYCAP:
        return before in "0123456789#*" and before != ""
    return bool(before) and unicodedata.category(before) == "So"


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def _shown(text: str, *, line_ends: bool) -> Iterator[str]:
    marks, before = 0, ""
    for place, character in enumerate(text):
        code, category = ord(character), unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if character == "\n" and line_ends:
            yield character
        elif character == "\t" and line_ends:
            yield TAB
        elif code == _EMOJI_SELECTOR and _selects(before, text[place + 1 : place + 2]):
            yield character
        elif character in _BREAKS and line_ends:
            yield "\n"
        elif _joins(before, character, text[place + 1 : place + 2]):
            yield "" if character == _SOFT_HYPHEN else character
        elif category in _INVISIBLE or code in _BLANK or code in _SELECTORS or marks > MOST_MARKS:
            yield f"<U+{code:04X}>"
        elif category == "Zs":
            yield " "
        elif marks and before in ("", "\n", "\t", " "):
            yield f"<U+{code:04X}>"  # a mark without its own letter would appear on the margin
        else:
            yield character
        before = character


def _cut(line: str, width: int) -> Iterator[str]:
    """Cut a line into parts, after a space if the last third of a part has one."""
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
    """Return the greatest width, in columns, that a terminal may give to a character."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    if ord(character) < 0x300:
        return 1
    return 2 if unicodedata.east_asian_width(character) in ("W", "F", "A", "N") else 1
