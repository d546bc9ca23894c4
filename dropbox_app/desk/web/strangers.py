"""Limit what the server accepts from requests that may not come from the page's own window.

Any program on this computer can connect to the port. waitress reads a whole request before the gate
sees it. The gate is therefore asked as soon as the headers have arrived, and the bodies of other
requests are not read at all. Only a few connections without the cookie are allowed. A new
connection replaces the oldest of these, but never the connection of the page's own window.
"""

from collections.abc import Callable
from socket import socket

from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer

from dropbox_app.desk.web.gate import Gate

MOST_STRANGERS = 24  # connections
MOST_HEADER = 16_384  # bytes
MOST_SILENT = 60  # seconds


class _Request(HTTPRequestParser):  # type: ignore[misc] # waitress has no types
    """A request whose body is read only if the page sent it; ``greet`` is then called."""

    def __init__(self, adj: Adjustments, gate: Gate, greet: Callable[[], None]) -> None:
        super().__init__(adj)
        self._gate = gate
        self._greet = greet

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        said = {f"HTTP_{name}": value for name, value in self.headers.items()}
        asked = {"REQUEST_METHOD": self.command, "PATH_INFO": self.path}
        if self._gate.is_own(said | asked):
            self._greet()
            return
        # This request is handled as if it had no body. Data after the headers is not read.
        self.body_rcv, self.content_length, self.chunked = None, 0, False
        self.expect_continue = False
        self.headers.pop("CONTENT_LENGTH", None)
        self.headers["CONNECTION"] = "close"


def behind(gate: Gate) -> type[HTTPChannel]:
    """Return the connection class for a server whose page is behind ``gate``."""

    class Connection(HTTPChannel):  # type: ignore[misc] # waitress has no types
        is_own = False

        def __init__(
            self,
            server: BaseWSGIServer,
            sock: socket,
            addr: object,
            adj: Adjustments,
            map: dict[int, object] | None = None,  # noqa: A002 - waitress uses this name
        ) -> None:
            _make_room(server)
            super().__init__(server, sock, addr, adj, map=map)
            self.parser_class = self._begin

        def _begin(self, adj: Adjustments) -> HTTPRequestParser:
            return _Request(adj, gate, self._greet)

        def _greet(self) -> None:
            self.is_own = True

    def _make_room(server: BaseWSGIServer) -> None:
        there = [one for one in server.active_channels.values() if not one.is_own]
        silent = sorted((one for one in there if not one.requests), key=_age)
        for one in silent[: max(0, len(there) - MOST_STRANGERS + 1)]:
            one.handle_close()

    return Connection


def _age(connection: HTTPChannel) -> float:
    return float(connection.creation_time)
