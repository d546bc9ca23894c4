"""The store on real files: data that it keeps, data that it never keeps, and crashes."""

import datetime
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol.encoding import new_digest, sha256_hex
from dropbox_app.server.errors import StoreError
from dropbox_app.server.store.interface import ItemInfo
from dropbox_app.server.store.migrations import COVER
from dropbox_app.server.store.sqlite import SqliteStore
from dropbox_app.server.store.sqlite_errors import failures
from dropbox_app.server.store.withdrawn_list import Withdrawn
from tests.support.connections import opened_from_now_on
from tests.support.server_folder import ANNA, BRAM, DAY, AServer, faults_in, file, ids, message

MIDNIGHT = datetime.datetime(DAY.year, DAY.month, DAY.day, tzinfo=datetime.UTC).timestamp()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AServer]:
    made = AServer(tmp_path / "server")
    yield made
    made.store.close()


def _tables(server: AServer) -> dict[str, list[dict[str, object]]]:
    """Return every row of every table, including those of SQLite and sqlite-utils."""
    connection = sqlite3.connect(server.folder / "klankbord.db")
    connection.row_factory = sqlite3.Row
    named = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    tables = {
        name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608 - our own names
        for (name,) in named
    }
    connection.close()
    return tables


def _busy_life(server: AServer) -> None:
    """Use every feature, so that every table has rows."""
    server.report("one", (ANNA, BRAM))
    server.report("two")
    server.report("three")
    server.fetch()
    server.put_file("one", file(3))
    server.reply("one", 1, to=(ANNA, BRAM))
    server.put_file("two", file(2, 2_000_000))
    server.reply("two", 1)
    server.fetch(BRAM)
    server.add("two", 2)
    server.withdraw("three", 2)


def test_no_column_stores_a_time_finer_than_a_day(server: AServer) -> None:
    """Allowed values are listed: an id, an identity, a day, a small number, a word."""
    _busy_life(server)
    tables = _tables(server)
    assert all(tables.values()), "every table has rows, or this looks at nothing"
    shapes = re.compile(
        r"[0-9a-f]{64}|[0-9a-f]{32}|[A-Za-z0-9+/]{43}=|2[0-9]{3}-[0-9]{2}-[0-9]{2}"
        r"|message|attachment|reporter|klankbord|m[0-9]{3}_[a-z_]+"
    )
    for name, rows in tables.items():
        for row in rows:
            for column, value in row.items():
                where = f"{name}.{column}"
                if column == "size":
                    assert isinstance(value, int), where
                elif isinstance(value, int):
                    assert 0 <= value < 1000, where
                elif column == "cover":
                    assert value == bytes(COVER), where
                elif isinstance(value, bytes):
                    assert value.startswith(b"age-encryption.org/v1\n"), where
                else:
                    assert value is None or shapes.fullmatch(str(value)), where


def test_migrations_table_stores_only_a_day(server: AServer) -> None:
    applied = {row["applied_at"] for row in _tables(server)["_sqlite_migrations"]}
    assert applied == {DAY.isoformat()}
    assert re.search(rb"[0-9]{2}:[0-9]{2}:[0-9]{2}", server.everything_on_disk()) is None


def test_tables_refuse_a_time_of_day(server: AServer) -> None:
    connection = sqlite3.connect(server.folder / "klankbord.db")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            "INSERT INTO mailboxes VALUES ('m', 'a', '2026-03-10', '2026-03-10T12:00:00')"
        )
    connection.close()


def test_no_table_has_a_hidden_row_number(server: AServer) -> None:
    """A number that counts across mailboxes would reveal other counsellors' activity."""
    connection = sqlite3.connect(server.folder / "klankbord.db")
    for name in _tables(server):
        if name != "_sqlite_migrations":
            with pytest.raises(sqlite3.OperationalError, match="rowid"):
                connection.execute(f"SELECT rowid FROM {name}")  # noqa: S608 - our own names
    connection.close()


