"""Raw bytes sent to a real gunicorn: an ambiguous request is not processed at all."""

import random
import re
import socket
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.hostile.test_generated import SEED, Plain, World, check
from tests.server.web.test_hardening import WANTED
from tests.support.circuit import connect
from tests.support.fronts import QUICK, SETTINGS
from tests.support.requests import Answer, Call
from tests.support.serving import Serving, exchanged
from tests.support.values import SENT, TYPED, mangled

S = SENT.encode()
INNER = b"GET /nl/" + S + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
POST = b"POST /nl/report HTTP/1.1\r\nHost: 127.0.0.1\r\n"
FORM = POST + b"Content-Type: application/x-www-form-urlencoded\r\n"
NGINXS_PAGES = {page.read_bytes() for page in (SETTINGS / "pages").iterdir()}
GET = b"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
END = b"\r\n\r\n"


def _te(value: bytes) -> bytes:
    return POST + b"Transfer-Encoding" + value + b"\r\n\r\n0\r\n\r\n" + INNER


def _cl(value: bytes) -> bytes:
    return POST + b"Content-Length" + value + b"\r\n\r\n" + INNER


# Each gets at most one response, and never a page; the bytes after it are not a request.
REFUSED = {
    "length and chunks": _te(b": chunked\r\nContent-Length: 4"),
    "chunks and length": _cl(b": 5\r\nTransfer-Encoding: chunked"),
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 60\r\n\r\n" + INNER,
    "the same length twice": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n" + INNER,
    "plus": _cl(b": +0"),
    "minus": _cl(b": -0"),
    "less than nothing": _cl(b": -1"),
    "list": _cl(b": 0, 60"),
    "hex": _cl(b": 0x0"),
    "underscore": _cl(b": 1_0"),
    "space inside": _cl(b": 1 0"),
    "empty": _cl(b": "),
    "superscript": _cl(b": \xb2"),
    "fraction": _cl(b": 0.0"),
    "huge": _cl(b": " + b"9" * 5000),
    "large": _cl(b": " + b"9" * 30),
    "name with a space": _cl(b" : 0"),
    "name with a tab": _cl(b"\t: 0"),
    "name with NUL": _cl(b"\0: 0"),
    "chunked": _te(b": chunked"),
    "CHUNKED": _te(b": CHUNKED"),
    "chunked, identity": _te(b": chunked, identity"),
    "identity": _te(b": identity"),
    "gzip, chunked": _te(b": gzip, chunked"),
    "chunked twice": _te(b": chunked\r\nTransfer-Encoding: chunked"),
    "xchunked": _te(b": xchunked"),
    "quoted": _te(b': "chunked"'),
    "vertical tab": _te(b": \x0bchunked"),
    "TE with a space": _te(b" : chunked"),
    "TE folded": _te(b":\r\n chunked"),
    "TE empty": _te(b":"),
    "bare CR": GET + b"X-A: b\rX-C: d" + END + INNER,
    "folded": GET + b"X-A: b\r\n " + S + END,
    "folded first": b"GET /nl/ HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n" + INNER,
    "no name": GET + b": " + S + END,
    "NUL in a header": GET + b"X-A: \0" + S + END,
    "NUL in a name": GET + b"X\0A: " + S + END,
    "ESC in a header": GET + b"X-A: \x1b" + S + END,
    "two hosts": GET + b"Host: " + S + END,
    "no host": b"GET /nl/ HTTP/1.1\r\n\r\n",
    "other host": b"GET /nl/ HTTP/1.1\r\nHost: " + S + END,
    "0.9": b"GET /nl/\r\n\r\n",
    "2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "version 2": GET.replace(b"1.1", b"2.0") + b"\r\n",
    "lower case": GET.replace(b"HTTP", b"http") + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "proxy line": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GET + b"\r\n",
    "absolute without path": GET.replace(b"/nl/", b"http://" + S) + b"\r\n",
    "absolute, other host": GET.replace(b"/nl/", b"http://" + S + b"/nl/") + b"\r\n",
    "absolute, other port": GET.replace(b"/nl/", b"http://127.0.0.1:1/nl/") + b"\r\n",
    "absolute, somebody": GET.replace(b"/nl/", b"http://" + S + b"@127.0.0.1/nl/") + b"\r\n",
    "absolute, backslash": GET.replace(b"/nl/", b"http://127.0.0.1\\@x/nl/") + b"\r\n",
    "host of somebody": GET.replace(b"Host: ", b"Host: " + S + b"@") + b"\r\n",
    "host with a path": GET.replace(b"127.0.0.1", b"127.0.0.1/" + S) + b"\r\n",
    "authority": GET.replace(b"/nl/", b"127.0.0.1:80") + b"\r\n",
    "connect": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "two spaces": GET.replace(b"GET ", b"GET  ") + b"\r\n",
    "tab": GET.replace(b"GET ", b"GET\t") + b"\r\n",
    "other bytes in the target": GET.replace(b"/nl/", b"/nl/\xff" + S) + b"\r\n",
    "NUL in the target": GET.replace(b"/nl/", b"/nl/\0") + b"\r\n",
    "long target": GET.replace(b"/nl/", b"/nl/" + S * 500) + b"\r\n",
    "long header": GET + b"X-A: " + S * 900 + END,
    "endless header": GET + b"X-A: " + S * 9000,
    "only ends": b"\r\n\r\n\r\n\r\n" + INNER,
}  # fmt: skip


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    # Many of these are incomplete, so the tests do not wait long for the rest.
    short = {
        r"client_(header|body)_timeout [12]0s": r"client_\1_timeout 300ms",
        "client_body_timeout 60s": "client_body_timeout 500ms",
    }
    made = Serving(tmp_path_factory.mktemp("shapes"), changes=QUICK | short)
    yield made
    made.close()


