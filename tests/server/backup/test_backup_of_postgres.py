"""A backup of a site on PostgreSQL, and its restore on a machine without PostgreSQL."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.backup import directory
from dropbox_app.server.backup.export import FOLDER
from dropbox_app.server.cli import common, main
from dropbox_app.server.config import settings, stores
from dropbox_app.server.config.paths import own
from dropbox_app.server.config.stores import SiteStore
from tests.support.postgres import NOWHERE, Postgres
from tests.support.server_folder import ANNA, BRAM, DAY, AServer, file, ids
from tests.support.two_stores import OnPostgres


class Kept:
    """A site on PostgreSQL with some conversations, and its backups."""

    def __init__(self, folder: Path, running: Postgres) -> None:
        self.server = AServer(folder / "server", on=OnPostgres(running))
        self.folder = self.server.folder
        self.running = running
        self.key = folder / "key"
        with self.server.store.writing():
            self.server.store.set_site_id(self.server.site.settings.site)
            self.server.store.set_served(DAY)
        self.sealed = [self.server.report("one", (ANNA, BRAM)), self.server.report("two")]
        large = file(2, 2_000_000)
        self.server.put_file("two", large)
        self.sealed += [large, self.server.reply("two", 1)]
        self.server.report("three")
        self.server.withdraw("three", 2)
        self.key.write_text(self.types("backup-key").stdout)

    def types(self, *words: str | Path, folder: Path | None = None) -> Result:
        where = str(folder or self.folder)
        return CliRunner().invoke(main.main, ["--dir", where, *map(str, words)])

    def backup(self) -> Path:
        done = self.types("backup")
        assert done.exit_code == 0, done.output
        return directory.kept(self.folder / "backups")[-1].path

    def restored(self, file: Path, folder: Path) -> SiteStore:
        done = self.types("restore", file, "--key", self.key, folder=folder)
        assert done.exit_code == 0, done.output
        return stores.opened(own(folder), settings.read(folder), lambda: DAY)


@pytest.fixture
def kept(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Kept:
    monkeypatch.setattr(common, "today", lambda: DAY)
    return Kept(tmp_path, postgres)


def test_backup_is_restored_as_a_site_on_sqlite(kept: Kept, tmp_path: Path) -> None:
    made = kept.backup()
    assert not (kept.folder / FOLDER).exists()
    store = kept.restored(made, tmp_path / "new")
    for sealed in kept.sealed:
        assert store.read(sha256_hex(sealed)) == sealed
    before = kept.server.store
    assert store.mailboxes() == before.mailboxes()
    assert store.is_withdrawn(ids("three")[0])
    assert store.site_id() == kept.server.site.settings.site
    assert store.store_id() != before.store_id()
    assert settings.read(tmp_path / "new").store == ""
    assert (tmp_path / "new" / "cards" / "anna.card").exists()
    assert (tmp_path / "new" / "klankbord.db").exists()
    store.close()


def test_conversation_withdrawn_after_a_backup_stays_withdrawn(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kept.backup()
    kept.server.later(1)
    monkeypatch.setattr(common, "today", kept.server.today)
    kept.server.withdraw("one", 2, (ANNA, BRAM))
    kept.backup()
    store = kept.restored(first, tmp_path / "new")
    assert store.mailbox(ids("one")[0]) is None
    assert store.read(sha256_hex(kept.sealed[0])) is None
    assert store.read(sha256_hex(kept.sealed[1])) == kept.sealed[1]
    store.close()


def test_list_of_withdrawals_is_kept_if_the_database_is_unreachable(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This holds even if another site was backed up: an older backup may be restored with it."""
    done = kept.types(
        *("site", "add", "other", "--name", "Ander BV", "--origin", "https://other.example.org")
    )
    assert done.exit_code == 0, done.output
    kept.backup()
    (before,) = (kept.folder / "backups").glob("withdrawn-*.age")
    data = before.read_bytes()
    path = kept.folder / "site.toml"
    path.write_text(path.read_text().replace(str(kept.running.folder), NOWHERE))
    kept.server.later(1)
    monkeypatch.setattr(common, "today", kept.server.today)
    done = kept.types("backup")
    assert done.exit_code == 1
    assert "the withdrawals of . cannot be listed" in done.output
    assert [one.read_bytes() for one in (kept.folder / "backups").glob("withdrawn-*.age")] == [data]
    assert not (kept.folder / FOLDER).exists()


def test_reports_are_accepted_during_a_backup(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    real = stores.opened

    def opened(*given: object) -> SiteStore:
        store = real(*given)  # type: ignore[arg-type] # passed on as they came
        kept.server.report("meanwhile")
        return store

    monkeypatch.setattr(stores, "opened", opened)
    kept.backup()
    assert kept.server.kept("meanwhile") == [("reporter", 1)]
