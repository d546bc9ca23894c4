"""The desk's connection through a SOCKS5 proxy: valid replies, and messages about failures."""

import socket
import time
from contextlib import closing

import pytest

from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.transport.connection import HttpTransport
from dropbox_app.desk.transport.proxy import Proxy
from tests.support.mail_server import Listening

ONION = f"http://{'a' * 56}.onion"
ASKED = b"\x05\x02"
LET_IN = b"\x01\x00"
DONE = b"\x05\x00\x00\x01" + bytes(6)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def fetched(answers: list[bytes | None], pause: float = 0.0, seconds: float = 60) -> bytes:
    """Return the data that arrives through a proxy that sends these bytes one by one."""

    def serve(near: socket.socket) -> None:
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for answer in answers:
            near.recv(4096)
            if answer is None:
                return
            for byte in answer:
                near.sendall(bytes([byte]))
                time.sleep(pause)
        while near.recv(4096):  # until the desk closes the connection
            pass

    listening = Listening(0, serve)
    try:
        with (
            closing(HttpTransport(Proxy("socks5h", "127.0.0.1", listening.port))) as transport,
            transport.send("GET", ONION, "/", {}, b"", seconds) as answer,
        ):
            return b"".join(answer.pieces)
    finally:
        listening.end()


@pytest.mark.parametrize(
    "reply",
    [DONE, b"\x05\x00\x00\x03\x09localhost\x00\x50", b"\x05\x00\x00\x04" + bytes(18)],
)
def test_fragmented_responses_are_reassembled(reply: bytes) -> None:
    assert fetched([ASKED, LET_IN, reply, ANSWER], pause=0.002) == b"hello"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([b"\x05\x00"], "no SOCKS5 proxy that asks for a name"),
        ([b"\x05\xff"], "no SOCKS5 proxy that asks for a name"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "no SOCKS5 proxy"),
        ([None], "hung up"),
        ([ASKED, b"\x01\x01"], "refused this desk"),
        ([ASKED, LET_IN, b"\x05\x04\x00\x01"], "the address cannot be reached"),
        ([ASKED, LET_IN, b"\x05\xf4\x00\x01"], "has no key for that address, see 'onion-key'"),
        ([ASKED, LET_IN, b"\x05\xf5\x00\x01"], "is not taken there"),
        ([ASKED, LET_IN, b"\x04\x00\x00\x01"], "refused"),
        ([ASKED, LET_IN, b"\x05\x00\x00", None], "timed out"),
    ],
)
def test_failing_proxy_is_reported_in_one_sentence(answers: list[bytes | None], said: str) -> None:
    with pytest.raises(CannotReach) as refused:
        fetched(answers, seconds=0.5 if "timed out" in said else 60)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("answers", [[b""], [ASKED * 100], [ASKED, LET_IN, DONE, b"x" * 1000]])
def test_hanging_proxy_is_abandoned_at_the_deadline(
    answers: list[bytes | None],
) -> None:
    with pytest.raises(CannotReach):
        fetched(answers, pause=0.01, seconds=0.5)
