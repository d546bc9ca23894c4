"""Remember which sessions ended early, for all workers of one server.

A cookie contains the entire session, so a copy of it would still work after "leave". This module
keeps a keyed hash of each ended session until its cookie would have expired anyway. The hashes are
kept only in memory, because a restart ends every session.
"""

from collections.abc import Callable

from dropbox_app.server.web.shared_table import SharedTable

LONGEST = 4 * 60 * 60  # maximum duration of a session, in seconds from its start
BUCKETS, SLOTS = 4096, 64  # 6 MB of address space, of which only the used part takes memory


class EndedSessions:
    """The set of ended sessions, shared by all processes. ``now`` returns the time in seconds.

    If the table is full, the oldest sessions end too: all that started no later than the session
    whose entry is replaced. An ended session therefore never opens again, and a flood of ended
    sessions shortens the others only as much as necessary. A reporter whose session ends in this
    way is asked for the code, and the typed text is kept.
    """

    def __init__(
        self, now: Callable[[], float], *, buckets: int = BUCKETS, slots: int = SLOTS
    ) -> None:
        self._now = now
        self._table = SharedTable(buckets, slots)

    def end(self, session: bytes, start: int) -> None:
        """Remember that a session has ended.

        Args:
            session: the name of the session, 16 bytes.
            start: the time in seconds at which it started.
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
    """Return the time in seconds at which a session expires, even if nobody ends it."""
    return start + LONGEST + 1
