"""The socket file for desks' onions: their names are answered there alone, and no other name is."""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.load.conftest import Watched
from tests.support.circuit import connect, line

DESKS = f"{'d3' * 28}.onion"
WEB = "desks.example.org"  # by a web server, which comes to the same socket file for all
PAGE, DESK_API = "/api/site", "/api/desk/challenge"
SERVE = """
import sys
from pathlib import Path
from dropbox_app.server.cli import serve as serving
onion, desks = map(Path, sys.argv[3:])
serving.run(Path(sys.argv[1]), sys.argv[2], workers=1, threads=4, onion=onion, desks=desks)
"""


@pytest.fixture
def made(watched: Callable[..., Watched], tmp_path: Path) -> Watched:
    files = (tmp_path / "onion.sock", tmp_path / "desks.sock")
    return watched(SERVE, *files, desk_origins=(f"http://{DESKS}", f"https://{WEB}"))


def ask(way: socket.socket, host: str, path: str) -> int:
    with contextlib.closing(way), way.makefile("rb") as answer:
        way.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return int(answer.read().split()[1])


def test_who_only_knows_the_name_gets_nothing_of_it(made: Watched, tmp_path: Path) -> None:
    own = f"127.0.0.1:{made.port}"

    def by_port() -> socket.socket:
        return socket.create_connection(("127.0.0.1", made.port), timeout=60)

    def by_onion() -> socket.socket:
        return connect(tmp_path / "onion.sock", line(7))

    def by_desks() -> socket.socket:
        return connect(tmp_path / "desks.sock", line(7))

    for way in (by_port, by_onion):
        for host in (DESKS, DESKS.upper(), f"{DESKS}:80"):
            for path in (DESK_API, PAGE, "/nl/"):
                assert ask(way(), host, path) == 421
        assert (ask(way(), own, PAGE), ask(way(), own, DESK_API)) == (200, 404)
        assert (ask(way(), WEB, PAGE), ask(way(), WEB, DESK_API)) == (404, 200)
    for path in (DESK_API, PAGE, "/nl/"):
        for host in (own, WEB, "nobody.example"):
            assert ask(by_desks(), host, path) == 421
    assert (ask(by_desks(), DESKS, PAGE), ask(by_desks(), DESKS, DESK_API)) == (404, 200)


def test_there_too_tor_says_first_by_which_circuit(made: Watched, tmp_path: Path) -> None:
    del made
    asked = f"GET {DESK_API} HTTP/1.1\r\nHost: {DESKS}\r\n\r\n".encode()
    with contextlib.closing(connect(tmp_path / "desks.sock", asked)) as way:
        assert way.recv(100) == b""
