"""The worker's loop under hostile crowds: nobody's fault ends it, and nobody holds it up."""

import contextlib
import re
import resource
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropbox_app.server.cli.serve import CONNECTIONS
from dropbox_app.server.reporter import kdf_limiter
from dropbox_app.server.worker import WAITING
from tests.load.conftest import Watched
from tests.load.test_slow_clients import held
from tests.support.plain_browser import Page, PlainBrowser

PLAIN = """
import sys
from pathlib import Path
from dropbox_app.server.cli import serve as serving
serving.run(Path(sys.argv[1]), sys.argv[2], workers=1, threads=4)
"""
# One worker of four threads, two of them for posts; a stretch lasts until the file is there.
HELD = """
import sys, time
from pathlib import Path
from dropbox_app.server.reporter import agent as reporter_agent
from dropbox_app.server.cli import serve as serving
stretch = reporter_agent.derive_root
def held(words, site):
    while not Path(sys.argv[3]).exists():
        time.sleep(0.01)
    return stretch(words, site)
reporter_agent.derive_root = held
serving.run(Path(sys.argv[1]), sys.argv[2], workers=1, threads=4)
"""
# Whoever holds a thread here holds it for as long as the test lasts.
PATIENT = PLAIN.replace("threads=4", "threads=4, silence=600, whole=600")
FEW_FILES = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))"
# The system keeps little of what is not read.
LITTLE_ROOM = "from dropbox_app.server import patience\npatience._SENT = 4096"
STORY = "Een herkenbaar verhaal."


@contextlib.contextmanager
def crowd(port: int, count: int, start: bytes) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        people = []
        for _ in range(count):
            person = stack.enter_context(socket.socket())
            person.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            person.settimeout(30)
            person.connect(("127.0.0.1", port))
            people.append(person)
            person.sendall(start)
        yield people


def _served(made: Watched) -> None:
    assert PlainBrowser(made.url).get("/nl/").status == 200


def test_who_is_let_go_in_a_turn_of_the_loop_is_not_called_in_it_any_more(
    watched: Callable[..., Watched],
) -> None:
    """All who wait speak at the moment in which newcomers push the oldest of them out."""
    made = watched(PLAIN)
    (worker,) = made.workers()
    for _ in range(3):
        with crowd(made.port, WAITING, b"GET /nl/ HTTP/1.1\r\nX-A: ") as people:
            pushing = threading.Thread(target=_push, args=(made.port,))
            pushing.start()
            for person in people:
                with contextlib.suppress(OSError):  # it was let go
                    person.sendall(b"b")
            pushing.join(60)
        _served(made)
    assert made.workers() == [worker]


def _push(port: int) -> None:
    with crowd(port, 60, b"GET /nl/ HTTP/1.1\r\nX-B: "):
        pass


def test_who_sends_on_when_the_answer_is_out_holds_no_thread(
    watched: Callable[..., Watched],
) -> None:
    made = watched(PLAIN)
    head = b"PUT /api/desk/card HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
    over = threading.Event()
    with crowd(made.port, 40, head) as people:

        def drip() -> None:
            while not over.wait(0.1):
                for person in people:
                    with contextlib.suppress(OSError):
                        person.sendall(b"x" * 1024)

        dripping = threading.Thread(target=drip)
        dripping.start()
        for _ in range(10):
            _served(made)
        over.set()
        dripping.join(30)


def test_without_room_for_another_connection_those_inside_are_served_and_nobody_dies(
    watched: Callable[..., Watched],
) -> None:
    made = watched(
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))" + PLAIN
    )
    (worker,) = made.workers()
    assert resource.prlimit(worker, resource.RLIMIT_NOFILE) == (300, 300)
    with crowd(made.port, 400, b"GET /nl/ HTTP/1.1\r\nX-A: "):
        pass
    _served(made)
    assert made.workers() == [worker]
    # And where the system has none left, whatever the worker thought.
    used = len(list(Path(f"/proc/{worker}/fd").iterdir()))
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (used + 20, 300))
    with crowd(made.port, 100, b"GET /nl/ HTTP/1.1\r\nX-A: "):
        pass
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (300, 300))
    _served(made)
    assert made.workers() == [worker]


