"""gunicorn as it really serves: what it keeps quiet about, leaves nowhere, and how it stops."""

import contextlib
import datetime
import http.client
import json
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

from dropbox_app.protocol import desk_request
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.keys import SigningKey
from dropbox_app.server import patience
from dropbox_app.server.patience import PatientSocket
from dropbox_app.server.worker import WAITING
from tests.server.web.conftest import House, real_clock
from tests.support.plain_browser import PlainBrowser
from tests.support.ports import free_port
from tests.support.server_folder import file, ids

SCRIPT = """
import ctypes, json, sys
from pathlib import Path
from dropbox_app.server.cli import serve as serving
made = serving.create_app
def tell(*given, **named):
    print("dumpable:", ctypes.CDLL(None).prctl(3), flush=True)  # PR_GET_DUMPABLE
    return made(*given, **named)
serving.create_app = tell
serving.run(Path(sys.argv[1]), sys.argv[2], workers=2, threads=4, **json.loads(sys.argv[3]))
"""
PARTS = {  # the beginnings of requests that are never finished
    "nothing": b"",
    "half a head": b"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: ",
    "half a body": b"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n\r\nt=",
}
LONG = b"GET /nl/ HTTP/1.1\r\n" + 3 * (b"X-A: " + b"a" * 7000 + b"\r\n")


class Serving:
    """A real server process on a loopback port, with a home of its own."""

    def __init__(self, folder: Path, **patience: float) -> None:
        self.patience = patience
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.house = House(folder / "site", clock=real_clock(), origins=(self.url,))
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
                    json.dumps(self.patience),
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
    said = serving.log.read_text()
    assert "dumpable: 0" in said
    assert "dumpable: 1" not in said
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


# patience


def _still_open(connections: list[socket.socket]) -> int:
    """How many the server has not closed by now."""
    count = 0
    for connection in connections:
        connection.setblocking(False)
        try:
            while connection.recv(65_536):
                pass
        except BlockingIOError:
            count += 1
        except OSError:
            pass
    return count


def _hang(serving: Serving, part: bytes, count: int = 40) -> list[socket.socket]:
    made = [socket.create_connection(("127.0.0.1", serving.port), 20) for _ in range(count)]
    for connection in made:
        connection.sendall(part)
    return made


