"""Honest reporters are served during crowds at the real server behind nginx with real limits."""

import contextlib
import json
import os
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol import desk_request
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.retrieval_code import generate
from dropbox_app.server.mailboxes.service import MAX_SEALED_MESSAGE
from tests.server.web.test_files import received
from tests.support.circuit import CircuitBrowser
from tests.support.fronts import UNLIMITED
from tests.support.plain_browser import MULTIPART, Page, PlainBrowser, multipart
from tests.support.serving import Serving, read_all, wait_until

STORY = "Een herkenbaar verhaal."
MIB = 2**20
HEAD = "Host: 127.0.0.1:{port}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n"
FORM = "application/x-www-form-urlencoded"
# Every hash reports its start and end, and takes long enough for others to arrive.
HASHING = """
import os, sys, time
from pathlib import Path
from dropbox_app.server.reporter import kdf_limiter, agent
from dropbox_app.server.cli import serve as serving
said = os.open(sys.argv[1] + "/../said", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
kdf_limiter.core_count = lambda: 2
hashed = agent.derive_root
def slowly(words, site):
    os.write(said, b"+")
    try:
        time.sleep(0.05)
        return hashed(words, site)
    finally:
        os.write(said, b"-")
agent.derive_root = slowly
serving.run(Path(sys.argv[1]), sys.argv[2], workers=2, threads=int(sys.argv[3]))
"""
# The minimum rate of a transfer and its grace period, short enough for a test.
GRACE = 1.5  # seconds
HASTY = f"""
import sys
from pathlib import Path
from dropbox_app.server.web import reverse_proxy
from dropbox_app.server.cli import serve as serving
reverse_proxy.GRACE, reverse_proxy.SLOWEST = {GRACE}, 4_000_000
serving.run(Path(sys.argv[1]), sys.argv[2], workers=2, threads=int(sys.argv[3]))
"""


def post(serving: Serving, path: str, kind: str, length: int, cookie: str = "") -> bytes:
    """Return the header of a request whose body has the stated length."""
    head = HEAD.format(port=serving.port, kind=kind, length=length)
    return f"POST {path} HTTP/1.1\r\n{head}{cookie}\r\n".encode()


def cookie_of(browser: CircuitBrowser) -> str:
    pairs = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return f"Cookie: {pairs}\r\n"


def tell(browser: CircuitBrowser) -> str:
    """Report; return the code."""
    page = browser.get("/nl/report")
    told = browser.submit(page, page.form_with("text"), text=STORY)
    assert told.status == 200, told.text
    return told.code


def enter(browser: PlainBrowser) -> None:
    """Report, and continue from the code page to the conversation."""
    page = browser.get("/nl/report")
    told = browser.submit(page, page.form_with("text"), text=STORY)
    assert browser.submit(told, told.form_with("kept"), kept="y").path == "/nl/conversation"


def upload(browser: CircuitBrowser, size: int) -> Page:
    page = browser.get("/nl/files")
    content = os.urandom(size)
    return browser.upload(page, page.form_with("files"), [("foto.jpg", content)], text="Zie dit.")


@contextlib.contextmanager
def held(*connections: socket.socket) -> Iterator[None]:
    try:
        yield
    finally:
        for connection in connections:
            connection.close()


def test_half_sent_forms_and_clients_that_never_read_block_nobody(
    serve: Callable[..., Serving],
) -> None:
    """Three hundred forms and a hundred readers, over 100 circuits, with a real server's limits."""
    serving = serve(changes={})
    half = post(serving, "/nl/report", FORM, 20_000) + b"text=" + b"a" * 10_000
    read = f"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1:{serving.port}\r\n\r\n".encode()
    crowd = [serving.connect(100 + n % 75, half) for n in range(300)]
    crowd += [serving.connect(200 + n % 25, read) for n in range(100)]
    with held(*crowd):
        began = time.monotonic()
        codes = {tell(serving.browser(number)) for number in range(5)}
        for code in codes:
            browser = serving.browser(9)
            page = browser.get("/nl/return")
            assert STORY in browser.submit(page, page.form_with("code"), code=code).text
        assert len(codes) == 5
        assert time.monotonic() - began < 15  # nginx waits 20 s for the rest of a form


