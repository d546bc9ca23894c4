"""Request pages of a reporter's site as a browser does, without anything that identifies the desk.

No request has a cookie, a signature or an id. A server can still recognise a check by the order and
the number of the requests, and by how the connection is encrypted.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.transport.api_client import Transport

SECONDS = 60.0  # for one response
MOST_BYTES = 8 * 1024 * 1024  # of one response, before and after decompression
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


@dataclass(frozen=True)
class Seen:
    """A response. ``body`` is decompressed; ``readable`` is False if that failed."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    readable: bool = True

    def header(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Visitor:
    """A visitor at one address of a site, over one connection and so over one Tor circuit."""

    def __init__(
        self, transport: Transport, origin: str, pause: Callable[[], object] = lambda: None
    ) -> None:
        """``pause`` is called before each page, because a person reads one page before the next."""
        self._transport = transport
        self._origin = origin
        self._pause = pause
        self._arrived = False

    def page(self, path: str) -> Seen:
        """Return a page. Raises CannotReach."""
        if self._arrived:
            self._pause()
        site = "same-origin" if self._arrived else "none"
        self._arrived = True
        return self._get(path, _PAGE | {"Sec-Fetch-Site": site})

    def part(self, path: str) -> Seen:
        """Return a file that a page loads. Raises CannotReach."""
        ending = path.rpartition(".")[2] if "." in path else ""
        return self._get(path, _PARTS.get(ending, _PARTS[""]) | {"Sec-Fetch-Site": "same-origin"})

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _get(self, path: str, headers: dict[str, str]) -> Seen:
        try:
            return self._once(path, headers)
        except CannotReach:
            return self._once(path, headers)  # a connection that was kept open may have ended

    def _once(self, path: str, headers: dict[str, str]) -> Seen:
        given = _ALWAYS | headers
        with self._transport.send("GET", self._origin, path, given, b"", SECONDS) as answer:
            data = bytearray()
            for piece in answer.pieces:
                data += piece
                if len(data) > MOST_BYTES:
                    return Seen(answer.status, answer.headers, b"", readable=False)
            seen = Seen(answer.status, answer.headers, bytes(data))
        return _decompressed(seen)


def _decompressed(seen: Seen) -> Seen:
    encodings = [one.strip().lower() for one in seen.header("content-encoding")]
    if not encodings:
        return seen
    unread = Seen(seen.status, seen.headers, b"", readable=False)
    if encodings != ["gzip"]:
        return unread
    opened = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        body = opened.decompress(seen.body, MOST_BYTES)
    except zlib.error:
        return unread
    if not opened.eof or opened.unconsumed_tail or opened.unused_data:
        return unread
    return Seen(seen.status, seen.headers, body)
