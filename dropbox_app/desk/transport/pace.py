"""Time limits for a server's responses: for one response, for a file, and for a whole round."""

import time

from dropbox_app.desk.errors import CannotReach

ANSWER_SECONDS = 180.0
SLOWEST = 4_096  # bytes per second, for large bodies
# The limit for all responses of one round together. Every SLOWEST bytes of a file add a second.
# A thousand files over Tor, each requested alone, take up to half an hour.
ROUND_SECONDS = 7_200.0

_ROUND = (
    "The server answers so slowly that this round was ended after {0:.0f} minutes. What came is "
    "kept; fetch again to go on. If this stays, tell the operator."
)
_BROKEN_OFF = "The desk was locked, which ended this round. What came is kept; fetch again."
_FILE = "A file came too slowly: less than {0} bytes a second. Fetch again."


class Round:
    """The time limit of one round with a server. The round starts with the first request."""

    def __init__(self) -> None:
        self._end = 0.0
        self._broken_off = False

    def break_off(self) -> None:
        """End the round now; another thread may call this method."""
        self._broken_off = True

    def another(self, seconds: float = ANSWER_SECONDS) -> float:
        """Return the seconds left for one more response. Raises CannotReach if the round has ended.

        A response that has started may end after the round.
        """
        self.check()
        now = time.monotonic()
        self._end = self._end or now + ROUND_SECONDS
        if self._end <= now:
            raise CannotReach(_ROUND.format(ROUND_SECONDS / 60))
        return seconds

    def check(self) -> None:
        """Raise CannotReach if the round was aborted."""
        if self._broken_off:
            raise CannotReach(_BROKEN_OFF)

    def moved(self, size: int) -> None:
        """Extend the round for ``size`` bytes of a file that were received or will be sent."""
        self._end += size / SLOWEST


class File:
    """Monitors the speed at which one file arrives."""

    def __init__(self, whole: Round) -> None:
        self._whole = whole
        self._end = time.monotonic() + ANSWER_SECONDS

    def came(self, piece: bytes) -> None:
        """Count a piece that was received.

        Raises CannotReach if the file is too slow, or if the round was aborted.
        """
        self._whole.check()
        self._whole.moved(len(piece))
        self._end += len(piece) / SLOWEST
        if time.monotonic() > self._end:
            raise CannotReach(_FILE.format(SLOWEST))
