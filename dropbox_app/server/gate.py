"""The gate before Argon2id: how many stretch a code at once, and how long the others wait.

One stretch takes 19 MiB and a core for some 14 ms. Without a gate, a hundred at once would take
two gigabytes and make everybody wait; with it the hundredth is told honestly that it is busy.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dropbox_app.server.errors import ServerError

PLACES = 64  # that may wait
PATIENCE = 10.0  # seconds


class Busy(ServerError):
    """It is very busy right now. Nothing was stored."""


class Gate:
    """Lets ``slots`` through at once. Safe between threads; one for each worker."""

    def __init__(self, slots: int, places: int = PLACES, patience: float = PATIENCE) -> None:
        self._slots = threading.Semaphore(slots)
        self._places = threading.Semaphore(slots + places)
        self._patience = patience

    @contextmanager
    def passing(self) -> Iterator[None]:
        """Wait for a slot and hold it. Raises Busy if the queue is full, or the wait too long."""
        if not self._places.acquire(blocking=False):
            raise Busy("the queue is full")
        try:
            if not self._slots.acquire(timeout=self._patience):
                raise Busy("the wait was too long")
            try:
                yield
            finally:
                self._slots.release()
        finally:
            self._places.release()


def slots_for(workers: int) -> int:
    """How many slots each of ``workers`` gets, so that together they fill the cores once."""
    return max(1, (os.cpu_count() or 1) // workers)