def test_inbox_items_of_each_counsellor_are_numbered_consecutively(server: AServer) -> None:
    server.report("one", (ANNA,))
    server.report("two", (BRAM,))
    server.report("three", (ANNA, BRAM))
    server.report("four", (ANNA,))
    for identity, count in ((ANNA, 3), (BRAM, 2)):
        rows, more = server.mailboxes.inbox(identity, 0)
        assert [row.number for row in rows] == list(range(1, count + 1))
        assert not more


def test_database_files_are_dated_midnight(server: AServer) -> None:
    _busy_life(server)
    beside = list((server.folder / "files").iterdir())
    assert len(beside) == 1
    assert sha256_hex(beside[0].read_bytes()) == beside[0].name
    dated = [*beside, server.folder / "files", server.folder / "withdrawn"]
    dated += [server.folder / "cards", *(server.folder / "cards").iterdir()]
    for path in dated:
        assert path.stat().st_mtime == MIDNIGHT, path
    for path in server.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_removing_a_file_leaves_no_time_in_its_folder(server: AServer) -> None:
    """Examples: a withdrawal, an interrupted upload, a sweep after a crash."""
    server.report("one")
    server.put_file("one", file(2, 2_000_000))
    server.reply("one", 1)
    files = server.folder / "files"
    server.withdraw("one", 2)
    assert (files.stat().st_mtime, server.folder.stat().st_mtime) == (MIDNIGHT, MIDNIGHT)
    with server.store.stage(new_digest()) as staged:
        staged.write(bytes(2_000_000))
    assert (files.stat().st_mtime, list(files.iterdir())) == (MIDNIGHT, [])
    (files / ("a" * 64)).write_bytes(b"left")
    assert server.store.sweep() == 1
    assert files.stat().st_mtime == MIDNIGHT


def test_reading_a_large_file_leaves_no_access_time(server: AServer) -> None:
    _busy_life(server)
    (beside,) = (server.folder / "files").iterdir()
    opened = server.mailboxes.item_for(ANNA, beside.name)
    assert opened is not None
    with opened.file:
        assert len(opened.file.read()) == opened.item.size
    assert beside.stat().st_atime == MIDNIGHT


def test_withdrawn_data_is_nowhere_on_disk(server: AServer) -> None:
    """Rows are overwritten, the log is emptied, and large files are unlinked."""
    sealed = server.report("one")
    large = file(2, 2_000_000)
    server.put_file("one", large)
    server.reply("one", 1)
    assert sealed[-200:] in server.everything_on_disk()
    server.withdraw("one", 2)
    disk = server.everything_on_disk()
    assert sealed[4096:4160] not in disk
    assert sealed[-64:] not in disk
    assert large[-64:] not in disk
    assert ids("one")[1].encode() not in disk


