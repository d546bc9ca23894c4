"""Onion addresses for desks only are served at their own socket and nowhere else."""

import socket
from collections.abc import Callable

import pytest

from tests.support.circuit import connect, line
from tests.support.serving import Serving, exchanged

DESKS = f"{'d3' * 28}.onion"
WEB = "desks.example.org"  # a domain for desks, reached like any other domain
PAGE, DESK_API = "/api/site", "/api/desk/challenge"


@pytest.fixture
def made(serve: Callable[..., Serving]) -> Serving:
    return serve(desk_origins=(f"http://{DESKS}", f"https://{WEB}"))


def ask(made: Serving, way: str, host: str, path: str, more: str = "") -> int:
    if way == "domain":
        connection = socket.create_connection(("127.0.0.1", made.port), timeout=60)
    else:
        connection = connect(made.front.onion if way == "onion" else made.front.desks, line(7))
    head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"
    with connection:
        return int(exchanged(connection, head.encode()).split()[1])


FORGED = ("", "X-Klankbord-Way: desks\r\n", "x-klankbord-way: desks\r\nX-KLANKBORD-WAY: desks\r\n",
          "X_Klankbord_Way: desks\r\n")  # fmt: skip


def test_client_without_a_key_gets_nothing_from_the_desk_address(
    made: Serving,
) -> None:
    own = f"127.0.0.1:{made.port}"
    for way in ("domain", "onion"):
        for host in (DESKS, DESKS.upper(), f"{DESKS}:80"):
            for path in (DESK_API, PAGE, "/nl/"):
                for more in FORGED:
                    assert ask(made, way, host, path, more) == 421
        assert (ask(made, way, own, PAGE), ask(made, way, own, DESK_API)) == (200, 404)
        assert (ask(made, way, WEB, PAGE), ask(made, way, WEB, DESK_API)) == (404, 200)
    for path in (DESK_API, PAGE, "/nl/"):
        for host in (own, WEB, "nobody.example"):
            assert ask(made, "desks", host, path) == 421
    assert (ask(made, "desks", DESKS, PAGE), ask(made, "desks", DESKS, DESK_API)) == (404, 200)


@pytest.mark.parametrize(
    "told", ["", "X-Klankbord-Way: \r\n", "X-Klankbord-Way: port\r\n", "X-Klankbord-Way: Desks\r\n"]
)
def test_app_socket_refuses_requests_without_a_known_route(made: Serving, told: str) -> None:
    """Only nginx can open that socket; this guards against a mistake in its settings."""
    for host in (DESKS, f"127.0.0.1:{made.port}"):
        for path in ("/nl/", DESK_API, "/nl/leave", "/internal/session"):
            head = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{told}\r\n"
            with connect(made.socket) as connection:
                answer = exchanged(connection, head.encode())
            assert answer.startswith(b"HTTP/1.1 421 ")
            assert b"Content-Security-Policy: " in answer
