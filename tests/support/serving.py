"""A real server: gunicorn on a socket file, with nginx and the project's settings in front.

The site is reached at a loopback port, in place of a domain, and at the sockets that Tor uses.
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from dropbox_app.server.config.settings import Reporter
from tests.server.web.conftest import House, real_clock
from tests.support.circuit import CircuitBrowser, connect, line
from tests.support.forks import Fork, execute
from tests.support.fronts import QUICK, nginx
from tests.support.plain_browser import PlainBrowser
from tests.support.ports import free_port

PROGRAM = """
import ctypes, sys
from pathlib import Path
from dropbox_app.server.cli import serve as serving
made = serving.create_app
def tell(*given, **named):
    print("dumpable:", ctypes.CDLL(None).prctl(3), flush=True)  # PR_GET_DUMPABLE
    return made(*given, **named)
serving.create_app = tell
serving.run(
    Path(sys.argv[1]), sys.argv[2], workers=2, threads=int(sys.argv[3]), upkeep=float(sys.argv[4])
)
"""


class Serving:
    """A server that runs from creation until ``close``; its app can be stopped and started.

    ``changes``: changes to nginx's settings, see ``fronts``; by default there are no limits, and
    timeouts are shorter. ``origins``: the site's origins, besides the loopback port. ``under``,
    ``under_front``: programs that start the app and nginx, such as strace. ``forked``: fork
    the app from a process that has loaded it, see ``forks``; ``under`` needs a program instead.
    """

    def __init__(
        self,
        folder: Path,
        *,
        changes: Mapping[str, str] = QUICK,
        program: str = PROGRAM,
        forked: bool = True,
        threads: int = 128,
        upkeep: float = 60.0,
        origins: tuple[str, ...] = (),
        desk_origins: tuple[str, ...] = (),
        under: Iterable[str] = (),
        under_front: Iterable[str] = (),
        seal_in_browser: bool = False,
    ) -> None:
        _allow_connections()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.house = House(
            folder / "site",
            clock=real_clock(),
            origins=(self.url, *origins),
            desk_origins=desk_origins,
            reporter=Reporter(seal_in_browser=seal_in_browser),
        )
        self.home = folder / "home"
        self.home.mkdir()
        self.log = folder / "log"
        self.socket = folder / "app.sock"
        self._under = tuple(under)
        self._program = program
        self._forked = forked and not self._under
        self._more = (str(threads), str(upkeep))
        self._open = contextlib.ExitStack()
        front = nginx(
            folder / "front",
            self.socket,
            port=self.port,
            changes=changes,
            under=tuple(under_front),
        )
        self.front = self._open.enter_context(front)
        self.start()

    def start(self) -> None:
        """Start the app, and wait until it responds."""
        environment = {**os.environ, "HOME": str(self.home), "TMPDIR": str(self.home)}
        words = (str(self.house.folder), f"unix:{self.socket}", *self._more)
        self.process: subprocess.Popen[bytes] | Fork
        if self._forked:
            self.process = Fork(execute, (self._program, words), self.log, environment)
        else:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    (*self._under, sys.executable, "-c", self._program, *words),
                    stdout=log,
                    stderr=log,
                    env=environment,
                )
        deadline = time.monotonic() + 60
        while self.status() != 200:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.front.log.read_text()
            time.sleep(0.05)

    def status(self) -> int:
        """Return the status of the landing page."""
        return PlainBrowser(self.url).get("/nl/").status

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop the app; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(60)
        wait_until(lambda: not self._accepts())  # workers without a master end by themselves
        return code

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(self.socket))
            return True
        return False

    def close(self) -> None:
        """End everything, and check that nothing forbidden was logged."""
        try:
            if self.process.poll() is None:
                self._open.close()  # nginx first: the app would wait for connections that it keeps
                assert self.stop() == 0
            assert "Traceback" not in self.log.read_text()
            assert self.front.log.read_text() == ""
        finally:
            self._open.close()
            self.house.close()

    def workers(self) -> list[int]:
        """Return the app's worker processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def browser(self, circuit: int, *, cookies: bool = True) -> CircuitBrowser:
        """Return a browser that connects over Tor, always by one circuit."""
        return CircuitBrowser(self.url, self.front.onion, circuit, cookies=cookies)

    def connect(self, circuit: int, first: bytes = b"") -> socket.socket:
        """Return a connection over Tor by this circuit."""
        return connect(self.front.onion, line(circuit) + first)

    def raw(self, request: bytes) -> bytes:
        """Return the response to these bytes at the domain's port."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            return exchanged(connection, request)


def exchanged(connection: socket.socket, request: bytes) -> bytes:
    """Send a request; return everything until the other side closes.

    This side keeps the connection open: nginx drops a request if its client half-closes it.
    """
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.sendall(request)
    return read_all(connection)


def read_all(connection: socket.socket) -> bytes:
    """Return everything that arrives until the other side closes."""
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def wait_until(what: Callable[[], object], seconds: float = 60) -> None:
    """Poll until the condition is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _allow_connections() -> None:
    """Raise the limit on open files, because hundreds of clients need hundreds."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 8192:
        wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
