"""What a serving site does by itself: the day's purge, a log that was held, clocks that leap."""

import datetime
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.server.config import loader
from dropbox_app.server.mailboxes.scheduler import Caretaker, Clocks, Rounds
from tests.support.server_folder import DAY, AServer, ids

NOON = datetime.datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=datetime.UTC).timestamp()
A_DAY = 86_400.0
DOUBTED = "the clock may be wrong; nothing is purged: doctor says what to do"


class Watched:
    """A caretaker with two clocks to turn, on a site with one mailbox that is over in 180 days."""

    def __init__(self, folder: Path) -> None:
        self.server = AServer(folder)
        self.server.report("one")
        self.server.fetch()
        self.now, self.passed = NOON, 1000.0
        self.said: list[str] = []
        self.restart()

    def restart(self) -> None:
        clocks = Clocks(lambda: self.now, lambda: self.passed, (self.now, self.passed))
        self.caretaker = Caretaker(self.server.site, self.server.store, clocks, self.said.append)

    def later(self, days: float) -> None:
        self.now += days * A_DAY
        self.passed += days * A_DAY
        self.server.day = datetime.datetime.fromtimestamp(self.now, datetime.UTC).date()

    def gone(self) -> bool:
        return not self.server.store.mailboxes()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(tmp_path / "server")
    yield made
    made.server.store.close()


def test_a_purge_each_day_and_no_more(watched: Watched) -> None:
    watched.caretaker.step()
    watched.later(179)
    watched.caretaker.step()
    assert not watched.gone()
    watched.later(1)
    watched.caretaker.step()
    assert watched.gone()
    with watched.server.store.writing():
        watched.server.store.add_mailbox(*ids("old"), DAY)
    watched.later(0.1)
    watched.caretaker.step()
    assert not watched.gone()
    assert watched.said == []


def test_an_idle_site_is_purged_after_months(watched: Watched) -> None:
    """Where no upkeep was noted yet, the clock is believed, however long nothing came."""
    watched.later(200)
    watched.restart()
    watched.caretaker.step()
    assert watched.gone()


def test_a_clock_that_leapt_ends_nothing(watched: Watched) -> None:
    watched.caretaker.step()
    watched.now += 200 * A_DAY
    for _ in range(3):
        watched.caretaker.step()
    assert not watched.gone()
    assert watched.said == ["the clock leapt ahead; nothing is purged before a restart"]
    watched.restart()
    for _ in range(3):
        watched.caretaker.step()
    assert not watched.gone()
    assert watched.said[1:] == [DOUBTED]


def test_a_clock_a_few_days_on_is_believed_after_a_restart(watched: Watched) -> None:
    """A month without a server is nothing strange; more than that somebody has to say."""
    watched.caretaker.step()
    for _ in range(6):
        watched.now += 31 * A_DAY
        watched.restart()
        watched.caretaker.step()
    assert watched.said == []
    assert watched.gone()


def test_a_clock_that_is_behind_ends_nothing_and_is_said_once(watched: Watched) -> None:
    watched.now -= 2 * A_DAY
    watched.restart()
    for _ in range(3):
        watched.caretaker.step()
    assert watched.said == [DOUBTED]
    watched.later(183)
    watched.caretaker.step()
    assert watched.gone()


def test_what_fails_is_named_by_kind_only_and_tried_again(watched: Watched) -> None:
    damaged = watched.server.folder / "withdrawn"
    damaged.write_text("herkenbaar\n")
    watched.caretaker.step()
    assert watched.said == ["the upkeep failed and is tried again: ValueError"]
    damaged.unlink()
    watched.later(180)
    watched.caretaker.step()
    assert watched.gone()


def test_a_log_that_was_held_is_emptied_when_it_is_let_go(watched: Watched) -> None:
    """A withdrawal while somebody reads: the sealed bytes go with the next step after."""
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


def test_a_log_that_was_held_is_emptied_by_the_next_write_too(watched: Watched) -> None:
    server = watched.server
    sealed = server.report("two")
    reader = sqlite3.connect(server.folder / "klankbord.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM items").fetchone()
    server.withdraw("two", 2)
    began = time.monotonic()
    server.report("three")
    assert time.monotonic() - began < 0.5
    assert sealed[1000:2000] in server.everything_on_disk()
    reader.close()
    server.report("four")
    assert sealed[1000:2000] not in server.everything_on_disk()


def test_one_process_looks_after_a_site_and_another_takes_over(watched: Watched) -> None:
    folder = watched.server.folder
    watched.later(180)
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    clocks = Clocks(lambda: watched.now, lambda: watched.passed, (watched.now, watched.passed))
    rounds = Rounds(loader.read(folder), clocks, watched.said.append)
    rounds.start(folder, first=0.01, every=0.05)
    time.sleep(0.3)
    assert not watched.gone()
    os.close(handle)
    deadline = time.monotonic() + 5
    while not watched.gone():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    rounds.end()
