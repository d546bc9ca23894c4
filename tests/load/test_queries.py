"""No interactive step reads more of the database than it concerns.

Instead of measuring time, the tests capture every SQL statement of a whole life and ask SQLite for
its query plan. With good plans, a site of 100,000 items answers like one of 1,000; ``scripts/bench
--scale`` measures this.
"""

import datetime
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dropbox_app.server.mailboxes import purge
from dropbox_app.server.store.sqlite import WITHDRAWN, SqliteStore
from dropbox_app.server.store.withdrawn_list import Withdrawn
from tests.support.connections import opened_from_now_on
from tests.support.server_folder import ANNA, BRAM, DAY, AServer, attach, file, ids

# Statements that may read a whole table or index, and why that is acceptable.
KNOWN = {
    # An index with one entry for each file over 1 MiB and nothing else, so there are at most as
    # many as limits.site_bytes has MiB.
    "SELECT total(size) FROM items WHERE size > 1048576",
    # Once a day, before a purge; two short columns, and no lock is held.
    "SELECT max(day) FROM (SELECT max(last_added) AS day FROM mailboxes"
    " UNION ALL SELECT max(last_fetch) FROM desks)",
}


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """Return the connections of the server's store."""
    return opened_from_now_on(monkeypatch)


@pytest.fixture
def server(tmp_path: Path, opened: list[sqlite3.Connection]) -> Iterator[AServer]:
    made = AServer(tmp_path / "server")
    assert opened
    yield made
    made.store.close()


def _whole_life(server: AServer) -> None:
    """Run every use case for every author, and every way in which data ends."""
    boxes = server.mailboxes
    server.report("one", (ANNA, BRAM))
    sealed = server.report("two")
    mailbox, access = ids("two")
    boxes.submit(mailbox=mailbox, access=access, to=(ANNA,), sealed=sealed)
    server.report("three")
    server.fetch()
    attach(boxes, access, file(1, 2_000_000))
    server.add("two", 2)
    boxes.file_allowed(ANNA, mailbox, 100)
    server.put_file("two", file(2))
    server.reply("two", 1)
    assert server.kept("two")
    item = boxes.inbox(ANNA, 0)[0][0].item.id
    opened = boxes.item_for(ANNA, item)
    assert opened is not None
    opened.file.close()
    boxes.item(mailbox, item)
    assert boxes.listed(ANNA)
    assert not boxes.silent(ANNA)
    boxes.store_id()
    server.withdraw("three", 2)
    server.later(31)
    server.fetch()
    assert purge.purge(server.site, server.store, server.day).items
    server.report("four")
    boxes.withdraw(access=ids("four")[1], n=2, to=(), sealed=None)
    server.later(400)
    with server.store.writing():
        server.store.set_served(server.day)  # as the daily purges would have done
    assert purge.purge(server.site, server.store, server.day).mailboxes


@contextmanager
def _traced(opened: list[sqlite3.Connection]) -> Iterator[list[str]]:
    """Yield the statements that reach SQLite on these connections, with their values."""
    seen: list[str] = []
    for one in opened:
        with suppress(sqlite3.ProgrammingError):  # it was closed
            one.set_trace_callback(seen.append)
    yield seen
    for one in opened:
        with suppress(sqlite3.ProgrammingError):
            one.set_trace_callback(None)


def _forms(seen: list[str]) -> set[str]:
    """Return one example of each form of statement that reads or writes rows."""
    forms = {re.sub(r"x?'[^']*'|\b\d+\b", "?", statement): statement for statement in seen}
    words = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
    return {statement for statement in forms.values() if statement.startswith(words)}


def _whole(database: sqlite3.Connection, statement: str) -> list[str]:
    """Return the steps of a plan that scan a whole table or index."""
    found = []
    for *_, step in database.execute(f"EXPLAIN QUERY PLAN {statement}"):
        # A search without a condition is also a scan; SQLite describes max() without an index so.
        reads = re.match(r"(SCAN|SEARCH) (?!CONSTANT|\(subquery)(\w+)", step)
        bounded = step.startswith("SEARCH") and re.search(r"\(\w+=\?", step)
        if reads and not bounded and reads[2] != "store":  # a table of one row
            found.append(step)
    return found


