"""Pages that result from a form, each available at its own address for a while.

A browser stores the contents of a form with the page that is returned for it, and Chromium writes
them to its session files on disk, whatever headers the page has. The response to a form is
therefore a redirect, and the resulting page is kept here, in memory.
"""

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

MOST = 8  # pages; older ones are dropped


@dataclass(frozen=True)
class Answer:
    """A finished page, and its HTTP status."""

    html: bytes
    status: int


@dataclass
class Answers:
    """The newest pages that result from forms, until the desk is locked."""

    _kept: OrderedDict[str, Answer] = field(default_factory=OrderedDict)

    def keep(self, answer: Answer) -> str:
        """Store a page; return the last part of its address."""
        key = secrets.token_urlsafe(12)
        self._kept[key] = answer
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return key

    def find(self, key: str) -> Answer | None:
        """Return a stored page. The page remains stored, so that going back shows it again."""
        return self._kept.get(key)

    def drop(self) -> None:
        """Remove all pages."""
        self._kept.clear()
