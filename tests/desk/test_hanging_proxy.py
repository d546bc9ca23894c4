"""There are 25 sites behind one proxy, as with Tor, and five hang in different ways."""

import contextlib
import http.server
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.cli.main import main
from dropbox_app.desk.folder import Machine
from dropbox_app.desk.storage import vault
from tests.desk.conftest import PASSPHRASE
from tests.desk.test_actions import Offices
from tests.desk.test_hanging import HANG, SITES, Hung, names
from tests.support.fake_server import Clock, Peer, Reporter
from tests.support.mail_server import Listening

pytestmark = pytest.mark.long
DONE = b"\x05\x00\x00\x01" + bytes(6)


class Onions:
    """A SOCKS5 proxy that maps each name to a local port; for None it never responds."""

    def __init__(self, places: Mapping[str, int | None]) -> None:
        self.places = places
        self.circuits: set[bytes] = set()
        self.over = threading.Event()
        self._listening = Listening(0, self._lead)
        self.port = self._listening.port

    def _lead(self, near: socket.socket) -> None:
        asked = near.makefile("rb", buffering=0)
        asked.read(asked.read(2)[1])  # the authentication methods
        near.sendall(b"\x05\x02")
        name = asked.read(asked.read(2)[1])
        asked.read(asked.read(1)[0])
        near.sendall(b"\x01\x00")
        self.circuits.add(name)
        host = asked.read(asked.read(5)[4]).decode()
        asked.read(2)
        port = self.places[host]
        if port is None:
            self.over.wait(120)
            return
        near.sendall(DONE)
        with socket.create_connection(("127.0.0.1", port)) as far:
            back = threading.Thread(target=copy, args=(far, near), daemon=True)
            back.start()
            copy(near, far)
            with contextlib.suppress(OSError):  # otherwise a hanging site keeps the thread busy
                far.shutdown(socket.SHUT_RDWR)
            back.join()

    def end(self) -> None:
        self.over.set()
        self._listening.end()


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Forward data until one side closes."""
    with contextlib.suppress(OSError):  # this ends when one side closes
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def served(peers: Mapping[str, Peer]) -> Iterator[int]:
    """Run one web server for these peers by name; return its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            peer = peers[self.headers["Host"]]
            status, said = peer.answer(self.command, self.path, dict(self.headers), body, 0)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_POST = do_PUT = answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:  # noqa: ANN401 - of the library
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def offices(tmp_path: Path, clock: Clock) -> Offices:
    """Return a desk with 25 onion sites and a report at each."""
    made = Offices(tmp_path / "many", clock, SITES)
    with workplace.opened(made.folder, PASSPHRASE, made.machine()) as place:
        for desk in place.desks():
            (number,) = (n for n, one in enumerate(made.peers) if one.site == desk.state.site)
            peer = made.peers[number]
            peer.origin = f"http://{'a' * 55}{chr(ord('a') + number)}.onion"
            desk.state.origins = (peer.origin,)
            desk.save()
            Reporter(peer, desk.identity).report("Het gaat over mijn chef.")
    return made


def go_by(offices: Offices, proxy: str) -> None:
    """Reach every site through this proxy."""
    with workplace.opened(offices.folder, PASSPHRASE, offices.machine()) as place:
        for desk in place.desks():
            desk.state.proxy = proxy
            desk.save()


def test_fetch_through_a_proxy_with_five_unresponsive_sites_ends_within_a_minute(
    offices: Offices, clock: Clock
) -> None:
    ways = ("never accepted", "says nothing", "trickles", "half an answer")
    hung = [Hung(how) for how in ways]
    hosts = [peer.origin.removeprefix("http://") for peer in offices.peers]
    with served(dict(zip(hosts, offices.peers, strict=True))) as port:
        places: dict[str, int | None] = dict.fromkeys(hosts, port)
        for host, one in zip(hosts, hung, strict=False):
            places[host] = int(one.origin.rpartition(":")[2])
        places[hosts[HANG - 1]] = None  # the proxy cannot reach it and never says so
        onions = Onions(places)
        go_by(offices, f"socks5h://127.0.0.1:{onions.port}")
        machine = Machine(clock, log_n=vault.CHEAP_FOR_TESTS)
        file = offices.folder.parent / "passphrase"
        file.write_text(PASSPHRASE)
        file.chmod(0o600)
        options = ["--dir", str(offices.folder), "--passphrase-file", str(file)]
        began = time.monotonic()
        done = CliRunner().invoke(main, [*options, "fetch"], obj=machine, catch_exceptions=False)
        took = time.monotonic() - began
        onions.end()
    for one in hung:
        one.close()
    assert took <= 60
    assert done.exit_code == 1
    new = set(re.findall(r"^(Bedrijf \d+):\n\w+  1 new message$", done.stdout, re.MULTILINE))
    assert new == names(range(HANG, SITES)), done.stdout
    assert "Still waiting" in done.stderr
    assert all(done.stderr.count(f"{name}: ") for name in names(range(HANG))), done.stderr
    assert len(onions.circuits) >= SITES, "two sites shared one circuit"