def test_endless_long_forms_do_not_block_long_reports(serve: Callable[..., Serving]) -> None:
    """Ten forms are longer than any report, forty as long; Cyrillic letters take six bytes."""
    serving = serve(changes={})
    heads = [post(serving, "/nl/report", FORM, 400_000)] * 10
    heads += [post(serving, "/nl/report", FORM, 170_000)] * 40
    crowd = [serving.connect(100 + n // 2, head + b"text=a") for n, head in enumerate(heads)]
    with held(*crowd):
        browser = serving.browser(9)
        page = browser.get("/nl/report")
        text = "Ї" * 17_000
        assert browser.submit(page, page.form_with("text"), text=text).code


def test_half_sent_forms_from_one_address_do_not_block_other_readers_at_that_address(
    serve: Callable[..., Serving],
) -> None:
    rates = (r"rate=\d+r/[ms]", r" burst=\d+ delay=\d+;")
    serving = serve(changes={old: UNLIMITED[old] for old in rates})
    half = post(serving, "/nl/report", FORM, 90_000) + b"text=a"
    crowd = [socket.create_connection(("127.0.0.1", serving.port), 60) for _ in range(40)]
    with held(*crowd):
        for one in crowd:
            one.sendall(half)
        refused = select.select(crowd, [], [], 60)[0]
        assert refused[0].recv(100).startswith(b"HTTP/1.1 503 ")  # all slots for forms are in use
        page = f"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1:{serving.port}\r\nConnection: close\r\n\r\n"
        read = serving.raw(page.encode())
        assert read.startswith(b"HTTP/1.1 200 "), read[:80]


def test_thousands_of_half_sent_requests_do_not_block_reading(
    serve: Callable[..., Serving],
) -> None:
    """nginx counts a request only once its header is complete, so only its capacity limits them.

    When nginx is full, it drops the next connection, whoever it belongs to.
    """
    serving = serve(changes={"client_header_timeout 10s": "client_header_timeout 60s"})
    half = f"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1:{serving.port}\r\nX-A: ".encode()
    with contextlib.ExitStack() as crowd:
        cut_off = select.poll()
        for _ in range(5_000):
            one = crowd.enter_context(socket.create_connection(("127.0.0.1", serving.port), 60))
            one.sendall(half)
            cut_off.register(one, select.POLLIN | select.POLLHUP)
        read = serving.raw(half + b"b\r\nConnection: close\r\n\r\n")
        assert read.startswith(b"HTTP/1.1 200 "), read[:80]
        assert not cut_off.poll(0)


def test_endless_requests_on_one_circuit_block_nobody(serve: Callable[..., Serving]) -> None:
    serving = serve(changes={})
    fields = f"code={'+'.join(generate('nl'))}".encode()
    whole = post(serving, "/nl/return", FORM, len(fields)) + fields
    crowd = [serving.connect(1, whole) for _ in range(40)]
    with held(*crowd):
        began = time.monotonic()
        for number in range(2, 7):
            tell(serving.browser(number))
        assert time.monotonic() - began < 30
        statuses = {answer.split()[1] for answer in map(_there, crowd) if answer}
    # Three are handled at once and the others in turn; more than twelve at once are refused.
    assert statuses == {b"422", b"503"}


def _there(connection: socket.socket) -> bytes:
    """Return what has arrived so far."""
    connection.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        return connection.recv(65_536)
    return b""


def test_slow_clients_do_not_use_the_slots_for_reporters_files(
    serve: Callable[..., Serving],
) -> None:
    """Twenty clients, half with a false cookie, send 2.5 kB/s; there are six slots in all."""
    serving = serve(changes={})
    browser = serving.browser(1)
    enter(browser)
    crowd = []
    for number in range(20):
        cookie = f"Cookie: s={'x' * 400}\r\n" if number % 2 else ""
        head = post(serving, "/nl/files", MULTIPART, 100 * MIB, cookie)
        crowd.append(serving.connect(10 + number, head + b"--x"))
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.1):
            for connection in crowd:
                with contextlib.suppress(OSError):
                    connection.sendall(b"x" * 250)

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        with held(*crowd):
            for connection in crowd:
                answer = connection.recv(65_536)
                assert answer.startswith(b"HTTP/1.1 403 ")
            assert upload(browser, 3 * MIB).path == "/nl/conversation?sent=1"
    finally:
        ended.set()
        dripping.join()
    ((attachment, _),) = received(serving.house.counsellors[0])
    assert attachment.size == 3 * MIB


def answer_of_the_one_refused(connections: list[socket.socket]) -> bytes:
    """Return the response to the connection without a slot; nginx decides which one that is."""
    readable, _, _ = select.select(connections, [], [], 20)
    assert len(readable) == 1
    readable[0].settimeout(20)
    answer = b""
    while b"</html>" not in answer and (data := readable[0].recv(65_536)):
        answer += data
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert not select.select([c for c in connections if c not in readable], [], [], 0)[0]
    return answer


def test_six_files_can_be_uploaded_at_once_with_at_most_two_per_circuit(
    serve: Callable[..., Serving],
) -> None:
    serving = serve(changes={})
    browser = serving.browser(1)
    enter(browser)
    head = post(serving, "/nl/files", MULTIPART, 100 * MIB, cookie_of(browser)) + b"--x"
    of_one = [serving.connect(20, head) for _ in range(3)]
    with held(*of_one):
        answer_of_the_one_refused(of_one)
        others = [serving.connect(30 + number, head) for number in range(5)]
        with held(*others):
            assert b"Schrijven kan wel" in answer_of_the_one_refused(others)
            assert serving.browser(41).get("/nl/").status == 200
            tell(serving.browser(42))

    def again() -> bool:
        return upload(browser, 1000).path == "/nl/conversation?sent=1"

    wait_until(again)


def upload_head(serving: Serving, browser: CircuitBrowser) -> bytes:
    """Return the head of a reporter's upload, and the first field of its form."""
    page = browser.get("/nl/files")
    fields = [f for f in page.form_with("files").fields if f[0] != "files"]
    begun = multipart([*fields, ("text", "Blijf.")], [("foto.jpg", b"")]).rpartition(b"\r\n--")
    return post(serving, "/nl/files", MULTIPART, MIB, cookie_of(browser)) + begun[0]


def desk_head(serving: Serving, browser: CircuitBrowser) -> bytes:
    """Return the head of a signed desk message; the app does not read an unsigned body."""
    desk = serving.house.counsellors[0]
    (thread,) = desk.threads().values()
    target = f"/api/desk/mailboxes/{thread.mailbox}/messages?n=1&to={desk.identity.hex}"
    signed = desk_request.header(
        desk.signing,
        origin=serving.url, site=serving.house.site.settings.site, method="POST", target=target,
        token=json.loads(browser.get("/api/desk/challenge").text)["token"],
        body_hash=sha256_hex(b""),
    )  # fmt: skip
    return post(serving, target, "a/b", MAX_SEALED_MESSAGE, f"Authorization: {signed}\r\n")


@pytest.mark.parametrize("head", [upload_head, desk_head])
def test_upload_below_the_minimum_rate_is_aborted_and_leaves_nothing_behind(
    serve: Callable[..., Serving], head: Callable[[Serving, CircuitBrowser], bytes]
) -> None:
    """The client is never silent, so nginx alone would accept it forever."""
    serving = serve(program=HASTY)
    browser = serving.browser(1)
    enter(browser)
    connection = serving.connect(1, head(serving, browser))
    began, sent, answer = time.monotonic(), 0, b""
    with held(connection):
        connection.settimeout(0.05)
        while not answer:
            with contextlib.suppress(TimeoutError):
                connection.sendall(b"x" * 500)
                sent += 500
                answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:100]
    # Neither refused for its header nor received completely.
    assert time.monotonic() - began > GRACE
    assert sent < MAX_SEALED_MESSAGE
    wait_until(lambda: not list((serving.house.folder / "files").iterdir()))
    assert upload(browser, 1000).path == "/nl/conversation?sent=1"


