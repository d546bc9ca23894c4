"""Answers that are read slowly: the worker's loop sends them on, and no thread waits for that.

A page can be long, since what was typed comes back in it, and its reader may take a byte a minute.
What the system does not take at once lies here, within bounds of time and of memory.
"""

import selectors
import time
from collections.abc import Callable

from dropbox_app.server.circuits import first_to_go
from dropbox_app.server.patience import PatientSocket

# Bytes of one worker; beyond it, of the circuit that holds most, who has waited longest is let go
HELD = 16 * 1024 * 1024
READERS = 200  # of one worker; the same
_LOOK = 1.0  # seconds between two looks at who takes too long


class Outgoing:
    """Of one worker, in its loop."""

    def __init__(self, poller: selectors.BaseSelector) -> None:
        self._poller = poller
        self._waiting: dict[PatientSocket, Callable[[], None]] = {}  # oldest first
        self._looked = 0.0

    def add(self, connection: PatientSocket, done: Callable[[], None]) -> None:
        """Send the rest of an answer; ``done`` is called when it is out, or given up."""
        try:
            connection.setblocking(False)
            self._poller.register(connection, selectors.EVENT_WRITE, self._go_on)
        except (OSError, ValueError):  # it is closed
            connection.give_up()
            done()
            return
        before = {other: len(other.unsent) for other in self._waiting}
        held = sum(before.values()) + len(connection.unsent)
        self._waiting[connection] = done
        while before and (held > HELD or len(self._waiting) > READERS):
            oldest = first_to_go(before, lambda other: other.circuit)
            held -= before.pop(oldest)
            self._end(oldest, broken=True)

    def look(self) -> None:
        """Let go of those whose time is over; often called, and mostly nothing is due."""
        now = time.monotonic()
        if self._waiting and now - self._looked >= _LOOK:
            self._looked = now
            for connection in [c for c in self._waiting if c.until < now]:
                self._end(connection, broken=True)

    def _go_on(self, connection: PatientSocket) -> None:
        try:
            connection.send_on()
        except OSError:
            self._end(connection, broken=True)
        else:
            if not connection.unsent:
                self._end(connection)

    def _end(self, connection: PatientSocket, *, broken: bool = False) -> None:
        self._poller.unregister(connection)
        if broken:
            connection.give_up()
        self._waiting.pop(connection)()
