"""What honest reporters notice of a flood, and of clients that are slow on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.machine import FORM, TEXT, Circuit, children, lean_report, post, resident, say

JUNK, WRONG = 500, 1_000  # a minute: reports, and codes that open nothing
SLOW = 200  # clients: a third each sends its head, sends its body, reads its answer slowly
HONEST = 4  # people who write and come back, one thing after another
BINDING = 3.0
OF_ONE_CIRCUIT = 2.0
_CLIENTS = 40  # of the flood
_DRIP = 0.5  # seconds between two bytes


def report_to(url: str) -> bytes:
    """The body of a report, as the page's own form sends it."""
    from tests.support.plain_browser import PlainBrowser

    form = PlainBrowser(url).get("/en/report").form_with("text")
    fields = [*form.fields, ("text", TEXT)]
    fields += [(n, v[0]) for n, v in form.choices.items() if n == "counsellor"]
    return urllib.parse.urlencode(dict(fields)).encode()


def measure(folder: Path, seconds: int) -> bool:
    """Print the slowest twentieth of honest requests idle, in a flood, and beside slow clients."""
    from tests.support.drop_box import Counsellor, DropBox

    counsellor = Counsellor(folder / "desk")
    box = DropBox(folder / "server")
    box.add(counsellor, box.init(), "Bench")
    box.serve()
    assert box.process is not None  # noqa: S101 - serve has just started it
    try:
        counsellor.desk("fetch")
        report = report_to(box.url)
        code = first(box.port, report)

        def junk() -> None:
            lean_report(box.port, report)

        ways = [box.port] * HONEST
        idle = honest(ways, report, code, max(seconds / 4, 10))
        workers = children(box.process.pid)
        before = [resident(worker) for worker in workers]
        flood = _Flood([(junk, JUNK), (lambda: _wrong(box.port), WRONG)])
        flooded = honest(ways, report, code, seconds)
        sent, failed = flood.end()
        after = [resident(worker) for worker in workers]
        slow = _Slow(box.port, report)
        beside = honest(ways, report, code, max(seconds / 4, 10))
        left = slow.end()
        good = line("idle", idle, idle)
        good = line(f"flood, {60 * sent / seconds:.0f} a minute", flooded, idle) and good
        good = line(f"{SLOW} slow clients", beside, idle) and good
        say(f"of the flood {failed} failed; {left} slow clients were still there at the end")
        for was, now in zip(before, after, strict=True):
            say(f"a worker: {was:.0f} MB resident before the flood, {now:.0f} MB after it")
        if children(box.process.pid) != workers:
            raise RuntimeError("a worker was replaced")
        return good
    finally:
        box.stop()


def of_one_circuit(folder: Path, seconds: int) -> bool:
    """The same flood over Tor, from one circuit, and honest people each by another."""
    from tests.support.drop_box import Counsellor, DropBox

    counsellor = Counsellor(folder / "desk-circuits")
    box = DropBox(folder / "circuits")
    box.onion = folder / "onion.sock"
    box.add(counsellor, box.init(), "Bench")
    box.serve()
    try:
        counsellor.desk("fetch")
        report = report_to(box.url)
        ways = [Circuit(box.port, box.onion, number) for number in range(2, 2 + HONEST)]
        code = first(box.port, report)
        attacker = Circuit(box.port, box.onion, 1)
        idle = honest(ways, report, code, max(seconds / 4, 10))

        def junk() -> None:
            lean_report(attacker, report)

        flood = _Flood([(junk, JUNK), (lambda: _wrong(attacker), WRONG)])
        flooded = honest(ways, report, code, seconds)
        sent, failed = flood.end()
        line("idle, over Tor's socket", idle, idle)
        name = f"one circuit, {60 * sent / seconds:.0f} a minute"
        say(f"of that circuit's flood {failed} were told that it is busy, or failed")
        return line(name, flooded, idle, OF_ONE_CIRCUIT)
    finally:
        box.stop()


def line(name: str, times: list[float], idle: list[float], most: float = BINDING) -> bool:
    """Say how the slowest twentieth compares with the idle one's; whether it is within ``most``."""
    p95, quiet = _p95(times), _p95(idle)
    say(
        f"{name:<28}{len(times):>6} honest requests, p95 {1000 * p95:>6.0f} ms"
        f"   {p95 / quiet:.2f}  {'held' if p95 <= most * quiet else 'NOT HELD'}"
    )
    return p95 <= most * quiet


def _p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


def first(port: int, report: bytes) -> str:
    """A report's code."""
    _, page = post(port, "/en/report", report)
    found = page.decode().partition('id="code"')[2].partition(">")[2]
    words = "".join(c if c.isalpha() else " " for c in _bare(found)).split()
    return " ".join(words[:7])