def test_download_below_minimum_rate_is_aborted(serve: Callable[..., Serving]) -> None:
    from tests.server.web.test_file_downloads import reply_with

    serving = serve(program=HASTY)
    browser = serving.browser(1)
    tell(browser)
    item = reply_with(serving.house.counsellors[0], os.urandom(12 * MIB))
    head = (
        f"GET /nl/files/{item} HTTP/1.1\r\nHost: 127.0.0.1:{serving.port}\r\nConnection: close\r\n"
    )
    connection = serving.connect(1, f"{head}{cookie_of(browser)}\r\n".encode())
    with held(connection):
        got = 0
        for _ in range(60):
            got += len(connection.recv(65_536))
            time.sleep(0.1)
        connection.settimeout(10)
        got += len(read_all(connection))
    assert MIB < got < 12 * MIB
    # At full speed, the file is complete.
    assert len(browser.get(f"/nl/files/{item}").body) == 12 * MIB


def test_concurrent_hashes_never_exceed_the_number_of_cores(
    serve: Callable[..., Serving], tmp_path: Path
) -> None:
    """Forty clients send reports and wrong codes at once; the server has two cores."""
    serving = serve(program=HASHING)
    answers: list[int] = []

    def ask(number: int) -> None:
        browser = serving.browser(number, cookies=False)
        if number % 4:
            page = browser.get("/nl/return")
            code = " ".join(generate("nl"))
            answers.append(browser.submit(page, page.form_with("code"), code=code).status)
        else:
            tell(browser)
            answers.append(200)

    people = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for person in people:
        person.start()
    for person in people:
        person.join(60)
    assert sorted(answers) == [200] * 10 + [422] * 30
    inside = most = 0
    for sign in (tmp_path / "said").read_text():
        inside += 1 if sign == "+" else -1
        most = max(most, inside)
    assert inside == 0
    assert 1 <= most <= 2


