"""Request pages of a reporter's site as a browser does, without anything that identifies the desk.

No request has a cookie, a signature or an id. A server can still recognise a check by the order and
the number of the requests, and by how the connection is encrypted.
"""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.transport.connection import Transport

SECONDS = 60.0  # for one response
# Bytes of one response, before and after decompression. The longest page has a tenth of its limit.
MOST_OF_PAGE = 1024 * 1024
MOST_OF_PART = 8 * 1024 * 1024
MOST_IN_ALL = 64 * 1024 * 1024  # of all responses of a check, before and after decompression
LONGEST = 30 * 60.0  # seconds for a check
_BUSY = (429, 502, 503, 504)  # of a site whose app is down, and of one that limits requests
# The headers of Tor Browser in its default settings, in its order. Only encodings that this module
# can read are named. Set the version to that of the current Tor Browser with each release.
_AGENT = "Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0"
_ALWAYS = {
    "User-Agent": _AGENT,
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate",
    "Connection": "keep-alive",
}
_PAGE = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-User": "?1",
}
_PARTS = {
    "css": {"Accept": "text/css,*/*;q=0.1", "Sec-Fetch-Dest": "style", "Sec-Fetch-Mode": "no-cors"},
    "js": {"Accept": "*/*", "Sec-Fetch-Dest": "script", "Sec-Fetch-Mode": "no-cors"},
    "": {"Accept": "*/*", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"},
}
# A script that the client starts as a worker.
_WORKER = {"Accept": "*/*", "Sec-Fetch-Dest": "worker", "Sec-Fetch-Mode": "same-origin"}


class TooMuch(Exception):
    """The site sent more for one check than the desk reads, or the check took too long."""


class Budget:
    """The number of bytes that one check may still read, and the time when the check must end."""

    def __init__(self) -> None:
        """Start the time limit of the check."""
        self._left = MOST_IN_ALL
        self._end = time.monotonic() + LONGEST

    def take(self, size: int = 0) -> None:
        """Subtract a number of bytes. Raises TooMuch if the allowed bytes or time are used up."""
        self._left -= size
        if self._left < 0 or time.monotonic() > self._end:
            raise TooMuch


@dataclass(frozen=True)
class Seen:
    """A response. ``body`` is decompressed; ``readable`` is False if that failed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    readable: bool = True

    @property
    def busy(self) -> bool:
        """Return whether the site was too busy to respond, or its app was down."""
        return self.status in _BUSY

    def header(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Visitor:
    """A visitor at one address of a site, over one connection, and so over one Tor circuit."""

    def __init__(
        self, transport: Transport, origin: str, budget: Budget, pause: Callable[[], object]
    ) -> None:
        """``budget`` is that of the whole check.

        ``pause`` is called before each page, because a person reads one page before the next.
        """
        self._transport = transport
        self._origin = origin
        self._budget = budget
        self._pause = pause
        self._arrived = False

    def page(self, path: str) -> Seen:
        """Return a page. Raises CannotReach and TooMuch."""
        if self._arrived:
            self._pause()
        site = "same-origin" if self._arrived else "none"
        self._arrived = True
        return self._get(path, _PAGE | {"Sec-Fetch-Site": site}, MOST_OF_PAGE)

    def part(self, path: str) -> Seen:
        """Return a file that a page loads. Raises CannotReach and TooMuch."""
        ending = path.rpartition(".")[2] if "." in path else ""
        kind = _PARTS.get(ending, _PARTS[""])
        if ending == "js" and path.startswith("/static/worker-"):
            kind = _WORKER
        return self._get(path, kind | {"Sec-Fetch-Site": "same-origin"}, MOST_OF_PART)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _get(self, path: str, headers: dict[str, str], most: int) -> Seen:
        try:
            return self._once(path, headers, most)
        except CannotReach:
            return self._once(path, headers, most)  # a connection that was kept open may have ended

    def _once(self, path: str, headers: dict[str, str], most: int) -> Seen:
        self._budget.take()
        given = _ALWAYS | headers
        with self._transport.send("GET", self._origin, path, given, b"", SECONDS) as answer:
            data = bytearray()
            for piece in answer.pieces:
                data += piece
                self._budget.take(len(piece))
                if len(data) > most:
                    return Seen(answer.status, answer.headers, b"", readable=False)
            seen = Seen(answer.status, answer.headers, bytes(data))
        unpacked = _decompressed(seen, most)
        self._budget.take(len(unpacked.body) if unpacked is not seen else 0)
        return unpacked


def _decompressed(seen: Seen, most: int) -> Seen:
    encodings = [one.strip().lower() for one in seen.header("content-encoding")]
    if not encodings:
        return seen
    unread = Seen(seen.status, seen.headers, b"", readable=False)
    if encodings != ["gzip"]:
        return unread
    opened = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = opened.decompress(seen.body, most)
    except zlib.error:
        return unread
    if not opened.eof or opened.unconsumed_tail or opened.unused_data:
        return unread
    return Seen(seen.status, seen.headers, body)
