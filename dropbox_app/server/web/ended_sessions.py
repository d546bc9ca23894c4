"""Which sessions have ended before their time, for all workers of one server.

A cookie holds the whole session, so a copy of it would go on after "leave". What is kept here is a
keyed hash of the session and the moment after which its cookie is too old anyway. In memory only: a
restart ends every session.
"""

from collections.abc import Callable

from dropbox_app.server.web.shared_table import SharedTable

BUCKETS, SLOTS = 1024, 64


class EndedSessions:
    """``now`` gives seconds, of the clock by which sessions begin. Safe between processes.

    If there is no room for one more, every session that has begun by then ends: none that ended is
    ever taken up again. Whoever is asked for the code by that keeps what was typed.
    """

    def __init__(
        self, now: Callable[[], float], *, buckets: int = BUCKETS, slots: int = SLOTS
    ) -> None:
        self._now = now
        self._table = SharedTable(buckets, slots)

    def end(self, session: bytes, start: int, until: int) -> None:
        """Remember that a session has ended.

        Args:
            session: 16 bytes.
            start: the second at which it began.
            until: the second after which it expires by itself.

        """
        now = self._now()
        with self._table.locked() as rows:
            known = start <= rows.mark or rows.get(session, now) is not None
            if not known and not rows.put(session, until + 1, now):
                rows.mark = max(rows.mark, now)
                rows.drop_all()

    def has(self, session: bytes, start: int) -> bool:
        """Return True if the session has ended."""
        with self._table.locked() as rows:
            return start <= rows.mark or rows.get(session, self._now()) is not None
