"""A locked database: a backup that reads for a long time, and one that blocks all writers."""

import os
import sqlite3
import threading
from pathlib import Path

from tests.e2e.faults.conftest import everything_in, faults_of
from tests.e2e.faults.stories import Story, code_on, report_form, told, withdraw_form
from tests.e2e.faults.test_disk import TEXT, keeps
from tests.support.drop_box import DropBox
from tests.support.processes import until


def _opened(box: DropBox) -> sqlite3.Connection:
    return sqlite3.connect(box.folder / "klankbord.db", isolation_level=None, timeout=20)


def test_long_database_read_blocks_no_request_and_the_log_is_emptied_afterwards(
    box: DropBox,
) -> None:
    """Reports and a withdrawal continue; withdrawn bytes are removed when the reader finishes."""
    stays, goes = told(box, TEXT), told(box, TEXT)
    reader = _opened(box)
    reader.execute("BEGIN")
    sealed = [row[0] for row in reader.execute("SELECT file FROM sealed")]
    assert withdraw_form(box, goes.code)().path == "/nl/withdrawn"
    goes.withdrawn = True
    again = told(box, TEXT)
    for story in (stays, goes, again):
        story.holds(box)
    assert all(file[2000:2100] in everything_in(box.folder) for file in sealed)
    reader.close()
    told(box, TEXT)  # the next write of a process that still has to empty the log
    told(box, TEXT)
    until(
        lambda: sum(f[2000:2100] in everything_in(box.folder) for f in sealed) == 1,
        "the withdrawn bytes are still there",
        seconds=90,
    )
    assert faults_of(box.folder) == []


def test_backup_during_traffic_blocks_no_report_and_is_complete(
    box: DropBox, tmp_path: Path
) -> None:
    """The backup copies page by page, like ``sqlite3 .backup``, while reports arrive."""
    first = told(box, TEXT)
    source, copy = _opened(box), sqlite3.connect(tmp_path / "copy.db")
    begun = threading.Event()
    stories: list[Story] = []

    def one_page(*_: int) -> None:
        if not begun.is_set():
            begun.set()
            stories.append(told(box, TEXT))

    source.backup(copy, pages=1, progress=one_page)
    assert begun.is_set()
    for story in (first, *stories):
        story.holds(box)
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert copy.execute("SELECT count(*) FROM items").fetchone()[0] >= 1
    copy.close()
    source.close()


def test_persistent_database_lock_gives_an_error_page_and_restarts_no_worker(box: DropBox) -> None:
    """The text is kept, reading works, and a worker that is killed meanwhile is replaced."""
    story = told(box, TEXT)
    holder = _opened(box)
    send = report_form(box.browser())
    holder.execute("BEGIN EXCLUSIVE")
    holder.execute("UPDATE store SET served = served")
    before = box.workers()
    os.kill(before[0], 9)
    keeps(send(TEXT), TEXT)
    story.holds(box)
    until(lambda: len(box.workers()) == 2, "the worker was not replaced")
    for pid in before[1:]:
        os.kill(pid, 9)  # now only workers that started under the lock are left
    until(lambda: before[1] not in box.workers() and len(box.workers()) == 2, "not replaced")
    story.holds(box)
    assert box.process is not None
    assert box.process.poll() is None
    holder.execute("ROLLBACK")
    holder.close()
    Story(code_on(send(TEXT)), [TEXT]).holds(box)
    assert faults_of(box.folder) == []
