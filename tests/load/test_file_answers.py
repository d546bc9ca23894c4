"""Downloads whose reader is slow, or whose file fails: nobody else notices."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

from tests.e2e.plain_browser import PlainBrowser
from tests.load.conftest import Watched
from tests.load.test_worker import PLAIN
from tests.web.test_file_downloads import reply_with

CONTENT = b"".join(b"%015d\n" % number for number in range(200_000))
# A reader who is too slow is given up by the thread; the loop does not look who else is.
HASTY = """
from dropbox_app.server import outgoing, patience
outgoing._LOOK, patience.SLOWEST_OUT = 600, 2 ** 40
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


def test_a_file_that_is_read_too_slowly_has_no_wrong_byte(watched: Callable[..., Watched]) -> None:
    """It breaks off; what came is its beginning."""
    made = watched(HASTY + PLAIN.replace("threads=4", "threads=4, silence=1"))
    with reading(made) as reader:
        time.sleep(2)  # longer than its thread has patience
        _, _, body = rest(reader).partition(b"\r\n\r\n")
    assert body
    assert CONTENT.startswith(body)
