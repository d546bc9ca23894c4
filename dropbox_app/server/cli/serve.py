"""Run stock gunicorn, with every setting that keeps it from leaving traces.

The master generates the cookie key and reads code, templates, word lists and the sites' settings
into memory that the workers share. Each worker opens databases after the fork. On SIGHUP the master
reads the sites again and gunicorn replaces the workers. The key stays the same, so sessions
continue. Nothing from a request is logged or written to a file: no address, target, header or time.

With ``--bind unix:PATH``, nginx is in front (see ``web.reverse_proxy``). nginx buffers requests and
responses, so that no slow client occupies a thread. A TCP address is only for use on one's own
computer. On a TCP address, gunicorn answers invalid HTTP with its own pages, which are in English
and have no content security policy.
"""

import contextlib
import ctypes
import errno
import gc
import ipaddress
import os
import re
import resource
import signal
import socket
import stat
import time
from functools import partial
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]  # ships no types

from dropbox_app.protocol.retrieval_code import LANGUAGES, read_typed, word_list
from dropbox_app.server.cli import common
from dropbox_app.server.cli.renewal import Renewal
from dropbox_app.server.config import check, loader
from dropbox_app.server.config.languages import ALWAYS
from dropbox_app.server.config.loader import Reading
from dropbox_app.server.errors import ServerError, SiteFull, StoreError
from dropbox_app.server.mailboxes import scheduler
from dropbox_app.server.mailboxes.scheduler import Rounds
from dropbox_app.server.reporter.kdf_limiter import Gate, slots_for
from dropbox_app.server.web.app import create_app
from dropbox_app.server.web.ended_sessions import EndedSessions
from dropbox_app.server.web.fault_log import fault_location, logger, set_up_logging
from dropbox_app.server.web.i18n import words
from dropbox_app.server.web.repeated_posts import RepeatedPosts
from dropbox_app.server.web.reverse_proxy import ReverseProxy
from dropbox_app.server.web.session import VisitMemory, new_key

GRACE = 20  # seconds for a worker to finish its requests; more than the limiter's patience
STUCK = 60  # seconds without a heartbeat after which a worker is replaced
AGAIN = 2.0  # seconds before a worker that could not open the database is replaced
KEEPALIVE = 75  # seconds; longer than nginx keeps an idle connection, so that nginx closes it
CONNECTIONS = 1000  # per worker
_FILES = 4096  # files that a worker may have open, including connections and databases
_PRIVATE = 0o077  # only the server's own account may read new files
_SOCKET = 0o117  # nginx's group may use a socket

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_M_ARENA_MAX = -8  # malloc.h

# At "error", gunicorn logs methods, targets and addresses; at "critical", only that a worker hangs.
_LEVEL = "critical"
_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "klankbord: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"level": "CRITICAL", "handlers": []},
    "loggers": {
        "gunicorn.error": {"level": "CRITICAL", "handlers": ["stderr"], "propagate": False},
        "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
    },
}


class Server(BaseApplication):  # type: ignore[misc]  # the base has no types
    """The sites of one folder, served by gunicorn."""

    def __init__(
        self, folder: Path, read: Reading, bind: str, workers: int, threads: int, upkeep: float
    ) -> None:
        self._folder = folder
        self._read = read
        self._upkeep = upkeep
        self._rounds: Rounds | None = None
        self._renewal: Renewal | None = None
        self._workers = workers
        self._behind_nginx = bind.startswith("unix:")
        self._key = new_key()
        self._memory = VisitMemory(EndedSessions(time.time), RepeatedPosts())
        self._settings = {
            "bind": [bind],
            "workers": workers,
            "threads": threads,
            "worker_class": "gthread",
            "worker_connections": max(CONNECTIONS, threads + 1),
            "backlog": 2048,
            "worker_exit": self._end,
            "on_reload": self._read_anew,
            "on_exit": self._settle,
            "accesslog": None,
            "errorlog": "-",
            "loglevel": _LEVEL,
            "logconfig_dict": _LOG,
            "capture_output": False,
            "control_socket_disable": True,
            # The heartbeat is an empty file in memory, not under /tmp.
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - gunicorn unlinks it at once
            "sendfile": False,
            "umask": _SOCKET,
            "timeout": STUCK,
            "graceful_timeout": GRACE,
            "keepalive": KEEPALIVE,
            # These limits are above those of nginx, so that nginx rejects such a request with our
            # own page.
            "limit_request_line": 0,
            "limit_request_fields": 1000,
            "limit_request_field_size": 16_380,
            # A proxy's headers are not trusted: hosts and https come from the settings.
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "forwarder_headers": "",  # otherwise any client of a socket file could set SCRIPT_NAME
            "proc_name": "klankbord",
        }
        super().__init__()

    def load_config(self) -> None:
        """Pass the settings to gunicorn."""
        for name, value in self._settings.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 - gunicorn's own, untyped
        """Create the app of one worker after the fork, with its own database connections."""
        try:
            return self._app()
        except (SiteFull, StoreError, OSError) as error:
            logger.warning(
                "the database cannot be opened and is tried again: %s", fault_location(error)
            )
            time.sleep(AGAIN)
            raise SystemExit(0) from None
        except Exception as error:  # logged without its text, and raised again
            logger.error("a worker cannot start: %s", fault_location(error))
            raise

    def _app(self) -> Any:  # noqa: ANN401 - gunicorn's own, untyped
        self._rounds = Rounds(self._read, common.today, partial(logger.warning, "%s"))
        self._rounds.start(self._folder, first=self._upkeep)
        gate = Gate(slots_for(self._workers))
        app = create_app(
            self._folder,
            cookie_key=self._key,
            gate=gate,
            memory=self._memory,
            read=self._read,
        )
        served = ReverseProxy(app, behind_nginx=self._behind_nginx)
        made = Renewal(served, self._leave, self._memory.posts.forget_old)
        made.start()
        self._renewal = made
        return made

    def _leave(self) -> None:
        """End this worker as the master would: current requests are finished first."""
        os.kill(os.getpid(), signal.SIGTERM)

    def _read_anew(self, _arbiter: object) -> None:
        """Before new workers start, read the sites in the master; discard faulty settings."""
        self._read = take(self._folder, self._read)

    def _settle(self, _arbiter: object) -> None:
        """Round file times to the day; called in the master after the last worker has ended."""
        scheduler.settle(self._read, common.today)

    def _end(self, _arbiter: object, _worker: object) -> None:
        if self._rounds is not None:
            self._rounds.end()
        if self._renewal is not None and self._renewal.busy:
            # The grace period is over. Python itself would wait for the threads of slow requests.
            os._exit(0)