def test_every_thread_syncs_writes_and_overwrites_removed_data(
    server: AServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = opened_from_now_on(monkeypatch)
    settings = ("journal_mode", "secure_delete", "synchronous")
    found: list[object] = []

    def ask() -> None:
        server.store.newest(ids("one")[0])
        (own,) = opened
        found.extend(own.execute(f"PRAGMA {name}").fetchone()[0] for name in settings)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == ["wal", 1, 2]


@pytest.mark.slow
def test_concurrent_reports_from_two_processes_all_arrive(tmp_path: Path) -> None:
    """Two processes have 16 threads each, like the workers."""
    server = AServer(tmp_path / "server")
    program = f"""
import datetime, threading
from pathlib import Path
from dropbox_app.server.config import site as sites
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.store.sqlite import SqliteStore
from tests.support.server_folder import ANNA, DAY, ids, message
import sys
folder = Path({str(server.folder)!r})
today = lambda: DAY
boxes = Mailboxes(sites.load(folder), SqliteStore(folder, today), today)
def submit(name):
    for turn in range(4):
        mailbox, access = ids(f"{{name}}-{{turn}}")
        boxes.submit(mailbox=mailbox, access=access, to=(ANNA,), sealed=message(1))
        print("stored", flush=True)
threads = [threading.Thread(target=submit, args=(f"{{sys.argv[1]}}-{{t}}",)) for t in range(16)]
[t.start() for t in threads]
[t.join() for t in threads]
"""
    started = [
        subprocess.Popen((sys.executable, "-c", program, str(n)), stdout=subprocess.PIPE, text=True)
        for n in range(2)
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sum(text.count("stored") for text in said) == 128
    numbers = []
    after = 0
    while rows := server.mailboxes.inbox(ANNA, after)[0]:
        numbers += [row.number for row in rows]
        after = numbers[-1]
    assert numbers == list(range(1, 129))
    server.store.close()


@pytest.mark.slow
def test_confirmed_data_survives_a_kill(tmp_path: Path, long_run: bool) -> None:
    """A server is killed at random moments: confirmed data is there, and the database is intact."""
    server = AServer(tmp_path / "server")
    program = f"""
import sys
from pathlib import Path
from dropbox_app.server.config import site as sites
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.store.sqlite import SqliteStore
from tests.support.server_folder import ANNA, DAY, attach, file, ids, message
folder = Path({str(server.folder)!r})
boxes = Mailboxes(sites.load(folder), SqliteStore(folder, lambda: DAY), lambda: DAY)
large = file(1, 1_500_000)
turn = 0
while True:
    mailbox, access = ids(f"{{sys.argv[1]}}-{{turn}}")
    sealed = message(1)
    boxes.submit(mailbox=mailbox, access=access, to=(ANNA,), sealed=sealed)
    print(f"{{sys.argv[1]}}-{{turn}}", flush=True)
    attach(boxes, access, file(1, 1_200_000))
    turn += 1
"""
    confirmed: list[str] = []
    for attempt in range(20 if long_run else 3):
        process = subprocess.Popen(
            (sys.executable, "-c", program, str(attempt)), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for _ in range(3 + attempt):
            confirmed.append(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
        confirmed += process.stdout.read().split()
        process.wait(60)
        process.stdout.close()
    again = SqliteStore(server.folder, lambda: DAY)
    for name in confirmed:
        assert again.newest(ids(name)[0]) == {"reporter": 1}
    again.sweep()
    assert faults_in(server.folder) == []
    rows = _tables(server)["items"]
    beside = {str(row["item"]) for row in rows if int(str(row["size"])) > 1024 * 1024}
    assert {path.name for path in (server.folder / "files").iterdir()} == beside
    again.close()
    server.store.close()


def test_file_still_being_received_is_not_swept(server: AServer) -> None:
    with server.mailboxes.stage() as staged:
        staged.write(bytes(2 * 1024 * 1024))
        assert server.store.sweep() == 0
        assert len(list((server.folder / "files").iterdir())) == 1
    assert list((server.folder / "files").iterdir()) == []
    left = server.folder / "files" / "0123.part"
    left.write_bytes(b"left by a crash")
    assert server.store.sweep() == 1
    assert not left.exists()


def test_large_file_of_a_failed_transaction_is_removed(server: AServer) -> None:
    server.report("one")
    with server.mailboxes.stage() as staged:
        staged.write(bytes(2 * 1024 * 1024))
        info = ItemInfo(staged.digest(), "attachment", "reporter", 0, DAY, staged.size)

        def fail() -> None:
            with server.store.writing():
                server.store.add_item(ids("one")[0], info, staged)
                raise InterruptedError

        with pytest.raises(InterruptedError):
            fail()
        assert server.store.item(info.id) is None
        assert list((server.folder / "files").iterdir()) == []


def test_large_file_of_an_uncommitted_transaction_is_swept(server: AServer) -> None:
    """This is the state after a crash between naming the file and the commit."""
    (server.folder / "files" / ("a" * 64)).write_bytes(bytes(2 * 1024 * 1024))
    assert server.store.sweep() == 1
    assert list((server.folder / "files").iterdir()) == []


def test_failed_transaction_leaves_nothing_behind(server: AServer) -> None:
    def fail() -> None:
        with server.store.writing():
            server.store.add_mailbox(*ids("one"), DAY)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert server.store.mailbox(ids("one")[0]) is None
    server.report("one")


def _times_open(server: AServer) -> int:
    """Return how many handles this process has open on the database."""
    path = str(server.folder / "klankbord.db")
    handles = Path("/proc/self/fd").iterdir()
    return sum(os.path.realpath(handle) == path for handle in handles)


def test_forked_worker_opens_its_own_database_connection(server: AServer) -> None:
    server.report("one")
    process = os.fork()
    if process == 0:
        before = _times_open(server)
        server.report("two")
        os._exit(0 if _times_open(server) > before else 1)
    assert os.waitpid(process, 0)[1] == 0
    assert len(server.store.mailboxes()) == 2


def test_withdrawal_list_has_one_id_and_its_day_per_line(tmp_path: Path) -> None:
    path = tmp_path / "withdrawn"
    kept = Withdrawn(path)
    assert kept.read() == {}
    days = {"b" * 64: DAY, "a" * 64: DAY - datetime.timedelta(3)}
    kept.write(days, DAY)
    assert path.read_text() == f"{'a' * 64} 2026-03-07\n{'b' * 64} 2026-03-10\n"
    assert kept.read() == days
    assert [p.name for p in tmp_path.iterdir()] == ["withdrawn"]


def test_missing_or_damaged_database_is_reported_in_plain_words(
    server: AServer, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match="restore"):
        SqliteStore(tmp_path, lambda: DAY)
    (tmp_path / "files").mkdir()
    (tmp_path / "klankbord.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="damaged"):
        SqliteStore(tmp_path, lambda: DAY)


def test_reopened_store_has_the_same_id_as_before(server: AServer, tmp_path: Path) -> None:
    other = AServer(tmp_path / "other")
    again = SqliteStore(server.folder, lambda: DAY)
    assert again.store_id() == server.store.store_id() != other.store.store_id()
    assert re.fullmatch("[0-9a-f]{32}", again.store_id())
    again.close()
    other.store.close()


def test_messages_of_every_size_round_trip(server: AServer) -> None:
    for n, size in enumerate((8192, 32768, 131072)):
        sealed = message(1, size)
        mailbox, access = ids(str(n))
        server.mailboxes.submit(mailbox=mailbox, access=access, to=(ANNA,), sealed=sealed)
        assert server.mailboxes.item(mailbox, sha256_hex(sealed)) == sealed


def test_full_disk_is_reported_as_such_and_leaves_nothing_behind(server: AServer) -> None:
    """A file size limit simulates a full disk: the system refuses further writes."""
    program = f"""
import resource, signal
from pathlib import Path
from dropbox_app.server.errors import SiteFull
from dropbox_app.server.store.sqlite import SqliteStore
from dropbox_app.server.store import files
import errno, os
from tests.support.server_folder import DAY
folder = Path({str(server.folder)!r})
store = SqliteStore(folder, lambda: DAY)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
files.FULL |= {{errno.EFBIG}}
from dropbox_app.protocol.encoding import new_digest
try:
    with store.stage(new_digest()) as staged:
        for _ in range(100):
            staged.write(bytes(100_000))
except SiteFull:
    print("full", os.listdir(folder / "files"))
"""
    said = subprocess.run(
        (sys.executable, "-c", program), capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout == "full []\n"


def test_sqlite_errors_without_a_name_are_also_reported() -> None:
    connection = sqlite3.connect(":memory:")
    with pytest.raises(StoreError, match="the database failed: OperationalError"), failures():
        connection.execute("SELECT CAST(x'ff' AS TEXT)").fetchone()
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError), failures():  # our own bug, raised unchanged
        connection.execute("SELECT 1")