def test_forms_that_stop_take_no_thread_however_many_there_are(
    watched: Callable[..., Watched],
) -> None:
    """When too much has gathered, those that wait longest go, and no thread waits for any."""
    made = watched(PATIENT)
    form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 500000"
    asked = f"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n{form}\r\n\r\ntext="
    head = asked.encode()
    with (
        crowd(made.port, 60, head + b"a" * 420_000),
        crowd(made.port, 12, head + b"a" * 70_000),
    ):
        for _ in range(10):
            _served(made)


@pytest.mark.parametrize("path", ["/api/desk/challenge", "/nl/", "/api/site"])
def test_who_asks_much_and_reads_nothing_takes_no_thread(
    watched: Callable[..., Watched], path: str
) -> None:
    made = watched(PATIENT)
    asks = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n\r\n".encode() * 10_000
    with crowd(made.port, 20, b"") as people:
        asking = [threading.Thread(target=_ask_all, args=(person, asks)) for person in people]
        for one in asking:
            one.start()
        for _ in range(10):
            _served(made)
        for person in people:
            person.shutdown(socket.SHUT_RDWR)
        for one in asking:
            one.join(60)
    _served(made)


def _ask_all(person: socket.socket, asks: bytes) -> None:
    with contextlib.suppress(OSError):
        person.sendall(asks)


def test_who_asks_to_be_told_to_go_on_and_reads_nothing_takes_no_thread(
    watched: Callable[..., Watched],
) -> None:
    made = watched(LITTLE_ROOM + PATIENT)
    ask = (
        f"HEAD /nl/nothing HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\nExpect: 100-continue\r\n\r\n"
    )
    with crowd(made.port, 40, b"") as people:
        ask_until_nothing_moves(people, ask.encode())
        for _ in range(10):
            _served(made)


def ask_until_nothing_moves(people: list[socket.socket], ask: bytes) -> None:
    """All ask without reading, until for two seconds the server takes nothing more from anybody."""
    asks = memoryview(ask * 1000)
    sent = dict.fromkeys(people, 0)
    moved = time.monotonic()
    for person in people:
        person.setblocking(False)
    while time.monotonic() < moved + 2:
        _, ready, _ = select.select([], people, [], 0.1)
        for person in ready:
            with contextlib.suppress(BlockingIOError):
                sent[person] += person.send(asks[sent[person] % len(ask) :])
                moved = time.monotonic()


KEEPING = """
from dropbox_app.server.cli.serve import Server
load = Server.load_config
def keeping(self):
    load(self)
    self.cfg.set("keepalive", 600)
Server.load_config = keeping
"""


@pytest.mark.parametrize("asked", [1, 20])
def test_a_crowd_that_stays_when_it_is_answered_keeps_nobody_out(
    watched: Callable[..., Watched], asked: int
) -> None:
    """More than there is room for, with one answer each, or with many and nothing of them read."""
    made = watched(KEEPING + LITTLE_ROOM + PATIENT)
    ask = f"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n\r\n".encode() * asked
    with crowd(made.port, CONNECTIONS + 100, ask):
        for _ in range(10):
            _served(made)


SLOW_START = b"text=Een+herk"
SLOW_END = b"enbaar+verhaal."
CROWDS = {"nothing": b"", "half a head": b"GET /nl/ HTTP/1.1\r\nX-A: "}


def _half_a_report(port: int) -> bytes:
    head = f"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
    head += "Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n"
    length = len(SLOW_START + SLOW_END)
    return f"{head}Content-Length: {length}\r\n\r\n".encode() + SLOW_START


@pytest.mark.parametrize("kind", CROWDS)
def test_a_report_under_way_is_not_let_go_for_those_who_have_said_less(
    watched: Callable[..., Watched], kind: str
) -> None:
    """However many come after it."""
    made = watched(PLAIN)
    with crowd(made.port, 1, _half_a_report(made.port)) as (reporter,):
        with crowd(made.port, WAITING + 100, CROWDS[kind]):
            _served(made)
        reporter.sendall(SLOW_END)
        assert reporter.recv(12) == b"HTTP/1.1 200"


def test_a_crowd_with_half_a_form_each_keeps_nobody_out_who_is_about_to_speak(
    watched: Callable[..., Watched],
) -> None:
    made = watched(PLAIN)
    half = _half_a_report(made.port)
    with crowd(made.port, WAITING + 20, half), crowd(made.port, 1, b"") as (newcomer,):
        with crowd(made.port, 100, half):
            _served(made)
        newcomer.sendall(f"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n\r\n".encode())
        assert newcomer.recv(12) == b"HTTP/1.1 200"