def take(folder: Path, before: Reading | None = None) -> Reading:
    """Read the sites, and log their faults.

    ``before`` is the current ``Reading``, which is returned if the new one has a fault.
    """
    read = loader.read(folder)
    missing = [
        fault for site in read.sites for fault in check.missing(site.place, site.settings.store)
    ]
    set_up_logging()
    for fault in (*read.faults, *missing):
        logger.warning("%s: %s", "note" if fault.note else "fault", fault.said)
    if before is not None and read.wrong:
        logger.warning("nothing was loaded; the sites are served as before")
        return before
    return read


def run(
    folder: Path,
    bind: str,
    workers: int,
    threads: int,
    *,
    upkeep: float = scheduler.FIRST,
    read: Reading | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, and return when every worker has ended.

    ``bind`` is HOST:PORT, or unix:PATH if nginx is in front. ``upkeep`` is the number of seconds
    until the first maintenance. ``read`` is the ``Reading`` that ``take`` returned.
    """
    os.umask(_PRIVATE)
    _set_limits()
    server = Server(folder, read or take(folder), bind, workers, threads, upkeep)
    _warm_up()
    server.run()


def address_of(bind: str) -> tuple[str, int] | Path:
    """Return the host and port, or the socket's path, of ``--bind``. Raises ValueError."""
    if bind.startswith("unix:"):
        path = bind.removeprefix("unix:").removeprefix("//")
        if path.strip("/"):
            return Path(path)
    elif found := re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s:/\[\],]+)):([0-9]{1,5})", bind):
        if 1 <= int(found[3]) <= 65_535:
            return found[1] or found[2], int(found[3])
        raise ValueError(f"{found[3]} is no port from 1 to 65535")
    raise ValueError(f"{bind!r} is no HOST:PORT, [IPV6]:PORT or unix:PATH")


def try_bind(address: tuple[str, int] | Path, option: str = "--bind") -> bool:
    """Check that an address can be bound; gunicorn would retry forever or print a traceback.

    Returns whether the address is open to the network. Raises ServerError with the reason if it
    cannot be bound.
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
    except (OSError, UnicodeError) as error:  # UnicodeError: the host is not a valid name
        shown = address if isinstance(address, Path) else f"{address[0]}, port {address[1]}"
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is taken" if taken else "cannot be served on"
        said = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ServerError(f"{option}: {shown} {why}: {said}") from None


def _try_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        if path.exists():
            if not stat.S_ISSOCK(path.stat().st_mode):
                raise OSError(errno.EEXIST, "something else than a socket is there")
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()  # left by a server that was killed
            else:
                raise OSError(errno.EADDRINUSE, "another server listens there")
        probe.bind(str(path))
        path.unlink()


def _set_limits() -> None:
    """Set this process's limits.

    The limits prevent core dumps, which would contain texts and keys. The limits also keep freed
    memory to a minimum, and allow enough open files for the connections.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))
    system = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):  # prctl exists on Linux, mallopt in glibc
        # A core dump that is piped to a program ignores the limit.
        system.prctl(_PR_SET_DUMPABLE, 0)
        # Use one memory pool for all threads. With a pool per thread, each would keep all the
        # memory that it once needed.
        system.mallopt(_M_ARENA_MAX, 1)


def _warm_up() -> None:
    """Load everything that all workers need into the master, so that they share its memory.

    Each worker reads the catalogue of a less common language when it first needs it.
    """
    for lang in ALWAYS:
        words(lang).date(common.today(), common.today())  # with Babel's 4 MB on dates
    for lang in LANGUAGES:
        read_typed(" ".join(word_list(lang)[:7]))
    gc.collect()
    gc.freeze()  # otherwise the workers' first garbage collection would copy all of it
