"""kill -9 of a purge and of a migration at any call: the data is old or new, never in between."""

import datetime
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dropbox_app.server.config import site
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.store import migrations
from dropbox_app.server.store.sqlite import SqliteStore
from tests.e2e.faults.conftest import calls_in_order, everything_in, faults_of
from tests.support.programs import STRACE, needs_strace
from tests.support.server_folder import DAY, AServer, file, ids

pytestmark = needs_strace
# Every call that changes a file, except opening, because Python itself opens a thousand files.
CALLS = "pwrite64,fdatasync,fsync,ftruncate,rename,unlink,flock,utimensat,mkdir"

PURGE = """
import datetime, sys
from pathlib import Path
from dropbox_app.server.config import site as sites
from dropbox_app.server.mailboxes import purge as upkeep
from dropbox_app.server.store.sqlite import SqliteStore
folder, day = Path(sys.argv[1]), datetime.date.fromisoformat(sys.argv[2])
store = SqliteStore(folder, lambda: day)
upkeep.purge(sites.load(folder), store, day)
store.close()
"""
OPEN = """
import datetime, sys
from pathlib import Path
from dropbox_app.server.store import migrations as schema
from dropbox_app.server.store.sqlite import SqliteStore
if sys.argv[3:]:
    @schema.migrations()
    def m900_made_up(db):
        db.execute("CREATE TABLE made_up (item TEXT PRIMARY KEY, day TEXT) STRICT, WITHOUT ROWID")
        db.execute("INSERT INTO made_up SELECT item, day FROM items")
        db.execute("ALTER TABLE desks ADD COLUMN made_up INTEGER NOT NULL DEFAULT 7")
        db.execute("UPDATE desks SET made_up = last_number")
        db.execute("DROP INDEX items_mailbox")
SqliteStore(Path(sys.argv[1]), lambda: datetime.date.fromisoformat(sys.argv[2])).close()
"""


Point = tuple[str, int]


