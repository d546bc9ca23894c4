"""What every answer and every request goes through: headers, hosts, origins, sizes, logging.

The app sets its headers itself, so that they do not hang on a proxy in front of it.
"""

import logging
import re
import sys
from collections.abc import Callable, Collection
from contextvars import ContextVar
from types import TracebackType
from typing import IO, Any
from urllib.parse import urlsplit
from wsgiref.types import StartResponse, WSGIEnvironment

from flask import Flask, Request, Response, abort, request
from werkzeug.datastructures import FileStorage, ImmutableMultiDict
from werkzeug.exceptions import (
    BadRequest,
    Forbidden,
    NotFound,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from dropbox_app.server.reporter import kdf_limiter
from dropbox_app.server.web.assets import LEAVE_SCRIPT_HASH
from dropbox_app.server.web.uploads import FORM_BYTES, MULTIPART, FormsOnly

FORM = "application/x-www-form-urlencoded"
DESK_PATHS = "/api/desk/"
UPLOAD = "files-post"  # the one endpoint that takes files
FORM_FIELDS = 100  # the report has some 40; each more would only cost work

HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; script-src {LEAVE_SCRIPT_HASH}; style-src 'self'; "
        "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # Also for the style sheet: a cache on the device would tell of the visit.
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: under that browsers send "Origin: null" with a post.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), "
        "browsing-topics=()"
    ),
    "X-Frame-Options": "DENY",
}
HSTS = "max-age=63072000"

