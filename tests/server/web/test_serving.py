"""The server as in production, behind nginx: its responses, its traces and its shutdown."""

import contextlib
import datetime
import http.client
import json
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
from dropbox_app.server.web.early_answers import PATIENCE
from tests.support.plain_browser import MULTIPART, PlainBrowser, multipart
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.server_folder import file, ids
from tests.support.serving import PROGRAM, Serving


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = Serving(tmp_path_factory.mktemp("serving"), forked=False)
    yield made
    made.close()


def test_no_response_names_the_server_or_its_clock(serving: Serving) -> None:
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
def test_response_to_a_non_http_request_does_not_repeat_the_request(
    serving: Serving, request_line: bytes
) -> None:
    answer = serving.raw(request_line)
    assert answer.startswith(b"HTTP/1.1 4")
    assert b"herkenbaar" not in answer
    assert b"unicorn" not in answer
    assert b"Content-Security-Policy: " in answer
    assert b"Cache-Control: no-store" in answer
    assert b"\r\nDate:" not in answer


def test_interrupted_request_has_no_effect(serving: Serving) -> None:
    serving.raw(b"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900\r\n\r\ntext=x")
    assert PlainBrowser(serving.url).get("/nl/").status == 200


def test_workers_share_one_cookie_key(serving: Serving) -> None:
    """A session continues in any worker."""
    browser = PlainBrowser(serving.url)
    page = browser.get("/nl/report")
    page = browser.submit(page, page.form_with("text"), text="Een herkenbaar verhaal.")
    browser.submit(page, page.form_with("kept"), kept="y")
    for _ in range(20):
        assert "herkenbaar" in browser.get("/nl/conversation").text
    assert len(serving.workers()) == 2


def test_serving_leaves_no_data_in_the_home_folder_temporary_folder_or_log(
    serving: Serving,
) -> None:
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
                if target.startswith("/memfd:"):
                    continue  # memory that the workers share: it is on no disk
                if target.startswith("/") and "(deleted)" in target:
                    assert handle.stat().st_size == 0, target


def test_core_dumps_are_off_and_files_are_private(serving: Serving) -> None:
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


def test_idle_worker_uses_little_memory(serving: Serving) -> None:
    """After a hundred reports no worker uses more than 60 MB."""
    browser = PlainBrowser(serving.url, cookies=False)
    page = browser.get("/nl/report")
    for number in range(100):
        browser.submit(page, page.form_with("text"), text=f"verhaal {number}")
    for pid in serving.workers():
        status = Path(f"/proc/{pid}/status").read_text()
        # Shared memory, with the tables, exists once and is not counted for any worker.
        own = re.findall(r"Rss(?:Anon|File):\s+(\d+) kB", status)
        assert len(own) == 2
        assert sum(map(int, own)) < 60 * 1024, status


def test_long_text_sent_in_pieces_is_received_completely(serving: Serving) -> None:
    """A text that is too long for a message is returned completely."""
    text = b"text=" + b"%0D%0A%C3%A9" * 20_000 + b"herkenbaar"
    head = f"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1:{serving.port}\r\nConnection: close\r\n"
    head += (
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", serving.port), timeout=60) as connection:
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
    """Return the address and headers of a desk's file upload to a new conversation."""
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


def _put_file(serving: Serving, size: int, signing: SigningKey) -> int:
    sealed = file(2, size)
    target, signed = _signed_file(serving, sealed, signing)
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=60)
    connection.request("PUT", target, sealed, {"Authorization": signed})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def test_large_file_is_accepted_from_a_desk_but_rejected_early_from_other_clients(
    serving: Serving,
) -> None:
    own = serving.house.counsellors[0].signing
    assert _put_file(serving, 3_000_000, own) == 200
    began = time.monotonic()
    assert _put_file(serving, 600_000, SigningKey(bytes(32))) == 401
    assert time.monotonic() - began < 20  # nginx would wait for the rest for 60 s


def test_refusal_arrives_while_the_body_is_still_being_sent(serving: Serving) -> None:
    """The client talks directly to the app and, like nginx, writes before it reads."""
    sealed = file(2, 600_000)
    target, signed = _signed_file(serving, sealed, SigningKey(bytes(32)))
    head = f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1:{serving.port}\r\nAuthorization: {signed}\r\n"
    head += f"X-Klankbord-Way: domain\r\nContent-Length: {len(sealed)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(serving.socket))
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 401"
        connection.sendall(sealed)  # no broken pipe


def test_slow_client_after_a_refusal_blocks_the_app_only_briefly(
    serving: Serving,
) -> None:
    """The client sends directly to the app, one byte at a time, each within its time limit."""
    head = f"PUT /api/desk/mailboxes/{'0' * 64}/files/{'0' * 64} HTTP/1.1\r\n"
    head += f"Host: 127.0.0.1:{serving.port}\r\nX-Klankbord-Way: domain\r\n"
    head += "Content-Length: 600000\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(serving.socket))
        connection.sendall(head.encode())
        assert connection.recv(10) == b"HTTP/1.1 4"
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - began < 10 * PATIENCE:
                connection.sendall(b"x")
                time.sleep(PATIENCE / 20)
        assert time.monotonic() - began < 10 * PATIENCE


def test_body_without_a_length_is_refused(serving: Serving) -> None:
    head = b"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert serving.raw(head + b"6\r\ntext=x\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_server_with_two_workers_purges_while_it_runs(tmp_path: Path) -> None:
    """Expired data is removed without a command."""
    made = Serving(tmp_path, upkeep=0.2)
    store = made.house.store
    with store.writing():
        store.add_mailbox(*ids("one"), datetime.date(2026, 1, 1))
    assert made.stop() == 0
    made.start()
    until(lambda: not store.mailboxes(), "nothing is purged", 60)
    assert "upkeep" not in made.log.read_text()
    made.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_server_stops_on_sigterm(tmp_path: Path, how: signal.Signals) -> None:
    made = Serving(tmp_path)
    assert made.stop(how) == 0
    assert made.status() == 503  # nginx says that it cannot be reached
    made.close()


def test_without_nginx_no_request_data_is_on_disk_or_in_a_log(serving: Serving) -> None:
    """``scripts/run`` has only gunicorn, on loopback, which trusts none of nginx's headers."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    read, write = serving.house.folder, serving.home
    with serving.log.open("ab") as log:
        process = subprocess.Popen(
            (sys.executable, "-c", PROGRAM, str(read), f"127.0.0.1:{port}", "128", "60"),
            stdout=log, stderr=log, env={"HOME": str(write), "TMPDIR": str(write)},
        )  # fmt: skip
    try:
        browser = PlainBrowser(url)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                if browser.get("/static/herkenbaar").status:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        for way in ("desks", "onion", "nonsense"):
            told = {"X-Klankbord-Way": way, "X-Klankbord-Since": "0"}
            assert browser.request("GET", "/nl/", None, told).status == 200
        body = multipart([("text", "herkenbaar")], [("herkenbaar.txt", b"herkenbaar" * 100_000)])
        browser.request("POST", "/nl/files", body, {"Content-Type": MULTIPART})
        browser.request("POST", "/nl/report", b"herkenbaar" * 90_000)
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert list(serving.home.rglob("*")) == []
    assert b"herkenbaar" not in serving.log.read_bytes()
