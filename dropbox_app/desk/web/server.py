"""Serve the page on 127.0.0.1, on a free port, until the program ends."""

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import waitress
from waitress.server import BaseWSGIServer

from dropbox_app.desk.folder import Machine
from dropbox_app.desk.web import strangers, window
from dropbox_app.desk.web.app import create_app, log_fault
from dropbox_app.desk.web.desk_lock import DeskLock
from dropbox_app.desk.web.fetching import Fetching
from dropbox_app.desk.web.gate import HOST, Gate
from dropbox_app.desk.web.here import Page
from dropbox_app.desk.web.i18n import words
from dropbox_app.desk.web.link import Link, handed_over
from dropbox_app.desk.web.uploads import MOST

THREADS = 8
TICK = 1.0  # seconds between checks of idle time, timer and window
# waitress puts longer data than this in temporary files. No request is longer.
_NEVER_A_FILE = sys.maxsize
_ENDING = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")  # signals, if the system has them


def serve(
    folder: Path,
    machine: Machine,
    *,
    passphrase: Callable[[], str | None],
    port: int,
    browser: bool,
    language: str,
    show: Callable[[str], object],
) -> None:
    """Serve the page of the desk in ``folder`` until SIGTERM or Ctrl-C.

    If ``passphrase`` returns a passphrase, the desk is opened immediately; the passphrase is not
    stored. With ``browser``, a window is opened, and the program ends a minute after it was closed.
    Without ``browser``, ``show`` gets the one-time address. If no browser is found, ``show`` gets a
    sentence with that address. ``language`` is the language of the page, which is stored in the
    desk; "" means the stored language. Raises the errors of opening the desk, and OSError if the
    port is taken.
    """
    _leave_no_core()
    lock = DeskLock(folder, machine)
    page = Page(lock, Fetching(lock))
    if language:
        page.language = page.chosen_language = language
    server, gate = listen(page, port)
    try:
        if (given := passphrase()) is not None:
            page.unlock(given)
        del given
        address = gate.link.address(gate.origin)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_ending_politely())
            if browser:
                file = stack.enter_context(handed_over(address))
                found = stack.enter_context(window.opened(file, page.language))
                page.private_window = found == "own"
                if found == "none":
                    show(words(page.language).say("window.none", address=address))
            else:
                show(address)
            stack.enter_context(ticking(page, ends_with_window=browser))
            server.run()
    finally:
        server.close()
        lock.end()


def listen(page: Page, port: int) -> tuple[BaseWSGIServer, Gate]:
    """Return a server for the page, behind its gate. The server responds once it is running.

    Port 0 selects a free port. Raises OSError if the port is taken.
    """
    logging.getLogger("waitress").setLevel(logging.CRITICAL)  # its lines would contain addresses
    gate = Gate(create_app(page), Link())
    server = waitress.create_server(
        gate,
        host=HOST,
        port=port,
        threads=THREADS,
        ident=None,
        inbuf_overflow=_NEVER_A_FILE,
        outbuf_overflow=_NEVER_A_FILE,
        max_request_body_size=MOST + 1024 * 1024,
        max_request_header_size=strangers.MOST_HEADER,
        channel_timeout=strangers.MOST_SILENT,
        cleanup_interval=10,
        clear_untrusted_proxy_headers=True,
        asyncore_use_poll=True,  # poll if available, as select() supports no descriptor above 1,023
    )
    server.channel_class = strangers.behind(gate)
    gate.port = int(server.effective_port)
    return server, gate


@contextlib.contextmanager
def ticking(page: Page, *, ends_with_window: bool) -> Iterator[None]:
    """During the block, decide once a second whether to lock, fetch, check the sites or end.

    A failed step is logged with the type and place of its error, and retried. Without the retry,
    the desk would never lock automatically again.
    """
    over = threading.Event()

    def tick() -> None:
        while not over.wait(TICK):
            for work in (
                page.lock.lock_if_idle, page.fetching.start_if_due, page.checking.start_if_due
            ):  # fmt: skip
                try:
                    work()
                except Exception as error:  # logged; the page continues to serve
                    log_fault(error)
            if ends_with_window and page.window_is_gone():
                signal.raise_signal(signal.SIGTERM)
                return

    thread = threading.Thread(target=tick, name="tick", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _leave_no_core() -> None:
    """Prevent a crash from writing this program's memory to a file."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


@contextlib.contextmanager
def _ending_politely() -> Iterator[None]:
    """Turn the signals that end a program into SystemExit, which ends ``server.run``."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