def _bare(html: str) -> str:
    """The text of the beginning of a page, without its tags."""
    return " ".join(piece.partition(">")[2] or piece for piece in html[:2000].split("<"))


def _wrong(way: int | Circuit) -> None:
    from dropbox_app.protocol.retrieval_code import generate

    body = urllib.parse.urlencode({"code": " ".join(generate("en"))}).encode()
    if post(way, "/en/return", body)[0] not in (422, 503):
        raise RuntimeError("a wrong code was let in")


def honest(ways: Sequence[int | Circuit], report: bytes, code: str, seconds: float) -> list[float]:
    """How long each of what honest people do takes them, one thing after another; each person by
    one of ``ways``."""
    body = urllib.parse.urlencode({"code": code}).encode()
    end = time.monotonic() + seconds
    times: list[float] = []
    broken: list[str] = []

    def person(way: int | Circuit) -> None:
        while time.monotonic() < end and not broken:
            for coming_back in (False, True):
                began = time.monotonic()
                try:
                    if coming_back:
                        _come_back(way, body)
                    else:
                        lean_report(way, report)
                except (OSError, RuntimeError) as error:
                    broken.append(str(error))
                    return
                times.append(time.monotonic() - began)
                time.sleep(0.2)

    people = [threading.Thread(target=person, args=(way,)) for way in ways]
    for one in people:
        one.start()
    for one in people:
        one.join()
    if broken:
        raise RuntimeError(f"an honest request failed: {broken[0]}")
    return times


def _come_back(way: int | Circuit, body: bytes) -> None:
    if post(way, "/en/return", body)[0] != 303:
        raise RuntimeError("a reporter was not let in")


class _Flood:
    """Many clients that send at a set rate, whatever becomes of it."""

    def __init__(self, works: list[tuple[Callable[[], None], int]]) -> None:
        self._stop = threading.Event()
        self._sent = self._failed = 0
        self._lock = threading.Lock()
        total = sum(rate for _, rate in works)
        self._threads = []
        for work, rate in works:
            share = max(1, _CLIENTS * rate // total)
            for number in range(share):
                every = 60 * share / rate
                given = (work, every, every * number / share)
                self._threads.append(threading.Thread(target=self._send, args=given))
        for thread in self._threads:
            thread.start()

    def _send(self, work: Callable[[], None], every: float, first: float) -> None:
        due = time.monotonic() + first
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due += every
            try:
                work()
            except (OSError, RuntimeError):
                with self._lock:
                    self._failed += 1
            with self._lock:
                self._sent += 1

    def end(self) -> tuple[int, int]:
        """How many were sent, and how many of them failed."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self._sent, self._failed


class _Slow:
    """Clients that send a byte at a time, or read none; a new one for each that is let go."""

    def __init__(self, port: int, report: bytes) -> None:
        self._port = port
        head = f"POST /en/report HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {FORM}\r\n"
        whole = (f"{head}Content-Length: {len(report)}\r\n\r\n").encode() + report
        quotes = b"text=" + b'"' * 500_000  # each comes back as five bytes
        long = (f"{head}Content-Length: {len(quotes)}\r\n\r\n").encode() + quotes
        at_once = (40, len(whole) - len(report) + 40, None)
        self._kinds = [(long if n is None else whole, n) for n in at_once]
        self._open: list[tuple[socket.socket, bytes, int | None]] = []
        self._stop = threading.Event()
        for number in range(SLOW):
            self._begin(number)
        self._thread = threading.Thread(target=self._drip)
        self._thread.start()

    def _begin(self, number: int) -> None:
        request, at_once = self._kinds[number % len(self._kinds)]
        made = socket.socket()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        made.settimeout(20)
        with contextlib.suppress(OSError):
            made.connect(("127.0.0.1", self._port))
            made.sendall(request[:at_once])
        self._open.append((made, request, at_once))

    def _drip(self) -> None:
        while not self._stop.wait(_DRIP):
            for place, (made, request, at) in enumerate(self._open):
                if at is None:
                    continue
                with contextlib.suppress(OSError):
                    made.sendall(request[at : at + 1])
                    self._open[place] = (made, request, at + 1)

    def end(self) -> int:
        """Hang up; how many the server had not let go."""
        self._stop.set()
        self._thread.join()
        left = 0
        for made, *_ in self._open:
            made.setblocking(False)
            try:
                left += bool(made.recv(1))
            except BlockingIOError:
                left += 1
            except OSError:
                pass
            made.close()
        return left