def test_no_sql_statement_of_any_use_case_scans_a_whole_table(
    server: AServer, opened: list[sqlite3.Connection]
) -> None:
    with _traced(opened) as seen:
        _whole_life(server)
    statements = _forms(seen)
    assert len(statements) > 25
    database = sqlite3.connect(server.folder / "klankbord.db")
    whole = {s: steps for s in sorted(statements) if (steps := _whole(database, s))}
    database.close()
    paging = [s for s in whole if s.startswith("SELECT mailbox FROM mailboxes WHERE mailbox >")]
    for statement in paging:  # a step of the purge, which ends when its page is full
        assert statement.endswith(f"ORDER BY mailbox LIMIT {purge.STEP}")
        assert whole.pop(statement) == ["SEARCH mailboxes USING PRIMARY KEY (mailbox>?)"]
    assert paging
    assert set(whole) == KNOWN


def test_query_check_detects_a_full_scan(server: AServer) -> None:
    database = sqlite3.connect(server.folder / "klankbord.db")
    for statement in (
        "SELECT item FROM items",
        "SELECT count(*) FROM mailboxes",
        "SELECT max(last_added) FROM mailboxes",
        "SELECT item FROM items WHERE day = '2026-01-01'",
        "SELECT n FROM items WHERE item > 'a'",
        "SELECT 1 FROM addressed AS a JOIN items AS i ON i.n = a.number WHERE identity = 'x'",
    ):
        assert _whole(database, statement), statement
    assert not _whole(database, "SELECT n FROM items WHERE item = 'a'")
    database.close()


def test_foreign_key_cascades_use_an_index(server: AServer) -> None:
    """A query plan does not show the deletions that a foreign key causes."""
    database = sqlite3.connect(server.folder / "klankbord.db")
    tables = [name for (name,) in database.execute("SELECT name FROM pragma_table_list")]
    keys = 0
    for table in tables:
        for key in database.execute("SELECT * FROM pragma_foreign_key_list(?)", [table]):
            column = key[3]
            first = {
                row[0]
                for row in database.execute(
                    "SELECT i.name FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i"
                    " WHERE i.seqno = 0 AND l.partial = 0",
                    [table],
                )
            }
            assert column in first, (table, column)
            keys += 1
    database.close()
    assert keys == 3


def test_purge_processes_the_mailboxes_in_batches(
    server: AServer, opened: list[sqlite3.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step checks a fixed number, and removes each mailbox in its own transaction."""
    monkeypatch.setattr(purge, "STEP", 3)
    for number in range(7):
        server.report(f"old {number}")
    server.later(170)
    server.fetch()
    server.report("young")
    server.later(210)
    seen, after, turns = 0, "", 0
    while True:
        with _traced(opened) as statements:
            gone, _, following = purge.step(server.site, server.store, server.day, after)
        assert statements.count("BEGIN IMMEDIATE") == statements.count("COMMIT") == gone <= 3
        seen, turns = seen + gone, turns + 1
        server.report(f"between {turns}")  # nobody holds the lock
        if following is None:
            break
        after = following
    assert seen == 7
    assert turns >= 3
    left = set(server.store.mailboxes())
    assert left >= {ids("young")[0], *(ids(f"between {n + 1}")[0] for n in range(turns))}
    assert len(left) == 1 + turns


def test_storing_a_report_does_not_scan_the_list_of_withdrawn_mailboxes(
    server: AServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a report nor a withdrawal scans the list line by line."""
    known = {ids(f"gone {number}")[0]: DAY for number in range(1000)}
    Withdrawn(server.folder / WITHDRAWN).write(known, DAY)

    def refuse(_: Withdrawn) -> dict[str, datetime.date]:
        raise AssertionError("the whole list was read")

    read = Withdrawn.read
    monkeypatch.setattr(Withdrawn, "read", refuse)
    server.report("one")
    server.withdraw("one", 2)
    assert all(server.store.is_withdrawn(mailbox) for mailbox in known)
    assert server.store.is_withdrawn(ids("one")[0])
    assert not any(server.store.is_withdrawn(ids(f"never {number}")[0]) for number in range(1000))
    assert read(Withdrawn(server.folder / WITHDRAWN)) == known | {ids("one")[0]: DAY}


def test_withdrawal_list_stays_sorted_and_the_day_of_an_entry_can_be_replaced(
    tmp_path: Path,
) -> None:
    later = DAY + datetime.timedelta(days=1)
    store = SqliteStore.create(tmp_path, lambda: DAY)
    names = [ids(str(number))[0] for number in range(50)]
    for name in names:
        assert not store.is_withdrawn(name)
        store.add_withdrawn(name, DAY)
    store.add_withdrawn(names[7], later)
    lines = (tmp_path / "withdrawn").read_text("ascii").splitlines()
    assert lines == sorted(lines)
    assert len(lines) == 50
    assert f"{names[7]} {later}" in lines
    assert store.drop_withdrawn(DAY) == 49
    assert store.is_withdrawn(names[7])
    assert not store.is_withdrawn(names[8])
    store.close()
