"""Limits how many codes are hashed with Argon2id at once, and how long the others wait.

One hash takes 19 MiB and about 14 ms of a core. Without a limit, a hundred at once would take two
gigabytes and make everybody wait. After waiting for ``PATIENCE``, a request is refused as busy and
keeps its text.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dropbox_app.server.errors import ServerError

PATIENCE = 10.0  # seconds, from the arrival of the request
# When this thread's request arrived, in seconds of the monotonic clock; None if unknown.
ARRIVED: ContextVar[float | None] = ContextVar("arrived", default=None)


class Busy(ServerError):
    """It is very busy right now. Nothing was stored."""


def late() -> bool:
    """Return True if this request has waited longer than ``PATIENCE`` before it got a thread."""
    since = ARRIVED.get()
    return since is not None and time.monotonic() - since > PATIENCE


class Gate:
    """Lets ``slots`` threads through at once. Each process has its own.

    ``patience``: seconds after the arrival of a request when it is no longer let through.
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
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) or 1


def slots_for(workers: int) -> int:
    """Return the number of slots for each of ``workers`` processes.

    Together they have one per core, and each process has at least one.
    """
    return max(1, core_count() // workers)
