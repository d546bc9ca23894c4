"""Fetch from all sites in the background, at the press of a button or by a timer.

The timer runs only while the desk is open. The results are kept in memory until the next fetch, or
until the desk is locked.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from dropbox_app.desk.actions import sites
from dropbox_app.desk.actions.sites import Fetched
from dropbox_app.desk.web.desk_lock import DeskLock, Locked
from dropbox_app.protocol.errors import KlankbordError

EVERY_MINUTES = 30
JITTER = 0.25  # share of the time between two fetches, so that their times reveal nothing


@dataclass
class Round:
    """One fetch of all sites. ``done`` lists the finished sites, in the order they finished."""

    employers: dict[str, str]  # names by site id
    done: list[Fetched] = field(default_factory=list)
    over: bool = False

    @property
    def waiting(self) -> list[str]:
        """Return the employers whose site has not responded yet."""
        ready = {one.site for one in self.done}
        return [name for site, name in self.employers.items() if site not in ready]

    @property
    def new(self) -> int:
        """Return the number of messages that arrived."""
        return sum(sum(one.report.new.values()) for one in self.done)


class Fetching:
    """Runs at most one fetch at a time. ``clock`` returns a time in seconds."""

    def __init__(self, lock: DeskLock, clock: Callable[[], float] = time.time) -> None:
        self.every_minutes = EVERY_MINUTES  # 0: only by the button
        self.last: Round | None = None
        self.failure: Exception | None = None  # why the last fetch failed before it contacted sites
        self._lock = lock
        self._clock = clock
        self._running = threading.Lock()
        self._next = 0.0

    @property
    def under_way(self) -> bool:
        """Return whether a fetch is running."""
        return self._running.locked()

    def start(self) -> bool:
        """Start a fetch in the background; return False if one is already running."""
        if not self._running.acquire(blocking=False):
            return False
        self.last = self.failure = None
        threading.Thread(target=self._run, name="fetch", daemon=True).start()
        return True

    def start_if_due(self) -> None:
        """Start a fetch if one is due and the desk is open."""
        if not self._lock.is_open:
            self._next = 0.0
            self.drop()
        elif self.every_minutes and not self._next:
            self._plan()
        elif self.every_minutes and self._clock() >= self._next:
            self.start()

    def drop(self) -> None:
        """Drop the results of the last fetch, which name employers, unless a fetch is running."""
        if not self.under_way:
            self.last = self.failure = None

    def _plan(self) -> None:
        spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - not a secret
        self._next = self._clock() + 60 * self.every_minutes * spread

    def _run(self) -> None:
        try:
            self._fetch()
        finally:
            self._running.release()
            if not self._lock.is_open:  # the desk was locked meanwhile
                self.drop()

    def _fetch(self) -> None:
        try:
            self._plan()
            with self._lock.use() as place:
                names = place.names()
                self.last = this = Round(dict(sorted(names.items(), key=lambda one: one[1])))
                with self._lock.send_away(names) as back:

                    def tell(done: Fetched) -> None:
                        this.done.append(done)
                        back(done.site)

                    sites.fetch(place, progress=tell)
                    place.change_key_if_due()
        except Locked:
            pass
        except (KlankbordError, OSError) as error:
            # The traceback is removed, because its frames hold the desk, its keys and its register.
            error.__cause__ = error.__context__ = None
            self.failure = error.with_traceback(None)
        finally:
            if self.last is not None:
                self.last.over = True
