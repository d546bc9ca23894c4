"""Decide who may reach the page: only the browser window that used the one-time link.

Every program and every user of this computer can connect to 127.0.0.1, and every web page that the
person has open can send requests there. A request is passed on only if all of the following are
true:

- ``Host`` is exactly ``127.0.0.1:PORT``, so that a name rebound to 127.0.0.1 is refused;
- the browser's ``Sec-Fetch-Site`` states that the request comes from the page itself, or that the
  person typed the address of a page; without this header it is refused;
- a POST has this address in ``Origin``;
- the path begins with the run's 32 random hex digits;
- the request has the cookie of this run. Cookies do not depend on the port, so only the ``Path``
  keeps the cookie from other servers on 127.0.0.1.

The link itself, ``/in/TOKEN``, is opened from a file and therefore arrives as ``none`` or
``cross-site``. The response is 200 with a refresh: after a redirect from a file, browsers do not
send a cookie that is ``SameSite=Strict``.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from dropbox_app.desk.web.link import PATH as LINK_PATH
from dropbox_app.desk.web.link import Link

HOST = "127.0.0.1"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; form-action 'self'; frame-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
# If a view sets one of these itself (the frame for a reporter's file), its own value is kept.
HEADERS = {
    "Content-Security-Policy": CSP,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # With no-referrer, browsers would send "Origin: null" with a post.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), microphone=(), geolocation=(), display-capture=(), payment=(), usb=(), "
        "browsing-topics=()"
    ),
}
_REPLACED = {name.lower() for name in HEADERS} | {"etag", "last-modified"}
_METHODS = ("GET", "POST")
_REFUSED = b"Refused.\n"
# Shown in an old window, for example one that the browser restored. It only says what to do.
_CLOSED = (
    b'<!doctype html><html lang="nl"><meta charset="utf-8"><title>Bericht</title>'
    b"<p>Deze pagina is gesloten. Start het programma opnieuw.</p>"
    b'<p lang="en">This page has been closed. Start the program again.</p></html>\n'
)
_ENTER = (
    '<!doctype html><html lang="nl"><meta charset="utf-8"><title>Bericht</title>'
    '<meta http-equiv="refresh" content="0;url={0}"><p><a href="{0}">Verder</a></p></html>\n'
)


class Gate:
    """WSGI middleware in front of the page. ``port`` is set once the server has one."""

    def __init__(self, app: WSGIApplication, link: Link) -> None:
        self.prefix = "/" + secrets.token_hex(16)
        self.port = 0
        self.link = link
        self._app = app
        # A page on another port can set cookies here, but does not know this name.
        self._cookie = f"page-{secrets.token_hex(4)}={secrets.token_hex(32)}"

    @property
    def origin(self) -> str:
        """Return the address of the page, as browsers send it in ``Origin``."""
        return f"http://{HOST}:{self.port}"

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on, or refuse it."""
        path = environ.get("PATH_INFO", "")
        if not self._from_here(environ):
            return _answer(start_response, "403 Forbidden", _REFUSED, "text/plain")
        if path.startswith(LINK_PATH):
            return self._enter(path.removeprefix(LINK_PATH), environ, start_response)
        if not self._asked_by_page(environ):
            return _answer(start_response, "403 Forbidden", _REFUSED, "text/plain")
        if not self.is_own(environ):
            return _answer(start_response, "404 Not Found", _CLOSED)
        environ["SCRIPT_NAME"] = self.prefix
        environ["PATH_INFO"] = path.removeprefix(self.prefix)
        return self._app(environ, _with_headers(start_response))

    def is_own(self, environ: WSGIEnvironment) -> bool:
        """Return whether the request's headers show that it comes from the page's own window."""
        return (
            self._from_here(environ)
            and self._asked_by_page(environ)
            and environ.get("PATH_INFO", "").startswith(self.prefix + "/")
            and self._has_cookie(environ)
        )

    def _from_here(self, environ: WSGIEnvironment) -> bool:
        """Return whether the address, the method and the browser's header are acceptable."""
        return (
            environ.get("HTTP_HOST") == f"{HOST}:{self.port}"
            and environ["REQUEST_METHOD"] in _METHODS
            and "HTTP_SEC_FETCH_SITE" in environ
        )

    def _asked_by_page(self, environ: WSGIEnvironment) -> bool:
        site = environ["HTTP_SEC_FETCH_SITE"]
        if environ["REQUEST_METHOD"] == "GET":
            return bool(site == "same-origin" or (site == "none" and _opens_a_page(environ)))
        return bool(site == "same-origin" and environ.get("HTTP_ORIGIN") == self.origin)

    def _has_cookie(self, environ: WSGIEnvironment) -> bool:
        own = self._cookie.encode()
        given = environ.get("HTTP_COOKIE", "").split(";")
        return any(secrets.compare_digest(one.strip().encode(), own) for one in given)

    def _enter(
        self, token: str, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Admit a browser that has the link; the link works only once."""
        allowed = environ["HTTP_SEC_FETCH_SITE"] in ("none", "cross-site")
        if not (allowed and environ["REQUEST_METHOD"] == "GET" and _opens_a_page(environ)):
            return _answer(start_response, "403 Forbidden", _REFUSED, "text/plain")
        if not self.link.use(token):
            return _answer(start_response, "404 Not Found", _CLOSED)
        cookie = f"{self._cookie}; Path={self.prefix}/; HttpOnly; SameSite=Strict"
        page = _ENTER.format(f"{self.prefix}/").encode()
        return _answer(start_response, "200 OK", page, extra={"Set-Cookie": cookie})


def _opens_a_page(environ: WSGIEnvironment) -> bool:
    """Return whether the request is for a window, rather than for a picture, script or frame."""
    return (
        environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST") == "document"
    )


def _answer(
    start_response: StartResponse,
    status: str,
    body: bytes,
    kind: str = "text/html",
    extra: Mapping[str, str] | None = None,
) -> Iterable[bytes]:
    own = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(body))}
    _with_headers(start_response)(status, [*own.items(), *(extra or {}).items()])
    return [body]


def _with_headers(start_response: StartResponse) -> Any:  # noqa: ANN401 - a StartResponse
    """Set the headers of every response, replacing the app's, except its own CSP."""

    def start(
        status: str,
        headers: list[tuple[str, str]],
        *rest: Any,  # noqa: ANN401 - WSGI's own signature
    ) -> Callable[[bytes], object]:
        own_csp = [pair for pair in headers if pair[0].lower() == "content-security-policy"]
        kept = [pair for pair in headers if pair[0].lower() not in _REPLACED]
        always = HEADERS | dict(own_csp)
        return start_response(status, [*kept, *always.items()], *rest)

    return start
