"""A server at whose own socket file Tor says by which circuit a connection comes."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropbox_app.server.threads import OF_ONE
from tests.load.conftest import Watched
from tests.support.circuit import CircuitBrowser, connect, line
from tests.support.plain_browser import MULTIPART, Page, PlainBrowser, multipart

STORY, JUNK = "Een herkenbaar verhaal.", "Onzin, en nog eens."
# One worker of four threads, two of them for posts. A report of junk holds its thread until the
# file is there, and no other does.
HELD = """
import sys, time
from pathlib import Path
from flask import request
from dropbox_app.server.reporter import agent as reporter_agent
from dropbox_app.server.cli import serve as serving
stretch = reporter_agent.derive_root
def held(words, site):
    while "Onzin" in request.form.get("text", "") and not Path(sys.argv[4]).exists():
        time.sleep(0.01)
    return stretch(words, site)
reporter_agent.derive_root = held
serving.slots_for = lambda workers: 2  # whatever this machine has
serving.run(Path(sys.argv[1]), sys.argv[2], workers=1, threads=4, onion=Path(sys.argv[3]))
"""

# The same, where nobody's wait is too long, however slow this machine.
PATIENT = (
    """
from functools import partial
from dropbox_app.server.reporter import kdf_limiter as gate
from dropbox_app.server.cli import serve as serving
gate.PATIENCE = 3600.0
serving.Gate = partial(gate.Gate, patience=3600.0)
"""
    + HELD
)


@pytest.fixture
def served(watched: Callable[..., Watched], tmp_path: Path) -> Iterator["Served"]:
    made = Served(watched(HELD, tmp_path / "onion.sock", tmp_path / "go"), tmp_path)
    try:
        yield made
    finally:
        made.go.touch()


@pytest.fixture
def patient(watched: Callable[..., Watched], tmp_path: Path) -> Iterator["Served"]:
    made = Served(watched(PATIENT, tmp_path / "onion.sock", tmp_path / "go"), tmp_path)
    try:
        yield made
    finally:
        made.go.touch()


class Served:
    def __init__(self, made: Watched, folder: Path) -> None:
        self.made = made
        self.onion, self.go = folder / "onion.sock", folder / "go"

    def by(self, circuit: int, *, cookies: bool = True) -> CircuitBrowser:
        return CircuitBrowser(self.made.url, self.onion, circuit, cookies=cookies)

    def log(self) -> str:
        return self.made.log.read_text()


def tell(browser: PlainBrowser, text: str) -> Page:
    page = browser.get("/nl/report")
    return browser.submit(page, page.form_with("text"), text=text)


def test_one_circuit_fills_its_own_places_and_nobody_elses(served: Served) -> None:
    """Its next are told at once that it is busy, and keep their words; others notice nothing."""
    page = served.by(1).get("/nl/report")
    form = page.form_with("text")
    answers: list[Page] = []

    def junk() -> None:
        answers.append(served.by(1, cookies=False).submit(page, form, text=JUNK))

    people = [threading.Thread(target=junk) for _ in range(1 + OF_ONE + 5)]
    for person in people:
        person.start()
    deadline = time.monotonic() + 60
    while len(answers) < 5:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for answer in list(answers):
        assert answer.status == 503
        assert dict(answer.form_with("text").fields)["text"] == JUNK
    # All that it still has waiting waits for itself: before any of it others are through.
    for browser in (served.by(2), served.by(3), PlainBrowser(served.made.url)):
        assert tell(browser, STORY).code
        assert browser.get("/nl/conversation").status in (200, 203)
    assert len(answers) == 5
    served.go.touch()
    for person in people:
        person.join(60)
    # Whose wait was longer than the gate's patience, on a slow machine, was told so too.
    assert len(answers) == len(people)
    assert {answer.status for answer in answers[5:]} <= {200, 503}
    assert served.log() == ""


def test_many_circuits_that_flood_keep_nobody_from_their_turn(patient: Served) -> None:
    """The line is full of theirs, and still each circuit that comes is taken in."""
    page = patient.by(1).get("/nl/report")
    form = page.form_with("text")
    flood: list[Page] = []
    honest: list[Page] = []

    def asks(circuit: int, text: str, answers: list[Page]) -> None:
        answers.append(patient.by(circuit, cookies=False).submit(page, form, text=text))

    # None of them has more than its own places: whoever is told that it is busy is so because
    # the places of all are taken, and they stay so until the file is there.
    people = [
        threading.Thread(target=asks, args=(circuit, JUNK, flood))
        for circuit in range(100, 112)
        for _ in range(OF_ONE)
    ]
    for person in people:
        person.start()
    deadline = time.monotonic() + 60
    while not flood:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    newcomers = [threading.Thread(target=asks, args=(c, STORY, honest)) for c in range(1, 26)]
    for person in newcomers:
        person.start()
    # Beside them the pages that everybody reads come as ever.
    for circuit in range(1, 26):
        assert patient.by(circuit).get("/nl/").status == 200
    assert not honest
    patient.go.touch()
    for person in (*people, *newcomers):
        person.join(120)
    assert [answer.status for answer in honest] == [200] * 25
    assert all(answer.code for answer in honest)
    assert patient.log() == ""


def test_one_circuit_takes_half_of_the_threads_for_files_and_leaves_the_others(
    served: Served,
) -> None:
    browser = served.by(1)
    tell(browser, STORY)
    page = browser.get("/nl/files")
    fields = [f for f in page.form_with("files").fields if f[0] not in ("text", "files")]
    body = multipart([*fields, ("text", STORY)], [("a.jpg", bytes(900_000))])
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    head = (
        f"POST /nl/files HTTP/1.1\r\nHost: 127.0.0.1:{served.made.port}\r\n"
        f"Origin: {served.made.url}\r\nCookie: {cookie}\r\n"
        f"Content-Type: {MULTIPART}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with contextlib.closing(connect(served.onion, line(1) + head + body[:9000])) as slow:
        second = browser.upload(page, page.form_with("files"), [("b.jpg", bytes(900_000))])
        assert second.status == 503
        other = served.by(2)
        tell(other, STORY)
        page = other.get("/nl/files")
        sent = other.upload(page, page.form_with("files"), [("c.jpg", bytes(900_000))])
        assert (sent.status, sent.path) == (200, "/nl/conversation?sent=1")
        slow.sendall(body[9000:])
        assert slow.recv(12) == b"HTTP/1.1 303"


def test_the_line_may_come_in_pieces_and_stands_for_all_of_a_connection(served: Served) -> None:
    ask = f"GET /api/site HTTP/1.1\r\nHost: 127.0.0.1:{served.made.port}\r\n\r\n".encode()
    said = line(7) + ask
    with contextlib.closing(connect(served.onion)) as slow:
        for start in range(0, len(said), 5):
            slow.sendall(said[start : start + 5])
            time.sleep(0.001)  # so that mostly each comes by itself; all the same if it does not
        assert slow.recv(12) == b"HTTP/1.1 200"
        while slow.recv(65_536)[-1:] != b"}":
            pass
        slow.sendall(ask)
        assert slow.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    "said",
    [
        b"GET /nl/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PROXY TCP4 10.9.8.7 127.0.0.1 1 80\r\nGET /nl/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PROXY TCP6 fc00:dead:beef:4dad::0:1 ::1 0 80\nGET /nl/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01" + b"x" * 200,
    ],
)
def test_whoever_is_not_tor_gets_nothing_there_and_leaves_no_line(
    served: Served, said: bytes
) -> None:
    with (
        contextlib.closing(connect(served.onion, said)) as stranger,
        contextlib.suppress(ConnectionResetError),
    ):
        assert stranger.recv(100) == b""
    assert served.by(1).get("/nl/").status == 200
    assert served.log() == ""


def test_elsewhere_the_line_is_not_believed(served: Served) -> None:
    """Who comes to the web server's side cannot say that they are another's circuit."""
    with contextlib.closing(served.by(1).connection("x")):
        browser = PlainBrowser(served.made.url)
        connection = browser.connection(f"127.0.0.1:{served.made.port}")
        connection.connect()
        connection.sock.sendall(line(1) + b"GET /nl/ HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.sock.recv(12) == b"HTTP/1.1 400"
        connection.close()
