"""gunicorn's log and answers, without anything that tells of a request, or of this machine."""

import sys
from typing import Any

import gunicorn.http.wsgi  # type: ignore[import-untyped]  # gunicorn ships no types
from gunicorn import util
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from dropbox_app.server.web.fault_log import fault_location

# From these come words about the process, never about a request.
_OWN_AFFAIRS = ("gunicorn.arbiter", "gunicorn.sock", "gunicorn.app")
_HIDDEN = ("server:", "date:")


class QuietLogger(Logger):  # type: ignore[misc]  # the base has no types
    """gunicorn's log without anything that came from outside, and without times."""

    error_fmt = "klankbord: %(message)s"
    datefmt = ""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's own, untyped
        super().setup(cfg)
        self.error_log.propagate = False

    def access(self, *_: object) -> None:
        """There is no access log."""

    def exception(self, msg: object, *args: object, **kwargs: object) -> None:
        """What kind of exception and where, not what it says."""
        self.error_log.error("%s", fault_location(sys.exc_info()[1]))

    def error(self, msg: object, *args: object, **kwargs: object) -> None:
        self.error_log.error("%s", _harmless(msg, args))

    def warning(self, msg: object, *args: object, **kwargs: object) -> None:
        self.error_log.warning("%s", _harmless(msg, args))

    def critical(self, msg: object, *args: object, **kwargs: object) -> None:
        self.error_log.critical("%s", _harmless(msg, args))

    def info(self, msg: object, *args: object, **kwargs: object) -> None:
        """Starts and stops are the service manager's to note."""

    def debug(self, msg: object, *args: object, **kwargs: object) -> None:
        """Debug lines hold requests."""


class QuietResponse(gunicorn.http.wsgi.Response):  # type: ignore[misc]
    """Says neither which server this is nor what its clock thinks."""

    headers_sent: bool
    _head = b""

    def default_headers(self, *args: Any, **kwargs: Any) -> list[str]:  # noqa: ANN401 - untyped
        kept = super().default_headers(*args, **kwargs)
        return [line for line in kept if not line.lower().startswith(_HIDDEN)]

    def send_headers(self) -> None:
        """Keep the head until the body comes: together they are one packet and one call less."""
        if not self.headers_sent:
            lines = [
                *self.default_headers(),
                *(f"{name}: {text}\r\n" for name, text in self.headers),
            ]
            self._head = "".join([*lines, "\r\n"]).encode("latin-1")
            self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        if self.chunked:  # a chunk has a frame of its own
            self._send_head()
        util.write(self.sock, self._head + data, self.chunked)
        self._head = b""

    def close(self) -> None:
        self.send_headers()
        self._send_head()
        super().close()

    def _send_head(self) -> None:
        if self._head:
            util.write(self.sock, self._head)
            self._head = b""


def _harmless(msg: object, args: tuple[object, ...]) -> str:
    """gunicorn's words where they are about itself; else only where they came from."""
    caller = sys._getframe(2).f_globals.get("__name__", "")
    if not caller.startswith(_OWN_AFFAIRS):
        return f"a request failed in {caller}"
    try:
        return str(msg) % args if args else str(msg)
    except (TypeError, ValueError):
        return str(msg)