def _run(program: str, folder: Path, *more: str, point: Point | None = None) -> list[Point]:
    """Run a program to its end or to the call at which it is killed; return its calls."""
    out = folder.parent / "calls"
    kill = ("-e", "inject={}:signal=KILL:when={}".format(*point)) if point else ()
    assert STRACE is not None
    done = subprocess.run(
        (
            # Without --seccomp-bpf, with which strace 6.1 kills no process.
            *(STRACE, "-f", "-qq", "-o", str(out), "-e", f"trace={CALLS}", *kill),
            *(sys.executable, "-S", "-c", f"import sys\nsys.path[:0] = {sys.path!r}\n{program}"),
            *(str(folder), *more),
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    killed = done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    assert killed if point else done.returncode == 0, done.stderr
    return calls_in_order(out)


def _points(
    program: str, folder: Path, count: int, chance: random.Random, *more: str
) -> list[Point]:
    """Return random calls among those of a complete run."""
    trial = folder.parent / "trial"
    shutil.copytree(folder, trial)
    calls = _run(program, trial, *more)
    shutil.rmtree(trial)
    return [chance.choice(calls) for _ in range(count)]


def _made(folder: Path) -> AServer:
    """Create a withdrawal and two reports that expire in half a year, one with a large file."""
    server = AServer(folder)
    for name in ("one", "two", "three"):
        server.report(name)
    server.fetch()
    server.put_file("one", file(2, 1_500_000))
    server.reply("one", 1)
    server.withdraw("three", 2)
    server.store.close()
    return server


def test_killed_purge_is_completed_by_the_next_purge(
    tmp_path: Path, chance: random.Random, long_run: bool
) -> None:
    """Unexpired data stays complete; no byte of expired data is left after the next purge."""
    folder = tmp_path / "server"
    server = _made(folder)
    server.day = later = DAY + datetime.timedelta(190)
    opened = SqliteStore(folder, server.today)
    server.mailboxes = Mailboxes(server.site, opened, server.today)
    fresh = server.report("fresh")
    opened.close()
    sealed = {
        row[0]
        for row in sqlite3.connect(folder / "klankbord.db").execute(
            "SELECT file FROM sealed JOIN items USING (item) WHERE day < '2026-04-01'"
        )
    }
    assert len(sealed) >= 3
    for point in _points(PURGE, folder, 50 if long_run else 6, chance, later.isoformat()):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        _run(PURGE, copy, later.isoformat(), point=point)
        assert [f for f in faults_of(copy) if "nobody names" not in f] == [], point
        store = SqliteStore(copy, lambda: later)
        purge.purge(site.load(copy), store, later)
        assert store.mailboxes() == [ids("fresh")[0]], point
        assert store.read(store.items(ids("fresh")[0])[0].id) == fresh
        store.close()
        assert faults_of(copy) == []
        left = everything_in(copy)
        assert not any(old[2000:2100] in left for old in sealed), point
        shutil.rmtree(copy)


def _schema(folder: Path) -> tuple[object, ...]:
    """Return the tables, their contents and the list of migrations, for comparison."""
    connection = sqlite3.connect(folder / "klankbord.db")
    tables = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
    rows = {
        name: sorted(map(repr, connection.execute(f"SELECT * FROM {name}")))  # noqa: S608 - our own names
        for name, sql in tables
        if sql and sql.startswith("CREATE TABLE") and name != "store"
    }
    connection.close()
    return tables, rows


def _first_schema(folder: Path) -> None:
    """Convert a filled store back to the first version's schema."""
    connection = sqlite3.connect(folder / "klankbord.db", isolation_level=None)
    connection.execute("ALTER TABLE store DROP COLUMN served")
    connection.execute("ALTER TABLE store DROP COLUMN site")
    connection.execute("DELETE FROM _sqlite_migrations WHERE name <> 'm001_first'")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.mark.parametrize("kind", ["empty", "first version, filled", "made up, filled"])
def test_killed_migration_leaves_either_the_old_or_the_new_schema(
    kind: str, tmp_path: Path, chance: random.Random, long_run: bool
) -> None:
    """The next start completes it, and no stored data changes."""
    folder = tmp_path / "server"
    _made(folder)
    if kind == "empty":
        (folder / "klankbord.db").write_bytes(b"")
    elif kind.startswith("first"):
        _first_schema(folder)
    more = [DAY.isoformat(), *(["made up"] if kind.startswith("made") else [])]
    old = _schema(folder)
    shutil.copytree(folder, tmp_path / "whole")
    _run(OPEN, tmp_path / "whole", *more)
    new = _schema(tmp_path / "whole")
    assert old != new
    for point in _points(OPEN, folder, 17 if long_run else 3, chance, *more):
        copy = tmp_path / "copy"
        shutil.copytree(folder, copy)
        _run(OPEN, copy, *more, point=point)
        found = _schema(copy)
        assert found in (old, new), point
        assert kind == "empty" or [f for f in faults_of(copy) if "nobody names" not in f] == []
        _run(OPEN, copy, *more)
        assert _schema(copy) == new
        # This program would refuse a "made" database as one of a newer program.
        if not kind.startswith("made"):
            # The copy used for the trial is removed like any unfinished file.
            store = SqliteStore(copy, lambda: DAY)
            store.sweep()
            store.close()
            assert faults_of(copy) == []
        shutil.rmtree(copy)


def test_redate_command_covers_every_date_column(tmp_path: Path) -> None:
    """A new column that holds a date must be added to ``redate``."""
    server = _made(tmp_path / "server")
    connection = sqlite3.connect(server.folder / "klankbord.db")
    found = {
        (table, column)
        for table, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql <> ''")
        for column in ("created", "last_added", "day", "fetched", "last_fetch", "served")
        if f"CHECK ({column} GLOB" in sql
    }
    assert found == set(migrations.DAYS)
    assert sum(
        sql.count("GLOB")
        for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql <> ''")
    ) == len(migrations.DAYS)
    connection.close()