def _wait_until_closed(connections: list[socket.socket], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while left := _still_open(connections):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("part", PARTS)
def test_who_says_nothing_holds_up_nobody_and_is_let_go(tmp_path: Path, part: str) -> None:
    """Forty of them, where eight threads serve."""
    made = Serving(tmp_path, silence=2, whole=4)
    hanging = _hang(made, PARTS[part])
    time.sleep(0.5)
    began = time.monotonic()
    for _ in range(4):
        assert PlainBrowser(made.url).get("/nl/").status == 200
    assert time.monotonic() - began < 2
    assert _still_open(hanging) == 40
    _wait_until_closed(hanging, 8)
    assert PlainBrowser(made.url).get("/nl/").status == 200
    assert made.stop() == 0
    made.house.close()


def test_a_head_that_does_not_end_is_not_waited_for(serving: Serving) -> None:
    hanging = _hang(serving, LONG)
    assert PlainBrowser(serving.url).get("/nl/").status == 200
    _wait_until_closed(hanging, 10)


def test_a_dead_connection_frees_its_thread(tmp_path: Path) -> None:
    """Desks that fall silent in the middle of a file: as many as there are threads."""
    made = Serving(tmp_path, silence=2, whole=4)
    own = made.house.counsellors[0].signing
    sealed = file(2, 3_000_000)
    target, signed = _signed_file(made, sealed, own)
    head = f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1:{made.port}\r\nAuthorization: {signed}\r\n"
    head += f"Content-Length: {len(sealed)}\r\n\r\n"
    for _ in range(2):
        hanging = _hang(made, head.encode() + sealed[:100_000], 8)
        time.sleep(0.5)
        assert _still_open(hanging) == 8
        assert PlainBrowser(made.url).get("/nl/").status == 200
        _wait_until_closed(hanging, 10)
    assert list((made.house.folder / "files").iterdir()) == []
    assert made.stop() == 0
    assert "Traceback" not in made.log.read_text()
    made.house.close()


def test_who_does_not_hang_up_holds_up_nobody(serving: Serving) -> None:
    request = b"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    hanging = _hang(serving, request)
    began = time.monotonic()
    assert PlainBrowser(serving.url).get("/nl/").status == 200
    assert time.monotonic() - began < 2
    _wait_until_closed(hanging, 5)


def test_more_than_can_wait_send_the_oldest_away(serving: Serving) -> None:
    hanging = _hang(serving, PARTS["half a head"], 2 * WAITING + 60)
    began = time.monotonic()
    assert PlainBrowser(serving.url).get("/nl/").status == 200
    assert time.monotonic() - began < 2
    assert _still_open(hanging) <= 2 * WAITING
    for connection in hanging:
        connection.close()


def test_a_long_text_that_comes_in_pieces_is_taken_whole(serving: Serving) -> None:
    """What was too much to be a message comes back to the last letter."""
    text = b"text=" + b"%0D%0A%C3%A9" * 20_000 + b"herkenbaar"
    head = f"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1:{serving.port}\r\nConnection: close\r\n"
    head += (
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", serving.port), timeout=20) as connection:
        for start in range(0, len(text), 30_000):
            connection.sendall(head.encode() if not start else b"")
            connection.sendall(text[start : start + 30_000])
            time.sleep(0.02)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 422")
    assert answer.count("é".encode()) >= 20_000
    assert b"herkenbaar" in answer


def _signed_file(serving: Serving, sealed: bytes, signing: SigningKey) -> tuple[str, str]:
    """Where a desk puts a file of a new conversation, and how it says who it is."""
    browser = PlainBrowser(serving.url)
    page = browser.get("/nl/report")
    browser.submit(page, page.form_with("text"), text="Een verhaal.")
    mailbox = serving.house.mailboxes.listed(serving.house.counsellors[0].identity)[-1].id
    target = f"/api/desk/mailboxes/{mailbox}/files/{sha256_hex(sealed)}"
    token = json.loads(browser.get("/api/desk/challenge").text)["token"]
    signed = desk_request.header(
        signing, origin=serving.url, site=serving.house.site.settings.site, token=token,
        method="PUT", target=target, body_hash=sha256_hex(sealed),
    )  # fmt: skip
    return target, signed


def _put_file(serving: Serving, size: int, signing: SigningKey) -> tuple[int, str | None]:
    """The status, and what is said of the connection."""
    sealed = file(2, size)
    target, signed = _signed_file(serving, sealed, signing)
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=20)
    connection.request("PUT", target, sealed, {"Authorization": signed})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.headers["Connection"]


def test_a_desks_large_file_arrives_and_a_strangers_is_not_waited_for(serving: Serving) -> None:
    own = serving.house.counsellors[0].signing
    assert _put_file(serving, 3_000_000, own) == (200, "close")
    began = time.monotonic()
    assert _put_file(serving, 600_000, SigningKey(bytes(32))) == (401, "close")
    assert time.monotonic() - began < 2


def test_a_body_that_does_not_say_its_length_is_refused(serving: Serving) -> None:
    head = b"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert serving.raw(head + b"6\r\ntext=x\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def _pair(silence: float = 0.3, whole: float = 0.6) -> tuple[PatientSocket, socket.socket]:
    ours, theirs = socket.socketpair()
    made = PatientSocket(ours, silence, whole)
    made.begin()
    return made, theirs


def test_a_read_ends_after_silence_and_drips_end_with_the_whole() -> None:
    made, theirs = _pair()
    with made, theirs:
        theirs.sendall(b"a")
        assert made.recv(10) == b"a"
        began = time.monotonic()
        with pytest.raises(ConnectionResetError):
            made.recv(10)
        assert 0.2 < time.monotonic() - began < 0.5
    made, theirs = _pair()
    with made, theirs:
        began = time.monotonic()
        with pytest.raises(ConnectionResetError):  # noqa: PT012 - drip by drip
            while True:
                theirs.sendall(b"a")
                made.recv(10)
                time.sleep(0.05)
        assert 0.5 < time.monotonic() - began < 1


def test_a_desks_file_may_take_longer_as_long_as_it_comes() -> None:
    made, theirs = _pair()
    with made, theirs:
        made.begin(by_size=True)
        for _ in range(20):
            theirs.sendall(b"a" * 200)
            assert made.recv(1000)
            time.sleep(0.05)
        with pytest.raises(ConnectionResetError):
            made.recv(10)


def test_a_file_that_nobody_reads_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a page the loop sends the rest; only a file may keep a thread, and not for ever."""
    monkeypatch.setattr(patience, "UNSENT", 16 * 1024)
    made, theirs = _pair()
    with made, theirs:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        made.begin(by_size=True)
        with pytest.raises(ConnectionResetError):
            made.sendall(b"a" * 64 * 1024)  # 0.3 s, and 4 for its size


def test_no_socket_waits_without_limit_whatever_is_asked_of_it() -> None:
    """gunicorn makes a connection block before each request, and writes a line on its own."""
    made, theirs = _pair()
    with made, theirs:
        made.setblocking(True)
        with pytest.raises(TimeoutError):  # noqa: PT012 - until nothing more is taken
            while True:
                made.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


@pytest.mark.parametrize("broken", ["slow", "gone"])
def test_of_an_answer_that_broke_off_no_byte_goes_twice(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """Whatever goes out afterwards, its reader has the beginning of the answer and nothing else."""
    monkeypatch.setattr(patience, "UNSENT", 16 * 1024)
    monkeypatch.setattr(patience, "SLOWEST_OUT", 2**40)
    answer = bytes(range(256)) * 4096 + b"the end"
    made, theirs = _pair()
    with made, theirs:
        made.begin(by_size=True)
        if broken == "gone":
            theirs.shutdown(socket.SHUT_RD)
        with pytest.raises(ConnectionResetError):
            made.sendall(answer)
        assert (made.unsent, made.given_up) == (b"", True)
        with pytest.raises(ConnectionResetError):
            made.sendall(answer)
        got = b""
        made.setblocking(False)
        while True:
            theirs.setblocking(False)
            try:
                piece = theirs.recv(65_536)
            except BlockingIOError:
                break
            got += piece
            made.send_on()
            if not piece:
                break
        assert answer.startswith(got)


def test_what_the_loop_could_not_send_on_goes_nowhere() -> None:
    made, theirs = _pair()
    with made, theirs:
        made.sendall(bytes(4_000_000))
        assert made.unsent
        theirs.recv(1000)
        theirs.close()
        with pytest.raises(OSError, match=r"pipe|reset"):
            made.send_on()
        assert (made.unsent, made.given_up) == (b"", True)


def test_serving_purges_and_two_workers_do_not_mind(tmp_path: Path) -> None:
    """What is over goes without anybody running the command."""
    made = Serving(tmp_path, upkeep=0.2)
    store = made.house.store
    with store.writing():
        store.add_mailbox(*ids("one"), datetime.date(2026, 1, 1))
    assert made.stop() == 0
    made.start()
    deadline = time.monotonic() + 10
    while store.mailboxes():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert made.stop() == 0
    assert "upkeep" not in made.log.read_text()
    made.house.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told_to(tmp_path: Path, how: signal.Signals) -> None:
    made = Serving(tmp_path)
    assert made.stop(how) == 0
    assert "Traceback" not in made.log.read_text()
    with pytest.raises(OSError, match="refused"):
        PlainBrowser(made.url).get("/nl/")
    made.house.close()
