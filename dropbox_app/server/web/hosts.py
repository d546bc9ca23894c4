"""The addresses of a site, and the paths that exist at each of them."""

import re
from collections.abc import Collection
from contextvars import ContextVar
from urllib.parse import urlsplit
from wsgiref.types import WSGIEnvironment

from flask import Request

DESK_PATHS = "/api/desk/"
MOST_PORT = 65_535

# A host name or IP address, with an optional port. Anything ambiguous is no site's name.
_HOST = re.compile(
    r"(?:(?P<name>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)|\[(?P<v6>[0-9a-f:.]+)\])"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)

# Whether a request came through nginx's socket for desks' onion addresses; None without nginx.
AT_DESKS: ContextVar[bool | None] = ContextVar("at_desks", default=None)


class Hosts:
    """The addresses of one site: ``origins`` for reporters, ``desk_origins`` for desks only."""

    def __init__(self, origins: Collection[str], desk_origins: Collection[str] = ()) -> None:
        self._origins = frozenset(origins)
        self._desk_names = frozenset(urlsplit(origin).hostname for origin in desk_origins)
        parts = [urlsplit(origin) for origin in sorted({*origins, *desk_origins})]
        self._https = {part.netloc: part.scheme == "https" for part in parts}
        self.names = frozenset(part.hostname or "" for part in parts)
        self._plain_names = {part.hostname for part in parts if part.scheme == "http"}

    def is_https(self, environ: WSGIEnvironment) -> bool:
        """Return whether the requested address uses https, according to the settings, not a header.

        A name that has only an https origin counts as https on any port. For a name with both http
        and https origins, the port decides.
        """
        host = environ.get("HTTP_HOST", "").lower()
        name = host_name(host)
        only = name in self.names and name not in self._plain_names
        return self._https.get(host, only)

    def is_reachable(self, environ: WSGIEnvironment) -> bool:
        """Return whether the requested address is available on the socket of this request.

        A client can send any Host header, but cannot choose the socket. Tor connects only clients
        with an authorization key to the socket for desks.
        """
        name = host_name(environ.get("HTTP_HOST", "")) or ""
        for_desks = name in self._desk_names and name.endswith(".onion")
        return AT_DESKS.get() in (for_desks, None)

    def has_path(self, environ: WSGIEnvironment, path: str) -> bool:
        """Return whether this path exists at the requested address.

        If desks have their own address, the desk API is available only there. The public cards are
        available only at the reporters' address, because a desk checks the copy that reporters see.
        """
        of_desks = path.startswith(DESK_PATHS)
        if host_name(environ.get("HTTP_HOST", "")) in self._desk_names:
            return of_desks
        return not (of_desks and self._desk_names)

    def is_own_post(self, request: Request) -> bool:
        """Return whether a post is from a page of this site, as far as its headers show."""
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return False
        origin = request.headers.get("Origin")
        if origin is None:
            return True
        host = request.environ.get("HTTP_HOST", "")
        return origin in self._origins and urlsplit(origin).hostname == host_name(host)


def host_name(host: str) -> str | None:
    """Return the name in a valid Host header; None for an invalid one.

    The port may differ from the settings, because it may be forwarded. The name must match the
    settings.
    """
    found = _HOST.fullmatch(host.lower())
    if found is None or int(found["port"] or 0) > MOST_PORT:
        return None
    return found["v6"] or found["name"]


def target_names_another_host(environ: WSGIEnvironment) -> bool:
    """Return whether the host in the request line differs from the Host header."""
    target = str(environ.get("RAW_URI", ""))
    _, found, rest = target.partition("://")
    if target.startswith("/") or not found:
        return False
    named = re.split("[/?#]", rest, maxsplit=1)[0]
    return named.lower() != str(environ.get("HTTP_HOST", "")).lower()
