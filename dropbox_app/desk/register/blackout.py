"""Find names in a text, however they are written, and remove them.

Pure functions. When in doubt, the functions remove too much: the author of the copy notices a
missing word, but may overlook a name that was not removed.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

# Words in a name or a title that are not names themselves, in the form of ``_folded``.
_NO_NAMES = frozenset({
    "de", "het", "een", "van", "der", "den", "ten", "ter", "te", "op", "in", "met", "en", "mijn",
    "onze", "uw", "the", "of", "a", "my", "our", "with", "and", "von", "du", "di", "da", "la", "le",
    "el", "al", "ال", "بن", "ابن", "ابو", "ام",
})  # fmt: skip

# Letters that Unicode does not decompose, mapped to letters without the stroke.
_LETTERS = str.maketrans({
    "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe",
    "þ": "th",
})  # fmt: skip

_UNSEEN = "\u00ad"  # replaces every zero-width character in a folded text
# Scripts with capitals are below U+0590. In the scripts above, words are written without spaces, or
# with attached endings and small words. A letter next to a name therefore means nothing there.
_NO_CAPITALS = "\u0590"
_LETTER = rf"[^\W\d_{_NO_CAPITALS}-\U0010ffff]"
_NOTHING = r"[^\s\S]"


def pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """Return a pattern that finds the names in a folded text; None if there are no names.

    Each name is searched for as a whole, with and without spaces, and by each of its words except
    small ones such as "van". A name may be followed by an s: Jans, Jan's.
    """
    wanted = {form for name in names for form in _forms(name)}
    if not wanted:
        return None
    beside: dict[tuple[str, str], list[str]] = {}
    for one in sorted(wanted, key=lambda one: (-len("".join(one)), one)):  # longest first
        ends = _beside(one[0][0]), _beside(one[-1][-1])
        beside.setdefault(ends, []).append(_written(one))
    return re.compile("|".join(
        rf"(?<!{before})(?:{'|'.join(some)})(?:{_UNSEEN}*['\u2019]?s)?(?!{after})"
        for (before, after), some in beside.items()
    ))  # fmt: skip


def blacked_out(text: str, names: re.Pattern[str] | None, sign: str) -> tuple[str, list[str]]:
    """Return the text with ``sign`` in place of each name, and the removed passages, folded."""
    if names is None:
        return text, []
    composed = unicodedata.normalize("NFC", text)
    folded, places = _folded(composed)
    places.append(len(composed))
    made, at, found = "", 0, []
    for one in names.finditer(folded):
        # A character that becomes two when folded, such as a ligature, is removed completely.
        last, following = places[one.end() - 1], places[one.end()]
        made += composed[at : places[one.start()]] + sign
        at = max(last + 1, following)
        found.append(one.group())
    return made + composed[at:], found


def unfound(names: Iterable[str], found: Iterable[str]) -> list[str]:
    """Return the names that ``blacked_out`` did not find, even in part. Blank names are ignored."""
    there: set[str] = set()
    for one in found:
        spelled = _spelled(one)
        there |= {*spelled, "".join(spelled)}
    there |= {one.removesuffix("s") for one in there}
    asked = dict.fromkeys(one for one in names if one.strip())
    return [one for one in asked if there.isdisjoint(map("".join, _forms(one)))]


def _forms(name: str) -> set[tuple[str, ...]]:
    """Return the search forms of a name: all its words together, and each word that is a name."""
    spelled = tuple(_spelled(_folded(name)[0]))
    return {spelled, *((one,) for one in spelled if _is_name(one))} if spelled else set()


def _spelled(folded: str) -> list[str]:
    return re.findall(r"[^\W_]+", folded.replace(_UNSEEN, ""))


def _is_name(word: str) -> bool:
    return len(word) > 1 and not word.isdecimal() and word not in _NO_NAMES


def _beside(end: str) -> str:
    """Return a pattern for the characters that would make ``end`` part of a different word."""
    if end.isdecimal():
        return r"\d"
    return _LETTER if end < _NO_CAPITALS else _NOTHING


def _written(words: Sequence[str]) -> str:
    unseen = f"{_UNSEEN}*"
    return r"[\W_]{0,3}".join(unseen.join(map(re.escape, one)) for one in words)


def _folded(text: str) -> tuple[str, list[int]]:
    """Return lower-case letters without accents, and the position of each in the text."""
    made, places = [], []
    for at, one in enumerate(text):
        for part in unicodedata.normalize("NFKD", one):
            kind = unicodedata.category(part)
            if kind.startswith("M"):
                continue
            plain = _UNSEEN if kind == "Cf" else part.casefold().translate(_LETTERS)
            made.append(plain)
            places += [at] * len(plain)
    return "".join(made), places
