"""Limits how many codes are hashed with Argon2id at once, and how long the others wait.

One hash takes 19 MiB and a core for about 14 ms. Without a limit a hundred at once would take two
gigabytes and make everybody wait. A request that has waited for ``PATIENCE`` is told that the
server is busy, and keeps its text.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dropbox_app.server.errors import ServerError

PATIENCE = 10.0  # seconds, from the arrival of the request
# When the request of this thread arrived, in seconds of the monotonic clock. None: it is unknown.
ARRIVED: ContextVar[float | None] = ContextVar("arrived", default=None)


class Busy(ServerError):
    """It is very busy right now. Nothing was stored."""


def late() -> bool:
    """Return True if this request has waited longer than ``PATIENCE`` before it got a thread."""
    since = ARRIVED.get()
    return since is not None and time.monotonic() - since > PATIENCE


class Gate:
    """Lets ``slots`` threads through at once. Each process has its own.

    ``patience``: seconds from the arrival of a request after which it is not let through any more.
    """

    def __init__(self, slots: int, patience: float = PATIENCE) -> None:
        self._slots = threading.BoundedSemaphore(slots)
        self._patience = patience

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wait for a slot and hold it. Raises Busy if the wait is too long."""
        now, since = time.monotonic(), ARRIVED.get()
        left = (now if since is None else since) + self._patience - now
        if left < 0 or not self._slots.acquire(timeout=left):
            raise Busy("the wait was too long")
        try:
            yield
        finally:
            self._slots.release()


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) or 1


def slots_for(workers: int) -> int:
    """Return the slots of each of ``workers`` processes.

    Together they have one for each core, and each process has at least one.
    """
    return max(1, core_count() // workers)
