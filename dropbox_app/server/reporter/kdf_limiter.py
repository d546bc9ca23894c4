"""Limit how many codes are hashed with Argon2id at once, and how long other requests wait.

One hash takes 19 MiB and about 14 ms of CPU time. Without a limit, a hundred hashes at once would
take two gigabytes and delay everybody. A request that has waited for ``PATIENCE`` is rejected
because the server is busy, and the person's text is kept.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dropbox_app.server.errors import ServerError

PATIENCE = 10.0  # seconds after the arrival of the request
# The time when this thread's request arrived, in seconds of the monotonic clock, or None.
ARRIVED: ContextVar[float | None] = ContextVar("arrived", default=None)


class Busy(ServerError):
    """The server is very busy right now. Nothing was stored."""


def late() -> bool:
    """Return True if this request waited longer than ``PATIENCE`` before it got a thread."""
    since = ARRIVED.get()
    return since is not None and time.monotonic() - since > PATIENCE


class Gate:
    """Lets at most ``slots`` threads through at once. Each process has its own gate.

    A request that is still waiting ``patience`` seconds after its arrival is rejected.
    """

    def __init__(self, slots: int, patience: float = PATIENCE) -> None:
        self._slots = threading.BoundedSemaphore(slots)
        self._patience = patience

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wait for a slot and hold it during the block. Raises Busy if the wait is too long."""
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

    Together the processes have one slot per core, and each has at least one.
    """
    return max(1, core_count() // workers)