def test_requests_waiting_for_a_code_to_be_hashed_block_no_page(
    serve: Callable[..., Serving],
) -> None:
    """Codes wait for their slot in one of many threads."""
    slow = HASHING.replace("time.sleep(0.05)", "time.sleep(0.5)")
    serving = serve(program=slow)
    statuses: list[int] = []

    def guess(number: int) -> None:
        browser = serving.browser(number, cookies=False)
        fields = f"code={'+'.join(generate('nl'))}".encode()
        statuses.append(
            browser.request("POST", "/nl/return", fields, {"Content-Type": FORM}).status
        )

    crowd = [threading.Thread(target=guess, args=(number,)) for number in range(100)]
    for one in crowd:
        one.start()
    times = []
    while any(one.is_alive() for one in crowd):
        began = time.monotonic()
        assert serving.browser(200).get("/nl/").status == 200
        times.append(time.monotonic() - began)
        time.sleep(0.05)
    for one in crowd:
        one.join()
    # Two run at once, for half a second each; after ten seconds the others get "busy". A page
    # queued behind them would wait as long.
    assert sorted(times)[len(times) // 2] < 3
    assert set(statuses) == {422, 503}
    assert statuses.count(422) >= 20


def test_file_of_100_mib_arrives_while_others_send_slowly(
    serve: Callable[..., Serving], long_run: bool
) -> None:
    """In the default run the file has 10 MiB; nginx needs no extra memory for it."""
    size = (100 if long_run else 10) * MIB
    serving = serve(changes={})
    browser = serving.browser(1)
    enter(browser)
    strangers = [
        serving.connect(10 + n, post(serving, "/nl/files", MULTIPART, size)) for n in range(20)
    ]
    with held(*strangers):
        assert upload(browser, size).path == "/nl/conversation?sent=1"
    for pid in serving.front.processes():
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found
        assert int(found[1]) < 60 * 1024, status
