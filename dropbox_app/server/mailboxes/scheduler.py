"""Maintain a running server: purge once a day, and empty the write-ahead log after use.

Every worker has a thread that can maintain all sites. The first thread to lock the server's folder
does the work; if its process dies, another thread takes over.
"""

import datetime
import fcntl
import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from dropbox_app.protocol.errors import KlankbordError
from dropbox_app.server.config import stores
from dropbox_app.server.config.check import card_faults, telephone_faults
from dropbox_app.server.config.loader import Reading, ReadSite
from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import WrongClock
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.store.interface import Store
from dropbox_app.server.store.sqlite import SqliteStore

FIRST = 5.0  # seconds after the start of the server
EVERY = 60.0
BREATH = 0.02  # seconds of pause between two sites, so that other work can run
_ENDING = 10.0  # seconds to wait for the current work when the server stops


Today = Callable[[], datetime.date]  # the UTC day


class Caretaker:
    """Maintains one site. ``warn`` receives warnings, which contain nothing from conversations."""

    def __init__(
        self, site: Site, store: Store, today: Today, warn: Callable[[str], object]
    ) -> None:
        self.site = site
        self.warn = warn
        self._store = store
        self._today = today
        self._done: datetime.date | None = None  # the day of the last purge
        self._told: tuple[datetime.date, str] | None = None

    def step(self) -> None:
        """Do the maintenance that is due. Disk and database errors are reported, not raised."""
        today = self._today()
        try:
            if self._done != today:
                purge.purge(self.site, self._store, today)
                self._done = today
            self._store.keep_room()
            if self._store.log_size():
                self._store.truncate_log()
        except WrongClock:
            self._tell(today, "purging waits: the clock may be wrong; doctor says what to do")
        except (KlankbordError, OSError, ValueError, sqlite3.Error) as error:
            self._tell(today, f"the upkeep failed and is tried again: {type(error).__name__}")

    def _tell(self, today: datetime.date, what: str) -> None:
        """Log a warning, but not the same one twice in a day."""
        if self._told != (today, what):
            self._told = (today, what)
            self.warn(what)


class Rounds:
    """Maintains all sites of a server, one after the other, in one thread.

    A fault in one site does not delay the others. ``warn`` receives the warnings of all sites, with
    the site's name if the server has several.
    """

    def __init__(self, reading: Reading, today: Today, warn: Callable[[str], object]) -> None:
        self._waiting = list(reading.sites)  # sites whose databases are not open yet
        self._several = len(reading.sites) > 1
        self._caretakers: list[Caretaker] = []
        self._today = today
        self._warn = warn
        self._looked: datetime.date | None = None  # the day on which the cards were last checked
        self._told: set[tuple[datetime.date, str]] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, folder: Path, first: float = FIRST, every: float = EVERY) -> None:
        """Maintain the sites until ``end`` is called, starting once no other worker is doing so."""
        self._thread = threading.Thread(
            target=self._run, args=(folder, first, every), name="caretaker", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        """Stop the thread. Current work that takes at most ``_ENDING`` seconds is finished."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_ENDING)

    def step(self) -> None:
        """Maintain every site once."""
        for read in list(self._waiting):
            if self._stop.is_set():
                return
            self._open(read)
        today = self._today()
        for caretaker in self._caretakers:
            if self._stop.is_set():
                return
            caretaker.step()
            if self._looked != today:
                with suppress(OSError):  # a missing folder is reported elsewhere
                    for fault in (
                        *card_faults(caretaker.site, today),
                        *telephone_faults(caretaker.site),
                    ):
                        caretaker.warn(fault)
            if self._several:
                self._stop.wait(BREATH)
        self._looked = today

    def _open(self, read: ReadSite) -> None:
        warn = partial(self._of, read.place.name) if self._several else self._warn
        try:
            store = stores.opened(read.place, read.settings, self._today)
        except (KlankbordError, OSError, sqlite3.Error) as error:
            said = self._today(), read.place.name
            if said not in self._told:
                self._told = {told for told in self._told if told[0] == said[0]} | {said}
                warn(f"the database cannot be opened and is tried again: {type(error).__name__}")
            return
        site = Site(read.place.folder, read.settings)
        self._waiting.remove(read)
        self._caretakers.append(Caretaker(site, store, self._today, warn))

    def _of(self, name: str, said: str) -> None:
        self._warn(f"{name}: {said}")

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


def settle(reading: Reading, today: Today) -> None:
    """Close every database of a stopped server; see ``SqliteStore.close``."""
    for read in reading.sites:
        if read.settings.store:
            continue  # it has no file
        with suppress(KlankbordError, OSError, sqlite3.Error):  # the next start reports it
            SqliteStore(read.place.folder, today, read.place.reserve).close()


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