# A name or an address, and a port. What programs could read in two ways is the name of no site.
_HOST = re.compile(
    r"(?:(?P<name>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)|\[(?P<v6>[0-9a-f:.]+)\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
MOST_PORT = 65_535

_ALWAYS = list(HEADERS.items())
_OVER_HTTPS = [*_ALWAYS, ("Strict-Transport-Security", HSTS)]
# Nothing of the server is told, nor a moment: a clock's error knows its machine again. ``Vary`` is
# for caches, and "no-store" leaves none.
_REPLACED = frozenset(
    [name.lower() for name in HEADERS] + ["server", "date", "last-modified", "etag", "vary"]
)
# The same order everywhere; what only some answers have comes last.
_ORDER = {
    **{"content-type": 0, "content-length": 1},
    **{"content-encoding": 3, "set-cookie": 4, "location": 5, "allow": 6},
}

# Whether a request came by nginx's socket for desks' onions; None where there is no nginx.
AT_DESKS: ContextVar[bool | None] = ContextVar("at_desks", default=None)

logger = logging.getLogger("klankbord")


class PlainRequest(Request):
    """A request whose form stays in memory. A form with files is read by the view that takes them.

    That view uses ``uploads.read_form`` and leaves the fields in ``fields_with_files``. Nothing
    else reads such a form: werkzeug would put the files on a disk, readable, before anybody looked.
    """

    form_data_parser_class = FormsOnly
    fields_with_files: ImmutableMultiDict[str, str] | None = None

    @property
    def form(self) -> ImmutableMultiDict[str, str]:
        """The fields. Aborts with 415 for a form with files that no view has read."""
        if not self.mimetype.startswith("multipart/"):
            return super().form
        if self.fields_with_files is None:
            abort(UnsupportedMediaType.code)
        return self.fields_with_files

    @property
    def files(self) -> ImmutableMultiDict[str, FileStorage]:
        """No files. Aborts with 415 for a form with files."""
        if self.mimetype.startswith("multipart/"):
            abort(UnsupportedMediaType.code)
        return super().files


class QuietFlask(Flask):
    """Flask that hardens every answer, also the last resort's, and logs nothing that was sent."""

    request_class = PlainRequest
    # Gives the addresses of the site that is asked for; None if there is none.
    hosts: Callable[[WSGIEnvironment], "Hosts | None"]

    def wsgi_app(self, environ: WSGIEnvironment, start_response: StartResponse) -> Any:  # noqa: ANN401 - as Flask has it
        """Below the app, so that no way of answering goes past it; and it costs next to nothing."""
        hosts = self.hosts(environ)
        added = _OVER_HTTPS if hosts is not None and hosts.secure(environ) else _ALWAYS

        def start(
            status: str,
            headers: list[tuple[str, str]],
            *rest: Any,  # noqa: ANN401 - as WSGI has it
        ) -> Callable[[bytes], object]:
            kept = [header for header in headers if header[0].lower() not in _REPLACED]
            ordered = sorted(kept + added, key=lambda header: _ORDER.get(header[0].lower(), 2))
            return start_response(status, ordered, *rest)

        return super().wsgi_app(environ, start)

    def log_exception(
        self,
        exc_info: (
            tuple[type[BaseException], BaseException, TracebackType | None]
            | tuple[None, None, None]
        ),
    ) -> None:
        """One line: the kind of exception and the line of code. A message could hold a text."""
        logger.error("%s", where(exc_info[1]))


class Hosts:
    """The addresses of a site, from its settings: those of reporters, and of desks alone."""

    def __init__(self, origins: Collection[str], desk_origins: Collection[str] = ()) -> None:
        self._origins = frozenset(origins)
        self._desk_names = frozenset(urlsplit(origin).hostname for origin in desk_origins)
        parts = [urlsplit(origin) for origin in sorted({*origins, *desk_origins})]
        self._secure = {part.netloc: part.scheme == "https" for part in parts}
        self.names = frozenset(part.hostname or "" for part in parts)
        self._plain_names = {part.hostname for part in parts if part.scheme == "http"}

    def secure(self, environ: WSGIEnvironment) -> bool:
        """Whether this address is reached over https, by the settings and not by a header.

        A name that has https only is https on any port; one that has both is known by its port.
        """
        host = environ.get("HTTP_HOST", "").lower()
        name = host_name(host)
        only = name in self.names and name not in self._plain_names
        return self._secure.get(host, only)

    def reached(self, environ: WSGIEnvironment) -> bool:
        """Whether this address can be asked for by the way that was taken.

        Anybody can write any Host, and nobody outside chooses another socket file: to the one for
        desks Tor takes who has a key.
        """
        name = host_name(environ.get("HTTP_HOST", "")) or ""
        closed = name in self._desk_names and name.endswith(".onion")
        return AT_DESKS.get() in (closed, None)

    def answers(self, environ: WSGIEnvironment, path: str) -> bool:
        """Whether there is anything under this path at the address that was asked for.

        What anybody may see of the cards is not at the desks' own: a desk looks at what reporters
        are shown, and so at theirs.
        """
        of_desks = path.startswith(DESK_PATHS)
        if host_name(environ.get("HTTP_HOST", "")) in self._desk_names:
            return of_desks
        return not (of_desks and self._desk_names)

    def own(self, given: Request) -> bool:
        """Whether a post came from a page of this site, as far as the browser says."""
        if given.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return False
        origin = given.headers.get("Origin")
        if origin is None:
            return True
        host = given.environ.get("HTTP_HOST", "")
        return origin in self._origins and urlsplit(origin).hostname == host_name(host)


def harden(
    app: QuietFlask,
    hosts: Callable[[WSGIEnvironment], Hosts | None],
    opened: Callable[[], object],
    lost: Callable[[], Response | None],
) -> None:
    """Put the checks before every request and the headers on every answer.

    ``hosts`` as in ``QuietFlask``. ``opened`` sees to it that the site can be used, or aborts.
    ``lost`` answers at a host that is no site's.
    """
    app.hosts = hosts
    app.config["MAX_CONTENT_LENGTH"] = FORM_BYTES  # the desk API sets its own
    app.config["MAX_FORM_MEMORY_SIZE"] = FORM_BYTES

    @app.before_request
    def check() -> Response | None:
        if _elsewhere(request.environ):
            abort(BadRequest.code)
        here = hosts(request.environ)
        if here is None:
            return lost()
        if not here.answers(request.environ, request.path):
            abort(NotFound.code)
        opened()
        if not request.environ.get("PATH_INFO", "").startswith("/"):
            abort(BadRequest.code)  # werkzeug would redirect, and repeat host and query
        if request.method in ("GET", "HEAD") and kdf_limiter.late():
            raise kdf_limiter.Busy("the wait for a thread was too long")
        if request.method != "POST" or request.path.startswith("/api/"):
            return None
        if request.endpoint == UPLOAD and request.mimetype == MULTIPART:
            if not here.own(request):
                abort(Forbidden.code)
            # The view sees to that, before it reads.
            request.max_content_length = (request.content_length or 0) + 1
            return None
        if request.content_length is not None and request.content_length > FORM_BYTES:
            abort(RequestEntityTooLarge.code)
        if request.mimetype not in (FORM, ""):
            abort(UnsupportedMediaType.code)
        body = request.get_data()
        # Half a post is none: else half a report could be kept, under a code that nobody saw.
        if len(body) != (request.content_length or 0) or body.count(b"&") >= FORM_FIELDS:
            abort(BadRequest.code)
        if not here.own(request):
            abort(Forbidden.code)
        # Without a session nothing takes long but a code, and that has a gate of its own.
        if kdf_limiter.late() and request.cookies:
            raise kdf_limiter.Busy("the wait for a thread was too long")
        return None


def quiet_log(stream: IO[str] | None = None) -> None:
    """Let the app's own few lines out, without a time; everybody else's stay in."""
    if not logger.handlers:
        handler = logging.StreamHandler(stream or sys.stderr)
        handler.setFormatter(logging.Formatter("klankbord: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING)
        logger.propagate = False


def where(error: BaseException | None) -> str:
    """The type of an exception and the module and line that raised it, and nothing it says."""
    if error is None:
        return "an exception"
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    module = trace.tb_frame.f_globals.get("__name__", "?")
    return f"{type(error).__name__} at {module}:{trace.tb_lineno}"


def host_name(host: str) -> str | None:
    """The name in a Host header of the one form there is; None of any other.

    A forwarded port may differ from the settings, the name not.
    """
    found = _HOST.fullmatch(host.lower())
    if found is None or int(found["port"] or 0) > MOST_PORT:
        return None
    return found["v6"] or found["name"]


def _elsewhere(environ: WSGIEnvironment) -> bool:
    """Whether the target is a whole address, of another host than the header says."""
    target = str(environ.get("RAW_URI", ""))
    _, found, rest = target.partition("://")
    if target.startswith("/") or not found:
        return False
    named = re.split("[/?#]", rest, maxsplit=1)[0]
    return named.lower() != str(environ.get("HTTP_HOST", "")).lower()
