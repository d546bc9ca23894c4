"""gunicorn, with a hand on every default that would leave something behind.

The parent makes the cookie key and reads code, templates and word lists into memory that the
workers share; each worker opens the database after the fork. Nothing is logged of a request: no
address, no line, no header, no time. Nothing of a request is put in a file.
"""

import contextlib
import ctypes
import errno
import gc
import ipaddress
import os
import re
import resource
import selectors
import socket
import stat
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import gunicorn.http.wsgi  # type: ignore[import-untyped]  # gunicorn ships no types
from gunicorn import util
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http.errors import UnsupportedTransferCoding  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from dropbox_app.protocol.retrieval_code import LANGUAGES, read_typed, word_list
from dropbox_app.server import caretaker, create_app, sites
from dropbox_app.server.caretaker import Caretaker, Clocks
from dropbox_app.server.errors import ServerError
from dropbox_app.server.gate import Gate, slots_for
from dropbox_app.server.patience import SILENCE, WHOLE, PatientSocket
from dropbox_app.server.store.sqlite import SqliteStore
from dropbox_app.server.web.hardening import HEADERS, logger, where
from dropbox_app.server.web.languages import words
from dropbox_app.server.web.session import new_key

GRACE = 20  # seconds that a worker gets to finish what it began; more than the gate's patience
SIGN_OF_LIFE = 1.0  # seconds between those that a worker gives
STUCK = 60  # seconds without a sign of life after which a worker is replaced
WAITING = 500  # connections of one worker that wait for a request; one more, and the oldest goes
CONNECTIONS = 2 * WAITING  # of one worker, beside its threads: more wait with the system
_FILES = 4096  # that a worker may have open: connections, and those of the database
_SMALL = 64 * 1024  # bytes of a request that may gather whatever others do
_GATHERED = 16 * 1024 * 1024  # bytes of all requests that gather in one worker
_PRIVATE = 0o077  # what is made may be read by the server's own account only
_SOCKET = 0o117  # a socket may be used by the group: the proxy's, or Tor's

# From these come words about the process, never about a request.
_OWN_AFFAIRS = ("gunicorn.arbiter", "gunicorn.sock", "gunicorn.app")
_PR_SET_DUMPABLE = 4  # linux/prctl.h
_M_ARENA_MAX = -8  # malloc.h
_HIDDEN = ("server:", "date:")

_REFUSED = b"This request has a form that is not understood here.\n"


class QuietLogger(Logger):  # type: ignore[misc]  # the base has no types
    """gunicorn's log without anything that came from outside, and without times."""

    error_fmt = "klankbord: %(message)s"
    datefmt = ""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's own, untyped
        super().setup(cfg)
        self.error_log.propagate = False

    def access(self, *_: object) -> None:
        """There is no access log."""

    def exception(self, msg: object, *args: object, **kwargs: object) -> None:
        """What kind of exception and where, not what it says."""
        self.error_log.error("%s", where(sys.exc_info()[1]))

    def error(self, msg: object, *args: object, **kwargs: object) -> None:
        self.error_log.error("%s", _harmless(msg, args))

    def warning(self, msg: object, *args: object, **kwargs: object) -> None:
        self.error_log.warning("%s", _harmless(msg, args))

    def critical(self, msg: object, *args: object, **kwargs: object) -> None:
        self.error_log.critical("%s", _harmless(msg, args))

    def info(self, msg: object, *args: object, **kwargs: object) -> None:
        """Starts and stops are the service manager's to note."""

    def debug(self, msg: object, *args: object, **kwargs: object) -> None:
        """Debug lines hold requests."""


class QuietResponse(gunicorn.http.wsgi.Response):  # type: ignore[misc]
    """Says neither which server this is nor what its clock thinks."""

    headers_sent: bool
    _head = b""

    def default_headers(self, *args: Any, **kwargs: Any) -> list[str]:  # noqa: ANN401 - untyped
        kept = super().default_headers(*args, **kwargs)
        return [line for line in kept if not line.lower().startswith(_HIDDEN)]

    def send_headers(self) -> None:
        """Keep the head until the body comes: together they are one packet and one call less."""
        if not self.headers_sent:
            lines = [
                *self.default_headers(),
                *(f"{name}: {text}\r\n" for name, text in self.headers),
            ]
            self._head = "".join([*lines, "\r\n"]).encode("latin-1")
            self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        if self.chunked:  # a chunk has a frame of its own
            self._send_head()
        util.write(self.sock, self._head + data, self.chunked)
        self._head = b""

    def close(self) -> None:
        self.send_headers()
        self._send_head()
        super().close()

    def _send_head(self) -> None:
        if self._head:
            util.write(self.sock, self._head)
            self._head = b""


