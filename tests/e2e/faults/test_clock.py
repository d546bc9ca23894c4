"""A clock a year ahead or behind: nothing is purged wrongly, and every code still works."""

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.server.errors import WrongClock
from dropbox_app.server.mailboxes import purge
from tests.e2e.faults.stories import Story, told
from tests.support.drop_box import DropBox
from tests.support.processes import until
from tests.support.programs import needs_faketime
from tests.support.server_folder import DAY, AServer, ids
from tests.support.wrong_clock import Off

DOUBTED = "purging waits: the clock may be wrong; doctor says what to do"


@needs_faketime
@pytest.mark.parametrize("days", [365, pytest.param(-365, marks=pytest.mark.long)])
def test_clock_jump_of_a_year_between_starts_purges_nothing(box: DropBox, days: int) -> None:
    """One log line reports it, reports can be read during and after it, and upkeep continues."""
    off = Off(box)
    story = told(box, "Dit blijft.")
    off.by(days)
    until(lambda: DOUBTED in box.log.read_text(), "the log does not say it")
    story.holds(box)
    assert box.server("purge", check=False).returncode == 1
    assert "timedatectl" in box.server("doctor", "--site", ".", check=False).stdout
    off.by(0)
    story.holds(box)
    assert box.server("purge").returncode == 0
    story.holds(box)
    assert box.log.read_text().count(DOUBTED) == 1


@needs_faketime
def test_server_that_was_off_for_a_year_resumes_after_confirmation(box: DropBox) -> None:
    """Expired data is removed only once the operator confirms the true day."""
    off = Off(box)
    story = told(box, "Dit gaat ten slotte weg.")
    off.by(365)
    today = datetime.datetime.now(datetime.UTC).date()
    day = (today + datetime.timedelta(365)).isoformat()
    assert box.server("purge", "--day", today.isoformat(), check=False).returncode == 1
    story.holds(box)
    unsaid = box.server("purge", "--day", day, check=False)
    assert unsaid.returncode == 1
    assert f"If {day} is right, 1 conversations and 0 items of others have expired" in unsaid.stderr
    story.holds(box)
    said = box.server("purge", "--day", day, "--yes").stdout
    assert "1 mailboxes" in said
    Story(story.code, withdrawn=True).holds(box)


def test_clean_stop_leaves_no_database_log_and_no_time_finer_than_a_day(box: DropBox) -> None:
    story = told(box, "Niemand hoeft te zien hoe laat.")
    box.stop()
    places = [box.folder, *(path for path in box.folder.rglob("*") if path.name != "site.toml")]
    assert not [path for path in places if path.name.endswith(("-wal", "-shm"))]
    finer = [path for path in places if path.stat().st_mtime % 86_400]
    assert finer == []
    box.serve()
    story.holds(box)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AServer]:
    made = AServer(tmp_path / "server")
    purge.confirm(made.store, DAY)
    yield made
    made.store.close()


def test_dates_written_by_a_fast_clock_are_corrected(server: AServer) -> None:
    """Otherwise nothing would be purged for a year after the clock was corrected."""
    server.report("before")
    server.later(400)
    server.report("ahead")
    server.fetch()
    server.later(1)
    with pytest.raises(WrongClock):
        purge.purge(server.site, server.store, server.day)
    purge.confirm(server.store, server.day)
    purge.purge(server.site, server.store, server.day)
    assert server.kept("before") == server.kept("ahead") == [("reporter", 1)]
    server.fetch()
    for days in range(31, 300, 30):
        server.later(days)
        purge.purge(server.site, server.store, server.day)
    assert server.store.mailboxes() == []


def test_items_dated_by_a_slow_clock_do_not_expire_too_soon(server: AServer) -> None:
    """A reply during that time keeps its mailbox as long as it would with a correct clock."""
    server.later(100)
    purge.confirm(server.store, server.day)
    server.report("one")
    server.fetch()
    server.later(0)
    server.reply("one", 1)
    server.later(101)
    purge.purge(server.site, server.store, server.day)
    assert len(server.kept("one")) == 2
    server.later(150)
    purge.confirm(server.store, server.day)
    purge.purge(server.site, server.store, server.day)
    assert server.store.mailboxes() == [ids("one")[0]]
