"""Caddy and nginx as set up here: they pass everything on, keep nothing, and change no length."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.drop_box import BIN
from tests.support.fronts import DEPLOY, ONION, Front, front, nginx_conf
from tests.support.plain_browser import PlainBrowser
from tests.support.steps import come_back, tell
from tests.support.unit_file import as_a_service

KINDS = [
    pytest.param(kind, marks=pytest.mark.skipif(not shutil.which(kind), reason=f"no {kind} here"))
    for kind in ("caddy", "nginx")
]
VISITOR = "127.0.0.77"  # so that a line about a visitor differs from one about the proxy itself
MARK = "een-spoor-van-een-bezoek"
ANSWER = b"<p>" + b"y" * 2_000_000


class Behind:
    """In the place of the server: takes one request after another and keeps how they came."""

    def __init__(self, path: Path) -> None:
        self.heads: list[str] = []
        self.got = 0
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(str(path))
        path.chmod(0o666)
        self.listening.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            got = b""
            while b"\r\n\r\n" not in got:
                got += connection.recv(65_536) or b"\r\n\r\n"
            head, _, body = got.partition(b"\r\n\r\n")
            self.heads.append(head.decode("latin-1"))
            self.got = len(body)
            length = next(
                (int(line.split(":")[1]) for line in self.heads[-1].splitlines()
                 if line.lower().startswith("content-length:")), 0,
            )  # fmt: skip
            while self.got < length and (more := connection.recv(65_536)):
                self.got += len(more)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n"
                b"Connection: close\r\n\r\n" % len(ANSWER)
            )
            connection.sendall(ANSWER)


@contextmanager
def visitor(served: Front) -> Iterator[socket.socket]:
    port = int(served.url.rsplit(":", 1)[1])
    with closing(
        socket.create_connection(("127.0.0.1", port), 20, source_address=(VISITOR, 0))
    ) as made:
        yield made


def written_files(served: Front) -> set[str]:
    """Regular files, also removed ones, that the proxy's processes have open now, but its log."""
    found = set()
    tree = {served.process.pid}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid, parent = status.read_text().split(" ", 1)[0], status.read_text().rsplit(")")[1]
            if int(parent.split()[1]) in tree:
                tree.add(int(pid))
    for pid in tree:  # type: ignore[assignment]
        for opened in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = os.readlink(opened)
                if target.startswith(str(served.folder)) and target != str(served.log):
                    found.add(target)
    return found


def half_an_upload(served: Front, behind: Behind) -> set[str]:
    """Send half of a large body, wait until it got through, and look what is open then."""
    with visitor(served) as made:
        made.sendall(
            b"POST /nl/files HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4000000\r\n"
            b"Content-Type: text/plain\r\n\r\n" + b"z" * 2_000_000
        )
        deadline = time.monotonic() + 3
        while behind.got < 1_900_000 and time.monotonic() < deadline:
            time.sleep(0.02)
        return written_files(served)


@pytest.fixture(params=KINDS)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Front, Behind]]:
    behind = Behind(tmp_path / "box.sock")
    with front(request.param, tmp_path / "front", tmp_path / "box.sock") as made:
        yield made, behind
    behind.listening.close()


def test_a_request_arrives_as_it_was_sent_without_where_it_came_from(
    served: tuple[Front, Behind],
) -> None:
    proxy, behind = served
    address = proxy.url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=20, source_address=(VISITOR, 0))
    send = {"Host": address, "Accept-Encoding": "gzip, br", "Origin": proxy.url}
    connection.request("POST", "/nl/report?a=b", b"text=x", send)
    answer = connection.getresponse()
    assert answer.read() == ANSWER
    assert answer.getheader("Content-Length") == str(len(ANSWER))
    assert answer.getheader("Content-Encoding") is None
    assert answer.getheader("Onion-Location") == f"http://{ONION}/nl/report?a=b"
    assert answer.getheader("Via") is None
    connection.close()
    (head,) = behind.heads
    lines = {line.split(":")[0].lower(): line.partition(": ")[2] for line in head.splitlines()[1:]}
    assert head.startswith("POST /nl/report?a=b HTTP/1.1")
    assert (lines["host"], lines["content-length"]) == (address, "6")
    assert lines["origin"] == proxy.url
    assert not {name for name in lines if name.startswith("x-") or name in ("via", "forwarded")}
    assert "transfer-encoding" not in lines
    assert VISITOR not in head