class QuietWorker(ThreadWorker):  # type: ignore[misc]  # the base has no types
    """Threads, so that one slow connection over Tor holds up nobody else.

    A connection goes to a thread when its request is there, see ``patience``.
    """

    silence = SILENCE
    whole = WHOLE
    _seen_alive = 0.0

    def notify(self) -> None:
        """A sign of life: one a second is enough."""
        if time.monotonic() - self._seen_alive >= SIGN_OF_LIFE:
            self._seen_alive = time.monotonic()
            super().notify()

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn's own, untyped
        """A new connection, or one that begins its next request."""
        if not conn.initialized:
            conn.sock = PatientSocket(conn.sock, self.silence, self.whole)
            conn.init()
            # Mostly the request is there already: one turn of the loop less.
            conn.sock.setblocking(False)
            conn.parser.unreader.buf.write(conn.sock.take())
        self._go_on(conn)

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:  # noqa: ANN401
        """A kept connection asks again; mostly it ends."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        if self._read(conn):
            self._go_on(conn)
        else:
            self._part(conn)

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:  # noqa: ANN401
        more = self._read(conn)
        if more and not self._gathered(conn):
            return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if more:
            super().enqueue_req(conn)
        else:
            self._part(conn)

    def _read(self, conn: Any) -> bool:  # noqa: ANN401
        """Whether more came. If not, there is no more to come, and nobody to answer."""
        piece = conn.sock.take()
        conn.parser.unreader.buf.seek(0, os.SEEK_END)
        conn.parser.unreader.buf.write(piece)
        return bool(piece)

    def _part(self, conn: Any) -> None:  # noqa: ANN401
        self.nr_conns -= 1
        conn.close()

    def _go_on(self, conn: Any) -> None:  # noqa: ANN401
        """To a thread, or to wait in the loop until the request is there."""
        if self._gathered(conn):
            super().enqueue_req(conn)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + self.whole
        if len(self.pending_conns) >= WAITING:  # who has waited longest makes room
            self.pending_conns[0].timeout = 0.0
            self.murder_pending()
        self.pending_conns.append(conn)
        waiting = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, waiting)

    def _gathered(self, conn: Any) -> bool:  # noqa: ANN401
        """Whether it is for a thread: its request is there, or no more of it can be kept here."""
        buffer = conn.parser.unreader.buf
        if conn.sock.gathered(buffer):
            return True
        if buffer.tell() <= _SMALL:
            return False
        held = sum(waiting.parser.unreader.buf.tell() for waiting in self.pending_conns)
        return bool(held > _GATHERED)

    def _cap_keepalive(self, deadline: float) -> None:
        """At the end nobody is waited for who has asked nothing yet."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def handle(self, conn: Any) -> Any:  # noqa: ANN401
        conn.sock.begin()
        kept = super().handle(conn)
        if not kept:
            conn.sock.linger()
        return kept

    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401
        if any(name == "TRANSFER-ENCODING" for name, _ in req.headers):
            raise UnsupportedTransferCoding("a body must say its length")
        if not conn.sock.complete:
            req.force_close()  # else a thread would wait for what nobody wants to read
        conn.sock.begin(by_size=req.path.startswith("/api/desk/"))
        return super().handle_request(req, conn)

    def handle_error(self, req: object, client: Any, addr: object, exc: BaseException) -> None:  # noqa: ANN401
        """A request that is no HTTP, or a fault below the app: one answer for all."""
        self.log.error_log.warning("%s", where(exc))
        fields = {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
        fields["Content-Length"] = str(len(_REFUSED))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        try:
            util.write(client, f"HTTP/1.1 400 Bad Request\r\n{head}\r\n".encode() + _REFUSED)
        except OSError:
            return  # whoever asked is gone


class Server(BaseApplication):  # type: ignore[misc]  # the base has no types
    """One site under gunicorn."""

    def __init__(self, folder: Path, bind: str, workers: int, threads: int, upkeep: float) -> None:
        self._folder = folder
        self._upkeep = upkeep
        self._clocks = Clocks.start()  # of the server: a worker may begin much later
        self._caretaker: Caretaker | None = None
        self._workers = workers
        self._key = new_key()
        self._settings = {
            "bind": bind,
            "workers": workers,
            "threads": threads,
            "worker_connections": threads + CONNECTIONS,
            "worker_exit": self._end,
            "worker_class": "dropbox_app.server.serving.QuietWorker",
            "logger_class": QuietLogger,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": "warning",
            "capture_output": False,
            "control_socket_disable": True,
            # The heartbeat is a file: in memory, empty, and not under /tmp.
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - gunicorn unlinks it at once
            "sendfile": False,
            "umask": _SOCKET,
            "timeout": STUCK,
            "graceful_timeout": GRACE,
            "keepalive": 5,
            "limit_request_line": 4094,
            "limit_request_fields": 60,
            "limit_request_field_size": 8190,
            # Headers of a proxy are not believed: hosts and https are settings.
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "proc_name": "klankbord",
        }
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 - gunicorn's own, untyped
        """In each worker, after the fork: its own database connections, gate and caretaker."""
        store = SqliteStore(self._folder, self._clocks.today)
        self._caretaker = Caretaker(
            sites.load(self._folder), store, self._clocks, partial(logger.warning, "%s")
        )
        self._caretaker.start(self._folder, first=self._upkeep)
        return create_app(self._folder, cookie_key=self._key, gate=Gate(slots_for(self._workers)))

    def _end(self, _arbiter: object, _worker: object) -> None:
        if self._caretaker is not None:
            self._caretaker.end()


def run(
    folder: Path,
    bind: str,
    workers: int,
    threads: int,
    *,
    silence: float = SILENCE,
    whole: float = WHOLE,
    upkeep: float = caretaker.FIRST,
) -> None:
    """Serve until SIGTERM or SIGINT. Returns when every worker has ended.

    In seconds: ``silence`` and ``whole`` as in ``patience``, ``upkeep`` until the first of it.
    """
    os.umask(_PRIVATE)
    _set_limits()
    gunicorn.http.wsgi.Response = QuietResponse
    QuietWorker.silence, QuietWorker.whole = silence, whole
    server = Server(folder, bind, workers, threads, upkeep)
    _warm_up()
    server.run()


def address_of(bind: str) -> tuple[str, int] | Path:
    """What ``--bind`` names: host and port, or a socket's path. Raises ValueError for its form."""
    if bind.startswith("unix:"):
        path = bind.removeprefix("unix:").removeprefix("//")
        if path.strip("/"):
            return Path(path)
    elif found := re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/\[\],]+)):([0-9]{1,5})", bind):
        if 1 <= int(found[3]) <= 65_535:
            return found[1] or found[2], int(found[3])
        raise ValueError(f"{found[3]} is no port from 1 to 65535")
    raise ValueError(f"{bind!r} is no HOST:PORT, [IPV6]:PORT or unix:PATH")


