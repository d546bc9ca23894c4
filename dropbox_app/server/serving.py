"""gunicorn, with a hand on every default that would leave something behind.

The parent makes the cookie key and reads code, templates and word lists into memory that the
workers share; each worker opens the database after the fork. Nothing is logged of a request: no
address, no line, no header, no time. Nothing of a request is put in a file.
"""

import contextlib
import ctypes
import gc
import os
import resource
import sys
from pathlib import Path
from typing import Any

import gunicorn.http.wsgi  # type: ignore[import-untyped]  # gunicorn ships no types
from gunicorn import util
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from dropbox_app.protocol.retrieval_code import LANGUAGES, read_typed, word_list
from dropbox_app.server import create_app
from dropbox_app.server.gate import Gate, slots_for
from dropbox_app.server.web.hardening import HEADERS, where
from dropbox_app.server.web.languages import words
from dropbox_app.server.web.session import new_key

GRACE = 20  # seconds that a worker gets to finish what it began; more than the gate's patience
STUCK = 60  # seconds without a sign of life after which a worker is replaced
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

    def default_headers(self, *args: Any, **kwargs: Any) -> list[str]:  # noqa: ANN401 - untyped
        kept = super().default_headers(*args, **kwargs)
        return [line for line in kept if not line.lower().startswith(_HIDDEN)]


class QuietWorker(ThreadWorker):  # type: ignore[misc]  # the base has no types
    """Threads, so that one slow connection over Tor holds up nobody else."""

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

    def __init__(self, folder: Path, bind: str, workers: int, threads: int) -> None:
        self._folder = folder
        self._workers = workers
        self._key = new_key()
        self._settings = {
            "bind": bind,
            "workers": workers,
            "threads": threads,
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
        """In each worker, after the fork: its own database connections and its own gate."""
        return create_app(self._folder, cookie_key=self._key, gate=Gate(slots_for(self._workers)))


def run(folder: Path, bind: str, workers: int, threads: int) -> None:
    """Serve until SIGTERM or SIGINT. Returns when every worker has ended."""
    os.umask(_PRIVATE)
    _keep_memory_private()
    gunicorn.http.wsgi.Response = QuietResponse
    server = Server(folder, bind, workers, threads)
    _warm_up()
    server.run()


def _keep_memory_private() -> None:
    """No core dump, which would hold texts and keys, and as little freed memory as can be."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
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
