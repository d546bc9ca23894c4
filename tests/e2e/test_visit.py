"""doctor --visit: a real server as a visitor sees it, and behind a faulty web server."""

import dataclasses
import http.client
import http.server
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dropbox_app.server.config import loader
from dropbox_app.server.doctor import visit
from dropbox_app.server.doctor.finding import Finding
from dropbox_app.server.web.security_headers import HSTS
from tests.support import fronts
from tests.support.circuit import connect, line
from tests.support.drop_box import DropBox
from tests.support.fronted_box import Served
from tests.support.ports import free_port

ONION = "d" * 56 + ".onion"
NO_SOCKET = Path("/nonexistent/box.sock")
Headers = dict[str, str]
Altered = Callable[[Headers, bytes, str], tuple[Headers, bytes]]


class Between:
    """A web server in front of nginx that alters what it forwards."""

    def __init__(self, box: DropBox, altered: Altered, context: ssl.SSLContext | None) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with closing(http.client.HTTPConnection(f"127.0.0.1:{box.port}")) as behind:
                    behind.request("GET", self.path)
                    answer = behind.getresponse()
                    headers, body = altered(dict(answer.getheaders()), answer.read(), self.path)
                self.send_response_only(answer.status)
                for name, value in headers.items():
                    self.send_header(name, str(len(body)) if name == "Content-Length" else value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", free_port()), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://localhost:{self.server.server_address[1]}"


@contextmanager
def between(
    box: DropBox,
    altered: Altered = lambda headers, body, _: (headers, body),
    context: ssl.SSLContext | None = None,
) -> Iterator[str]:
    made = Between(box, altered, context)
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    try:
        yield made.url
    finally:
        made.server.shutdown()
        made.server.server_close()
        thread.join()


def visited(
    box: DropBox,
    *origins: str,
    socks: tuple[str, int] | None = None,
    socket_file: Path = NO_SOCKET,
) -> list[Finding]:
    """Return the findings of a visit that are not fine, at a site with these addresses."""
    read = loader.read(box.folder)
    (site,) = read.sites
    settings = dataclasses.replace(site.settings, origins=origins)
    read = dataclasses.replace(read, sites=(dataclasses.replace(site, settings=settings),))
    found = list(visit.visit(read, None, socket_file, socks))
    assert {one.check for one in found} == {"visit"}
    assert {one.site for one in found} == {"."}
    return [one for one in found if one.state != "fine"]


@pytest.fixture(scope="module")
def served(mould: tuple[Path, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Yield one running server for all tests of this module."""
    folder = tmp_path_factory.mktemp("served")
    shutil.copytree(mould[0] / "server", folder / "server")
    made = Served(folder / "server", port=mould[1])
    made.serve()
    try:
        yield made
    finally:
        made.stop()


def without(name: str) -> Altered:
    return lambda headers, body, _: ({k: v for k, v in headers.items() if k != name}, body)


def with_one(name: str, value: str) -> Altered:
    return lambda headers, body, _: ({**headers, name: value}, body)


def shorter(headers: Headers, body: bytes, path: str) -> tuple[Headers, bytes]:
    return headers, body[: -len(path)]


@pytest.mark.parametrize(
    ("altered", "said"),
    [
        (without("Content-Security-Policy"), "Content-Security-Policy"),
        (with_one("Referrer-Policy", "unsafe-url"), "Referrer-Policy"),
        (with_one("Server", "Apache/2.4"), "tells Server"),
        (with_one("Via", "1.1 cache"), "tells Via"),
        (with_one("Set-Cookie", "visitor=1"), "tells Set-Cookie"),
        (with_one("Content-Encoding", "gzip"), "tells Content-Encoding"),
        (shorter, "more than one length"),
    ],
)
def test_alterations_in_transit_are_reported(served: Served, altered: Altered, said: str) -> None:
    with between(served) as url:
        assert visited(served, url) == []
    with between(served, altered) as url:
        found = visited(served, url)
    assert found
    assert all(one.state == "wrong" and one.repair for one in found)
    assert any(said in one.fault for one in found), found


def test_server_on_a_port_without_nginx_is_not_reported_as_fine(
    mould: tuple[Path, int], tmp_path: Path
) -> None:
    shutil.copytree(mould[0] / "server", tmp_path / "server")
    box = DropBox(tmp_path / "server")
    box.serve()
    try:
        found = visited(box, box.url)
    finally:
        box.stop()
    assert found
    assert all(one.state == "wrong" and "tells Server, Date" in one.fault for one in found)


def test_every_host_name_is_requested_through_the_server_socket(
    served: Served, tmp_path: Path
) -> None:
    onion = f"http://{ONION}"
    path = served.socket_file
    assert visited(served, served.url, socket_file=path) == []
    wrong, note = visited(served, onion, socket_file=path)
    assert (wrong.state, note.state) == ("wrong", "unseen")
    assert f"{onion} at {path} answers 421" in wrong.fault, "no such address is known"
    with moved(served, onion):
        (note,) = visited(served, served.url, onion, socket_file=path)
    assert note.state == "unseen"
    left = tmp_path / "box.sock"
    with socket.socket(socket.AF_UNIX) as of_one_that_was_killed:
        of_one_that_was_killed.bind(str(left))
    (wrong,) = visited(served, served.url, socket_file=left)
    assert str(left) in wrong.fault


@contextmanager
def moved(served: Served, onion: str) -> Iterator[None]:
    """Add this address to the site."""
    served.server("move", "--origin", served.url, "--origin", onion)
    served.restart()
    try:
        yield
    finally:
        served.server("move", "--origin", served.url)
        served.restart()


def _pass_on(near: socket.socket, far: socket.socket) -> None:
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += near.recv(65_536)
    far.sendall(asked)
    while data := far.recv(65_536):
        near.sendall(data)


def _as_tor(listening: socket.socket, way: Path, answers: bytes) -> None:
    """Speak SOCKS 5 like Tor: resolve the name, and report the result."""
    for answer in answers:
        near, _ = listening.accept()
        with near:
            assert near.recv(3) == b"\x05\x01\x02"
            near.sendall(b"\x05\x02")
            assert near.recv(64)[:2] == b"\x01\x10", "a name, by which Tor tells circuits apart"
            near.sendall(b"\x01\x00")
            wanted = b"\x05\x01\x00\x03" + bytes([len(ONION)]) + ONION.encode() + b"\x00\x50"
            got = b""
            while len(got) < len(wanted):
                got += near.recv(len(wanted) - len(got))
            assert got == wanted
            near.sendall(b"\x05" + bytes([answer]) + b"\x00\x01" + bytes(6))
            if not answer:
                with connect(way, line(1)) as far:
                    _pass_on(near, far)


@contextmanager
def tor(served: Served, answers: bytes) -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(60)
        given = (listening, served.front.onion, answers)
        thread = threading.Thread(target=_as_tor, args=given, daemon=True)
        thread.start()
        yield listening.getsockname()
        thread.join()


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl here")
@pytest.mark.parametrize(
    ("days", "trusted", "said"),
    [(90, True, ""), (5, True, "its certificate ends on"), (90, False, "certificate is not good")],
)
def test_domain_is_visited_over_https(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    trusted: bool,
    said: str,
) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", str(days), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, capture_output=True, check=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    onion = f"http://{ONION}"

    def as_a_good_one_does(headers: Headers, body: bytes, path: str) -> tuple[Headers, bytes]:
        more = {"Strict-Transport-Security": HSTS, "Onion-Location": f"{onion}{path}"}
        return headers | more, body

    with between(served, as_a_good_one_does, context) as url:
        found = [one for one in visited(served, url, onion) if one.state == "wrong"]
    assert [said in one.fault for one in found] == ([True] if said else [])
    if not said:
        for change, named in (
            (without("Onion-Location"), "Onion-Location"),
            (with_one("Onion-Location", f"http://{fronts.ONION}/"), "Onion-Location"),
            (with_one("Server", "nginx"), "tells Server"),
            (with_one("Date", "Mon, 06 Jul 2026 09:00:00 GMT"), "tells Date"),
        ):

            def changed(
                headers: Headers, body: bytes, path: str, change: Altered = change
            ) -> tuple[Headers, bytes]:
                return change(*as_a_good_one_does(headers, body, path), path)

            with between(served, changed, context) as url:
                found = [one for one in visited(served, url, onion) if one.state == "wrong"]
            assert found
            assert all(named in one.fault for one in found)


def test_doctor_visits_the_address_that_the_site_listens_on(served: Served) -> None:
    def said() -> list[dict[str, str]]:
        done = served.server("doctor", "--site", ".", "--visit", "--json", check=False)
        listed: list[dict[str, str]] = json.loads(done.stdout)
        return [one for one in listed if one["check"] == "visit"]

    assert [one["state"] for one in said()] == ["fine"]
    DropBox.stop(served)
    (behind,) = said()
    assert behind["state"] == "wrong"
    assert f"{served.url} answers 503" in behind["fault"], "nginx says that it is down"
    assert "systemctl status klankbord" in behind["repair"]
    served.stop()
    (down,) = said()
    served.serve()
    assert down["state"] == "wrong"
    assert f"{served.url} cannot be visited" in down["fault"]
    assert "systemctl status" in down["repair"]


def test_onion_address_is_visited_through_tor_or_reported_as_unvisited(served: Served) -> None:
    onion = f"http://{ONION}"
    (note,) = visited(served, onion)
    assert note.state == "unseen"
    assert f"{onion} was not visited" in note.fault
    assert f"open {onion} in Tor Browser" in note.repair
    with tor(served, b"\x00\x00") as socks:
        (wrong,) = visited(served, onion, socks=socks)
    assert "answers 421" in wrong.fault, "the server that runs knows of no such address"
    with moved(served, onion), tor(served, b"\x00\x00") as socks:
        assert visited(served, onion, socks=socks) == []
    with tor(served, b"\x04") as socks:
        (wrong,) = visited(served, onion, socks=socks)
    assert "Tor cannot reach it" in wrong.fault
