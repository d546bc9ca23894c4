"""Check the sites in the background, at the press of a button or at random while the desk is open.

Only the results are kept, in the desk's database. An automatic check visits one address of each
site and waits between the pages, as a visitor does.
"""

import random
import threading
import time
from collections.abc import Callable

from dropbox_app.desk.actions import check_site
from dropbox_app.desk.web.desk_lock import DeskLock, Locked

SOON = (3 * 60.0, 9 * 60.0)  # seconds after the desk is opened, or after a check that failed
LATER = (8 * 3600.0, 20 * 3600.0)  # seconds after a check, if the desk stays open
READING = (0.5, 4.0)  # seconds between two pages


class Checking:
    """Runs at most one check at a time. ``clock`` returns a time in seconds."""

    def __init__(self, lock: DeskLock, clock: Callable[[], float] = time.time) -> None:
        self.failure: Exception | None = None  # why the last check found nothing out
        self._lock = lock
        self._clock = clock
        self._running = threading.Lock()
        self._next = 0.0

    @property
    def under_way(self) -> bool:
        """Return whether a check is running."""
        return self._running.locked()

    def start(self, *, by_itself: bool = False) -> bool:
        """Start a check in the background; return False if one is already running."""
        if not self._running.acquire(blocking=False):
            return False
        self.failure = None
        threading.Thread(target=self._run, args=(by_itself,), name="check", daemon=True).start()
        return True

    def start_if_due(self) -> None:
        """Start a check if one is due and the desk is open."""
        if not self._lock.is_open:
            self._next = 0.0
        elif not self._next:
            self._plan(SOON)
        elif self._clock() >= self._next:
            self._plan(LATER)
            if self._wanted():
                self.start(by_itself=True)

    def drop(self) -> None:
        """Drop the last failure, which can name an employer."""
        self.failure = None

    def _wanted(self) -> bool:
        """Return whether at least one site has not been checked today."""
        try:
            with self._lock.use() as place:
                today = place.machine.today()
                return any(
                    all(one.day < today for one in site.results) for site in check_site.last(place)
                )
        except Locked:
            return False

    def _plan(self, between: tuple[float, float]) -> None:
        self._next = self._clock() + random.uniform(*between)  # noqa: S311 - not a secret

    def _run(self, by_itself: bool) -> None:
        try:
            with self._lock.use() as place, self._lock.send_away(()):
                if by_itself:
                    check_site.check(place, pause=_read, choose=_one_of)
                else:
                    check_site.check(place)
        except Locked:
            pass
        except Exception as error:  # the page says that the check failed, whatever the reason
            # The traceback is removed, because its frames hold the desk and its keys.
            error.__cause__ = error.__context__ = None
            self.failure = error.with_traceback(None)
        finally:
            self._running.release()
            if not self._lock.is_open:  # the desk was locked meanwhile
                self.drop()


def _read() -> None:
    time.sleep(random.uniform(*READING))  # noqa: S311 - not a secret


def _one_of(origins: tuple[str, ...]) -> tuple[str, ...]:
    return (random.choice(origins),)  # noqa: S311 - not a secret
