"""After SIGTERM, running requests are completed. Uploads cut off by a kill leave nothing behind."""

import contextlib
import hashlib
import json
import os
import signal
import socket
import threading
from pathlib import Path

from dropbox_app.protocol import desk_request
from dropbox_app.protocol.encoding import sha256_hex
from tests.e2e.faults.conftest import faults_of
from tests.e2e.faults.stories import Story, code_on, report_form
from tests.support.drop_box import DropBox
from tests.support.plain_browser import Page, PlainBrowser
from tests.support.processes import until
from tests.support.server_folder import file
from tests.support.serving import Serving

TEXT = "Bijna te laat. " * 300 + "einde"


class Recorder(PlainBrowser):
    """A browser that records the next post instead of sending it."""

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        follow: int = 5,
    ) -> Page:
        if method == "GET":
            return super().request(method, path, body, headers, follow)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.posted = (
            f"POST {path} HTTP/1.1\r\nHost: {self.url.removeprefix('http://')}\r\n"
            f"Origin: {self.url}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Cookie: {cookies}\r\nContent-Length: {len(body or b'')}\r\n\r\n"
        ).encode() + (body or b"")
        return Page(204, path, [], b"")


def _posted(box: DropBox, text: str) -> bytes:
    browser = Recorder(box.url)
    report_form(browser)(text)
    return browser.posted


def _connected(box: DropBox) -> socket.socket:
    return socket.create_connection(("127.0.0.1", box.port), timeout=60)


def _answer(connection: socket.socket) -> Page:
    raw = b""
    with connection, contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            raw += piece
    head, _, body = raw.partition(b"\r\n\r\n")
    return Page(int([*head.split(), b"0", b"0"][1]), "/nl/report", [], body)


def _taken(box: DropBox, connection: socket.socket) -> bool:
    """Return whether a worker has accepted the connection; until then its peer has no inode."""
    own = f":{connection.getsockname()[1]:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    found = [r for r in rows if r[1].endswith(f":{box.port:04X}") and r[2].endswith(own)]
    return any(row[9] != "0" for row in found)


def test_report_still_being_received_at_sigterm_is_completed(box: DropBox) -> None:
    """The rest arrives after the signal, a valid code page follows, and the server exits with 0."""
    posted = _posted(box, TEXT)
    connection = _connected(box)
    connection.sendall(posted[:-2000])
    until(lambda: _taken(box, connection), "the connection was not taken")
    process = box.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    until(lambda: len(box.workers()) == 1, "the worker that has nothing to do does not end")
    connection.sendall(posted[-2000:])
    page = _answer(connection)
    assert process.wait(30) == 0
    box.restart()
    Story(code_on(page), [TEXT.strip()]).holds(box)
    assert faults_of(box.folder) == []


def test_requests_waiting_for_argon2id_at_sigterm_are_completed(box: DropBox) -> None:
    """Eight reports are being hashed: eight valid code pages follow, and the exit code is 0."""
    texts = [f"Nummer {n}. {TEXT}" for n in range(8)]
    posts = [_posted(box, text) for text in texts]
    connections = [_connected(box) for _ in posts]
    until(lambda: all(_taken(box, c) for c in connections), "not all were taken")
    pages: list[Page] = []

    def read(connection: socket.socket) -> None:
        pages.append(_answer(connection))

    readers = [threading.Thread(target=read, args=(c,)) for c in connections]
    for reader in readers:
        reader.start()
    for connection, post in zip(connections, posts, strict=True):
        connection.sendall(post)
    process = box.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    for reader in readers:
        reader.join(60)
    assert process.wait(30) == 0
    codes = [code_on(page) for page in pages]
    assert all(codes), [page.status for page in pages]
    box.restart()
    found = [box.browser() for _ in codes]
    for browser, code in zip(found, codes, strict=True):
        page = browser.get("/nl/return")
        seen = browser.submit(page, page.form_with("code"), code=code).text
        texts.remove(next(text for text in texts if text.strip() in seen))
    assert texts == []


def test_interrupted_desk_upload_is_removed_at_the_next_start(tmp_path: Path) -> None:
    """The part file exists during the upload and is gone after a start; a new upload works."""
    serving = Serving(tmp_path)
    try:
        sealed = file(2, 4_000_000)
        head = _upload_head(serving, sealed)
        with socket.create_connection(("127.0.0.1", serving.port), timeout=20) as connection:
            connection.sendall(head + sealed[:3_000_000])
            files = serving.house.folder / "files"
            until(lambda: list(files.glob("*.part")), "nothing was staged")
            # The parent is killed first, because it would start another worker.
            for pid in [serving.process.pid, *serving.workers()]:
                os.kill(pid, signal.SIGKILL)
            serving.stop()
        assert list(files.glob("*.part")), "the test looks at nothing"
        serving.house.store.sweep()  # as ``serve`` does at the start
        assert list(files.iterdir()) == []
        serving.start()
        with socket.create_connection(("127.0.0.1", serving.port), timeout=20) as connection:
            connection.sendall(_upload_head(serving, sealed) + sealed)
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
        assert [path.name for path in files.iterdir()] == [hashlib.sha256(sealed).hexdigest()]
    finally:
        serving.close()


def _upload_head(serving: Serving, sealed: bytes) -> bytes:
    """Return the request line and headers of a desk's upload to a new conversation."""
    browser = PlainBrowser(serving.url)
    page = browser.get("/nl/report")
    browser.submit(page, page.form_with("text"), text="Een verhaal.")
    own = serving.house.counsellors[0]
    mailbox = serving.house.mailboxes.listed(own.identity)[-1].id
    target = f"/api/desk/mailboxes/{mailbox}/files/{sha256_hex(sealed)}"
    token = json.loads(browser.get("/api/desk/challenge").text)["token"]
    signed = desk_request.header(
        own.signing, origin=serving.url, site=serving.house.site.settings.site, token=token,
        method="PUT", target=target, body_hash=sha256_hex(sealed),
    )  # fmt: skip
    return (
        f"PUT {target} HTTP/1.1\r\nHost: 127.0.0.1:{serving.port}\r\n"
        f"Authorization: {signed}\r\nContent-Length: {len(sealed)}\r\n\r\n"
    ).encode()
