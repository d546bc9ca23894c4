"""The requests that nginx forwards to the app, and those that its settings refuse."""

import contextlib
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dropbox_app.server.web.padding import PLAIN
from dropbox_app.server.web.security_headers import HEADERS
from tests.support.circuit import connect, line
from tests.support.fronts import QUICK, SETTINGS, Front, nginx
from tests.support.ports import free_port
from tests.support.recorder import SESSION, TOKEN, Passed, Recorder
from tests.support.serving import exchanged, read_all

FORM = "Content-Type: application/x-www-form-urlencoded"
FILES = "Content-Type: multipart/form-data; boundary=x"
MARKER = b"herkenbaar" * 60
# A request for each location, and each branch in one.
PLACES = {
    "page": ("GET", "/nl/", ()),
    "form": ("POST", "/nl/report", (FORM,)),
    "head": ("HEAD", "/", ()),
    "files page": ("GET", "/nl/files", ()),
    "words to it": ("POST", "/nl/files", (FORM,)),
    "files": ("POST", "/nl/files", (FILES, f"Cookie: {SESSION}")),
    "a file": ("GET", "/en/files/00ff", ()),
    "desk": ("GET", "/api/desk/inbox?after=0", ()),
    "desk's file": ("PUT", "/api/desk/mailboxes/a/files/b", ()),
    "cards": ("GET", "/api/site", ()),
    "sealed message": (
        "POST",
        "/api/conversation/messages?n=1&to=00",
        (f"Authorization: {TOKEN}",),
    ),
    "sealed file": ("PUT", "/api/files/00ff", (f"Authorization: {TOKEN}",)),
    "sealed part": ("PUT", "/api/files/parts/00ff", (f"Authorization: {TOKEN}",)),
    "its join": ("POST", "/api/files/00ff", (f"Authorization: {TOKEN}",)),
    "a sealed file": ("GET", "/api/files/00ff?from=9", (f"Authorization: {TOKEN}",)),
    "withdrawn unseen": ("DELETE", "/api/conversation", (f"Authorization: {TOKEN}",)),
}
# Locations that ask whose file it is.
ASKED_FIRST = ("files", "sealed file", "sealed part", "its join", "a sealed file")
FORGED = (
    "X-Klankbord-Way: desks", "x-klankbord-way: desks", "X_Klankbord_Way: desks",
    "X-Klankbord-Since: 1", "X-Klankbord-Visitor: me",
    "X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https",
    "X-Forwarded-Host: elsewhere.example", "Forwarded: for=192.0.2.7", "X-Real-IP: 192.0.2.7",
    "Expect: 100-continue", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__",
)  # fmt: skip


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    with Recorder(tmp_path_factory.mktemp("recorder") / "app.sock").running() as made:
        yield made


@pytest.fixture(scope="module")
def front(recorder: Recorder) -> Iterator[Front]:
    folder = recorder.path.parent / "front"
    with nginx(folder, recorder.path, port=free_port(), changes=QUICK) as made:
        yield made
        assert made.log.read_text() == ""


def come(front: Front, way: str, circuit: int = 1) -> socket.socket:
    """Return a connection by one of the three routes."""
    if way == "domain":
        return socket.create_connection(("127.0.0.1", front.port or 0), timeout=60)
    return connect(front.onion if way == "onion" else front.desks, line(circuit))


def ask(
    front: Front, way: str, method: str, path: str, headers: tuple[str, ...], body: bytes = b""
) -> bytes:
    if method in ("POST", "PUT"):
        headers = (*headers, f"Content-Length: {len(body)}")
    lines = (f"{method} {path} HTTP/1.1", "Host: box.example:81", "Connection: close", *headers)
    with come(front, way) as connection:
        return exchanged(connection, "\r\n".join((*lines, "", "")).encode() + body)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", ["onion", "desks", "domain"])
def test_each_nginx_location_forwards_the_host_the_route_and_the_time(
    front: Front, recorder: Recorder, way: str, place: str
) -> None:
    """A ``proxy_set_header`` in a location would cancel the inherited ones."""
    method, path, headers = PLACES[place]
    recorder.seen.clear()
    answer = ask(front, way, method, path, (*headers, *FORGED), b"x=y" if method != "GET" else b"")
    assert b"HTTP/1.1 200 " in answer, answer[:200]
    asked = list(recorder.seen)
    (passed,) = recorder.take()
    assert (passed.method, passed.target) == (method, path)
    assert len(asked) == (2 if place in ASKED_FIRST else 1)
    for one in asked:
        check_told(one, way)


