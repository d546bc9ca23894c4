"""Measure the effect of attacks on honest reporters, through nginx with production settings.

All clients connect over unix sockets and name a circuit, as over Tor. Each honest person has a
separate circuit. Rounds alternate with idle ones, and a row is the median of its rounds.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import socket
import statistics
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dev.benchmarks.machine import FORM, TEXT, resident, say

if TYPE_CHECKING:
    from tests.support.serving import Serving

ROUNDS = 5
HONEST = 4  # people, each of whom repeatedly opens two pages and reports
BINDING = 2.0  # maximum ratio to an idle report, for the slowest twentieth
PAGE = 0.010  # seconds; the median of a page
NGINX = 60.0  # resident MB of nginx's processes together
_PAUSE = 0.2  # seconds between two visits of a person


@dataclass
class Times:
    """Seconds that honest requests took, and how many got "busy"."""

    pages: list[float] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)
    busy: int = 0
    failed: int = 0

    def page(self) -> float:
        return statistics.median(self.pages)

    def report(self) -> float:
        return sorted(self.reports)[int(len(self.reports) * 0.95)] if self.reports else 0.0


class Clients:
    """Clients over Tor."""

    def __init__(self, serving: Serving, report: bytes) -> None:
        self.serving = serving
        self.report = report
        self.circuits = itertools.count(1000)
        self._host = f"127.0.0.1:{serving.port}"

    def ask(
        self, circuit: int, path: str, body: bytes | None = None, patience: float = 60
    ) -> tuple[int, bytes]:
        """Send one request from a lightweight client with a timeout; return status and body."""
        connection = http.client.HTTPConnection(self._host)
        connection.sock = self.serving.connect(circuit)
        connection.sock.settimeout(patience)
        with contextlib.closing(connection):
            method = "GET" if body is None else "POST"
            connection.request(method, path, body, {"Content-Type": FORM} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def head(self, path: str, length: int) -> bytes:
        lines = (f"POST {path} HTTP/1.1", f"Host: {self._host}", f"Content-Type: {FORM}")
        return "\r\n".join((*lines, f"Content-Length: {length}", "", "")).encode()

    def wrong_code(self, circuit: int) -> None:
        from dropbox_app.protocol.retrieval_code import generate

        code = urllib.parse.urlencode({"code": " ".join(generate("en"))}).encode()
        with contextlib.suppress(OSError, http.client.HTTPException):
            self.ask(circuit, "/en/return", code, patience=12)

    def honest(self, seconds: float) -> Times:
        """Let ``HONEST`` people visit at the same time for this many seconds; return the times."""
        times, lock, end = Times(), threading.Lock(), time.monotonic() + seconds

        def visit() -> None:
            circuit = next(self.circuits)
            for path in ("/en/", "/en/report"):
                began = time.monotonic()
                status, _ = self.ask(circuit, path)
                with lock:
                    times.pages.append(time.monotonic() - began)
                    times.failed += status not in (200, 203)
            began = time.monotonic()
            status, page = self.ask(circuit, "/en/report", self.report)
            with lock:
                if status == 200 and b'id="code"' in page:
                    times.reports.append(time.monotonic() - began)
                elif status == 503 and b"belittles" in page:  # the page contains the typed text
                    times.busy += 1
                else:
                    times.failed += 1

        def person() -> None:
            while time.monotonic() < end:
                try:
                    visit()
                except (OSError, http.client.HTTPException):
                    with lock:
                        times.failed += 1
                time.sleep(_PAUSE)

        _together([threading.Thread(target=person) for _ in range(HONEST)])
        return times


def _together(threads: list[threading.Thread]) -> None:
    for one in threads:
        one.start()
    for one in threads:
        one.join()


@contextlib.contextmanager
def _held(clients: Clients, sent: list[tuple[int, bytes]]) -> Iterator[None]:
    """Hold a connection for each circuit and request start; reopen it if it is closed."""
    ended = threading.Event()
    opened = [(circuit, begun, clients.serving.connect(circuit, begun)) for circuit, begun in sent]

    def renew() -> None:
        while not ended.wait(1):
            for place, (circuit, begun, connection) in enumerate(opened):
                with contextlib.suppress(BlockingIOError, OSError):
                    if connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b"":
                        connection.close()
                        opened[place] = (circuit, begun, clients.serving.connect(circuit, begun))

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for *_, connection in opened:
            connection.close()


@contextlib.contextmanager
def _flood(works: list[Callable[[], None]], every: float = 0.0) -> Iterator[None]:
    """Run each of ``works`` in its own client repeatedly, at most once in ``every`` seconds."""
    ended = threading.Event()

    def send(work: Callable[[], None], due: float) -> None:
        while not ended.wait(max(0.0, due - time.monotonic())):
            due = max(due + every, time.monotonic())
            with contextlib.suppress(OSError, http.client.HTTPException):
                work()

    begin = time.monotonic()
    threads = [
        threading.Thread(target=send, args=(work, begin + every * n / len(works)))
        for n, work in enumerate(works)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _half_sent(clients: Clients) -> AbstractContextManager[None]:
    begun = clients.head("/en/report", 20_000) + b"text=" + b"a" * 10_000
    return _held(clients, [(100 + n % 75, begun) for n in range(300)])


def _read_nothing(clients: Clients) -> AbstractContextManager[None]:
    asked = f"GET /en/ HTTP/1.1\r\nHost: 127.0.0.1:{clients.serving.port}\r\n\r\n".encode()
    return _held(clients, [(200 + n % 25, asked) for n in range(100)])


def _one_circuit(clients: Clients) -> AbstractContextManager[None]:
    """Send 25 requests a second over one circuit. Most are rejected or delayed."""
    return _flood([lambda: clients.wrong_code(1)] * 50, every=2.0)


def _never_stop(circuits: int) -> Callable[[Clients], AbstractContextManager[None]]:
    def crowd(clients: Clients) -> AbstractContextManager[None]:
        numbers = range(300, 300 + circuits)
        return _flood([lambda n=n: clients.wrong_code(n) for n in numbers])  # type: ignore[misc] # the default is the loop's

    return crowd


CROWDS: dict[str, Callable[[Clients], AbstractContextManager[None]]] = {
    "300 half-sent forms, 75 circuits": _half_sent,
    "100 clients that read nothing": _read_nothing,
    "one circuit, 1,500 a minute": _one_circuit,
    "ten circuits that never stop": _never_stop(10),
    "150 circuits that never stop": _never_stop(150),
}
# With this many circuits, posts of honest people are delayed or get "busy".
MAY_BE_SLOW = "150 circuits that never stop"


def measure(folder: Path, seconds: int) -> bool:
    """Print each attack next to the idle rounds of the same run; return whether all limits are met.

    ``seconds`` is the total for each attack.
    """
    from tests.support.plain_browser import PlainBrowser
    from tests.support.serving import Serving

    folder.mkdir(exist_ok=True)
    serving = Serving(folder, changes={})
    try:
        form = PlainBrowser(serving.url).get("/en/report").form_with("text")
        fields = [*form.fields, ("text", TEXT)]
        fields += [(n, v[0]) for n, v in form.choices.items() if n == "counsellor"]
        clients = Clients(serving, urllib.parse.urlencode(dict(fields)).encode())
        clients.honest(2)  # afterwards both workers have opened everything
        return _rounds(clients, seconds / ROUNDS)
    finally:
        serving.close()


def _rounds(clients: Clients, seconds: float) -> bool:
    idle: list[Times] = []
    found: dict[str, list[Times]] = {name: [] for name in CROWDS}
    largest = 0.0
    for _ in range(ROUNDS):
        for name, crowd in CROWDS.items():
            idle.append(clients.honest(max(2.0, seconds / len(CROWDS))))
            with crowd(clients):
                time.sleep(1)
                found[name].append(clients.honest(seconds))
                held = sum(resident(process) for process in clients.serving.front.processes())
                largest = max(largest, held)
    page, report = _median(idle)
    say(f"{'idle':<34}{1000 * page:>7.1f} ms a page, report p95 {1000 * report:>6.0f} ms")
    lines = [_line(name, found[name], report) for name in CROWDS]  # each prints its line
    say(f"nginx: {largest:.0f} MB resident at most  {'held' if largest <= NGINX else 'NOT HELD'}")
    return all(lines) and largest <= NGINX


def _median(rounds: list[Times]) -> tuple[float, float]:
    return (
        statistics.median(one.page() for one in rounds),
        statistics.median(one.report() for one in rounds),
    )


def _line(name: str, rounds: list[Times], idle: float) -> bool:
    page, report = _median(rounds)
    busy, failed = sum(one.busy for one in rounds), sum(one.failed for one in rounds)
    good = page <= PAGE and not failed
    good = good and (name == MAY_BE_SLOW or (report <= BINDING * idle and not busy))
    count = sum(len(one.reports) for one in rounds)
    say(
        f"{name:<34}{1000 * page:>7.1f} ms a page, report p95 {1000 * report:>6.0f} ms"
        f"   {report / idle:.2f}  {count} reports, {busy} told busy, {failed} lost"
        f"  {'held' if good else 'NOT HELD'}"
    )
    return good
