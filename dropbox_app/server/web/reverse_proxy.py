"""Read the headers that nginx sets on a request, and limit the time for a large body or response.

On a real server, nginx is in front of the app and connects to a socket file that only it can open
(``deploy/etc/klankbord/nginx``). nginx sets these headers, and removes headers of the same names
that a client sent:

    X-Klankbord-Way onion, desks or domain: the socket on which the request arrived
    X-Klankbord-Since the time at which the request arrived, in seconds with three decimals
    X-Klankbord-Visitor only with a report: the Tor circuit or, for a domain, the IP address

On a TCP address the app serves without nginx, and removes these headers.

nginx limits the length of each pause by a client, but not the total time of a request. An upload is
read as it arrives, and a download is sent as it is read, so this module limits their total time:
``GRACE`` seconds, plus one second for each ``SLOWEST`` bytes.
"""

import errno
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from dropbox_app.server.reporter import kdf_limiter
from dropbox_app.server.web.hosts import AT_DESKS, DESK_PATHS
from dropbox_app.server.web.repeated_posts import VISITOR
from dropbox_app.server.web.security_headers import HEADERS

WAYS = ("onion", "desks", "domain")
GRACE = 60.0  # seconds
SLOWEST = 2048  # bytes a second
STEP = 1024  # bytes after which the time of a body is checked; gunicorn reads this many at once
MOST_WAITED = 60.0  # seconds; a change of the clock must not make a request seem older

STREAMED = (DESK_PATHS, "/api/files/")  # paths whose bodies nginx forwards as they arrive

_WAY = "HTTP_X_KLANKBORD_WAY"
_SINCE = "HTTP_X_KLANKBORD_SINCE"
_VISITOR = "HTTP_X_KLANKBORD_VISITOR"
_MISDIRECTED = b"<!doctype html>\n<title>Information</title>\n<p>This is not the way in.</p>\n"


class TooSlow(ConnectionResetError):
    """Raised if the client sends or reads more slowly than ``SLOWEST``."""


class Pace:
    """The remaining time of one transfer. ``clock`` returns monotonic time in seconds.

    Threads must not share it: each transfer needs its own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = clock() + GRACE

    def check(self, size: int) -> None:
        """Count ``size`` bytes. Raises TooSlow if the transfer has taken too long."""
        self._until += size / SLOWEST
        if self._clock() > self._until:
            raise TooSlow(errno.ECONNRESET, "the transfer is too slow")


class PacedBody:
    """The body of a request, with the interface that WSGI requires.

    A read checks the time after at most ``STEP`` bytes, and raises TooSlow if it has run out.
    """

    def __init__(self, body: IO[bytes], pace: Pace) -> None:
        self._body = body
        self._pace = pace

    def read(self, size: int = -1) -> bytes:
        """Read at most ``size`` bytes, or all remaining ones if it is negative. Raises TooSlow."""
        pieces = []
        while size != 0:
            piece = self._counted(self._body.read(STEP if size < 0 else min(size, STEP)))
            if not piece:
                break
            pieces.append(piece)
            size -= len(piece) if size > 0 else 0
        return b"".join(pieces)

    def readline(self, size: int = -1) -> bytes:
        """Read a line of at most ``size`` bytes. Raises TooSlow."""
        return self._counted(self._body.readline(size))

    def readlines(self, hint: int = -1) -> list[bytes]:
        """Read all lines. Raises TooSlow."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _counted(self, data: bytes) -> bytes:
        self._pace.check(len(data))
        return data


class PacedAnswer:
    """The pieces of a response. A late piece raises TooSlow, which ends the response.

    The server asks for a piece after it has sent the previous one.
    """

    def __init__(self, pieces: Iterable[bytes], pace: Pace) -> None:
        self._pieces = pieces
        self._pace = pace

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._pace.check(0)
            yield piece
            self._pace.check(len(piece))

    def close(self) -> None:
        """Close the response that is being sent."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()


class ReverseProxy:
    """The app as gunicorn calls it. ``behind_nginx``: whether it listens on nginx's socket file.

    On nginx's socket, a request without a known ``X-Klankbord-Way`` gets status 421, because only
    nginx connects to that socket.
    """

    def __init__(self, app: WSGIApplication, *, behind_nginx: bool) -> None:
        self._app = app
        self._behind_nginx = behind_nginx

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond to a request that arrived through nginx, or over TCP without nginx."""
        way = environ.pop(_WAY, "")
        since = environ.pop(_SINCE, "")
        visitor = environ.pop(_VISITOR, "")
        now = time.monotonic()
        if not self._behind_nginx:
            AT_DESKS.set(None)
            kdf_limiter.ARRIVED.set(now)
            VISITOR.set(str(environ.get("REMOTE_ADDR", "")))
        elif way not in WAYS:
            return _misdirected(start_response)
        else:
            AT_DESKS.set(way == "desks")
            kdf_limiter.ARRIVED.set(now - _waited(since))
            VISITOR.set(visitor)
        body = PacedBody(environ["wsgi.input"], Pace())
        environ["wsgi.input"] = cast(IO[bytes], body)
        pieces = self._app(environ, start_response)
        if not _is_streamed(environ):
            # gunicorn closes a connection if a long body was left unread, even after it announced
            # that it would keep the connection. By then nginx may have sent another request on it.
            body.read()
        return PacedAnswer(pieces, Pace())


def _is_streamed(environ: WSGIEnvironment) -> bool:
    """Return True if nginx forwards the body as it arrives, instead of all at once."""
    content_type, path = str(environ.get("CONTENT_TYPE", "")), str(environ.get("PATH_INFO", ""))
    return content_type.strip().lower().startswith("multipart/") or path.startswith(STREAMED)


def _waited(since: str) -> float:
    """Return the seconds since nginx received the request, by the clock that both use."""
    try:
        waited = time.time() - float(since)
    except ValueError:
        return 0.0
    return min(max(0.0, waited), MOST_WAITED)


def _misdirected(start_response: Callable[..., Any]) -> Iterable[bytes]:
    length = str(len(_MISDIRECTED))
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", length)]
    start_response("421 Misdirected Request", [*headers, *HEADERS.items()])
    return [_MISDIRECTED]
