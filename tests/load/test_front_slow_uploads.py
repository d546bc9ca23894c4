"""A large file that arrives slowly is accepted, even while others occupy connections."""

import contextlib
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.load.test_front_crowds import MIB, enter, post
from tests.server.web.conftest import Counsellor
from tests.server.web.test_files import received
from tests.support.plain_browser import MULTIPART, PlainBrowser
from tests.support.serving import Serving
from tests.support.tor_network import NginxOnion, TorBrowser, in_tor

PACES = (1_000_000, 200_000)  # bytes a second
STRANGERS = 20
BLOCK = 50_000
SIZE = 100 * MIB
NGINX = 60 * 1024  # kB resident, of each process at any time


def paced(content: bytes, pace: int) -> Iterator[bytes]:
    """Yield the pieces of a file at a given number of bytes a second."""
    began = time.monotonic()
    for at in range(0, len(content), BLOCK):
        time.sleep(max(0.0, began + at / pace - time.monotonic()))
        yield content[at : at + BLOCK]


@contextlib.contextmanager
def slow_strangers(serving: Serving) -> Iterator[list[int]]:
    """Start twenty clients on separate circuits at 2.5 kB/s, half with a false cookie.

    A client whose connection ends connects again immediately. The list contains the responses.
    """
    ended, told = threading.Event(), list[int]()

    def stranger(number: int) -> None:
        cookie = f"Cookie: s={'x' * 400}\r\n" if number % 2 else ""
        head = post(serving, "/nl/files", MULTIPART, SIZE, cookie) + b"--x"
        while not ended.is_set():
            with contextlib.suppress(OSError), serving.connect(10 + number, head) as connection:
                connection.settimeout(0.1)
                while not ended.is_set():
                    with contextlib.suppress(TimeoutError):
                        answer = connection.recv(65_536)
                        if not answer:
                            break
                        if found := re.match(rb"HTTP/1.1 (\d+) ", answer):
                            told.append(int(found[1]))
                    connection.sendall(b"x" * 250)

    crowd = [threading.Thread(target=stranger, args=(n,)) for n in range(STRANGERS)]
    for one in crowd:
        one.start()
    try:
        yield told
    finally:
        ended.set()
        for one in crowd:
            one.join()


def check_arrives(serving: Serving, browser: PlainBrowser, pace: int) -> None:
    """Send a file at this rate; check that it arrives and that nginx needed little memory."""
    content = os.urandom(SIZE)
    page = browser.get("/nl/files")
    form = page.form_with("files")
    began = time.monotonic()
    sent = browser.stream(page, form, "opname.mp4", SIZE, paced(content, pace))
    took = time.monotonic() - began
    assert (sent.status, sent.header("Location")) == (303, "/nl/conversation?sent=1#last")
    assert took > 0.9 * SIZE / pace
    assert hashlib.sha256(only_file(serving.house.counsellors[0])).digest() == (
        hashlib.sha256(content).digest()
    )
    for pid in serving.front.processes():
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        assert int(found[1]) < NGINX, status


def only_file(counsellor: Counsellor) -> bytes:
    ((_, content),) = received(counsellor)
    return content


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("pace", PACES)
def test_slow_file_of_100_mib_arrives_while_others_send_slowly(
    serve: Callable[..., Serving], pace: int
) -> None:
    serving = serve(changes={})
    browser = serving.browser(1)
    enter(browser)
    with slow_strangers(serving) as told:
        check_arrives(serving, browser, pace)
    assert len(told) >= STRANGERS
    assert set(told) == {403}


@in_tor
@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("pace", PACES)
def test_file_of_100_mib_arrives_slowly_over_tor(
    tmp_path: Path, serve: Callable[..., Serving], pace: int
) -> None:
    target = tmp_path / "front" / "onion.sock"
    with NginxOnion(tmp_path / "tor", target).running() as network:
        serving = serve(changes={}, origins=(f"http://{network.onion}",))
        browser = TorBrowser(network)
        browser.first("/nl/")
        enter(browser)
        with slow_strangers(serving):
            check_arrives(serving, browser, pace)