def check_told(passed: Passed, way: str) -> None:
    assert passed.header("X-Klankbord-Way") == [way]
    (since,) = passed.header("X-Klankbord-Since")
    assert re.fullmatch(r"[0-9]{10}\.[0-9]{3}", since)
    assert 0 <= time.time() - float(since) < 100
    # Only a report names the client.
    by = "127.0.0.1" if way == "domain" else "fc00:dead:beef:4dad::0:1"
    of_report = (passed.method, passed.target) == ("POST", "/nl/report")
    assert passed.header("X-Klankbord-Visitor") == ([by] if of_report else [])
    assert passed.header("Host") == ["box.example:81"]
    names = {name.lower().replace("_", "-") for name, _ in passed.headers}
    assert not names & {
        "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "x-real-ip",
        "expect", "upgrade", "http2-settings",
    }  # fmt: skip
    # A streamed body has a separate connection; the client's own headers never arrive.
    upload = "".join(passed.header("Content-Type")).startswith("multipart/")
    streamed = passed.target.startswith(("/api/desk/", "/api/files/")) or upload
    assert passed.header("Connection") == (["close"] if streamed else [])


@pytest.mark.parametrize("way", ["onion", "desks"])
@pytest.mark.parametrize(
    "first",
    [
        b"", b"PROXY UNKNOWN\r\n", b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n",
        b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", b"PROXY TCP6 fc00:dead:beef:4dae::1 ::1 1 2\r\n",
        b"PROXY TCP6 fc00:dead:beef:4dad::1|x ::1 1 2\r\n",
    ],
)  # fmt: skip
def test_tor_sockets_refuse_a_connection_without_a_circuit(
    front: Front, recorder: Recorder, way: str, first: bytes
) -> None:
    path = front.onion if way == "onion" else front.desks
    with connect(path, first) as connection:
        answer = exchanged(connection, b"GET /nl/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")
    assert recorder.take() == []


LENGTHLESS = (b"Transfer-Encoding: chunked", b"Transfer-Encoding: CHUNKED", None)


@pytest.mark.parametrize("kind", [FORM, FILES, "Content-Type: text/plain"])
@pytest.mark.parametrize(
    "path", ["/nl/report", "/nl/files", "/api/desk/mailboxes/a/files/b", "/api/files/00ff"]
)
@pytest.mark.parametrize("header", LENGTHLESS)
def test_body_without_a_length_is_refused_before_it_is_read(
    front: Front, recorder: Recorder, path: str, kind: str, header: bytes | None
) -> None:
    head = b"POST %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" % path.encode()
    head += f"Cookie: {SESSION}\r\nAuthorization: {TOKEN}\r\n{kind}\r\n".encode()
    with come(front, "onion") as connection:
        connection.sendall(head + (header + b"\r\n\r\n" if header else b"\r\n"))
        answer = connection.recv(65_536)  # nothing of the body was sent yet
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert recorder.seen == []


@pytest.mark.parametrize(
    "path",
    ["/nl/file%73", "//nl/files", "/nl//files", "/nl/./files", "/nl/x/../files", "/%6el/files"],
)
def test_alternative_url_spellings_do_not_allow_an_upload_without_a_session(
    front: Front, recorder: Recorder, path: str
) -> None:
    long = MARKER * 2000  # larger than a form may be
    for cookie, passed in ((f"Cookie: {SESSION}", 1), ("Cookie: s=false", 0), ("X-A: b", 0)):
        answer = ask(front, "onion", "POST", path, (FILES, cookie), long)
        assert answer.startswith(b"HTTP/1.1 200 " if passed else b"HTTP/1.1 403 ")
        assert [one.target for one in recorder.take()] == [path] * passed


@pytest.mark.parametrize(
    "spelling",
    ["/api/files/00ff", "/api/file%73/00ff", "/api//files/00ff", "/api/files/parts/00ff"],
)
def test_nginx_passes_on_a_sealed_file_only_for_a_conversation(
    front: Front, recorder: Recorder, spelling: str
) -> None:
    """Without a conversation, nginx asks the app, which gets nothing of the body."""
    long = MARKER * 2000  # larger than any other request may be
    for token, body in ((TOKEN, long), ("Bearer x", b""), ("", b"")):
        answer = ask(front, "onion", "PUT", spelling, (f"Authorization: {token}",), long)
        assert answer.startswith(b"HTTP/1.1 200 "), answer[:200]
        (passed,) = recorder.take()
        assert (passed.method, passed.target, passed.body) == ("PUT", spelling, body)


def chunked(front: Front, method: str, path: str) -> None:
    """Send one body in a single chunk, and another in chunks of one byte."""
    for body in (b"%x\r\n%s\r\n0\r\n\r\n" % (len(MARKER) * 900, MARKER * 900),
                 b"1\r\nh\r\n" * 50_000 + b"0\r\n\r\n"):  # fmt: skip
        head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nCookie: {SESSION}\r\n{FILES}\r\n"
        head += "Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        with come(front, "onion", 5) as connection:
            connection.settimeout(5)
            with contextlib.suppress(OSError):
                exchanged(connection, head.encode() + body)


