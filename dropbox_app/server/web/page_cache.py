"""The pages that hang on nothing but the day, the language and the people, and where they wait.

Each is made when it is first asked for, and kept as the bytes that everybody gets. What is kept
is bounded: of many sites with many pages those go that were not asked for the longest.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from dropbox_app.server.web.view_models.counsellors import People

KEPT = 8 * 1024 * 1024  # bytes of pages that a process keeps


@dataclass(frozen=True)
class Still:
    """One such page.

    ``here``: the rest of its path; None for the one page without a language. ``context``: what its
    template needs beside what all get, by language and people. ``typing``: it has a field for text.
    """

    template: str
    here: str | None
    title: str = "title.info"
    context: Callable[[str, People], dict[str, Any]] = lambda _lang, _people: {}
    typing: bool = False


class Kept:
    """Pages that were made, each with the state that it was made for.

    Safe between threads, and between the sites of one process: a key names its site.
    """

    def __init__(self, most: int = KEPT) -> None:
        self._most = most
        self.size = 0  # bytes of all pages here
        self._pages: OrderedDict[Hashable, tuple[object, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, state: object, make: Callable[[], bytes]) -> bytes:
        """The page of this key in this state; ``make`` is called where it is not here.

        Two that ask at once may both make it: it is the same.
        """
        with self._lock:
            known = self._pages.get(key)
            if known is not None and known[0] == state:
                self._pages.move_to_end(key)
                return known[1]
        page = make()
        with self._lock:
            self._drop(key)
            self._pages[key] = state, page
            self.size += len(page)
            while self.size > self._most:
                self._drop(next(iter(self._pages)))
        return page

    def _drop(self, key: Hashable) -> None:
        known = self._pages.pop(key, None)
        if known is not None:
            self.size -= len(known[1])
