"""A relay between browser and server that records every request and can drop responses."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.support.ports import free_port
from tests.support.recorder import Passed


@dataclass(frozen=True)
class Lie:
    """A response in JSON in place of the server's. ``passed_on``: the server gets the request."""

    status: int
    said: dict[str, object]
    passed_on: bool = True

    @property
    def written(self) -> bytes:
        body = json.dumps(self.said).encode()
        head = f"HTTP/1.1 {self.status} Lie\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


Fault = Literal["refuse", "lose", "cut", "flood", ""] | Lie
CUT = 2 * 1024 * 1024  # bytes of a response after which "cut" ends the connection
# What the pages' worker asks of a code and of its trial hash, as built, and what takes no time, in
# as many bytes; with the result that the trial then must have.
WORKER = "/static/worker-"
CHEAPER = {
    b"m:19456,t:2,p:1,": b"m:8,t:1,p:1,".ljust(16),
    b"m:1024,t:1,p:1,": b"m:8,t:1,p:1,".ljust(15),
    b"bfc43f4aa3a51768bfe7b723f14d46427a645a1d4056931226414449e8e2b2a1": (
        b"e5f14cef17ae3d1b065b3110dbf51fd782be9b76a2bcbca68866c9d4beaa3f2a"
    ),
}
FLOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n", b" " * 65_536


@dataclass
class Relay:
    """Listens on loopback and forwards to the server at ``port``, one request per connection.

    ``fault``: decides about each request: "refuse" ends the connection before the server receives
    it, "lose" afterwards, without passing on the response, "cut" in the middle of a long response,
    once ``may_cut`` is set, and "flood" sends an endless response. A ``Lie`` is sent in place of
    the response.
    ``cheap_codes``: browsers get a worker that hashes a code at once and not for a second, where
    the test is about something else. The keys are those of ``codes.hashed_cheaply``.
    """

    port: int
    seen: list[Passed] = field(default_factory=list)
    fault: Callable[[Passed], Fault] = field(default=lambda _: "")
    own: int = field(default_factory=free_port)
    cheap_codes: bool = False
    may_cut: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Return the site's address for browsers."""
        return f"http://127.0.0.1:{self.own}"

    def sent(self, method: str, part: str) -> list[Passed]:
        """Return the requests with this method whose target contains ``part``."""
        return [one for one in self.seen if one.method == method and part in one.target]

    def ask(self, target: str, token: str = "") -> bytes:
        """Return the body of the server's own response.

        The client that comes with a browser would ask the browser's proxy.
        """
        headers = {"Host": f"127.0.0.1:{self.own}"} | ({"Authorization": token} if token else {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", target, headers=headers)
        body = connection.getresponse().read()
        connection.close()
        return body

    @contextlib.contextmanager
    def running(self) -> Iterator["Relay"]:
        with socket.create_server(("127.0.0.1", self.own), backlog=128) as listener:
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join(60)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # ends when the listener is closed
            while True:
                browser, _ = listener.accept()
                threading.Thread(target=self._serve, args=(browser,), daemon=True).start()

    def _serve(self, browser: socket.socket) -> None:
        # A browser that is closed ends its connection midway; the test checks what it kept.
        with contextlib.suppress(OSError), browser, browser.makefile("rb") as stream:
            passed = request(stream.readline, stream.read)
            if passed is None:
                return
            self.seen.append(passed)
            fault = self.fault(passed)
            if fault == "refuse":
                return
            if fault == "flood":
                browser.sendall(FLOOD[0])
                while True:  # until the browser closes the connection
                    browser.sendall(FLOOD[1])
            if not (isinstance(fault, Lie) and not fault.passed_on):
                passes = CUT if fault == "cut" else 0 if fault else None
                self._pass_on(passed, browser, passes)
            if isinstance(fault, Lie):
                browser.sendall(fault.written)

    def _pass_on(self, passed: Passed, browser: socket.socket, passes: int | None) -> None:
        """Send a request to the server, and the first ``passes`` bytes of its response back."""
        cheaper = self.cheap_codes and passed.target.startswith(WORKER) and passes is None
        without = ("connection", "accept-encoding") if cheaper else ("connection",)
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            server.sendall(_written(passed, without))
            parts = iter(lambda: server.recv(65_536), b"")
            if cheaper:
                whole = b"".join(parts)
                for built, cheap in CHEAPER.items():
                    assert (whole.count(built), len(cheap)) == (1, len(built))
                    whole = whole.replace(built, cheap)
                parts = iter([whole])
            for data in parts:
                passed_on = data if passes is None else data[:passes]
                browser.sendall(passed_on)
                passes = None if passes is None else passes - len(passed_on)
                if passed_on and passes == 0:  # a browser forgets what it had not yet read by then
                    assert self.may_cut.wait(60)


def request(line: Callable[[], bytes], read: Callable[[int], bytes]) -> Passed | None:
    first = line()
    if not first:
        return None  # a connection that a browser opened in advance
    method, target, _ = first.decode("latin-1").split(" ")
    headers = []
    while (text := line().decode("latin-1").rstrip("\r\n")) != "":
        name, _, value = text.partition(":")
        headers.append((name, value.strip()))
    passed = Passed(method, target, headers, b"")
    length = passed.header("Content-Length")
    passed.body = read(int(length[0])) if length else b""
    return passed


def _written(passed: Passed, without: Collection[str]) -> bytes:
    """Return the request with ``Connection: close``, and without these headers of the browser."""
    kept = [(name, value) for name, value in passed.headers if name.lower() not in without]
    lines = [f"{passed.method} {passed.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (*kept, ("Connection", "close"))]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + passed.body