def http2(front: Front, method: str, path: str) -> None:
    """Send a body of undeclared length, in frames with pauses between them."""
    head = {":method": method, ":scheme": "http", ":path": path, ":authority": "a.example"}
    head |= {"cookie": SESSION, "content-type": FILES.partition(": ")[2]}
    packed = b"".join(
        b"\x10" + bytes([len(name)]) + name.encode() + bytes([len(text)]) + text.encode()
        for name, text in head.items()
    )
    with come(front, "domain") as connection:
        connection.settimeout(1)
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0))
        connection.sendall(_frame(1, 4, 1, packed))
        with contextlib.suppress(OSError):
            for _ in range(30):
                connection.sendall(_frame(0, 0, 1, MARKER * 3))
                time.sleep(0.003)  # so that nginx reads them one by one
            read_all(connection)


METHODS = ("POST", "PUT", "PATCH", "GET", "HEAD", "DELETE", "OPTIONS")
LOCATIONS = ("/nl/report", "/nl/files", "/nl/files/00", "/api/desk/inbox", "/api/files/00")


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(
        ">I", stream
    ) + payload  # fmt: skip


@pytest.mark.parametrize("sender", [chunked, http2])
def test_no_byte_of_a_request_body_reaches_a_file_even_if_nginx_could_write_files(
    tmp_path: Path, sender: Callable[[Front, str, str], None]
) -> None:
    """The folder for such files is writable here. Long bodies with a length are tried too."""
    calls = tmp_path / "calls"
    under = (
        "strace",
        "-f",
        "-s",
        "64",
        "-o",
        str(calls),
        "-e",
        "trace=%file,write,pwrite64,pwritev",
    )
    plain = {r"listen 127.0.0.1:(\d+);": r"listen 127.0.0.1:\1 http2;"} if sender is http2 else {}
    with (
        Recorder(tmp_path / "app.sock").running() as recorder,
        nginx(
            tmp_path / "front", recorder.path, port=free_port(), changes={**QUICK, **plain},
            under=under,
        ) as front,
    ):  # fmt: skip
        # Each method at each location. They mostly wait, so eight run at once.
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(sender, front, m, path) for m in METHODS for path in LOCATIONS]
        for one in sent:
            one.result()
        long = MARKER * 800
        assert b" 200 " in ask(front, "onion", "POST", "/nl/report", (FORM,), long)[:20]
        cookie = f"Cookie: {SESSION}"
        assert b" 200 " in ask(front, "onion", "POST", "/nl/files", (FILES, cookie), long * 10)[:20]
        token = f"Authorization: {TOKEN}"
        assert b" 200 " in ask(front, "onion", "PUT", "/api/files/00", (token,), long * 20)[:20]
        arrived = [len(one.body) for one in recorder.take()][-3:]
        assert arrived == [len(long), len(long) * 10, len(long) * 20]
        assert front.log.read_text() == ""
    said = calls.read_text()
    assert f"{front.folder}/nginx/temp" in said  # nginx checked the folder at its start
    assert not re.search(r"nginx/temp/[0-9]", said)
    opened = re.findall(r'open(?:at)?\([^"]*"([^"]+)", ([A-Z_|]+)', said)
    written = {path for path, flags in opened if not flags.startswith("O_RDONLY")}
    assert {Path(path).name for path in written} <= {"nginx.pid", "null"}, written
    assert "herkenbaar" not in "".join(row for row in said.splitlines() if " write(" in row)


def test_nothing_is_logged_about_a_client(front: Front, recorder: Recorder) -> None:
    """After the refusals above and these requests, the log is empty; see ``front``."""
    for first in (b"", b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n", line(3)):
        for text in (
            b"herkenbaar\r\n\r\n", b"GET /herkenbaar HTTP/9.9\r\n\r\n",
            b"GET /%00herkenbaar HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: her kenbaar\r\n\r\n",
            b"GET /" + b"herkenbaar" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST /nl/report HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n",
        ):  # fmt: skip
            with connect(front.onion, first) as connection:
                connection.settimeout(5)
                connection.sendall(text)
                with contextlib.suppress(OSError):
                    connection.recv(65_536)
    recorder.take()


def test_nginx_error_pages_have_the_length_and_headers_of_the_apps_pages() -> None:
    text = (SETTINGS / "policy.conf").read_text("utf-8")
    told = dict(re.findall(r'^add_header (\S+) "(.*)" always;$', text, re.MULTILINE))
    assert list(told.items()) == list(HEADERS.items())
    pages = list((SETTINGS / "pages").iterdir())
    assert len(pages) >= 5
    for page in pages:
        content = page.read_bytes()
        assert len(content) == PLAIN, page
        said = content.decode()
        assert '<html lang="nl">' in said
        assert '<div lang="en">' in said
        assert not re.search(r"nginx|error|[0-9]{3}\b", said, re.IGNORECASE), page


def test_every_refusal_has_an_nginx_page_and_every_page_is_used() -> None:
    settings = "".join(file.read_text("utf-8") for file in SETTINGS.rglob("*.conf*"))
    named = set(re.findall(r"/internal/pages/(\w+\.html)", settings))
    assert named == {page.name for page in (SETTINGS / "pages").iterdir()}
