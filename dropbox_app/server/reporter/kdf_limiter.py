"""The gate before Argon2id: how many stretch a code at once, and how long the others wait.

One stretch takes 19 MiB and a core for some 14 ms. Without a gate, a hundred at once would take
two gigabytes and make everybody wait; with it the hundredth is told honestly that it is busy.
"""

import contextlib
import fcntl
import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dropbox_app.server.errors import ServerError

PLACES = 64  # that may wait
PATIENCE = 10.0  # seconds
# Since when the request of this thread has waited for one (on the monotonic clock).
ARRIVED: ContextVar[float | None] = ContextVar("arrived", default=None)
TURNED_AWAY = -math.inf  # instead of that: there was no place to wait in
_AGAIN = 0.002  # seconds until another process is asked again for its core


class Busy(ServerError):
    """It is very busy right now. Nothing was stored."""


def late() -> bool:
    """Whether this request has waited for its thread for longer than anybody should."""
    since = ARRIVED.get()
    return since is not None and time.monotonic() - since > PATIENCE


def turned_away() -> bool:
    """Whether there was no place for it to wait in: its thread is one that others need."""
    return ARRIVED.get() == TURNED_AWAY


class Cores:
    """One lock for each core, for workers that are more than the cores.

    Made before the fork. The system lets go of a lock whose process has died.
    """

    def __init__(self, cores: int) -> None:
        self._number = cores
        self._file = os.memfd_create("cores")
        self._mine: set[int] = set()  # of this process: its own locks do not stop it
        self._turn = threading.Lock()

    def close(self) -> None:
        """Give the file back. Not while anybody is inside."""
        os.close(self._file)

    @contextmanager
    def one(self, deadline: float) -> Iterator[None]:
        """Wait for a core and hold it. Raises Busy at the deadline (of the monotonic clock)."""
        while (core := self._take()) is None:
            if time.monotonic() > deadline:
                raise Busy("the wait was too long")
            time.sleep(_AGAIN)
        try:
            yield
        finally:
            with self._turn:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, core)
                self._mine.remove(core)

    def _take(self) -> int | None:
        with self._turn:
            for core in set(range(self._number)) - self._mine:
                with contextlib.suppress(BlockingIOError, PermissionError):
                    fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, core)
                    self._mine.add(core)
                    return core
        return None


class Gate:
    """Lets ``slots`` through at once. Safe between threads; one for each worker.

    With ``cores`` a worker asks the others too.
    """

    def __init__(
        self,
        slots: int,
        places: int = PLACES,
        patience: float = PATIENCE,
        cores: Cores | None = None,
    ) -> None:
        self._slots = threading.Semaphore(slots)
        self._places = threading.Semaphore(slots + places)
        self._patience = patience
        self._cores = cores

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wait for a slot and hold it. Raises Busy if the queue is full, or the wait too long."""
        now, since = time.monotonic(), ARRIVED.get()
        deadline = (now if since is None else since) + self._patience
        if now > deadline:
            raise Busy("the wait for a thread was too long")
        if not self._places.acquire(blocking=False):
            raise Busy("the queue is full")
        try:
            if not self._slots.acquire(timeout=deadline - now):
                raise Busy("the wait was too long")
            try:
                with self._cores.one(deadline) if self._cores else contextlib.nullcontext():
                    yield
            finally:
                self._slots.release()
        finally:
            self._places.release()


def core_count() -> int:
    """The cores that this process may use: fewer than there are, if it was bound to some."""
    return len(os.sched_getaffinity(0)) or 1


def slots_for(workers: int) -> int:
    """How many slots each of ``workers`` gets, so that together they fill the cores once."""
    return max(1, core_count() // workers)


def shared_by(workers: int) -> Cores | None:
    """What ``workers`` must share because one slot for each would be more than the cores."""
    return Cores(core_count()) if workers > core_count() else None
