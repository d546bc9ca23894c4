"""The headers of every response, always in the same order.

The app sets its headers itself, so that they do not depend on a proxy in front of it.
"""

from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from dropbox_app.server.web.assets import LEAVE_SCRIPT_HASH

POLICY = "Content-Security-Policy"
# The policy of the two pages that load the client: its file and its worker, calls to this site, and
# no text that becomes a script. The worker itself has the policy of all other responses.
SEALING_POLICY = (
    f"default-src 'none'; script-src 'self' {LEAVE_SCRIPT_HASH}; worker-src 'self'; "
    "connect-src 'self'; require-trusted-types-for 'script'; trusted-types klankbord; "
    "style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)
HEADERS = {
    POLICY: (
        f"default-src 'none'; script-src {LEAVE_SCRIPT_HASH}; style-src 'self'; "
        "img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # This also applies to the style sheet: a cache on the device would reveal the visit.
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # With no-referrer instead, browsers would send "Origin: null" with a post.
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

_ALWAYS = list(HEADERS.items())
_OVER_HTTPS = [*_ALWAYS, ("Strict-Transport-Security", HSTS)]
# Neither the server software nor the time is revealed: a clock's error identifies its machine.
# ``Vary`` concerns caches, and "no-store" allows none.
_REPLACED = frozenset(
    [name.lower() for name in HEADERS] + ["server", "date", "last-modified", "etag", "vary"]
)
# The same order in every response. Headers that only some responses have come last.
_ORDER = {
    **{"content-type": 0, "content-length": 1},
    **{"content-encoding": 3, "set-cookie": 4, "location": 5, "allow": 6},
}


class SecurityHeaders:
    """WSGI middleware that sets the headers, so that no response lacks them.

    ``is_https`` returns whether a request's address is one of a site's https addresses.
    """

    def __init__(self, app: WSGIApplication, is_https: Callable[[WSGIEnvironment], bool]) -> None:
        self._app = app
        self._is_https = is_https

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Respond to a request, adding the headers."""
        added = _OVER_HTTPS if self._is_https(environ) else _ALWAYS

        def start(
            status: str,
            headers: list[tuple[str, str]],
            *rest: Any,  # noqa: ANN401 - WSGI's own signature
        ) -> Callable[[bytes], object]:
            kept = [header for header in headers if header[0].lower() not in _REPLACED]
            own = {POLICY: SEALING_POLICY} if (POLICY, SEALING_POLICY) in headers else {}
            kept += (dict(added) | own).items()
            ordered = sorted(kept, key=lambda header: _ORDER.get(header[0].lower(), 2))
            return start_response(status, ordered, *rest)

        return self._app(environ, start)