def exchange(serving: Serving, sent: bytes) -> bytes:
    """Return everything received; a server may close before it has read everything."""
    return serving.raw(sent)


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", answer)]


def check_log(serving: Serving, begun: int = 0) -> None:
    """Check that the log has only exception types and lines in third-party code.

    Each worker of the kit says once that it is not dumpable, and the second may say so late.
    """
    log = serving.log.read_bytes()[begun:]
    assert S not in log
    assert TYPED.encode() not in log
    for line in log.decode().splitlines():
        if line == "dumpable: 0":
            continue
        told = re.fullmatch(r"klankbord: [A-Za-z]+ at ([a-z0-9_.]+):[0-9]+", line)
        own = told and told[1].startswith("dropbox_app")
        assert told, line
        assert not own, line


@pytest.mark.parametrize("shape", REFUSED)
def test_ambiguous_request_is_refused_and_closes_the_connection(
    serving: Serving, shape: str
) -> None:
    begun = serving.log.stat().st_size
    before = serving.house.stored()
    answer = exchange(serving, REFUSED[shape])
    got = statuses(answer)
    assert len(got) <= 1, got
    assert not got or 400 <= got[0] < 500, got
    assert S not in answer
    for name, value in WANTED.items():
        assert not got or f"{name}: {value}\r\n".encode() in answer, name
    assert serving.house.stored() == before
    check_log(serving, begun)


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        (GET + b"\r\n", [200]),
        (b"\r\n" + GET + b"\r\n", [200]),
        (GET + b"\r\n" + GET + b"\r\n", [200, 200]),
        (GET.replace(b"1.1", b"1.0") + b"\r\n" + GET + b"\r\n", [200]),
        (FORM + b"Content-Length: 6\r\n\r\ntext=\n" + GET + b"\r\n", [422, 200]),
        (FORM + b"Content-Length: " + b"0" * 20 + b"6\r\n\r\ntext=\n" + GET + b"\r\n", [422, 200]),
        (GET + b"Content-Length: 3\r\n\r\nabc" + GET + b"\r\n", [400]),
        (GET + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", [200]),
        (GET + b"SCRIPT_NAME: /nl\r\nX_Forwarded_Host: " + S + END, [200]),
        (GET.replace(b"/nl/", b"http://127.0.0.1/nl/") + b"\r\n", [400]),
        # nginx reads these in only one way, and forwards them in the usual form or not at all.
        (GET.replace(b"\r\n", b"\n") + b"\n" + GET + b"\r\n", [200, 200]),
        (GET + b"X-A: b\nX-C: d" + END + GET + b"\r\n", [200, 200]),
        (GET + S + END, [200]),
        (GET + b"X-\xe9: " + S + END, [200]),
        (GET.replace(b"1.1", b"1.10") + b"\r\n", [200]),
        (GET + b"X-A: b\r\n" * 80 + b"\r\n", [200]),
        (GET + b"Expect: " + S + END, [200]),
        (GET.replace(b"/nl/", b"/nl/?x=http://" + S) + b"\r\n", [200]),
        (GET.replace(b"/nl/", b"/nl/#" + S) + b"\r\n", [200]),
    ],
)  # fmt: skip
def test_each_valid_request_gets_one_response(
    serving: Serving, sent: bytes, wanted: list[int]
) -> None:
    answer = exchange(serving, sent)
    assert statuses(answer) == wanted
    assert S not in answer


@pytest.mark.parametrize("length", ["900", "0000000000000000000900", "600000"])
def test_incomplete_report_is_not_stored(serving: Serving, length: str) -> None:
    """An interrupted body is not stored, because nobody would have its code."""
    before = serving.house.stored()
    head = FORM + f"Content-Length: {length}\r\n\r\n".encode()
    answer = exchange(serving, head + b"text=Een half verha")
    assert serving.house.stored() == before
    assert 200 not in statuses(answer)


