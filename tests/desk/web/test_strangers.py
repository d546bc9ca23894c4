"""Limits on the memory that a program which knows only the port can make the desk use."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.desk.web.strangers import MOST_STRANGERS
from tests.desk.conftest import Office
from tests.desk.web.conftest import Running
from tests.desk.web.test_command import Started
from tests.support.processes import until

MIB = 1024 * 1024
# Holds 200 connections with half a header, then sends unrequested bodies, and sends slowly.
STRANGER = """
import socket, sys, time
port, held = int(sys.argv[1]), []
def connect():
    one = socket.create_connection(("127.0.0.1", port))
    one.settimeout(2)
    held.append(one)
    return one
def send(one, data):
    try:
        one.sendall(data)
    except OSError:
        pass  # it was closed: that is well
for number in range(200):
    send(connect(), b"POST /x HTTP/1.1\\r\\nHost: 127.0.0.1:%d\\r\\nX: " % port)
for kind in (b"Content-Length: 200000000", b"Transfer-Encoding: chunked", b"Expect: 100-continue"):
    for number in range(10):
        one = connect()
        send(one, b"POST /x HTTP/1.1\\r\\nHost: 127.0.0.1:%d\\r\\n%s\\r\\n\\r\\n" % (port, kind))
        for piece in range(16):
            send(one, b"10000\\r\\n" + bytes(65536) + b"\\r\\n")
for number in range(20):
    send(connect(), b"GET / HTTP/1.1\\r\\n" + b"X: %s\\r\\n" % (b"x" * 60000))
print("done", flush=True)
while True:
    for one in held[-60:]:
        send(one, b"x")
    time.sleep(0.05)
"""


@pytest.fixture
def started(office: Office, thread: str, tmp_path: Path) -> Iterator[Started]:
    made = Started(office, tmp_path)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


def resident(pid: int) -> int:
    """Return a process's peak resident memory in bytes."""
    line = Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]
    return int(line) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_program_that_knows_only_the_port_cannot_exhaust_the_memory(
    started: Started,
) -> None:
    window, home = started.window()
    assert 'data-page="today"' in window.get(home).html
    before = resident(started.process.pid)
    port = started.url.rpartition(":")[2]
    with subprocess.Popen(
        [sys.executable, "-c", STRANGER, port], stdout=subprocess.PIPE, text=True
    ) as stranger:
        try:
            assert stranger.stdout is not None
            assert stranger.stdout.readline() == "done\n"
            begun = time.monotonic()
            for _ in range(10):
                assert 'data-page="today"' in window.get(home).html
            assert time.monotonic() - begun < 20
        finally:
            stranger.kill()
    assert resident(started.process.pid) - before < 24 * MIB


def test_body_of_a_request_without_the_cookie_is_not_read(running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.gate.port)) as stranger:
        stranger.settimeout(20)
        stranger.sendall(
            f"POST {running.home}unlock HTTP/1.1\r\nHost: 127.0.0.1:{running.gate.port}\r\n"
            "Sec-Fetch-Site: same-origin\r\nContent-Length: 1000000\r\n\r\n".encode()
        )
        assert b" 403 " in stranger.recv(1000)  # before any byte of the body was sent


@pytest.mark.skipif(sys.platform == "win32", reason="select() there has no such bound")
def test_window_gets_a_response_while_more_than_a_thousand_files_are_open(running: Running) -> None:
    assert sys.platform != "win32"
    import resource  # Windows has none

    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed[1] < 4096:
        pytest.skip("this system lets no program open 4,096 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed[0], 4096), allowed[1]))
    held = [os.dup(0) for _ in range(1100)]
    try:
        assert 'data-page="unlock"' in running.window().get(running.home).html
    finally:
        for one in held:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)


def test_unauthenticated_connections_never_displace_the_window(running: Running) -> None:
    window = running.window()
    window.get(running.home)
    held = [
        socket.create_connection(("127.0.0.1", running.gate.port))
        for _ in range(3 * MOST_STRANGERS)
    ]
    try:
        until(lambda: len(running.server.active_channels) > 1, "nobody was let in")
        assert 'data-page="unlock"' in window.get(running.home).html
        # The window's own connection may have ended by now; only strangers are counted.
        there = list(running.server.active_channels.values())
        assert len([one for one in there if not one.is_own]) <= MOST_STRANGERS
    finally:
        for one in held:
            one.close()
