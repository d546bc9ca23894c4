"""A correctly sealed backup with a database that no server wrote.

Anyone with the server's folder can seal a backup to its key, because that key is public.
"""

import io
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dropbox_app.protocol import age
from dropbox_app.protocol.keys import Recipient
from dropbox_app.server.cli import common, main
from dropbox_app.server.store.sqlite import DATABASE
from tests.support.server_folder import DAY, AServer
from tests.support.server_folder import file as sealed_file

PARTS = ("files", "cards", "site.toml", DATABASE)
BACKUP = f"klankbord-{DAY}.age"


class Attacker:
    """An attacker with a server's folder, and the operator who restores its backup."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server = AServer(folder / "server")
        self.server.report("one")
        self.server.put_file("one", sealed_file(2, 1_500_000))
        self.server.reply("one", 1)
        self.server.fetch()
        self.server.store.close()
        self._key = folder / "key.txt"
        self._key.write_text(self.types("backup-key").stdout)

    def types(self, *words: str, folder: Path | None = None) -> Result:
        where = ["--dir", str(folder or self.server.folder)]
        done = CliRunner().invoke(main.main, [*where, *words])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done

    def alter(self, statements: str) -> None:
        path = self.server.folder / DATABASE
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA journal_mode = DELETE")
            database.executescript(statements)

    def restore(self) -> Result:
        """Seal the folder as it is now, and restore that backup; return the result."""
        server, made = self.server.folder, io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(server.rglob("*")):
                name = path.relative_to(server).as_posix()
                if path.is_file() and name.split("/")[0] in PARTS:
                    entry = tarfile.TarInfo(name)
                    entry.size = path.stat().st_size
                    with path.open("rb") as file:
                        archive.addfile(entry, file)
        public = Recipient.parse((server / "backup-key").read_text().strip())
        (self.folder / BACKUP).write_bytes(age.seal(made.getvalue(), [public]))
        words = ("restore", str(self.folder / BACKUP), "--key", str(self._key))
        return self.types(*words, folder=self.folder / "new")

    def refused(self, said: str) -> None:
        done = self.restore()
        assert done.exit_code == 1, done.output
        assert said in done.stderr
        assert not (self.folder / "new").exists()


@pytest.fixture
def attacker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attacker:
    monkeypatch.setattr(common, "today", lambda: DAY)
    monkeypatch.delenv("KLANKBORD_DIR", raising=False)
    return Attacker(tmp_path)


def _again(table: str, before: str, after: str) -> str:
    """Return SQL that rewrites part of a table's definition despite SQLite's protection."""
    before, after = (one.replace("'", "''") for one in (before, after))
    change = f"sql = replace(sql, '{before}', '{after}') WHERE name = '{table}'"
    return f"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET {change};"  # noqa: S608 - our own names


SCHEMAS = {
    "a trigger that empties the store when it gets its new id":
        "CREATE TRIGGER t AFTER UPDATE ON store BEGIN DELETE FROM mailboxes; END",
    "a trigger on the notes of migrations":
        "CREATE TRIGGER t AFTER UPDATE ON _sqlite_migrations BEGIN DELETE FROM mailboxes; END",
    "a view in the place of a table":
        "ALTER TABLE desks RENAME TO d; CREATE VIEW desks AS SELECT * FROM d",
    "a view that never ends in the place of a table": (
        "ALTER TABLE store RENAME TO s; CREATE VIEW store AS WITH RECURSIVE n(id) AS"
        " (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT max(id) AS id, '' AS site FROM n"
    ),
    "one more view": "CREATE VIEW v AS SELECT * FROM items",
    "a virtual table": "CREATE VIRTUAL TABLE v USING fts5(body)",
    "a generated column": "ALTER TABLE mailboxes ADD COLUMN more TEXT AS (hex(mailbox))",
    "a generated column in the notes of migrations":
        "ALTER TABLE _sqlite_migrations ADD COLUMN more AS (hex(name))",
    "an index over an expression in the notes of migrations":
        "CREATE INDEX i ON _sqlite_migrations (abs(id))",
    "one more column": "ALTER TABLE items ADD COLUMN visitor TEXT",
    "an index over an expression": "CREATE INDEX i ON items (abs(size))",
    "another type": _again("desks", "TEXT", "BLOB"),
    "values of any type": _again("desks", "STRICT, ", ""),
    "no condition any more": _again("store", "(length(site) = 32)", "(1)"),
    "a condition that works for hours": _again(
        "store", "(length(site) = 32)", "(length(randomblob(999999999)) > 0)"
    ),
    "a reference to no table": _again(
        "items", "mailboxes ON DELETE CASCADE", '"mailboxesONDELETECASCADE"'
    ),
    "a reference to no table, by a space that is none to SQLite": _again(
        "items", "mailboxes ON DELETE CASCADE", "mailboxes\xa0ON\xa0DELETE\xa0CASCADE"
    ),
    "a condition on another word": _again("items", "'attachment'", "'attach ment'"),
    "a condition on a word with quotes": _again("items", "'attachment'", "'\"attachment\"'"),
    "a condition on no day": _again("items", "GLOB '2", "GLOB ' 2"),
    "a definition that is no text": (
        "PRAGMA writable_schema = ON;"
        " UPDATE sqlite_schema SET sql = CAST(sql AS BLOB) WHERE name = 'desks'"
    ),
    "one table less": "DROP TABLE addressed",
    "one more table": "CREATE TABLE visitors (address TEXT)",
}  # fmt: skip


@pytest.mark.parametrize("what", SCHEMAS)
def test_database_with_foreign_tables_triggers_or_views_is_refused(
    what: str, attacker: Attacker
) -> None:
    attacker.alter(SCHEMAS[what])
    attacker.refused("the database of the site . is not as a server writes it: ")


FORMS = {
    "huge pages": "PRAGMA page_size = 65536; VACUUM",
    "small pages": "PRAGMA page_size = 512; VACUUM",
    "an automatic vacuum": "PRAGMA auto_vacuum = FULL; VACUUM",
}


@pytest.mark.parametrize("what", FORMS)
def test_database_settings_that_keep_deleted_data_are_refused(
    what: str, attacker: Attacker
) -> None:
    attacker.alter(FORMS[what])
    attacker.refused("its page format is not that of a server")


NUL = "char(0) || '/../x'"  # where string functions of SQLite and C stop
VALUES = {
    "a day that is none": ("mailboxes", "last_added", "'2026-99-99'"),
    "a day with more after it": ("mailboxes", "last_added", f"last_added || {NUL}"),
    "a number that nothing can come after": ("desks", "last_number", "9223372036854775807"),
    "a number that no desk takes": ("desks", "last_number", "9007199254740991"),
    "a number that its desk has not reached": ("addressed", "number", "number + 1000"),
    "a message number that nothing can come after": ("items", "n", "9223372036854775807"),
    "an id with more after it": ("items", "item", f"item || {NUL}"),
    "an id that is only begun":
        ("mailboxes", "mailbox", "substr(mailbox, 1, 9) || char(0) || substr(mailbox, 11)"),
    "an access id with more after it": ("mailboxes", "access", f"access || {NUL}"),
    "an author who is none": ("items", "author", f"'reporter' || {NUL}"),
    "a counsellor who is none": ("addressed", "identity", "'../x'"),
    "a desk that is none": ("desks", "identity", f"identity || {NUL}"),
    "an id of the store that is none": ("store", "id", f"id || {NUL}"),
    "an id of the site that is none": ("store", "site", "printf('%032s', '../x')"),
}  # fmt: skip


@pytest.mark.parametrize("what", VALUES)
def test_values_that_no_server_writes_are_refused(what: str, attacker: Attacker) -> None:
    table, column, value = VALUES[what]
    attacker.alter(f"UPDATE {table} SET {column} = {value}")  # noqa: S608 - our own names
    attacker.refused(
        f"the database of the site . is not as a server writes it: {table}.{column} holds a value"
    )


@pytest.mark.parametrize("several", [True, False])
def test_store_with_several_ids_or_none_is_refused(several: bool, attacker: Attacker) -> None:
    more = "INSERT INTO store (id) VALUES (hex(zeroblob(16)))"
    attacker.alter(more if several else "DELETE FROM store")
    attacker.refused("its table store does not have exactly one row")


def test_value_of_the_wrong_type_is_reported_as_damage(attacker: Attacker) -> None:
    attacker.alter(_again("items", "STRICT, ", ""))
    attacker.alter("UPDATE items SET n = n + 0.5")
    attacker.alter(_again("items", "WITHOUT", "STRICT, WITHOUT"))
    attacker.refused("the database is damaged: non-INTEGER value in items.n")


@pytest.mark.parametrize("absolute", [True, False])
def test_file_name_with_path_traversal_removes_no_file_elsewhere(
    attacker: Attacker, absolute: bool
) -> None:
    """A restore removes damaged large files, but only its own."""
    victim = attacker.folder / "victim"
    victim.write_bytes(b"not the server's")
    name = str(victim) if absolute else "../../../victim"
    attacker.alter(
        f"UPDATE addressed SET item = '{name}' WHERE item IN"  # noqa: S608 - our own names
        " (SELECT item FROM items WHERE size > 1048576);"
        f"UPDATE items SET item = '{name}' WHERE size > 1048576"
    )
    done = attacker.restore()
    assert victim.read_bytes() == b"not the server's"
    assert done.exit_code == 1, done.output
    assert "items.item holds a value that no server writes; use an earlier" in done.stderr


def test_doctor_and_backup_report_what_restore_would_refuse(attacker: Attacker) -> None:
    """Otherwise the operator would find out only when the backup is needed."""
    attacker.alter(SCHEMAS["one more view"])
    found = attacker.types("doctor", "--site", ".")
    assert "it has tables, triggers, views or indexes that no server makes: v" in found.stdout
    made = attacker.types("backup")
    assert made.exit_code == 1
    assert "no server makes: v; a restore would refuse it; run doctor" in made.stderr


def test_database_with_analyze_statistics_is_restored(attacker: Attacker) -> None:
    """The statistics contain row counts and table names, which the tables reveal anyway."""
    attacker.alter("ANALYZE")
    assert "no server makes" not in attacker.types("doctor", "--site", ".").stdout
    assert attacker.types("backup").exit_code == 0
    done = attacker.restore()
    assert done.exit_code == 0, done.output


def test_statistics_with_samples_of_removed_rows_are_refused_with_advice(
    attacker: Attacker,
) -> None:
    attacker.alter("ANALYZE")
    attacker.alter(
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET name = 'sqlite_stat4',"
        " tbl_name = 'sqlite_stat4', sql = 'CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)'"
        " WHERE name = 'sqlite_stat1'"
    )
    made = attacker.types("backup")
    assert made.exit_code == 1
    assert "remove it with DROP TABLE sqlite_stat4" in made.stderr
    attacker.refused("it: an ANALYZE was run")


def test_backup_of_an_unaltered_folder_is_restored(attacker: Attacker) -> None:
    """This proves that restores in the other tests fail because of the alterations."""
    attacker.alter("VACUUM")
    done = attacker.restore()
    assert done.exit_code == 0, done.output
    assert "1 conversation is back" in done.stdout
