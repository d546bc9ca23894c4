"""Migration from the first schema with data to the current one, and return by a backup."""

import copy
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlite_utils import Database

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.backup import directory
from dropbox_app.server.cli import common, main
from dropbox_app.server.errors import SiteFull, StoreError
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.store import migrations, snapshot
from dropbox_app.server.store.sqlite import SqliteStore
from tests.support.server_folder import ANNA, BRAM, DAY, AServer, faults_in, file, ids


class Old:
    """A filled server folder of the first version, and its sealed items."""

    def __init__(self, folder: Path) -> None:
        server = AServer(folder)
        self.folder = folder
        self.sealed = [server.report("one", (ANNA, BRAM)), server.add("one", 2, (ANNA, BRAM))]
        self.sealed += [server.report("two"), server.reply("two", 1)]
        large = file(2, 1_500_000)
        server.put_file("two", large)
        self.sealed += [large, server.reply("two", 2)]
        server.report("three")
        self.sealed.append(server.withdraw("three", 2))
        server.fetch()
        server.store.close()
        self._take_back()

    def _take_back(self) -> None:
        """Copy all rows into tables that only the first migration made."""
        new, old = self.folder / "klankbord.db", self.folder / "first.db"
        with closing(sqlite3.connect(old, isolation_level=None)) as connection:
            migrations.migrations.apply(connection, stop_before="m002_served")
            connection.execute("UPDATE _sqlite_migrations SET applied_at = ?", [str(DAY)])
            connection.execute("ATTACH ? AS new", [str(new)])
            connection.execute("DELETE FROM store")
            connection.execute("INSERT INTO store SELECT id FROM new.store")
            for table in ("mailboxes", "items", "addressed", "desks"):
                connection.execute(f"INSERT INTO {table} SELECT * FROM new.{table}")  # noqa: S608 - our own names
            connection.execute("INSERT INTO sealed SELECT item, file FROM new.sealed")
        old.rename(new)
        new.chmod(0o600)

    @property
    def database(self) -> Path:
        return self.folder / "klankbord.db"

    def open(self) -> SqliteStore:
        return SqliteStore(self.folder, lambda: DAY)


@pytest.fixture
def old(tmp_path: Path) -> Old:
    return Old(tmp_path / "server")


def rows(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return everything that both versions store, by table."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: sorted(connection.execute(f"SELECT {what} FROM {table}"))  # noqa: S608 - our own names
            for table, what in (
                ("mailboxes", "*"), ("items", "*"), ("addressed", "item, identity, number"),
                ("desks", "*"), ("store", "id"), ("sealed", "item, file"),
            )
        }  # fmt: skip


def test_migration_from_the_first_schema_loses_nothing(old: Old) -> None:
    before = rows(old.database)
    store = old.open()
    for one in old.sealed:
        assert store.read(sha256_hex(one)) == one
    assert faults_in(old.folder) == []
    assert store.newest(ids("one")[0]) == {"reporter": 2}
    store.close()
    assert rows(old.database) == before
    assert not list((old.folder / "files").glob("*.part*"))


def test_migration_is_first_tried_on_a_copy(old: Old, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []
    whole = snapshot.check

    def check(connection: sqlite3.Connection) -> None:
        whole(connection)
        tried.append(connection.execute("PRAGMA database_list").fetchone()[2])

    monkeypatch.setattr(snapshot, "check", check)
    old.open().close()
    old.open().close()
    assert len(tried) == 1
    assert tried[0].endswith(".part")


FAULTS = {
    "an error": "SELECT * FROM nothing",
    "rows that are gone": "DELETE FROM sealed",
    "rows without a parent": "DELETE FROM mailboxes",
}


@pytest.mark.parametrize("faulty", FAULTS)
def test_failing_migration_changes_nothing(
    old: Old, faulty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def m900_faulty(db: Database) -> None:
        db.execute("PRAGMA defer_foreign_keys = ON")
        db.execute(FAULTS[faulty])

    more = copy.deepcopy(migrations.migrations)
    more()(m900_faulty)
    monkeypatch.setattr(migrations, "migrations", more)
    before = old.database.read_bytes(), rows(old.database)
    with pytest.raises(StoreError, match="tried on a copy, and nothing was changed"):
        old.open()
    with closing(sqlite3.connect(old.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert rows(old.database) == before[1], faulty
    assert not list((old.folder / "files").glob("*.part*"))


def test_migration_without_disk_space_for_the_copy_changes_nothing(
    old: Old, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows(old.database)

    def full(*_: object) -> None:
        raise SiteFull("the disk is full")

    monkeypatch.setattr(snapshot, "connect", full)
    with pytest.raises(SiteFull):
        old.open()
    assert rows(old.database) == before


def test_database_of_a_newer_program_is_refused_with_a_reason(old: Old) -> None:
    old.open().close()
    with closing(sqlite3.connect(old.database)) as connection, connection:
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
            " VALUES ('klankbord', 'm123_later', '2027-01-01')"
        )
    before = rows(old.database)
    for words in (("serve",), ("purge",)):
        done = CliRunner().invoke(main.main, ["--dir", str(old.folder), *words])
        assert done.exit_code == 1
        assert "was written by a newer version of this program (m123_later)" in done.output
        assert "install that version again, or restore a backup from before it" in done.output
    assert rows(old.database) == before


def test_backup_made_before_a_migration_can_be_restored_by_the_older_program(
    old: Old, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``backup`` does not migrate, so the older program can restore its output."""
    monkeypatch.setattr(common, "today", lambda: DAY)

    def types(*words: str) -> str:
        done = CliRunner().invoke(main.main, list(words))
        assert done.exit_code == 0, done.output
        return done.stdout

    folder, key = str(old.folder), tmp_path / "key"
    key.write_text(types("--dir", folder, "backup-key"))
    before = rows(old.database)
    types("--dir", folder, "backup")
    with closing(sqlite3.connect(old.database)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM _sqlite_migrations")]
    assert names == ["m001_first"]
    made = directory.kept(old.folder / "backups")[-1].path
    new = tmp_path / "new"
    types("--dir", str(new), "restore", str(made), "--key", str(key))
    after = rows(new / "klankbord.db")
    assert after.pop("store") != before.pop("store")
    assert after == before
    store = SqliteStore(new, lambda: DAY)
    assert not purge.doubt(store, DAY)
    store.close()


def test_start_with_nothing_to_migrate_does_not_load_sqlite_utils(old: Old) -> None:
    """Each worker of a server would otherwise keep 2 MB in memory for it."""
    program = (
        "import datetime, pathlib, sys\n"
        "import dropbox_app.server.cli.serve\n"
        "from dropbox_app.server.store.sqlite import SqliteStore\n"
        "SqliteStore(pathlib.Path(sys.argv[1]), lambda: datetime.date(2027, 1, 5)).close()\n"
        "print('sqlite_utils' in sys.modules)"
    )

    def loads_it() -> str:
        words = (sys.executable, "-c", program, str(old.folder))
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert loads_it() == "True\n"  # the first start has migrations to run
    assert loads_it() == "False\n"
