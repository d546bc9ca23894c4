"""Compare a page with its shape, and return what is in its slots.

The shape is turned into an automaton. Every pair of a state and a position in the page is examined
at most once, so that no page can make the comparison slow. For a page that does not match, the
result is the position up to which it matches.
"""

import re
from dataclasses import dataclass

from dropbox_app.desk.site_check.values import Shape

MOST_STEPS = 300_000  # an unaltered page takes at most a quarter of this
MOST_LETTERS = 256 * 1024  # of a page; the longest has a quarter of that
_MARKUP = frozenset("<>\"'")  # what no text in a slot contains, because it is escaped
# The HTML that the server makes of an organisation's Markdown: its own tags, and links as allowed.
_LINK = (
    r"https://[a-z0-9][a-z0-9.-]*(?::[0-9]+)?(?:[/?#][^\"<>]*)?|mailto:[^\"<>?&@]+@[^\"<>?&]++"
    r"|tel:[+0-9().-]+|/(?:[a-z0-9][a-z0-9/_-]*/?)?|[a-z][a-z0-9-]*"
)
_OWN = re.compile(
    r"[^<>]|</?(?:p|h2|h3|h4|ul|ol|li|strong|em|blockquote|code|pre|div)>|<(?:hr|br) />"
    r'|<ol start="[0-9]+">|<code class="language-[^"<>]*">|<div lang="[a-z]+" dir="ltr">'
    rf'|<a href="(?:{_LINK})"(?: title="[^"<>]*")?>|</a>',
    re.IGNORECASE,
)


class TooLong(Exception):
    """The comparison of a page would take too many steps."""


@dataclass(frozen=True)
class Match:
    """The result of a comparison.

    ``slots``: the name and content of each slot, in the order of the page. ``until``: how many
    characters of the page match, if not all of them do.
    """

    fits: bool
    slots: tuple[tuple[str, str], ...] = ()
    until: int = 0


@dataclass
class _State:
    """A state: the text or slot that comes next, or the states to choose from.

    ``kind`` is "end", "text", "open" (a slot begins), "slot" or "html" (inside it) or "go".
    """

    kind: str = "end"
    text: str = ""
    next: tuple[int, ...] = ()


class Matcher:
    """The automaton of one shape."""

    def __init__(self, shape: Shape) -> None:
        self._states: list[_State] = [_State()]
        self._start = self._add(shape, 0)
        self._firsts: dict[int, frozenset[str] | None] = {}

    def _new(self, kind: str, text: str, *after: int) -> int:
        self._states.append(_State(kind, text, after))
        return len(self._states) - 1

    def _add(self, shape: Shape, after: int) -> int:
        """Add the states of a shape before the state ``after``; return its first state."""
        if shape.kind == "text":
            return self._new("text", shape.text, after)
        if shape.kind in ("slot", "html"):
            return self._new("open", shape.text, self._new(shape.kind, "", after))
        if shape.kind == "all":
            for part in reversed(shape.parts):
                after = self._add(part, after)
            return after
        if shape.kind == "one":
            return self._new("go", "", *[self._add(part, after) for part in shape.parts])
        again = self._new("go", "", after)
        self._states[again].next = (self._add(shape.parts[0], again), after)
        return again

    def match(self, page: str) -> Match:
        """Compare a page with the shape. Raises TooLong."""
        if len(page) > MOST_LETTERS:
            raise TooLong
        # The slots on the way to a state: the entry before, the slot's name and its beginning; on
        # leaving the slot, no name and its end.
        came: list[tuple[int, str, int]] = []
        waiting: list[tuple[int, int, int]] = [(self._start, 0, -1)]
        seen: set[tuple[int, int]] = set()
        farthest = 0
        while waiting:
            number, at, before = waiting.pop()
            if (number, at) in seen:
                continue
            seen.add((number, at))
            if len(seen) > MOST_STEPS:
                raise TooLong
            farthest = max(farthest, at)
            state = self._states[number]
            if state.kind == "end":
                if at == len(page):
                    return Match(True, _slots(came, before, page), at)
            elif state.kind == "text":
                if page.startswith(state.text, at):
                    waiting.append((state.next[0], at + len(state.text), before))
                else:
                    farthest = max(farthest, at + _same(state.text, page, at))
            elif state.kind == "go":
                waiting += [(one, at, before) for one in reversed(state.next)]
            elif state.kind == "open":
                came.append((before, state.text, at))
                waiting.append((state.next[0], at, len(came) - 1))
            else:
                inside = _inside(state.kind, page, at)
                if inside > at:
                    waiting.append((number, inside, before))
                first = self._first(state.next[0])
                if first is None or page[at : at + 1] in first:  # the shortest text is tried first
                    came.append((before, "", at))
                    waiting.append((state.next[0], at, len(came) - 1))
        return Match(False, (), farthest)

    def _first(self, number: int) -> frozenset[str] | None:
        """Return the characters that can follow at a state; None if any character can."""
        if number not in self._firsts:
            found: set[str] | None = set()
            todo, seen = [number], set()
            while todo and found is not None:
                one = todo.pop()
                state = self._states[one]
                if one in seen:
                    continue
                seen.add(one)
                if state.kind == "text":
                    found.add(state.text[:1])
                elif state.kind in ("go", "open"):
                    todo += state.next
                elif state.kind == "end":
                    found.add("")
                else:
                    found = None
            self._firsts[number] = None if found is None else frozenset(found)
        return self._firsts[number]


def _same(text: str, page: str, at: int) -> int:
    """Return how many characters of a text match the page, starting at a position."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if page.startswith(text[:middle], at) else (low, middle - 1)
    return low


def _inside(kind: str, page: str, at: int) -> int:
    """Return the end of the next letter or tag in a slot; ``at`` if the slot must end here."""
    if kind == "slot":
        return at + (page[at : at + 1] not in _MARKUP and at < len(page))
    piece = _OWN.match(page, at)
    return piece.end() if piece else at


def _slots(came: list[tuple[int, str, int]], last: int, page: str) -> tuple[tuple[str, str], ...]:
    found, end = [], 0
    while last >= 0:
        last, name, at = came[last]
        if name:
            found.append((name, page[at:end]))
        end = at
    return tuple(reversed(found))
