"""A bounded cache for pages that depend only on the day, the language and the counsellors.

Such a page is rendered on its first request and kept as the bytes that every visitor gets.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

CACHE_BYTES = 8 * 1024 * 1024  # maximum bytes of pages that a process keeps


class PageCache:
    """Rendered pages, each with the state for which it was rendered.

    When the pages exceed ``most`` bytes, the least recently used ones are dropped. Threads and the
    sites of one process can share it, because a key includes its site.
    """

    def __init__(self, most: int = CACHE_BYTES) -> None:
        self._most = most
        self.size = 0  # bytes of all cached pages
        self._pages: OrderedDict[Hashable, tuple[object, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, state: object, make: Callable[[], bytes]) -> bytes:
        """Return the page for this key and state; call ``make`` to render a missing one.

        Two threads that need a page at the same time may both render it, with the same bytes.
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
