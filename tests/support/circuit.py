"""Tor's behaviour at the server's socket file: it first sends the circuit."""

import http.client
import socket
from pathlib import Path

from tests.support.plain_browser import PlainBrowser


def line(circuit: int) -> bytes:
    """Return Tor's line for the circuit with this number."""
    low, high = circuit & 0xFFFF, circuit >> 16
    return f"PROXY TCP6 fc00:dead:beef:4dad::{high:x}:{low:x} ::1 0 80\r\n".encode()


def connect(socket_file: Path, first: bytes = b"") -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(60)
    try:
        made.connect(str(socket_file))
        made.sendall(first)
    except BaseException:
        made.close()
        raise
    return made


class CircuitBrowser(PlainBrowser):
    """A browser whose connections all use one circuit."""

    def __init__(self, url: str, socket_file: Path, circuit: int, *, cookies: bool = True) -> None:
        super().__init__(url, cookies=cookies)
        self._socket_file = socket_file
        self._line = line(circuit)

    def connection(self, host: str) -> http.client.HTTPConnection:
        made = http.client.HTTPConnection(host, timeout=60)
        made.sock = connect(self._socket_file, self._line)
        return made
