"""Two hundred clients that are slow on purpose, of every kind, and a report beside them."""

import contextlib
import re
import select
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dropbox_app.server.outgoing import HELD, Outgoing
from dropbox_app.server.patience import PatientSocket
from tests.load.conftest import Watched
from tests.support.plain_browser import PlainBrowser

PROGRAM = """
import sys
from pathlib import Path
from dropbox_app.server.cli import serve as serving
serving.run(Path(sys.argv[1]), sys.argv[2], workers=2, threads=8)
"""
FORM = "Content-Type: application/x-www-form-urlencoded"
LONG = b"text=" + b'"' * 500_000  # each of these comes back as five bytes
KINDS = ("head", "body", "reading")


def _request(port: int, body: bytes) -> bytes:
    head = f"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{FORM}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _slow(port: int, kind: str) -> socket.socket:
    """A client that has begun, and goes on so slowly that it might as well not."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    made.settimeout(60)
    request = _request(port, LONG)
    end = request.index(b"\r\n\r\n")
    try:
        made.connect(("127.0.0.1", port))
        made.sendall({"head": request[: end - 10], "body": request[: end + 50]}.get(kind, request))
    except OSError:
        made.close()
        raise
    return made


def _send_on(clients: dict[socket.socket, str]) -> None:
    """A byte more from each that sends."""
    for client, kind in clients.items():
        if kind != "reading":
            client.sendall(b"a")


@pytest.fixture
def slow(watched: Callable[..., Watched]) -> Iterator[tuple[Watched, dict[socket.socket, str]]]:
    made = watched(PROGRAM)
    with contextlib.ExitStack() as closing:
        clients: dict[socket.socket, str] = {}
        yield made, clients
        for client in clients:
            closing.enter_context(client)


def test_two_hundred_slow_clients_hold_nobody_up(
    slow: tuple[Watched, dict[socket.socket, str]],
) -> None:
    """Who sends slowly is still there when a report has gone through and its reporter is back."""
    made, clients = slow
    for number in range(200):
        kind = KINDS[number % len(KINDS)]
        clients[_slow(made.port, kind)] = kind
    _send_on(clients)
    browser = PlainBrowser(made.url)
    page = browser.get("/nl/report")
    code = browser.submit(page, page.form_with("text"), text="Een herkenbaar verhaal.").code
    back = PlainBrowser(made.url)
    page = back.get("/nl/return")
    assert "herkenbaar" in back.submit(page, page.form_with("code"), code=code).text
    _send_on(clients)
    for client in (c for c, kind in clients.items() if kind != "reading"):
        client.setblocking(False)
        with pytest.raises(BlockingIOError):  # neither answered nor let go
            client.recv(1)


def test_a_long_answer_that_is_read_slowly_arrives_whole(
    slow: tuple[Watched, dict[socket.socket, str]],
) -> None:
    made, clients = slow
    client = _slow(made.port, "reading")
    clients[client] = "reading"
    answer = client.recv(1)
    head, _, _ = (answer := answer + client.recv(2000)).partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(answer) < len(head) + 4 + length:
        piece = client.recv(65_536)
        assert piece, (len(answer), length)
        answer += piece
    assert answer.count(b"&#34;") >= 500_000
    assert answer.endswith((b"</html>", b"</html>\n", b" "))
    client.sendall(f"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n\r\n".encode())
    assert client.recv(12) == b"HTTP/1.1 200"  # the connection is as good as before


def test_what_lies_unread_is_bounded_and_the_oldest_makes_room() -> None:
    ended: list[int] = []
    with selectors.DefaultSelector() as poller, contextlib.ExitStack() as closing:
        outgoing = Outgoing(poller)
        for number in range(6):
            ours, theirs = socket.socketpair()
            closing.enter_context(theirs)
            made = closing.enter_context(PatientSocket(ours, 20, 60))
            made.complete = True
            made.begin()
            made.sendall(bytes(HELD // 3))  # the system takes a little of each
            outgoing.add(made, partial(ended.append, number))
            waiting = [key.fileobj for key in poller.get_map().values()]
            assert sum(len(s.unsent) for s in waiting if isinstance(s, PatientSocket)) <= HELD
            assert made in waiting
        assert ended == [0, 1, 2]


def test_a_connection_that_is_closed_already_is_over_at_once() -> None:
    ended: list[int] = []
    with selectors.DefaultSelector() as poller:
        ours, theirs = socket.socketpair()
        made = PatientSocket(ours, 20, 60)
        with theirs:
            made.sendall(bytes(4_000_000))
            made.close()
            outgoing = Outgoing(poller)
            outgoing.add(made, partial(ended.append, 1))
        assert (ended, made.unsent, made.given_up) == ([1], b"", True)
        assert not poller.get_map()


def test_who_reads_nothing_is_let_go_in_the_end(watched: Callable[..., Watched]) -> None:
    faster = "import dropbox_app.server.patience as p; p.SLOWEST_OUT = 2 ** 40"
    made = watched(faster + PROGRAM.replace("threads=8", "threads=8, silence=0.5"))
    with _slow(made.port, "reading") as client:
        deadline = time.monotonic() + 60
        begun, _, _ = select.select([client], [], [], 60)
        assert begun
        while held(made, client):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65_536):
                answer += piece
    length = re.search(rb"Content-Length: ([0-9]+)", answer)
    assert length
    assert len(answer) < int(length[1])


def held(made: Watched, client: socket.socket) -> bool:
    """Whether a process at the other end still has this client's connection open."""
    ends = f":{made.port:04X}", f":{client.getsockname()[1]:04X}"
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, *_, inode = line.split()[:10]
        if here.endswith(ends[0]) and there.endswith(ends[1]):
            return inode != "0"  # what only the system still sends belongs to nobody
    return False


def test_a_page_never_waits_for_its_reader() -> None:
    """What the system does not take stays with the connection, to be sent on."""
    ours, theirs = socket.socketpair()
    made = PatientSocket(ours, 20, 60)
    with made, theirs:
        made.complete = True
        made.begin()
        answer = bytes(range(256)) * 20_000
        made.sendall(answer)
        assert made.unsent
        got = b""
        while made.unsent:
            got += theirs.recv(1_000_000)
            made.send_on()
        while len(got) < len(answer):
            got += theirs.recv(1_000_000)
        assert got == answer