def test_a_body_that_nobody_asked_for_is_not_gathered(watched: Callable[..., Watched]) -> None:
    made = watched(PLAIN)
    with socket.create_connection(("127.0.0.1", made.port), timeout=30) as asking:
        head = f"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\nContent-Length: 500000\r\n\r\n"
        asking.sendall(head.encode())
        assert asking.recv(100).startswith(b"HTTP/1.1 200 ")


def test_who_is_let_go_for_reading_slowly_gets_nothing_more(
    watched: Callable[..., Watched],
) -> None:
    """Not the next answer in the middle of the one that was cut."""
    little = (
        "from dropbox_app.server import outgoing, patience\n"
        "outgoing.HELD, patience._SENT = 1200 * 1024, 8192"
    )
    made = watched(little + PLAIN)
    body = b"switch=1&text=" + b"%3C" * 170_000
    head = f"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n"
    head += (
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    follow = f"GET /nl/about HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n\r\n".encode()
    with contextlib.ExitStack() as stack:
        readers = []
        for _ in range(3):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.settimeout(30)
            reader.connect(("127.0.0.1", made.port))
            reader.sendall(head.encode() + body + follow)
            assert select.select([reader], [], [], 30)[0]
            readers.append(reader)
        deadline = time.monotonic() + 30
        while all(held(made, reader) for reader in readers):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        cut = 0
        for reader in readers:
            answer = b""
            with contextlib.suppress(OSError):
                reader.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while piece := reader.recv(65_536):
                    answer += piece
            length = re.search(rb"Content-Length: ([0-9]+)", answer)
            if length and len(answer) < int(length[1]):
                cut += 1
                assert answer.count(b"HTTP/1.1 ") == 1
        assert cut


def test_who_waits_to_be_told_to_go_on_is_told(watched: Callable[..., Watched]) -> None:
    made = watched(PLAIN)
    body = b"code=abc"
    head = (
        f"POST /nl/return HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\nExpect: 100-continue\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", made.port), timeout=30) as asking:
        asking.sendall(head)
        assert asking.recv(100).startswith(b"HTTP/1.1 100 ")
        asking.sendall(body)
        answer = b""
        while piece := asking.recv(65_536):
            answer += piece
    assert b"HTTP/1.1 422 " in answer


def test_strangers_do_not_fill_the_log(watched: Callable[..., Watched]) -> None:
    made = watched(PLAIN)
    for _ in range(50):
        with socket.create_connection(("127.0.0.1", made.port), timeout=30) as asking:
            asking.sendall(b"NONSENSE\r\n\r\n")
            assert asking.recv(100).startswith(b"HTTP/1.1 400 ")
    assert made.log.read_text().count("\n") == 1


def test_a_crowd_that_waits_for_its_turn_keeps_nobody_from_reading_and_is_told(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    """Two have a thread and 64 wait; the next are told at once, and their words come back."""
    go = tmp_path / "go"
    made = watched(HELD, go)
    page = PlainBrowser(made.url).get("/nl/report")
    form = page.form_with("text")
    answers: list[Page] = []

    def tell() -> None:
        answers.append(PlainBrowser(made.url, cookies=False).submit(page, form, text=STORY))

    within = 2 + kdf_limiter.PLACES
    people = [threading.Thread(target=tell) for _ in range(within + 10)]
    for person in people:
        person.start()
    deadline = time.monotonic() + 60
    while len(answers) < 10:
        _served(made)
        assert time.monotonic() < deadline
    _served(made)
    busy = list(answers)
    assert len(busy) == 10
    for answer in busy:
        assert answer.status == 503
        assert dict(answer.form_with("text").fields)["text"] == STORY
    go.touch()
    for person in people:
        person.join(120)
    assert len(answers) == within + 10
    # Whose wait was longer than the gate's patience, on a slow machine, was told so too.
    assert {answer.status for answer in answers[10:]} <= {200, 503}


def test_who_has_waited_for_a_thread_longer_than_patience_is_told_at_once() -> None:
    token = kdf_limiter.ARRIVED.set(time.monotonic() - 11)
    try:
        with pytest.raises(kdf_limiter.Busy), kdf_limiter.Gate(1).passing():
            pass
    finally:
        kdf_limiter.ARRIVED.reset(token)
    with kdf_limiter.Gate(1).passing():
        pass
