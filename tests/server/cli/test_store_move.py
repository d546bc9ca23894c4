"""A site's conversations are moved to PostgreSQL and back, completely or not at all."""

import fcntl
import itertools
import os
import threading
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.cli import common, main
from dropbox_app.server.config import settings, stores
from dropbox_app.server.config.paths import own
from dropbox_app.server.errors import ServerError
from dropbox_app.server.store.postgres_copy import PostgresCopy
from dropbox_app.server.store.sqlite_copy import SqliteCopy
from tests.support.postgres import Address, Postgres
from tests.support.processes import until
from tests.support.server_folder import ANNA, BRAM, DAY, AServer, file, ids


class Moved:
    """A site with data of every kind, and the commands that move it."""

    def __init__(self, folder: Path, running: Postgres) -> None:
        server = AServer(folder)
        with server.store.writing():
            server.store.set_site_id(server.site.settings.site)
            server.store.set_served(DAY)
        server.report("one", (ANNA, BRAM))
        server.report("two")
        server.report("three")
        server.fetch()
        server.put_file("one", file(3))
        server.reply("one", 1, to=(ANNA, BRAM))
        server.put_file("two", file(2, 2_000_000))
        server.reply("two", 1)
        server.fetch(BRAM)
        server.withdraw("three", 2)
        server.store.close()
        self.folder = folder
        self.running = running
        self.address: Address = running.site()
        self.url = running.url(self.address)

    def moves(self, to: str) -> Result:
        return CliRunner().invoke(
            main.main, ["--dir", str(self.folder), "store", "move", "--to", to]
        )

    def everything(self) -> dict[str, object]:
        """Return the contents of the store, wherever it is, after checking every sealed file."""
        store = stores.opened(own(self.folder), settings.read(self.folder), lambda: DAY)
        boxes = store.mailboxes()
        items = {box: store.items(box) for box in boxes}
        for one in (item for box in boxes for item in items[box]):
            read = store.read(one.id)
            assert read is not None
            assert sha256_hex(read) == one.id
        found: dict[str, object] = {
            "mailboxes": [store.mailbox(box) for box in boxes],
            "items": items,
            "numbered": [store.numbered(box) for box in boxes],
            "desks": store.desks(),
            "withdrawn": store.withdrawn(),
            "days": (store.served(), store.newest_day()),
            "ids": (store.store_id(), store.site_id()),
        }
        store.close()
        return found

    def tables(self) -> int:
        with self.running.superuser() as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = %s", (self.address["user"],)
            ).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def moved(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Moved:
    monkeypatch.setattr(common, "today", lambda: DAY)
    return Moved(tmp_path / "server", postgres)


def test_moving_the_store_back_and_forth_keeps_all_data_and_removes_the_original(
    moved: Moved,
) -> None:
    before = moved.everything()
    text = (moved.folder / "site.toml").read_text()
    done = moved.moves(moved.url)
    assert done.exit_code == 0, done.output
    assert "moved and compared: 3 mailboxes, 7 sealed files" in done.output
    assert moved.everything() == before
    left = {path.name for path in moved.folder.iterdir()}
    assert left <= {"site.toml", "cards", "reserve"}
    there = stores.opened(own(moved.folder), settings.read(moved.folder), lambda: DAY)
    assert there.log_size() == 0
    there.close()
    done = moved.moves("")
    assert done.exit_code == 0, done.output
    assert moved.everything() == before
    assert (moved.folder / "site.toml").read_text() == text
    assert moved.tables() == 0


def test_failed_move_changes_nothing_and_can_be_repeated(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, text = moved.everything(), (moved.folder / "site.toml").read_text()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(PostgresCopy, "add_desks", full)
        assert moved.moves(moved.url).exit_code == 1
    assert moved.everything() == before
    assert (moved.folder / "site.toml").read_text() == text
    assert moved.tables() == 0
    assert moved.moves(moved.url).exit_code == 0
    assert moved.everything() == before


@pytest.mark.parametrize("to", ["postgres", "sqlite"])
@pytest.mark.parametrize("point", range(1, 8, 3))
def test_killed_move_changes_nothing_and_can_be_repeated(
    moved: Moved, monkeypatch: pytest.MonkeyPatch, to: str, point: int
) -> None:
    if to == "sqlite":
        assert moved.moves(moved.url).exit_code == 0
    target = moved.url if to == "postgres" else ""
    before, text = moved.everything(), (moved.folder / "site.toml").read_text()
    process = os.fork()
    if process == 0:
        kind = PostgresCopy if to == "postgres" else SqliteCopy
        real, seen = kind.add_item, [0]

        def dies(*given: object) -> None:
            seen[0] += 1
            if seen[0] == point:
                os._exit(9)
            real(*given)  # type: ignore[arg-type] # passed on as they came

        monkeypatch.setattr(kind, "add_item", dies)
        moved.moves(target)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    assert (moved.folder / "site.toml").read_text() == text
    assert moved.everything() == before
    done = moved.moves(target)
    assert done.exit_code == 0, done.output
    assert moved.everything() == before


def test_move_is_refused_for_a_running_server_an_occupied_target_or_an_invalid_address(
    moved: Moved, tmp_path: Path
) -> None:
    handle = os.open(moved.folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert "a server is running" in moved.moves(moved.url).output
    os.close(handle)
    assert "must not contain a password" in moved.moves("postgresql://x:y@/z").output
    assert "are there already" in moved.moves("").output
    other = Moved(tmp_path / "other", moved.running)
    assert other.moves(other.url).exit_code == 0
    done = moved.moves(other.url)
    assert done.exit_code == 1
    assert "there are conversations of a site already" in done.output
    assert other.everything()["ids"] is not None


def test_damaged_file_is_reported_and_nothing_is_moved(moved: Moved) -> None:
    (large,) = (moved.folder / "files").iterdir()
    data = large.read_bytes()
    large.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = moved.moves(moved.url)
    assert done.exit_code == 1
    assert "a sealed file is damaged" in done.output
    assert moved.tables() == 0
    large.write_bytes(data)
    assert moved.moves(moved.url).exit_code == 0


def test_doctor_reports_the_original_store_left_by_a_killed_move(
    moved: Moved, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = moved.everything()
    process = os.fork()
    if process == 0:
        monkeypatch.setattr(SqliteCopy, "remove_tables", lambda _: os._exit(9))
        moved.moves(moved.url)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 9
    assert moved.everything() == before
    assert settings.read(moved.folder).store == moved.url
    said = CliRunner().invoke(main.main, ["--dir", str(moved.folder), "doctor"]).output
    assert "are left from before its move to PostgreSQL" in said
    assert "are there already" in moved.moves(moved.url).output


@pytest.mark.parametrize("to", ["postgres", "sqlite"])
def test_move_during_concurrent_writes_loses_no_confirmed_report(moved: Moved, to: str) -> None:
    if to == "sqlite":
        assert moved.moves(moved.url).exit_code == 0
    place, before = own(moved.folder), settings.read(moved.folder)
    forgotten = stores.opened(place, before, lambda: DAY)
    confirmed, over = list[str](), threading.Event()

    def reports() -> None:
        for number in itertools.count():
            name = f"late {number}"
            try:
                with forgotten.writing():
                    forgotten.add_mailbox(*ids(name), DAY)
            except (ServerError, OSError, psycopg.Error):
                if over.is_set():
                    return
            else:
                confirmed.append(ids(name)[0])

    reporter = threading.Thread(target=reports)
    reporter.start()
    until(lambda: len(confirmed) > 5, "nothing is stored")
    done = moved.moves(moved.url if to == "postgres" else "")
    over.set()
    reporter.join(60)
    assert not reporter.is_alive()
    forgotten.close()
    assert done.exit_code == 0, done.output
    there = stores.opened(place, settings.read(moved.folder), lambda: DAY)
    assert set(confirmed) <= set(there.mailboxes())
    there.close()
