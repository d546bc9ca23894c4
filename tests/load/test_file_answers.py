"""Downloads whose reader is slow, or whose file fails: nobody else notices."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.load.conftest import Watched
from tests.load.test_slow_clients import held
from tests.load.test_worker import LITTLE_ROOM, PLAIN, ask_until_nothing_moves, crowd
from tests.server.web.test_file_downloads import reply_with
from tests.support.plain_browser import PlainBrowser

CONTENT = b"".join(b"%015d\n" % number for number in range(200_000))
# A reader who is too slow is given up by the thread; the loop does not look who else is.
HASTY = """
from dropbox_app.server import outgoing
from dropbox_app.server import patience
outgoing._LOOK = patience.SLOWEST_OUT = 2 ** 40
"""
# A file that fails in the middle, as one whose disk changed a byte after it was checked.
FAULTY = """
import itertools
from dropbox_app.protocol.errors import PayloadFailure
from dropbox_app.server.reporter import agent as reporter_agent
contents, calls = reporter_agent.contents, itertools.count()
def faulty(chunks, size):
    given, giving = 0, next(calls) % 2  # it is read once to be checked, then to be given
    for piece in contents(chunks, size):
        given += len(piece)
        if giving and given > 1_000_000:
            raise PayloadFailure("x")
        yield piece
reporter_agent.contents = faulty
"""


def reporter(made: Watched) -> PlainBrowser:
    """Somebody who has told something, and whose session is open."""
    browser = PlainBrowser(made.url)
    page = browser.get("/nl/report")
    assert browser.submit(page, page.form_with("text"), text="Het begin.").code
    return browser


def cookie(browser: PlainBrowser) -> str:
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items())


@contextlib.contextmanager
def reading(made: Watched, timeout: float = 30) -> Iterator[socket.socket]:
    """A reader of a counsellor's file that has asked for it, and got the beginning of it."""
    browser = reporter(made)
    item = reply_with(made.house.counsellors[0], CONTENT)
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(timeout)
        reader.connect(("127.0.0.1", made.port))
        ask = f"GET /nl/files/{item} HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n"
        reader.sendall(f"{ask}Cookie: {cookie(browser)}\r\n\r\n".encode())
        assert reader.recv(12) == b"HTTP/1.1 200"
        yield reader


def rest(reader: socket.socket) -> bytes:
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := reader.recv(65_536):
            answer += piece
    return answer


def served(made: Watched) -> None:
    for _ in range(3):
        assert PlainBrowser(made.url).get("/nl/").status == 200


def test_a_file_that_is_read_too_slowly_has_no_wrong_byte(watched: Callable[..., Watched]) -> None:
    """It breaks off; what came is its beginning."""
    made = watched(HASTY + PLAIN.replace("threads=4", "threads=4, silence=2"))
    with reading(made) as reader:
        answer, begun = b"", time.monotonic()
        while time.monotonic() < begun + 4:  # too slow for its thread, which has two
            answer += reader.recv(4096)
            time.sleep(0.02)
        _, _, body = (answer + rest(reader)).partition(b"\r\n\r\n")
    assert body
    assert CONTENT.startswith(body)


def test_a_fault_in_the_middle_of_a_file_ends_its_connection_and_nothing_else(
    watched: Callable[..., Watched],
) -> None:
    """At once: no thread waits for the reader to hang up."""
    made = watched(FAULTY + PLAIN)
    (worker,) = made.workers()
    with reading(made, timeout=10) as reader:
        _, _, body = rest(reader).partition(b"\r\n\r\n")
        assert CONTENT.startswith(body)
        assert len(body) < len(CONTENT)
        deadline = time.monotonic() + 10
        while held(made, reader):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        served(made)
        assert made.workers() == [worker]
    assert made.log.read_text().count("PayloadFailure") == 1


@pytest.mark.parametrize("sent", ["", "Cookie: s=abc\r\n"])
def test_who_asks_for_a_file_without_a_session_takes_no_place_for_files(
    watched: Callable[..., Watched], sent: str
) -> None:
    """However many ask and read nothing."""
    made = watched(LITTLE_ROOM + PLAIN)
    browser = reporter(made)
    ask = f"GET /nl/files/x HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\n{sent}\r\n".encode()
    with crowd(made.port, 6, b"") as people:
        ask_until_nothing_moves(people, ask)
        page = browser.get("/nl/files")
        photo = [("a.jpg", bytes(600_000))]
        answer = browser.upload(page, page.form_with("files"), photo, text="Bij.")
        assert (answer.status, answer.path) == (200, "/nl/conversation?sent=1")