def try_bind(address: tuple[str, int] | Path) -> bool:
    """Take an address and let it go again: gunicorn itself would try for ever, or in a traceback.

    Returns whether it is open to the network. Raises ServerError with the reason if it cannot be.
    """
    try:
        if isinstance(address, Path):
            _try_socket(address)
            return False
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as gunicorn does
            probe.bind(address)
            return not ipaddress.ip_address(probe.getsockname()[0]).is_loopback
    except (OSError, UnicodeError) as error:  # the latter from a host that is no name
        shown = address if isinstance(address, Path) else f"{address[0]}, port {address[1]}"
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is taken" if taken else "cannot be served on"
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ServerError(f"--bind: {shown} {why}: {said}") from None


def _try_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        if path.exists():
            if not stat.S_ISSOCK(path.stat().st_mode):
                raise OSError(errno.EEXIST, "something else than a socket is there")
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()  # left over from a server that was killed
            else:
                raise OSError(errno.EADDRINUSE, "another server listens there")
        probe.bind(str(path))
        path.unlink()


def _set_limits() -> None:
    """No core dump, which would hold texts and keys, as little freed memory as can be, and room
    for the connections."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    system = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):  # Linux has the one, glibc the other
        # A dump that is piped to a collector does not heed the limit.
        system.prctl(_PR_SET_DUMPABLE, 0)
        # One pool for all threads: each thread's own would keep what it once needed.
        system.mallopt(_M_ARENA_MAX, 1)


def _warm_up() -> None:
    """Read into the parent what all workers need, so that they share its memory."""
    for lang in LANGUAGES:
        words(lang)
        read_typed(" ".join(word_list(lang)[:7]))
    gc.collect()
    gc.freeze()  # else the workers' first collection would copy all of it


def _harmless(msg: object, args: tuple[object, ...]) -> str:
    """gunicorn's words where they are about itself; else only where they came from."""
    caller = sys._getframe(2).f_globals.get("__name__", "")
    if not caller.startswith(_OWN_AFFAIRS):
        return f"a request failed in {caller}"
    try:
        return str(msg) % args if args else str(msg)
    except (TypeError, ValueError):
        return str(msg)