def test_a_body_goes_on_as_it_comes_and_lies_in_no_file(served: tuple[Front, Behind]) -> None:
    proxy, behind = served
    assert half_an_upload(proxy, behind) <= {f"{proxy.folder}/pid"}
    assert behind.got >= 1_900_000


def test_an_answer_that_is_read_slowly_lies_in_no_file(served: tuple[Front, Behind]) -> None:
    proxy, _ = served
    with visitor(proxy) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        made.sendall(b"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        time.sleep(0.3)
        assert written_files(proxy) <= {f"{proxy.folder}/pid"}
        assert made.recv(100).startswith(b"HTTP/1.1 200")


def test_no_visit_leaves_a_line_whatever_goes_wrong(served: tuple[Front, Behind]) -> None:
    proxy, behind = served
    first = f"GET /{MARK} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode()
    with visitor(proxy) as made:  # answered
        made.sendall(first + b"Connection: close\r\n\r\n")
        while made.recv(65_536):
            pass
    with visitor(proxy) as made:  # gone in the middle of the answer
        made.sendall(first + b"\r\n")
        made.recv(100)
    with visitor(proxy) as made:  # gone in the middle of the body
        made.sendall(f"POST /{MARK} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9".encode())
        made.sendall(b"\r\n\r\nx")
    for nonsense in (b"GET /%s\0 HTTP/1.1\r\n\r\n" % MARK.encode(), b"\x16\x03\x01\x02\x00\x01"):
        with visitor(proxy) as made, suppress(ConnectionError):
            made.sendall(nonsense)
            made.shutdown(socket.SHUT_WR)
            made.recv(1000)
    behind.listening.close()
    (proxy.folder.parent / "box.sock").unlink()
    with visitor(proxy) as made:  # nobody behind
        made.sendall(first + b"Connection: close\r\n\r\n")
        assert b" 502 " in made.recv(1000)
    time.sleep(0.2)
    for path in proxy.folder.rglob("*"):
        if path.is_file():
            said = path.read_text("utf-8", "replace")
            assert VISITOR not in said, path
            assert MARK not in said, path


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here")
def test_the_look_for_files_would_find_a_body_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nginx as it is without the lines of this project."""

    def careless(port: int, box: Path, folder: Path) -> str:
        return nginx_conf(port, box, folder).replace("proxy_request_buffering off;", "")

    monkeypatch.setattr("tests.support.fronts.nginx_conf", careless)
    behind = Behind(tmp_path / "box.sock")
    with front("nginx", tmp_path / "front", tmp_path / "box.sock") as proxy:
        found = half_an_upload(proxy, behind)
        assert any("client_body" in path for path in found), found
    behind.listening.close()


@pytest.mark.parametrize("kind", KINDS)
def test_the_journey_through_it(
    kind: str,
    tmp_path: Path,
    mould: tuple[Path, int],
) -> None:
    shutil.copytree(mould[0] / "server", tmp_path / "server")
    socket_file = tmp_path / "box.sock"
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [BIN / "klankbord-server", "--dir", tmp_path / "server", "serve", "--bind",
             f"unix:{socket_file}"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 20
        while not socket_file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        socket_file.chmod(0o666)  # in place of the group
        with front(kind, tmp_path / "front", socket_file, mould[1]) as proxy:
            browser = PlainBrowser(proxy.url)
            lengths = {len(browser.get(path).body) for path in ("/nl/", "/en/safety", "/nl/report")}
            assert len(lengths) == 1
            code = tell(browser, "nl", "Een verhaal door een proxy.").code
            assert come_back(browser, "nl", code).path == "/nl/conversation"
            page = browser.get("/nl/files")
            sent = browser.upload(page, page.form_with("files"), [("a.txt", b"x" * 3_000_000)])
            assert (sent.status, sent.path) == (200, "/nl/conversation?sent=1")
    finally:
        server.terminate()
        server.wait(30)


def _rendered(name: str) -> str:
    text = (DEPLOY / name).read_text("utf-8")
    return text.replace("@DOMAIN@", "box.example").replace("@ONION@", ONION)


@pytest.mark.skipif(not shutil.which("caddy"), reason="no caddy here")
def test_caddy_understands_every_line_and_likes_its_form(tmp_path: Path) -> None:
    file = tmp_path / "Caddyfile"
    file.write_text(_rendered("caddy/Caddyfile"))
    done = subprocess.run(
        ["caddy", "validate", "--config", file],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"warn"' not in done.stderr


@pytest.mark.skipif(not shutil.which("nginx"), reason="no nginx here")
def test_nginx_understands_every_line(tmp_path: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes",
         "-subj", "/CN=box.example", "-keyout", "privkey.pem", "-out", "fullchain.pem"],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    text = _rendered("nginx/nginx.conf").replace("/run/nginx.pid", f"{tmp_path}/pid")
    file = tmp_path / "nginx.conf"
    file.write_text(text.replace("/etc/letsencrypt/live/box.example", str(tmp_path)))
    done = subprocess.run(
        ["nginx", "-e", "stderr", "-t", "-c", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


DROP_IN = DEPLOY / "systemd" / "caddy.service.d" / "klankbord.conf"
CADDYS_OWN = Path("/lib/systemd/system/caddy.service")


@as_a_service
@pytest.mark.skipif(not CADDYS_OWN.is_file(), reason="no caddy here")
def test_caddy_is_closed_in_as_well(tmp_path: Path) -> None:
    """Debian's own unit with what is added to it; alone it scores 9.0."""
    added = DROP_IN.read_text("utf-8").split("[Service]")[1]
    unit = tmp_path / "caddy.service"
    unit.write_text(CADDYS_OWN.read_text("utf-8").replace("[Install]", added + "\n[Install]"))
    for command in (["security", "--offline=true", "--threshold=15"], ["verify"]):
        done = subprocess.run(
            ["systemd-analyze", *command, unit], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@as_a_service
@pytest.mark.skipif(not shutil.which("caddy"), reason="no caddy here")
def test_caddy_serves_under_it(tmp_path: Path) -> None:
    behind = Behind(tmp_path / "box.sock")
    with front("caddy", tmp_path / "front", tmp_path / "box.sock", None, DROP_IN) as proxy:
        with visitor(proxy) as made:
            made.sendall(b"GET /nl/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            assert made.recv(100).startswith(b"HTTP/1.1 200")
        pid = proxy.process.pid  # bubblewrap's, where that stays to wait for it
        held = [Path(f"/proc/{one}/status").read_text() for one in (pid, *_children(pid))]
        (caddy,) = (status for status in held if status.startswith("Name:\tcaddy\n"))
        assert "Seccomp:\t2" in caddy
    behind.listening.close()


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_proxies_and_tor_go_where_the_unit_serves() -> None:
    unit = (DEPLOY / "systemd" / "klankbord.service").read_text("utf-8")
    place = "/run/klankbord/box.sock"
    assert f"--bind unix:{place}" in unit
    for name in ("caddy/Caddyfile", "nginx/nginx.conf"):
        assert place in (DEPLOY / name).read_text("utf-8")
    # Nobody but Tor is led to where circuits are believed.
    for name in ("onion", "desks"):
        assert f"--{name} unix:/run/klankbord/{name}.sock" in unit
        for path in DEPLOY.glob("*/*"):
            if path.is_file():
                named = f"/run/klankbord/{name}.sock" in path.read_text("utf-8")
                assert not named or path.parent.name in ("tor", "systemd", "container"), path
