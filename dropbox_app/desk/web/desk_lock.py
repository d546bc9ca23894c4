"""The desk of the page: opened with the passphrase, locked by a button or after some time.

While the desk is open, the vault and the database are in memory, and the folder is locked for other
programs. When the desk is locked, the vault and the database are dropped, and the next page asks
for the passphrase. Python does not overwrite memory, so traces can remain in memory until the
program ends.

One request at a time uses the desk. A request that waits for a server (a fetch, a message) lets
other requests use the desk meanwhile. During that time the site is *away*, and no other request
writes to that site. Locking aborts waiting requests.
"""

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.errors import DeskError, InUse
from dropbox_app.desk.folder import Machine, Workplace
from dropbox_app.desk.storage import vault

IDLE_MINUTES = 10
SLEPT = 60  # seconds between two clock checks that mean that the computer was asleep
PATIENCE = 20  # seconds that a request waits for a site that is away
ENDING = 30  # seconds that the end of the program waits for aborted work
GRACE = 300  # seconds that a fetch may continue after the desk has locked automatically
BREAKING_OFF = 60  # seconds within which aborted work ends


class Locked(Exception):
    """The desk is locked; the passphrase opens it.

    This error is not a DeskError. No view handles the error, because no page can be shown without
    an open desk.
    """


class SiteAway(DeskError):
    """A fetch from this site, or the sending of another message to it, is in progress."""


class DeskLock:
    """Contains the open desk of one folder. ``clock`` counts seconds, even during sleep."""

    def __init__(
        self, folder: Path, machine: Machine, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = folder
        self.machine = machine
        self.idle_minutes = IDLE_MINUTES
        self.when_locked: Callable[[], None] = lambda: None
        self._clock = clock
        self._turn = threading.RLock()
        self._free = threading.Condition(self._turn)
        self._place: Workplace | None = None
        self._leaving: tuple[Workplace, float] | None = None  # locked, but with work until then
        self._stack = contextlib.ExitStack()
        self._away: set[str] = set()
        self._working = 0
        self._touched = self._looked = clock()

    @property
    def exists(self) -> bool:
        """Return whether the folder contains a desk."""
        return (self.folder / vault.NAME).is_file()

    @property
    def is_open(self) -> bool:
        """Return whether the desk is unlocked."""
        return self._place is not None

    def unlock(self, passphrase: str) -> None:
        """Open the desk. Raises the errors of ``folder.opened``."""
        with self._turn:
            if self._place is not None:
                return
            # If the desk was locked during a fetch, that fetch still holds the folder.
            self._break_off()
            if not self._free.wait_for(lambda: not self._working, BREAKING_OFF):
                raise InUse("A fetch is still under way; try again in a minute.")
            if self._place is not None:  # another click opened it meanwhile
                return
            self._place = self._stack.enter_context(
                workplace.opened(self.folder, passphrase, self.machine)
            )
            self.touch()

    def lock(self, grace: float = 0) -> None:
        """Drop keys and database.

        A fetch in progress is aborted after ``grace`` seconds, and the keys are dropped then,
        because the server must not determine how long the fetch takes. Raises OSError or Damaged if
        the last write to the database failed; the desk is locked anyway.
        """
        try:
            with self._turn:
                self._leave(grace)
                self.when_locked()  # first, because the rest can fail
                self._close_if_free()
        finally:
            # Objects of views and templates often form cycles, which exist until they are
            # collected.
            gc.collect()

    def touch(self) -> None:
        """Record that the person is active."""
        self._touched = self._clock()

    def lock_if_idle(self) -> bool:
        """Lock after the idle time, or if the computer was asleep.

        Returns whether the desk was locked.
        """
        now = self._clock()
        slept = now - self._looked > SLEPT
        self._looked = now
        if self.is_open and (slept or now - self._touched >= 60 * self.idle_minutes):
            self.lock(grace=0 if slept else GRACE)
            return True
        leaving = self._leaving
        if leaving is not None and (slept or now >= leaving[1]):
            self._break_off()
        return False

    @contextlib.contextmanager
    def use(self) -> Iterator[Workplace]:
        """Yield the open desk to one request at a time. Raises Locked."""
        with self._turn:
            if self._place is None:
                raise Locked("The desk is locked.")
            yield self._place

    @contextlib.contextmanager
    def send_away(self, sites: Iterable[str]) -> Iterator[Callable[[str], None]]:
        """Let other requests work during the block, but not write to ``sites``.

        Call within ``use``. Yields a function that reports that a site is available again. Raises
        SiteAway if one of the sites is away for longer than PATIENCE.
        """
        wanted = set(sites)
        self.settle(*wanted)
        self._away |= wanted
        self._working += 1
        self._turn.release()
        try:
            yield lambda site: self._come_back(site, wanted)
        finally:
            self._turn.acquire()
            self._working -= 1
            self._away -= wanted
            self._free.notify_all()  # first, because the rest can fail
            self._close_if_free()

    def settle(self, *sites: str) -> None:
        """Wait until none of the sites is away, before writing to them. Call within ``use``.

        Raises SiteAway if the wait is longer than PATIENCE. Raises Locked if the desk was locked
        meanwhile, even if it is open again, because the desk that ``use`` yielded is then closed.
        """
        used = self._place
        if not self._free.wait_for(lambda: self._away.isdisjoint(sites), PATIENCE):
            raise SiteAway("A fetch is under way at this employer; try again in a minute.")
        self._must_hold(used)

    def settle_all(self) -> None:
        """Wait until no work is in progress, before writing to the whole desk. Call within ``use``.

        No other work starts until this request has ended. Raises SiteAway like ``settle``.
        """
        used = self._place
        if not self._free.wait_for(lambda: not self._working, PATIENCE):
            raise SiteAway("A fetch is under way; try again in a minute.")
        self._must_hold(used)

    def holds(self, place: Workplace) -> bool:
        """Return whether the desk of a request is still the open one."""
        return self._place is place

    def is_away(self, site: str) -> bool:
        """Return whether other requests may not write to a site at present."""
        return site in self._away

    def end(self) -> None:
        """Lock the desk when the program ends, and wait up to ENDING seconds for aborted work."""
        with self._turn:
            self._leave(0)
            self._free.wait_for(lambda: not self._working, ENDING)
            self._stack.close()

    def _must_hold(self, used: Workplace | None) -> None:
        if used is None or not self.holds(used):
            raise Locked("The desk was locked while this request waited.")

    def _leave(self, grace: float) -> None:
        if self._place is not None:
            self._leaving = self._place, self._clock() + grace
            self._place = None
        if not grace:
            self._break_off()

    def _come_back(self, site: str, held: set[str]) -> None:
        with self._turn:
            if site in held:
                held.discard(site)
                self._away.discard(site)
            self._free.notify_all()

    def _break_off(self) -> None:
        with self._turn:
            if self._leaving is not None:
                self._leaving[0].break_off()

    def _close_if_free(self) -> None:
        if self._place is None and not self._working:
            self._leaving = None
            self._stack.close()
