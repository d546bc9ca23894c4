"""An upgrade of a server with a site on PostgreSQL keeps its conversations, and can be undone."""

import datetime
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from dropbox_app.server.cli import main
from dropbox_app.server.release.upgrade import UpgradeError
from tests.server.release.test_upgrade import FAILS, Installed, hurried
from tests.support.postgres import NOWHERE, Address, Postgres, open_store
from tests.support.processes import until
from tests.support.server_folder import ids

pytestmark = pytest.mark.skipif(not shutil.which("minisign"), reason="needs Debian's minisign")

MAILBOX, ACCESS = ids("one")


def today() -> datetime.date:
    """Return the day of the server, which would purge a mailbox of an earlier day."""
    return datetime.datetime.now(datetime.UTC).date()


class OnPostgres(Installed):
    """A running server whose site, with one mailbox, is on PostgreSQL."""

    def __init__(self, top: Path, running: Postgres) -> None:
        super().__init__(top)
        self.running = running
        self.address: Address = running.site()
        self.systemctl("stop")
        words = ("--dir", str(top / "data"), "store", "move", "--to", running.url(self.address))
        done = CliRunner().invoke(main.main, words)
        assert done.exit_code == 0, done.output
        store = open_store(self.address, today)
        with store.writing():
            store.add_mailbox(MAILBOX, ACCESS, today())
        store.close()
        self.systemctl("start")
        until(self.serves, "the server does not answer")

    def systemctl(self, what: str) -> None:
        subprocess.run([self.top / "systemctl", what], check=True)

    def mailboxes(self) -> list[str]:
        store = open_store(self.address, today)
        try:
            return store.mailboxes()
        finally:
            store.close()


@pytest.fixture
def installed(tmp_path: Path, postgres: Postgres) -> Iterator[OnPostgres]:
    made = OnPostgres(tmp_path, postgres)
    yield made
    made.systemctl("stop")


def test_upgrade_keeps_conversations_on_postgres_and_backs_them_up(installed: OnPostgres) -> None:
    assert installed.upgrade(installed.release()) == "0.2.0"
    assert (installed.current, installed.serves()) == ("new", True)
    assert installed.is_clean()
    assert installed.mailboxes() == [MAILBOX]
    assert list((installed.top / "data" / "backups").glob("klankbord-*.age"))


def test_failed_upgrade_on_postgres_is_rolled_back(installed: OnPostgres) -> None:
    installed.machine = hurried(installed.machine)
    with pytest.raises(UpgradeError, match="serves again"):
        installed.upgrade(installed.release(before=FAILS))
    assert (installed.current, installed.serves()) == ("old", True)
    assert installed.is_clean()
    assert installed.mailboxes() == [MAILBOX]


def test_upgrade_that_would_change_the_tables_on_postgres_is_rejected(
    installed: OnPostgres,
) -> None:
    """It could not be undone, because these tables are not copied."""
    with installed.running.superuser() as connection:
        connection.execute(f"DELETE FROM {installed.address['user']}.steps")  # noqa: S608 - our own name
    with pytest.raises(UpgradeError, match="which could not be undone") as refused:
        installed.upgrade(installed.release())
    assert "Nothing that serves was changed" in str(refused.value)
    assert (installed.current, installed.serves()) == ("old", True)
    assert installed.is_clean()


def test_upgrade_without_access_to_postgres_changes_nothing(installed: OnPostgres) -> None:
    file = installed.top / "data" / "site.toml"
    elsewhere = installed.running.url({**installed.address, "host": NOWHERE})
    file.write_text(file.read_text().replace(installed.running.url(installed.address), elsewhere))
    with pytest.raises(UpgradeError, match="Nothing that serves was changed"):
        installed.upgrade(installed.release())
    assert (installed.current, installed.serves()) == ("old", True)
    assert installed.is_clean()
