"""gunicorn as it really serves: what it keeps quiet about, leaves nowhere, and how it stops."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.plain_browser import PlainBrowser
from tests.web.conftest import House

SCRIPT = """
import sys
from pathlib import Path
from dropbox_app.server import serving
serving.run(Path(sys.argv[1]), sys.argv[2], workers=2, threads=4)
"""


class Serving:
    """A real server process on a loopback port, with a home of its own."""

    def __init__(self, folder: Path) -> None:
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self.house = House(folder / "site", origins=(self.url,))
        self.home = folder / "home"
        self.home.mkdir()
        self.log = folder / "log"
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (
                    *(sys.executable, "-c", SCRIPT, str(self.house.folder)),
                    f"127.0.0.1:{self.port}",
                ),
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(self.home), "TMPDIR": str(self.home)},
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                assert PlainBrowser(self.url).get("/nl/").status == 200
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(20)

    def raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while piece := connection.recv(65_536):
                answer += piece
        return answer

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = Serving(tmp_path_factory.mktemp("serving"))
    yield made
    if made.process.poll() is None:
        made.stop()
    made.house.close()


def test_no_answer_names_the_server_or_its_clock(serving: Serving) -> None:
    for path in ("/nl/", "/nowhere", "/api/site"):
        connection = http.client.HTTPConnection("127.0.0.1", serving.port)
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        names = {name.lower() for name, _ in answer.getheaders()}
        assert not names & {"server", "date"}
        assert "content-security-policy" in names
        connection.close()


@pytest.mark.parametrize(
    "request_line",
    [
        b"herkenbaar\r\n\r\n",
        b"GET /herkenbaar HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nherkenbaar\r\n\r\n",
        b"GET /" + b"herkenbaar" * 1000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /nl/report HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: herkenbaar\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X-A: herkenbaar\r\n" * 200 + b"\r\n",
    ],
)
def test_what_is_no_http_is_answered_without_repeating_it(
    serving: Serving, request_line: bytes
) -> None:
    answer = serving.raw(request_line)
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"herkenbaar" not in answer
    assert b"unicorn" not in answer
    assert b"Content-Security-Policy: " in answer
    assert b"Cache-Control: no-store" in answer
    assert b"\r\nDate:" not in answer


def test_a_request_that_breaks_off_costs_nothing(serving: Serving) -> None:
    serving.raw(b"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n\r\ntext=x")
    assert PlainBrowser(serving.url).get("/nl/").status == 200


def test_the_workers_share_one_cookie_key(serving: Serving) -> None:
    """A session goes on whichever worker answers."""
    browser = PlainBrowser(serving.url)
    page = browser.get("/nl/report")
    page = browser.submit(page, page.form_with("text"), text="Een herkenbaar verhaal.")
    for _ in range(20):
        assert "herkenbaar" in browser.get("/nl/conversation").text
    assert len(serving.workers()) == 2


def test_nothing_is_left_in_a_home_a_temporary_folder_or_a_log(serving: Serving) -> None:
    browser = PlainBrowser(serving.url)
    for _ in range(3):
        page = browser.get("/nl/report")
        browser.submit(page, page.form_with("text"), text="Een herkenbaar verhaal. " * 500)
    browser.get("/nl/herkenbaar?herkenbaar")
    browser.request("POST", "/nl/report", b"x" * 900_000)
    assert list(serving.home.rglob("*")) == []
    log = serving.log.read_bytes()
    assert b"herkenbaar" not in log
    assert b"127.0.0.1" not in log
    assert not re.search(rb"\d\d:\d\d", log)
    for pid in serving.workers():
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                target = str(handle.readlink())
                assert "gunicorn.ctl" not in target
                if target.startswith("/") and "(deleted)" in target:
                    assert handle.stat().st_size == 0, target


def test_no_core_is_dumped_and_files_are_its_own(serving: Serving) -> None:
    for pid in (serving.process.pid, *serving.workers()):
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)
        status = Path(f"/proc/{pid}/status").read_text()
        assert re.search(r"Umask:\s+0077", status)
    for path in serving.house.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_worker_at_rest_stays_small(serving: Serving) -> None:
    """After a hundred reports no worker holds more than 60 MB."""
    browser = PlainBrowser(serving.url, cookies=False)
    page = browser.get("/nl/report")
    for number in range(100):
        browser.submit(page, page.form_with("text"), text=f"verhaal {number}")
    for pid in serving.workers():
        status = Path(f"/proc/{pid}/status").read_text()
        resident = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert resident
        assert int(resident[1]) < 60 * 1024, status


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told_to(tmp_path: Path, how: signal.Signals) -> None:
    made = Serving(tmp_path)
    assert made.stop(how) == 0
    assert "Traceback" not in made.log.read_text()
    with pytest.raises(OSError, match="refused"):
        PlainBrowser(made.url).get("/nl/")
    made.house.close()
