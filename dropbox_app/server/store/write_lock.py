"""The write lock, acquired first among the threads of a process, then among the processes."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dropbox_app.server.errors import StoreBusy
from dropbox_app.server.store.connections import BUSY_SECONDS

WAITING = "waits for the write lock"  # the name of the waiting thread


class Turns:
    """The write lock of one folder, which is a lock on the folder itself.

    SQLite alone would make a waiting process retry at growing intervals: with two busy workers, one
    of them could wait for a whole second. A system lock wakes the process immediately, but the wait
    can last forever, for example if a suspended command holds the lock. A separate thread therefore
    waits, and a writer that has waited long enough gives up.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mine = threading.Lock()
        self._waiting: _Waiting | None = None

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold the lock. Raises StoreBusy if the lock is not free within BUSY_SECONDS."""
        end = time.monotonic() + BUSY_SECONDS
        if not self._mine.acquire(timeout=BUSY_SECONDS):
            raise StoreBusy("another thread was writing for too long")
        try:
            handle = self._locked(end)
            try:
                yield
            finally:
                os.close(handle)
        finally:
            self._mine.release()

    def _locked(self, end: float) -> int:
        waiting, self._waiting = self._waiting, None
        if waiting is None or not waiting.still():
            handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            if _free(handle):
                return handle
            waiting = _Waiting(handle)
        if not waiting.came(end - time.monotonic()):
            self._waiting = waiting  # the next writer need not queue again
            raise StoreBusy("another process was writing for too long")
        return waiting.handle


class _Waiting:
    """A thread that waits for a lock on behalf of one writer, for as long as needed."""

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self._change = threading.Condition()
        self._wanted = True
        self._has = self._over = False
        self._thread = threading.Thread(target=self._wait, name=WAITING, daemon=True)
        self._thread.start()

    def still(self) -> bool:
        """Request the lock again; return False if the thread no longer exists, as after a fork."""
        with self._change:
            self._wanted = not self._over and self._thread.is_alive()
            return self._wanted

    def came(self, seconds: float) -> bool:
        """Return whether the lock was obtained in time; otherwise withdraw the request."""
        with self._change:
            self._wanted = self._change.wait_for(lambda: self._has, max(seconds, 0))
            return self._wanted

    def _wait(self) -> None:
        fcntl.flock(self.handle, fcntl.LOCK_EX)
        with self._change:
            self._has, self._over = self._wanted, not self._wanted
            self._change.notify()
            if self._over:
                os.close(self.handle)


def _free(handle: int) -> bool:
    """Return whether the lock was free and is now held."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
