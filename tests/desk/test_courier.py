"""The desk's connections over real sockets, through proxies that inspect the traffic."""

import contextlib
import http.server
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from dropbox_app.desk.errors import BadAnswer, CannotReach, OutOfStep, Refused, Unfit, Unknown
from dropbox_app.desk.transport.api_client import Courier
from dropbox_app.desk.transport.connection import HttpTransport
from dropbox_app.desk.transport.proxy import Origin, Proxy, read_origin, read_proxy
from dropbox_app.protocol import desk_request
from dropbox_app.protocol.keys import SigningKey
from tests.support.ports import free_port

SITE = "cd" * 16
ONION = "http://" + "a" * 56 + ".onion"

Script = Callable[[http.server.BaseHTTPRequestHandler], tuple[int, dict[str, str], bytes]]


@contextlib.contextmanager
def serving(script: Script) -> Iterator[tuple[int, list[str]]]:
    """Run a scripted web server; yield its port and the raw request headers."""
    heads: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            heads.append(f"{self.requestline}\n{self.headers}")
            status, headers, body = script(self)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        do_POST = do_PUT = do_GET  # noqa: N815 - as above

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with _running(Handler) as port:
        yield port, heads


@contextlib.contextmanager
def _running(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def proxying(kind: str, to: int) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """Run a SOCKS5 or CONNECT proxy to one port; yield the requested targets and names."""
    asked: list[tuple[str, bytes]] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            ask = self._socks if kind == "socks5h" else self._connect
            asked.append(ask())
            with socket.create_connection(("127.0.0.1", to)) as onward:
                threads = [
                    threading.Thread(target=_pump, args=pair)
                    for pair in ((self.request, onward), (onward, self.request))
                ]
                for one in threads:
                    one.start()
                for one in threads:
                    one.join()

        def _exactly(self, size: int) -> bytes:
            data = b""
            while len(data) < size:
                data += self.request.recv(size - len(data)) or b"\0"
            return data

        def _socks(self) -> tuple[str, bytes]:
            assert self._exactly(3) == b"\x05\x01\x02"
            self.request.sendall(b"\x05\x02")
            assert self._exactly(1) == b"\x01"
            user = self._exactly(self._exactly(1)[0])
            self._exactly(self._exactly(1)[0])
            self.request.sendall(b"\x01\x00")
            assert self._exactly(4) == b"\x05\x01\x00\x03"  # a name, not an address
            host = self._exactly(self._exactly(1)[0]).decode()
            port = int.from_bytes(self._exactly(2), "big")
            # In two pieces, as can happen on a network.
            self.request.sendall(b"\x05\x00\x00")
            self.request.sendall(b"\x01\x00\x00\x00\x00\x00\x00")
            return f"{host}:{port}", user

        def _connect(self) -> tuple[str, bytes]:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += self._exactly(1)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nVia: test\r\n\r\n")
            lines = head.decode().split("\r\n")
            (name,) = [line for line in lines if line.startswith("Proxy-Authorization")]
            method, target, _ = lines[0].split(" ")
            assert method == "CONNECT"
            return target, name.encode()

    with _running(Handler) as port:
        yield port, asked


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def _answers(handler: http.server.BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
    if handler.path == "/api/desk/challenge":
        return 200, {}, b'{"token":"t.o.k","day":"2027-01-05"}'
    if handler.path == "/api/site":
        return 200, {}, b'{"site":"%s","day":"2027-01-05","cards":[]}' % SITE.encode()
    if handler.path == "/api/desk/mailboxes":
        return 200, {}, b'{"mailboxes":[]}'
    return 404, {}, b"{}"


Dial = Callable[..., Courier]


@pytest.fixture
def dial() -> Iterator[Dial]:
    """Yield a factory of couriers that are closed at the end."""
    with contextlib.ExitStack() as made:

        def one(
            *origins: str,
            proxy: Proxy | None = None,
            key: SigningKey | None = None,
            site: str = SITE,
            desks: Sequence[str] = (),
        ) -> Courier:
            transport = HttpTransport(proxy)
            made.callback(transport.close)
            signing = key or SigningKey.generate()
            return Courier(transport, origins, site, signing, desk_origins=desks)

        yield one


@pytest.mark.parametrize("kind", ["socks5h", "http"])
def test_onion_name_is_resolved_by_the_proxy(dial: Dial, kind: str) -> None:
    """The watch uses a different user name at the proxy, and therefore a different circuit."""
    with serving(_answers) as (port, heads), proxying(kind, port) as (proxy, asked):
        courier = dial(ONION, proxy=Proxy(kind, "127.0.0.1", proxy))
        assert courier.challenge().isoformat() == "2027-01-05"
        courier.mailboxes()
        assert courier.shown().cards == ()
    assert {target for target, _ in asked} == {ONION.removeprefix("http://") + ":80"}
    assert len(asked) == 2
    assert asked[0][1] != asked[1][1]
    assert heads[0].startswith("GET /api/desk/challenge HTTP/1.1\n")  # not as a proxy request


def test_desk_sends_to_the_desk_address_and_verifies_the_reporters_address(dial: Dial) -> None:
    """At its own address, the server could identify the desk and show it the expected cards."""
    with serving(_answers) as (own, asked), serving(_answers) as (public, looked):
        courier = dial(f"http://127.0.0.1:{public}", desks=[f"http://127.0.0.1:{own}"])
        courier.mailboxes()
        courier.shown()
    assert [head.split()[1] for head in asked] == ["/api/desk/challenge", "/api/desk/mailboxes"]
    assert [head.split()[1] for head in looked] == ["/api/site"]


def test_unreachable_desk_address_is_reported(dial: Dial) -> None:
    """The desk does not fall back to another address, where it would be refused and observed."""
    with serving(_answers) as (public, asked):
        courier = dial(f"http://127.0.0.1:{public}", desks=[f"http://127.0.0.1:{free_port()}"])
        with pytest.raises(CannotReach):
            courier.mailboxes()
    assert asked == []


def test_no_header_identifies_the_desk(dial: Dial) -> None:
    with serving(_answers) as (port, heads):
        courier = dial(f"http://127.0.0.1:{port}")
        courier.mailboxes()
        courier.shown()
    names = [{line.split(":")[0].lower() for line in h.split("\n")[1:] if line} for h in heads]
    assert names == [{"host"}, {"host", "authorization"}, {"host"}]


def test_request_is_signed_exactly_as_sent(dial: Dial) -> None:
    with serving(_answers) as (port, heads):
        origin, key = f"http://127.0.0.1:{port}", SigningKey.generate()
        courier = dial(origin, key=key)
        courier.mailboxes()
    value = heads[1].split("Authorization: ")[1].split("\n")[0]
    claim = desk_request.parse_header(value)
    desk_request.check(
        claim, origins=[origin], site=SITE, method="GET", target="/api/desk/mailboxes"
    )
    assert claim.identity == key.verify_key


@pytest.mark.parametrize(
    ("first", "again"),
    [(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), (b"", b"H"),
     (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
     (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "), (b"", b"")],
    ids=["hints for ever", "status", "headers", "body", "silence"],
)  # fmt: skip
def test_one_deadline_limits_the_whole_exchange(first: bytes, again: bytes) -> None:
    """The server sends bytes continually but never completes its response."""
    with dripping(first, again) as port:
        started = time.monotonic()
        with pytest.raises(CannotReach):
            _whole_answer(HttpTransport(None), f"http://127.0.0.1:{port}", b"")
        assert time.monotonic() - started > 0.4  # and the exchange ends


def test_deadline_also_applies_to_uploads_and_proxies() -> None:
    """Both would otherwise continue forever."""
    with dripping(b"", b"") as port, pytest.raises(CannotReach):  # this server reads nothing either
        _whole_answer(HttpTransport(None), f"http://127.0.0.1:{port}", b"x" * 20_000_000)
    for kind, first in (
        ("http", b"HTTP/1.1 200 OK\r\n"),
        ("socks5h", b"\x05\x02\x01\x00\x05\0\0\x03\xff"),
    ):
        with dripping(first, b"x") as port, pytest.raises(CannotReach):
            _whole_answer(HttpTransport(Proxy(kind, "127.0.0.1", port)), ONION, b"")


def test_deadline_applies_to_one_exchange_not_to_the_connection() -> None:
    """Three exchanges and the pauses between them take longer than one deadline."""
    with serving(_answers) as (port, _), contextlib.closing(HttpTransport(None)) as transport:
        for _ in range(3):
            _whole_answer(transport, f"http://127.0.0.1:{port}", b"", seconds=3)
            time.sleep(1.1)


def _whole_answer(transport: HttpTransport, origin: str, body: bytes, seconds: float = 0.5) -> None:
    method = "POST" if body else "GET"
    with transport.send(method, origin, "/api/site", {}, body, seconds) as answer:
        for _ in answer.pieces:
            pass


@contextlib.contextmanager
def dripping(first: bytes, again: bytes) -> Iterator[int]:
    """Run a server that sends ``first`` at once and ``again`` every few hundredths of a second."""
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.sendall(first)
                while not over.wait(0.03):
                    self.request.sendall(again)

    with _running(Handler) as port:
        try:
            yield port
        finally:
            over.set()


def test_redirect_is_not_followed(dial: Dial) -> None:
    with serving(_answers) as (other, seen):

        def away(_: object) -> tuple[int, dict[str, str], bytes]:
            return 302, {"Location": f"http://127.0.0.1:{other}/api/desk/challenge"}, b""

        with serving(away) as (port, _), pytest.raises(Refused):
            dial(f"http://127.0.0.1:{port}").challenge()
        assert seen == []


def test_endless_response_is_abandoned(dial: Dial) -> None:
    def endless(_: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, b"[" * (5 * 1024 * 1024)

    with serving(endless) as (port, _), pytest.raises(BadAnswer, match="no end"):
        dial(f"http://127.0.0.1:{port}").challenge()


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"token":1,"day":"2027-01-05"}', b'{"token":"a","day":"x"}',
     b"[" * 100_000, b'{"token":"a\\r\\nX: y","day":"2027-01-05"}',
     b'{"token":"a","day":"2027-01-05"' + b" " * 50],
)  # fmt: skip
def test_malformed_response_is_reported_in_one_sentence(dial: Dial, body: bytes) -> None:
    with serving(lambda _: (200, {}, body)) as (port, _), pytest.raises(BadAnswer):
        dial(f"http://127.0.0.1:{port}").challenge()


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [(401, b"{}", Unknown), (404, b"", Refused), (409, b'{"n":3}', OutOfStep),
     (409, b"x", Refused), (500, b"", Refused), (204, b"", BadAnswer)],
)  # fmt: skip
def test_each_refusal_has_its_own_error(
    dial: Dial, status: int, body: bytes, error: type[Exception]
) -> None:
    def refuse(handler: http.server.BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        return _answers(handler) if "challenge" in handler.path else (status, {}, body)

    with serving(refuse) as (port, _), pytest.raises(error):
        dial(f"http://127.0.0.1:{port}").mailboxes()


@pytest.mark.parametrize(
    "body",
    [b'{"mailboxes":[{"id":"%s","newest":[{"by":"\\ud800","n":1}]}]}' % (b"ab" * 32),
     b'{"mailboxes":[{"id":"%s","newest":[{"by":"reporter","n":-1}]}]}' % (b"ab" * 32),
     b'{"mailboxes":[{"id":"../x","newest":[]}]}', b'{"mailboxes":{}}', b'{"mailboxes":[1]}'],
)  # fmt: skip
def test_malformed_data_is_not_stored(dial: Dial, body: bytes) -> None:
    def hostile(handler: http.server.BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        return _answers(handler) if "challenge" in handler.path else (200, {}, body)

    with serving(hostile) as (port, _), pytest.raises(BadAnswer):
        dial(f"http://127.0.0.1:{port}").mailboxes()


def test_next_address_is_tried_if_the_first_fails(dial: Dial) -> None:
    with serving(_answers) as (port, _):
        origins = ["http://127.0.0.1:1", f"http://127.0.0.1:{port}"]
        courier = dial(*origins)
        courier.challenge()
        with pytest.raises(CannotReach):
            dial("http://127.0.0.1:1").challenge()


def test_different_site_at_the_address_is_detected(dial: Dial) -> None:
    with serving(_answers) as (port, _):
        courier = dial(f"http://127.0.0.1:{port}", site="ef" * 16)
        with pytest.raises(BadAnswer, match="Another site"):
            courier.shown()


def test_refusing_proxy_is_reported_in_one_sentence(dial: Dial) -> None:
    class Refuses(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(100)
            self.request.sendall(b"\x05\xff")

    with _running(Refuses) as port, pytest.raises(CannotReach, match="Is Tor running"):
        dial(ONION, proxy=Proxy("socks5h", "127.0.0.1", port)).challenge()


@pytest.mark.parametrize(
    "origin",
    ["http://example.org", "ftp://example.org", "https://example.org/", "https://EXAMPLE.org",
     "https://example.org:443", "http://10.0.0.1", "https://user@example.org",
     "https://example.org:99999", "http://127.0.0.1.example.org", "http://localhost.example.org",
     "https://example.org\n", ONION],
)  # fmt: skip
def test_unsafe_or_malformed_site_addresses_are_refused(origin: str) -> None:
    with pytest.raises(Unfit):
        read_origin(origin, None)


@pytest.mark.parametrize(
    "origin",
    ["https://example.org", "http://127.0.0.1:8000", "http://[::1]:80000"[:-1], "http://localhost"],
)
def test_https_and_loopback_site_addresses_are_accepted(origin: str) -> None:
    assert read_origin(origin, None).text == origin


def test_onion_addresses_need_a_proxy_and_loopback_addresses_bypass_it(dial: Dial) -> None:
    assert read_origin(ONION, Proxy("socks5h", "127.0.0.1", 9050)).onion
    assert Origin("", "", "127.0.0.1", 1).loopback
    assert not Origin("", "", "127.0.0.1.nl", 1).loopback
    with serving(_answers) as (port, _):
        nowhere = Proxy("socks5h", "127.0.0.1", 1)
        dial(f"http://127.0.0.1:{port}", proxy=nowhere).challenge()


@pytest.mark.parametrize(
    "text", ["socks5://127.0.0.1:9050", "https://127.0.0.1:1", "socks5h://127.0.0.1", "socks5h://a:0",
             "http://u:p@127.0.0.1:8118", "socks5h://127.0.0.1:70000"],
)  # fmt: skip
def test_malformed_proxies_are_refused(text: str) -> None:
    with pytest.raises(Unfit, match="socks5h"):
        read_proxy(text)


def test_error_says_that_tor_does_not_answer_instead_of_blaming_the_server() -> None:
    port = free_port()
    transport = HttpTransport(read_proxy(f"socks5h://127.0.0.1:{port}"))
    with (
        pytest.raises(
            CannotReach, match=f"^Tor does not answer at 127.0.0.1:{port}; is it running"
        ),
        transport.send("GET", ONION, "/api/site", {}, b"", 10.0),
    ):
        pass
    transport.close()
