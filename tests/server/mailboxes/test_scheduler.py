"""Automatic upkeep of a site: the daily purge, a held log, an unconfirmed day."""

import contextlib
import datetime
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.server.config import loader
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.mailboxes.scheduler import Caretaker, Rounds, settle
from dropbox_app.server.store.connections import BUSY_SECONDS
from tests.support.processes import until
from tests.support.server_folder import DAY, AServer, file, ids

DOUBTED = "purging waits: the clock may be wrong; doctor says what to do"


class Watched:
    """A caretaker on a site with one mailbox that expires in 180 days."""

    def __init__(self, folder: Path) -> None:
        self.server = AServer(folder)
        self.server.report("one")
        self.server.fetch()
        self.said: list[str] = []
        self.restart()

    def restart(self) -> None:
        server = self.server
        self.caretaker = Caretaker(server.site, server.store, server.today, self.said.append)

    def later(self, days: int) -> None:
        self.server.day += datetime.timedelta(days)

    def runs_for(self, days: int) -> None:
        """Run the caretaker day by day, like a server that is always on."""
        for _ in range(days):
            self.later(1)
            self.caretaker.step()

    def gone(self) -> bool:
        return not self.server.store.mailboxes()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "server")
    yield made
    made.server.store.close()


def test_purge_runs_only_once_a_day(watched: Watched) -> None:
    watched.runs_for(179)
    assert not watched.gone()
    watched.runs_for(1)
    assert watched.gone()
    with watched.server.store.writing():
        watched.server.store.add_mailbox(*ids("old"), DAY)
    watched.caretaker.step()
    assert not watched.gone()
    assert watched.said == []


def test_first_purge_of_a_site_trusts_the_clock(watched: Watched) -> None:
    watched.later(200)
    watched.caretaker.step()
    assert watched.gone()


@pytest.mark.parametrize("restarted", [True, False])
def test_clock_over_a_month_ahead_purges_nothing_until_confirmed(
    watched: Watched, restarted: bool
) -> None:
    watched.caretaker.step()
    watched.later(200)
    if restarted:
        watched.restart()
    for _ in range(3):
        watched.caretaker.step()
    assert not watched.gone()
    assert watched.said == [DOUBTED]
    assert watched.server.kept("one"), "the code opens it meanwhile"
    purge.confirm(watched.server.store, watched.server.day)
    watched.caretaker.step()
    assert watched.gone()


def test_purge_after_a_month_without_maintenance_needs_no_confirmation(watched: Watched) -> None:
    watched.caretaker.step()
    for _ in range(6):
        watched.later(31)
        watched.restart()
        watched.caretaker.step()
    assert watched.said == []
    assert watched.gone()


def test_empty_site_accepts_any_later_date(watched: Watched) -> None:
    watched.runs_for(180)
    assert watched.gone()
    watched.later(200)
    watched.caretaker.step()
    assert watched.said == []
    assert watched.server.store.served() == watched.server.day


def test_clock_behind_stored_data_purges_nothing_and_is_logged_once_a_day(
    watched: Watched,
) -> None:
    watched.later(-2)
    for _ in range(3):
        watched.caretaker.step()
    assert watched.said == [DOUBTED]
    assert watched.server.store.served() is None


def test_expired_data_is_counted_but_not_removed(watched: Watched) -> None:
    server = watched.server
    server.report("two")
    watched.caretaker.step()
    watched.later(179)
    assert purge.expired(server.site, server.store, server.day) == (0, 0)
    watched.later(1)
    assert purge.expired(server.site, server.store, server.day) == (2, 0)
    assert not watched.gone()
    assert server.purge().mailboxes == 2


def test_clean_stop_leaves_no_database_log_and_no_time_finer_than_a_day(watched: Watched) -> None:
    server = watched.server
    server.put_file("one", file(2, 1_500_000))
    reading = loader.read(server.folder)
    assert (server.folder / "klankbord.db-wal").exists()
    server.store.close()
    database = server.folder / "klankbord.db"
    with contextlib.closing(sqlite3.connect(database)) as killed:  # a worker that was killed
        killed.execute("UPDATE store SET served = NULL")
        killed.commit()
        left = (database.read_bytes(), database.with_name("klankbord.db-wal").read_bytes())
    database.write_bytes(left[0])
    database.with_name("klankbord.db-wal").write_bytes(left[1])
    server.later(3)
    settle(reading, server.today)
    assert not [path for path in server.folder.iterdir() if path.name.endswith(("-wal", "-shm"))]
    day = datetime.datetime.combine(server.day, datetime.time(), datetime.UTC).timestamp()
    for path in (database, server.folder, server.folder / "files"):
        assert path.stat().st_mtime == day, path


def test_failed_maintenance_is_logged_only_by_type_and_retried(watched: Watched) -> None:
    damaged = watched.server.folder / "withdrawn"
    damaged.write_text("herkenbaar\n")
    watched.caretaker.step()
    assert watched.said == ["the upkeep failed and is tried again: ValueError"]
    damaged.unlink()
    watched.caretaker.step()
    assert watched.server.store.served() == watched.server.day


def test_database_log_in_use_is_emptied_once_it_is_released(watched: Watched) -> None:
    """A withdrawal happens during a read; the next step removes the sealed bytes."""
    server = watched.server
    sealed = server.report("two")
    watched.caretaker.step()
    reader = sqlite3.connect(server.folder / "klankbord.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM items").fetchone()
    server.withdraw("two", 2)
    watched.caretaker.step()
    assert sealed[1000:2000] in server.everything_on_disk()
    reader.close()
    watched.caretaker.step()
    assert sealed[1000:2000] not in server.everything_on_disk()
    assert server.store.log_size() == 0


def test_database_log_that_was_held_open_is_emptied_by_the_next_write(watched: Watched) -> None:
    server = watched.server
    sealed = server.report("two")
    reader = sqlite3.connect(server.folder / "klankbord.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM items").fetchone()
    server.withdraw("two", 2)
    began = time.monotonic()
    server.report("three")
    assert time.monotonic() - began < BUSY_SECONDS / 2  # the write does not wait for the reader
    assert sealed[1000:2000] in server.everything_on_disk()
    reader.close()
    server.report("four")
    assert sealed[1000:2000] not in server.everything_on_disk()


def test_process_takes_over_maintenance_of_a_site_once_the_lock_is_released(
    watched: Watched,
) -> None:
    folder = watched.server.folder
    watched.later(180)
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    rounds = Rounds(loader.read(folder), watched.server.today, watched.said.append)
    rounds.start(folder, first=0.01, every=0.05)
    time.sleep(0.3)
    assert not watched.gone()
    os.close(handle)
    until(watched.gone, "the other does not take over", 60)
    rounds.end()
