"""Remembers which sessions ended early, for all workers of one server.

A cookie holds the entire session, so a copy of it would still work after "leave". This module keeps
a keyed hash of the session, and the time after which its cookie is too old anyway. It is kept only
in memory: a restart ends every session.
"""

from collections.abc import Callable

from dropbox_app.server.web.shared_table import SharedTable

LONGEST = 4 * 60 * 60  # the longest that a session lasts, in seconds from its start
BUCKETS, SLOTS = 4096, 64  # 6 MB of address space; only the used part takes memory


class EndedSessions:
    """``now`` returns seconds, on the clock of the sessions. Safe between processes.

    If there is no room for one more, the oldest sessions end too: all that began no later than the
    one whose entry is replaced. So an ended session never opens again, and a flood of ended
    sessions shortens the others only as much as necessary. A reporter whose session ends in this
    way is asked for the code and keeps the typed text.
    """

    def __init__(
        self, now: Callable[[], float], *, buckets: int = BUCKETS, slots: int = SLOTS
    ) -> None:
        self._now = now
        self._table = SharedTable(buckets, slots)

    def end(self, session: bytes, start: int) -> None:
        """Remember that a session has ended.

        Args:
            session: 16 bytes.
            start: the second at which it began.

        """
        now, until = self._now(), _over(start)
        with self._table.locked() as rows:
            if until <= rows.mark or rows.get(session, now) is not None:
                return
            if not rows.put(session, until, now):
                rows.mark = max(rows.mark, rows.replace_first(session, until))

    def has(self, session: bytes, start: int) -> bool:
        """Return True if the session has ended."""
        with self._table.locked() as rows:
            return _over(start) <= rows.mark or rows.get(session, self._now()) is not None


def _over(start: int) -> int:
    """Return the second at which a session ends anyway."""
    return start + LONGEST + 1
