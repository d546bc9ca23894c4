"""A program between a client and a server, at a socket file or a SOCKS port, that can alter both.

``Between`` has the place of the server behind nginx. ``TorPort`` has the place of Tor in front of
nginx: it gives each user name of its SOCKS port a circuit, as Tor does, and connects to the socket
file of the onion address.
"""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from tests.support.circuit import connect, line
from tests.support.recorder import Passed
from tests.support.relay import request


@dataclass(frozen=True)
class Response:
    """A response. ``cut``: the number of bytes of the body after which the connection breaks."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    cut: int | None = None

    def with_header(self, name: str, value: str) -> "Response":
        """Return the response with this header in place of its own."""
        return replace(self, headers=(*self._without(name.lower()), (name, value)))

    def header(self, name: str) -> str:
        """Return the value of a header; "" if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def _without(self, *names: str) -> tuple[tuple[str, str], ...]:
        return tuple(one for one in self.headers if one[0].lower() not in names)

    def written(self) -> bytes:
        length = ("Content-Length", str(len(self.body)))
        headers = (*self._without("content-length", "transfer-encoding"), length)
        lines = [f"HTTP/1.1 {self.status} Altered", *(f"{n}: {value}" for n, value in headers)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + self.body[: self.cut]


# Handles a request of the visitor with this number: returns the response, for which the last
# argument asks the server, or None to end the connection without one.
Handle = Callable[[int, Passed, Callable[[], Response]], Response | None]


def unaltered(_visitor: int, _asked: Passed, ask: Callable[[], Response]) -> Response:
    """Forward a request."""
    return ask()


@dataclass
class Between:
    """Listens at ``own`` and forwards to the server at ``server``. ``seen``: all requests."""

    own: Path
    server: Path
    handle: Handle = field(default=unaltered)
    seen: list[Passed] = field(default_factory=list)

    @contextlib.contextmanager
    def running(self) -> Iterator["Between"]:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.own))
            listener.listen(128)
            with accepting(listener, self._serve):
                yield self

    def _serve(self, near: socket.socket) -> None:
        forward(near, self.server, b"", 0, self)


@dataclass
class TorPort:
    """Listens as Tor's SOCKS port does. ``ways``: the socket file of each onion address.

    Visitors are numbered from 1, in the order in which their user names were first seen.
    """

    ways: Mapping[str, Path] = field(default_factory=dict)
    handle: Handle = field(default=unaltered)
    seen: list[Passed] = field(default_factory=list)
    url: str = ""
    _names: list[bytes] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def running(self) -> Iterator["TorPort"]:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            self.url = f"socks5h://127.0.0.1:{listener.getsockname()[1]}"
            with accepting(listener, self._serve):
                yield self

    def _serve(self, near: socket.socket) -> None:
        """Read the three messages of RFC 1928 and RFC 1929, then forward."""
        assert near.recv(3, socket.MSG_WAITALL) == b"\x05\x01\x02"
        near.sendall(b"\x05\x02")
        near.recv(1, socket.MSG_WAITALL)
        name, _ = (_counted(near) for _ in range(2))
        near.sendall(b"\x01\x00")
        assert near.recv(4, socket.MSG_WAITALL) == b"\x05\x01\x00\x03"
        host = _counted(near).decode("ascii")
        near.recv(2, socket.MSG_WAITALL)
        if host not in self.ways:
            near.sendall(b"\x05\x04\x00\x01" + bytes(6))
            return
        near.sendall(b"\x05\x00\x00\x01" + bytes(6))
        visitor = self._number(name)
        forward(near, self.ways[host], line(visitor), visitor, self)

    def _number(self, name: bytes) -> int:
        with self._lock:
            if name not in self._names:
                self._names.append(name)
            return self._names.index(name) + 1


def _counted(near: socket.socket) -> bytes:
    return near.recv(near.recv(1, socket.MSG_WAITALL)[0], socket.MSG_WAITALL)


@contextlib.contextmanager
def accepting(listener: socket.socket, serve: Callable[[socket.socket], object]) -> Iterator[None]:
    """Serve each connection in its own thread until the block ends."""

    def one(near: socket.socket) -> None:
        # Either side may end a connection at any moment.
        with contextlib.suppress(OSError), near:
            serve(near)

    def accept() -> None:
        with contextlib.suppress(OSError):  # ends when the listener is closed
            while True:
                near, _ = listener.accept()
                threading.Thread(target=one, args=(near,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def forward(
    near: socket.socket, server: Path, first: bytes, visitor: int, by: Between | TorPort
) -> None:
    """Forward one client's requests. A response that ``handle`` returns as it came keeps its bytes.

    Each request has its own connection to the server: the server may close an idle one, which nginx
    would notice and this program would not. ``first`` is what each connection begins with.
    """
    with near.makefile("rb") as stream:
        while (asked := request(stream.readline, stream.read)) is not None:
            by.seen.append(asked)
            came: list[tuple[Response, bytes]] = []

            def ask(asked: Passed = asked, came: list[tuple[Response, bytes]] = came) -> Response:
                with connect(server, first + _written(asked)) as far, far.makefile("rb") as answer:
                    came.append(_response(answer))
                return came[-1][0]

            response = by.handle(visitor, asked, ask)
            if response is None:
                return
            as_it_came = [raw for one, raw in came if one is response]
            near.sendall(as_it_came[0] if as_it_came else response.written())
            if response.cut is not None or response.header("connection") == "close":
                return


def _written(asked: Passed) -> bytes:
    lines = [f"{asked.method} {asked.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in asked.headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + asked.body


def _response(stream: BinaryIO) -> tuple[Response, bytes]:
    """Read a response; return it and its bytes. Raises OSError if there is none."""
    lines = [stream.readline()]
    if not lines[0]:
        raise ConnectionResetError
    headers = []
    while (text := stream.readline()) not in (b"\r\n", b""):
        lines.append(text)
        name, _, value = text.decode("latin-1").partition(":")
        headers.append((name, value.strip()))
    head = Response(int(lines[0].split()[1]), tuple(headers), b"")
    assert not head.header("transfer-encoding")
    length = head.header("content-length")
    head = replace(head, body=stream.read(int(length)) if length else stream.read())
    return head, b"".join((*lines, b"\r\n", head.body))
