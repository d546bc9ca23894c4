"""Pages that answer a form, each at its own address for a while.

A browser keeps the contents of a form with the page that answered it, and Chromium writes them to
its session files on disk, whatever headers the page has. So a form is answered by a redirect, and
the resulting page waits here, in memory.
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
    """The newest pages that answered a form, until the desk is locked."""

    _kept: OrderedDict[str, Answer] = field(default_factory=OrderedDict)

    def keep(self, answer: Answer) -> str:
        """Keep a page; return the end of its address."""
        key = secrets.token_urlsafe(12)
        self._kept[key] = answer
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return key

    def find(self, key: str) -> Answer | None:
        """Return a page that is still kept; it stays, so that going back shows it again."""
        return self._kept.get(key)

    def drop(self) -> None:
        """Drop all pages."""
        self._kept.clear()
