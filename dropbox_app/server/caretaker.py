"""What a serving site does by itself: purge once a day, and empty a log that was held.

Every worker has a thread for it; the first to lock the site's folder does the work, and if it
dies another takes over.
"""

import datetime
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.server import upkeep
from dropbox_app.server.errors import WrongClock
from dropbox_app.server.sites import Site
from dropbox_app.server.store import Store

FIRST = 5.0  # seconds after the start
EVERY = 60.0
LEAP = 86_400.0  # seconds by which a clock may run ahead of what has passed
_ENDING = 10.0  # seconds for what is under way when the server stops


def passed() -> float:
    """Seconds that nobody can set; those of a machine asleep count too, where it tells."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True)
class Clocks:
    """The clock on the wall and the one that nobody can set, and both at the server's start."""

    now: Callable[[], float]
    passed: Callable[[], float]
    began: tuple[float, float]

    @classmethod
    def start(cls) -> "Clocks":
        return cls(time.time, passed, (time.time(), passed()))

    def leapt(self) -> bool:
        """Whether the wall clock went on by a day more than has passed since the start."""
        began_now, began_passed = self.began
        return (self.now() - began_now) - (self.passed() - began_passed) > LEAP

    def days(self) -> int:
        """Whole days since the start, by the clock that nobody can set."""
        return int((self.passed() - self.began[1]) // 86_400)

    def today(self) -> datetime.date:
        return datetime.datetime.fromtimestamp(self.now(), datetime.UTC).date()


class Caretaker:
    """For one site, in one thread. ``warn`` gets a line without anything of a conversation."""

    def __init__(
        self, site: Site, store: Store, clocks: Clocks, warn: Callable[[str], object]
    ) -> None:
        self._site = site
        self._store = store
        self._clocks = clocks
        self._warn = warn
        self._done: datetime.date | None = None  # the day of the last purge
        self._told: tuple[datetime.date, str] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, folder: Path, first: float = FIRST, every: float = EVERY) -> None:
        """Look after the site until ``end``, once no other worker does."""
        self._thread = threading.Thread(
            target=self._run, args=(folder, first, every), name="caretaker", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Stop; what is under way is finished, if it is soon."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_ENDING)

    def step(self) -> None:
        """Do what is due now. Never raises what the disk or the database may bring."""
        today = self._clocks.today()
        try:
            if self._clocks.leapt():
                # A clock set to another year would end every conversation here.
                self._tell(today, "the clock leapt ahead; nothing is purged before a restart")
            elif self._done != today:
                upkeep.daily(self._site, self._store, today, ran=self._clocks.days())
                self._done = today
            self._store.keep_room()
            if self._store.log_size():
                self._store.truncate_log()
        except WrongClock:
            self._tell(today, "the clock may be wrong; nothing is purged: doctor says what to do")
        except (KlankbordError, OSError, ValueError, sqlite3.Error) as error:
            self._tell(today, f"the upkeep failed and is tried again: {type(error).__name__}")

    def _tell(self, today: datetime.date, what: str) -> None:
        """Once a day is enough."""
        if self._told != (today, what):
            self._told = (today, what)
            self._warn(what)

    def _run(self, folder: Path, first: float, every: float) -> None:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            wait = first
            mine = False
            while not self._stop.wait(wait):
                wait = every
                mine = mine or _locked(handle)
                if mine:
                    self.step()
        finally:
            os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
