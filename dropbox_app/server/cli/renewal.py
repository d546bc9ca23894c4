"""End a worker some minutes after its last request that could leave text in memory.

Python cannot wipe a string. Texts, codes and keys stay in a worker's memory until something else
overwrites them, which takes hours on a quiet server. When a worker ends, the master starts another
from its own memory, which never contained a text. Sessions continue, because the master holds their
key.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

QUIET = 300.0  # seconds since the last form or cookie
LONGEST = 3600.0  # seconds since the first one, on a busy server
PATIENCE = 3600.0  # seconds that a worker that should end waits for forms that are being handled
SPARING = 2400.0  # seconds that it waits for other requests, which lose no typed text
EVERY = 10.0  # seconds between two checks


class Renewal:
    """The app of one worker, and a thread that decides when the worker should end.

    The thread calls ``look`` and then checks at intervals. Once the worker is due to end, the
    thread calls ``end`` at each check until the worker has ended:

    - At first, the thread calls ``end`` only while no request is being handled.
    - After SPARING seconds, it calls ``end`` even while pages are being read, but not while a
      form is handled.
    - After PATIENCE seconds, it calls ``end`` in any case.

    Without the last limit, slow uploads could keep a worker alive, with the texts in its memory,
    for days. The second stage is for a server on which somebody is always reading a page.
    """

    def __init__(
        self,
        app: WSGIApplication,
        end: Callable[[], object],
        look: Callable[[], object] = lambda: None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._end = end
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way = self._forms = 0
        self._first: float | None = None  # the time of the first form or cookie
        self._last = 0.0

    def start(self) -> None:
        """Check at intervals until the process ends."""
        threading.Thread(target=self._run, name="renewal", daemon=True).start()

    @property
    def busy(self) -> bool:
        """Return whether a request is being handled."""
        with self._lock:
            return bool(self._under_way)

    def step(self) -> None:
        """Check once whether the worker should end."""
        self._look()
        with self._lock:
            now, first = self._clock(), self._first
            if first is None:
                return
            over = now - min(self._last + QUIET, first + LONGEST)  # seconds since the end was due
            waits = (self._under_way and over < SPARING) or (self._forms and over < PATIENCE)
        if over >= 0 and not waits:
            self._end()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle a request, and record whether it could leave text in memory."""
        form = environ["REQUEST_METHOD"] not in ("GET", "HEAD")
        secret = form or "HTTP_COOKIE" in environ
        self._begin(form=form, secret=secret)
        try:
            pieces = self._app(environ, start_response)
        except BaseException:
            self._done(form=form, secret=secret)
            raise
        return _Answer(pieces, lambda: self._done(form=form, secret=secret))

    def _begin(self, *, form: bool, secret: bool) -> None:
        with self._lock:
            self._under_way += 1
            self._forms += form
            if secret and self._first is None:
                self._first = self._last = self._clock()

    def _done(self, *, form: bool, secret: bool) -> None:
        with self._lock:
            self._under_way -= 1
            self._forms -= form
            if secret:
                self._last = self._clock()

    def _run(self) -> None:
        while True:
            time.sleep(EVERY)
            self.step()


class _Answer:
    """The pieces of a response; ``done`` is called when the server closes the response."""

    def __init__(self, pieces: Iterable[bytes], done: Callable[[], None]) -> None:
        self._pieces = pieces
        self._done: Callable[[], None] | None = done

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def close(self) -> None:
        try:
            close = getattr(self._pieces, "close", None)
            if close is not None:
                close()
        finally:
            done, self._done = self._done, None
            if done is not None:
                done()
