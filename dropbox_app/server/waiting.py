"""Who waits in a worker's loop for the rest of a request, and who goes first when too many do.

Who has sent nothing goes first, then who has sent part of a head; whoever is in the middle of a
form may be sending a report, slowly, over Tor. Each kind keeps a few places whatever the others do:
else a crowd with half a form each would keep everybody out who is about to speak.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

FEW = 50  # that each kind keeps
_LOOK = 1.0  # seconds between two looks at who takes too long


class Sent(IntEnum):
    """What there is of a request."""

    NOTHING = 0
    PART = 1  # of its head
    HEAD = 2  # and perhaps part of its body


class WaitingRoom:
    """Of one worker, in its loop. Every step but the look, once a second, costs the same for any
    number who wait."""

    def __init__(self) -> None:
        # gunicorn's connections, by what they sent; who has been in its row longest comes first
        self._rows: tuple[OrderedDict[Any, None], ...] = tuple(OrderedDict() for _ in Sent)
        self._row_of: dict[Any, Sent] = {}
        self._looked = 0.0

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[Any]:
        for row in self._rows:
            yield from row

    def put(self, conn: Any, sent: Sent) -> None:  # noqa: ANN401 - gunicorn's own, untyped
        """Let a connection wait, or one that waits be known for what it has sent by now."""
        if self._row_of.get(conn) != sent:
            self.remove(conn)
            self._row_of[conn] = sent
            self._rows[sent][conn] = None

    def remove(self, conn: Any) -> None:  # noqa: ANN401
        """It waits no more, if it did."""
        row = self._row_of.pop(conn, None)
        if row is not None:
            del self._rows[row][conn]

    def first_to_go(self) -> Any:  # noqa: ANN401
        """Who should make room; None if nobody waits."""
        for kept in (FEW, 0):
            for row in self._rows:
                if len(row) > kept:
                    return next(iter(row))
        return None

    def overdue(self) -> list[Any]:
        """Whose time is over; often called, and mostly nobody's is."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return []
        self._looked = now
        return [conn for conn in self if conn.timeout <= now]

    def look_now(self) -> None:
        """Somebody's time was cut short."""
        self._looked = 0.0