def test_no_header_changes_the_client_address(serving: Serving) -> None:
    """gunicorn trusts every client of a socket file as a proxy, with all its headers."""
    for target, more, wanted in (
        (b"/nl/", b"", [200]),
        (b"/" + S + b"/nl/", b"SCRIPT_NAME: /" + S + b"\r\n", [404]),
        (b"/nl/", b"SCRIPT_NAME: /" + S + b"\r\n", [200]),
        (b"/nl/", b"PATH_INFO: /en/\r\nREMOTE_USER: " + S + b"\r\n", [200]),
    ):
        head = GET.replace(b"/nl/", target)
        for connection in (
            socket.create_connection(("127.0.0.1", serving.port), timeout=20),
            connect(serving.socket),
        ):
            way = b"X-Klankbord-Way: domain\r\n"
            with connection:
                answer = exchanged(connection, head + more + way + b"Connection: close\r\n\r\n")
            assert statuses(answer) == wanted, more
            assert S not in answer
    assert S not in serving.log.read_bytes()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /nl/files HTTP/1.1\r\nCookie: s=\x1b", 403),
        (b"PUT /api/files/" + b"0" * 64 + b" HTTP/1.1\r\nAuthorization: Bearer \x1b", 400),
    ],
)
def test_control_character_in_a_header_causes_no_server_error_behind_nginx(
    serving: Serving, head: bytes, status: int
) -> None:
    """gunicorn then refuses nginx's subrequest; the response must not suggest that it is down."""
    kind = b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 5\r\n"
    host = f"Host: 127.0.0.1:{serving.port}\r\nConnection: close\r\n".encode()
    answer = exchange(serving, head + b"\r\n" + host + kind + b"\r\n--x--")
    assert statuses(answer) == [status]


def test_generated_requests_over_a_socket_cause_no_fault(
    tmp_path: Path, long_run: bool, serving: Serving
) -> None:
    """The requests are raw bytes, a third of them cut, doubled or altered."""
    rng = random.Random(SEED)  # noqa: S311 - must be repeatable
    world = World(tmp_path, serving.house, rng, serving.url)
    world.maker.host = urllib.parse.urlsplit(serving.url).netloc
    begun = serving.log.stat().st_size
    workers = serving.workers()
    seen = set()
    for number in range(10_000 if long_run else 300):
        if number % 200 == 0:
            world.renew(Plain(serving.url))
        call, _ = world.maker.call()
        sent = call.raw()
        broken = rng.random() < 0.33
        if broken:
            sent = mangled(rng, sent)
        try:
            answer = exchange(serving, sent)
            seen |= set(statuses(answer))
            _check_raw(call, answer, broken)
        except Exception as error:
            error.add_note(f"seed {SEED}, request {number}: {sent!r:.3000}")
            raise
    assert serving.workers() == workers, "a worker died"
    check_log(serving, begun)
    world.check_nothing_stayed(serving.log.read_bytes()[begun:])
    assert {200, 400, 401, 403, 404, 422} <= seen
    assert 405 in seen or not long_run  # 300 requests need not produce every status
    world.elsewhere.close()


def _check_raw(call: Call, answer: bytes, broken: bool) -> None:
    if not answer and (broken or call.method == "CONNECT"):
        return None
    if broken and not answer.startswith(b"HTTP/"):  # HTTP/0.9: the response has no head
        assert S not in answer
        return None
    head, _, body = answer.partition(END)
    status = statuses(answer)[0]
    if status == 100:
        return _check_raw(call, body, broken)
    lines = head.decode("latin-1").split("\r\n")[1:]
    headers = [(line.partition(": ")[0], line.partition(": ")[2]) for line in lines]
    if call.method != "HEAD":  # a response to the following bytes may come after it
        body = body[: int(dict(headers).get("Content-Length", len(body)))]
    # nginx forwards a desk's request as it arrives, and does not change the response. gunicorn's
    # own page can therefore be sent, and nginx can lose a response that comes before the end of the
    # body.
    of_desks = call.target.startswith("/api/")
    # A response to HEAD has no body by which to know that page.
    of_gunicorn = b"<title>Bad Request</title>" in body or call.method == "HEAD"
    if of_desks and status == 400 and of_gunicorn:
        assert S not in body
        return None
    if broken or body in NGINXS_PAGES:
        assert status < 500 or (of_desks and status == 503)
        assert dict(headers).items() >= WANTED.items()
        return None
    check(
        Call(call.method, call.target, call.headers, call.body, call.form),
        Answer(status, headers, body),
    )
    return None
