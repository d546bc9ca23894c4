"""The commands on a site whose conversations are in PostgreSQL."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dropbox_app.server.cli import common, main
from dropbox_app.server.config import loader, stores
from dropbox_app.server.doctor import machine
from dropbox_app.server.errors import StoreError
from dropbox_app.server.store import postgres_server
from dropbox_app.server.store.interface import ItemInfo
from tests.support.postgres import NOWHERE, Address, Postgres
from tests.support.server_folder import DAY, ids
from tests.vectors import world


class Operator:
    """An operator whose server has one site, with its database at ``address``."""

    def __init__(self, folder: Path, running: Postgres) -> None:
        self.folder = folder
        self.running = running
        self.address: Address = running.site()

    def types(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(main.main, ["--dir", str(self.folder), *map(str, arguments)])

    def init(self, store: str) -> Result:
        named = ("--name", "Voorbeeld BV", "--origin", "https://drop.example.org")
        return self.types("init", *named, "--store", store)

    def superuser(self, statement: str) -> list[tuple[object, ...]]:
        with self.running.superuser() as connection:
            connection.execute(f"SET search_path = {self.address['user']}")
            done = connection.execute(statement)
            return done.fetchall() if done.description else []


@pytest.fixture
def operator(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.setattr(common, "today", lambda: DAY)
    monkeypatch.setattr(machine, "ROOT", tmp_path / "machine")
    made = Operator(tmp_path / "server", postgres)
    done = made.init(postgres.url(made.address))
    assert done.exit_code == 0, done.output
    return made


def test_site_on_postgres_has_no_database_in_its_folder(operator: Operator) -> None:
    assert {path.name for path in operator.folder.iterdir()} == {"site.toml", "cards"}
    (site,) = loader.read(operator.folder).sites
    store = stores.opened(site.place, site.settings, common.today)
    assert store.site_id() == site.settings.site
    assert store.served() == DAY
    store.close()
    found = operator.types("doctor").output
    assert "fine   database\n" in found
    assert operator.types("site", "check").output.startswith(".: ")
    assert '"why": "no counsellor' in operator.types("status", "--json").output.replace("\n", "")


def test_purge_command_removes_expired_mailbox(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site,) = loader.read(operator.folder).sites
    store = stores.opened(site.place, site.settings, common.today)
    mailbox, access = ids("one")
    with store.writing():
        store.add_mailbox(mailbox, access, DAY)
    store.close()
    assert "removed: 0 mailboxes" in operator.types("purge").output
    monkeypatch.setattr(common, "today", lambda: DAY.replace(day=DAY.day + 3))
    assert "removed: 1 mailboxes" in operator.types("purge").output
    assert operator.superuser("SELECT count(*) FROM mailboxes") == [(0,)]


def test_doctor_reports_missing_data_and_unsafe_log_settings(operator: Operator) -> None:
    (site,) = loader.read(operator.folder).sites
    store = stores.opened(site.place, site.settings, common.today)
    mailbox, access = ids("one")
    with store.writing():
        store.add_mailbox(mailbox, access, DAY)
        store.add_item(mailbox, ItemInfo("f" * 64, "message", "reporter", 1, DAY, 9), b"any bytes")
    store.close()
    operator.superuser("DELETE FROM pieces")
    assert "1 sealed files are not complete" in operator.types("doctor").output
    operator.superuser(f"DELETE FROM keys_{mailbox[-1]}")  # noqa: S608 - our own name
    assert "1 sealed files have no key" in operator.types("doctor").output
    name = "log_min_error_statement"
    assert name in postgres_server.QUIET
    operator.superuser(f"ALTER ROLE {operator.address['user']} RESET {name}")
    assert f"{name} is error; it should be panic" in operator.types("doctor").output


def test_settings_with_a_different_site_id_are_refused(operator: Operator) -> None:
    path = operator.folder / "site.toml"
    (site,) = loader.read(operator.folder).sites
    path.write_text(path.read_text().replace(site.settings.site, world.SITE))
    (changed,) = loader.read(operator.folder).sites
    with pytest.raises(StoreError, match="every code is lost"):
        stores.opened(changed.place, changed.settings, common.today)
    assert "every code is lost" in operator.types("purge").output


def test_second_site_in_one_schema_is_refused(operator: Operator, tmp_path: Path) -> None:
    before = operator.superuser("SELECT id, site FROM store")
    other = Operator(tmp_path / "other", operator.running)
    done = other.init(operator.running.url(operator.address))
    assert done.exit_code == 1
    assert "holds a site already" in done.output
    assert not other.folder.exists()
    assert operator.superuser("SELECT id, site FROM store") == before


def test_failed_init_leaves_no_tables(
    tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dropbox_app.server.cli.sites.replace_whole", full)
    one = Operator(tmp_path / "server", postgres)
    assert one.init(postgres.url(one.address)).exit_code == 1
    tables = one.superuser("SELECT 1 FROM pg_tables WHERE schemaname = current_schema()")
    assert tables == []
    monkeypatch.undo()
    assert one.init(postgres.url(one.address)).exit_code == 0


def test_init_refuses_address_with_password(tmp_path: Path, postgres: Postgres) -> None:
    one = Operator(tmp_path / "server", postgres)
    done = one.init("postgresql://one:geheim@/klankbord")
    assert done.exit_code == 1
    assert "--store must not contain a password" in done.output
    assert "geheim" not in done.output
    assert not one.folder.exists()


def test_every_command_reports_unreachable_database(operator: Operator) -> None:
    path = operator.folder / "site.toml"
    path.write_text(path.read_text().replace(str(operator.running.folder), NOWHERE))
    for words in (("purge",), ("doctor",), ("status",), ("site", "check"), ("serve",)):
        done = operator.types(*words)
        assert done.exit_code == 1, words
        assert "nothing answers there" in done.output, words
        assert "Traceback" not in done.output
