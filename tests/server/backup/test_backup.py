"""Backups and restores of a server as the operator types them, with real data."""

import codecs
import datetime
import io
import json
import os
import shutil
import sqlite3
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.keys import Recipient, Seed
from dropbox_app.server.backup import create, directory
from dropbox_app.server.cli import common, main
from dropbox_app.server.config import loader, settings, settings_writer, site
from dropbox_app.server.config.settings import Limits, Retention, Settings
from dropbox_app.server.doctor import machine as machine_around
from dropbox_app.server.store import snapshot
from dropbox_app.server.store.files import replace_whole
from dropbox_app.server.store.sqlite import DATABASE, SqliteStore
from dropbox_app.server.store.withdrawn_list import Withdrawn
from tests.server.config.test_referrals import OWN
from tests.support.other_account import give_away, in_a_process
from tests.support.server_folder import ANNA, DAY, AServer, faults_in, file, ids, message

LARGE = 1_500_000


class Machine:
    """A server with data, its operator's key and commands, and a date that a test can change."""

    def __init__(self, folder: Path, **more: Limits | Retention) -> None:
        self.folder = folder
        self.server = AServer(folder / "server", **more)  # type: ignore[arg-type]  # by name
        self.day = DAY
        self.key = folder / "key.txt"

    def types(self, *arguments: str | Path, folder: Path | None = None) -> Result:
        words = ["--dir", str(folder or self.server.folder), *map(str, arguments)]
        return CliRunner().invoke(main.main, words)

    def does(self, *arguments: str | Path, folder: Path | None = None) -> str:
        done = self.types(*arguments, folder=folder)
        assert done.exit_code == 0, done.output
        return done.stdout

    def make_key(self, *more: str) -> None:
        self.key.write_text(self.does("backup-key", *more))

    def later(self, days: int) -> None:
        self.server.later(days)
        self.day = self.server.day

    @property
    def kept(self) -> list[str]:
        return [one.path.name for one in directory.kept(self.place)]

    @property
    def place(self) -> Path:
        return self.server.folder / "backups"

    @property
    def newest(self) -> Path:
        return directory.kept(self.place)[-1].path

    def restore(self, *more: str | Path, name: str = "new", file: Path | None = None) -> Result:
        target = self.folder / name
        return self.types("restore", file or self.newest, "--key", self.key, *more, folder=target)

    def restored(
        self, *more: str | Path, name: str = "new", file: Path | None = None
    ) -> SqliteStore:
        done = self.restore(*more, name=name, file=file)
        assert done.exit_code == 0, done.output
        return SqliteStore(self.folder / name, lambda: self.day)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(tmp_path)
    monkeypatch.setattr(common, "today", lambda: made.day)
    # Doctor's findings about the machine that runs the tests are irrelevant here.
    monkeypatch.setattr(machine_around, "ROOT", tmp_path / "machine")
    monkeypatch.delenv("KLANKBORD_DIR", raising=False)
    made.make_key()
    yield made
    made.server.store.close()


def _contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder by name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _filled(server: AServer) -> dict[str, bytes]:
    """Fill a site with every kind of data; return the sealed bytes of each item."""
    sealed = [server.report("one"), server.report("two"), server.report("three")]
    large = file(2, LARGE)
    server.put_file("one", large)
    sealed += [large, server.reply("one", 1)]
    server.withdraw("three", 2)
    del sealed[2]
    for lang in ("nl", "en"):
        (server.folder / "content" / lang).mkdir(parents=True)
        (server.folder / "content" / lang / "what.md").write_text("## Wat\n\nTekst.\n")
        (server.folder / "content" / lang / "law-privacy.md").write_text("Onze grond.\n")
    (server.folder / "content" / "referrals.toml").write_text(OWN)
    server.site.retire("bram", DAY)
    server.site.end(DAY)
    return {sha256_hex(one): one for one in sealed}


# the key


def test_secret_key_is_printed_once_and_stored_nowhere(machine: Machine) -> None:
    secret = machine.key.read_text().splitlines()[-1]
    assert secret.startswith("AGE-SECRET-KEY-PQ-1")
    public = (machine.server.folder / "backup-key").read_text().strip()
    assert public == str(Seed.parse(secret).recipient())
    assert public in machine.key.read_text()
    assert not any(secret.encode() in data for data in _contents(machine.server.folder).values())
    refused = machine.types("backup-key")
    assert refused.exit_code == 1
    assert "there is a key already; --new" in refused.stderr
    machine.make_key("--new")
    assert (machine.server.folder / "backup-key").read_text().strip() != public


def test_without_a_key_no_backup_is_made(machine: Machine) -> None:
    (machine.server.folder / "backup-key").unlink()
    refused = machine.types("backup")
    assert refused.exit_code == 1
    assert "make one first: backup-key" in refused.stderr
    assert not machine.place.exists()


# backup and restore


def test_backup_of_a_running_site_restores_everything(machine: Machine) -> None:
    sealed = _filled(machine.server)
    before = machine.server.store.store_id()
    said = machine.does("backup")
    assert "sites: 1, items: 5" in said
    new = machine.restored()
    assert new.store_id() != before
    for item, data in sealed.items():
        assert new.read(item) == data
    assert new.mailboxes() == machine.server.store.mailboxes()
    for mailbox in new.mailboxes():
        assert new.mailbox(mailbox) == machine.server.store.mailbox(mailbox)
        assert new.items(mailbox) == machine.server.store.items(mailbox)
        assert new.addressed(mailbox) == machine.server.store.addressed(mailbox)
    assert [r.item.id for r in new.inbox(str(ANNA), 0, 9)] == [
        r.item.id for r in machine.server.store.inbox(str(ANNA), 0, 9)
    ]
    assert new.is_withdrawn(ids("three")[0])
    assert faults_in(machine.folder / "new") == []
    new.close()
    old, back = _contents(machine.server.folder), _contents(machine.folder / "new")
    outside = ("klankbord.db", "backups/", "reserve")
    assert {k: v for k, v in back.items() if not k.startswith(outside)} == {
        k: v for k, v in old.items() if not k.startswith(outside)
    }
    assert site.load(machine.folder / "new").begun()


def test_stock_tools_can_open_a_backup(machine: Machine) -> None:
    """A backup is one age file for one key, containing a plain tar without times."""
    _filled(machine.server)
    machine.does("backup")
    seed = Seed.parse(machine.key.read_text().splitlines()[-1])
    plain = machine.folder / "plain.tar"
    plain.write_bytes(age.open_sealed(machine.newest.read_bytes(), [seed]))
    with tarfile.open(plain) as archive:
        assert {entry.mtime for entry in archive} == {0}
        assert "klankbord.db" in archive.getnames()
    listed = directory.kept(machine.place, "withdrawn")[-1].path
    data = age.open_sealed(listed.read_bytes(), [seed])
    assert len(data) == create.PAD
    assert data.split(b"\n")[0].split(b" ")[1].decode() == ids("three")[0]


def test_each_restored_site_gets_a_new_store_id(machine: Machine) -> None:
    machine.does(
        *("site", "add", "bakery", "--name", "Bakker", "--origin", "https://box.example.net")
    )
    machine.server.report("one")
    bakery = machine.server.folder / "sites" / "bakery"
    store = SqliteStore(bakery, lambda: machine.day)
    before = {store.store_id(), machine.server.store.store_id()}
    store.close()
    assert "sites: 2" in machine.does("backup")
    said = machine.restore()
    assert said.exit_code == 0, said.output
    after = set()
    for folder in (machine.folder / "new", machine.folder / "new" / "sites" / "bakery"):
        store = SqliteStore(folder, lambda: machine.day)
        after.add(store.store_id())
        store.close()
    assert len(after | before) == 4
    assert "bakery: Bakker: 0 conversations" in said.stdout


def test_file_names_and_times_reveal_nothing_finer_than_a_day(machine: Machine) -> None:
    _filled(machine.server)
    machine.does("backup")
    assert machine.restore().exit_code == 0
    midnight = datetime.datetime(DAY.year, DAY.month, DAY.day, tzinfo=datetime.UTC).timestamp()
    seen = [machine.place, *machine.place.iterdir()]
    seen += [p for p in (machine.folder / "new").rglob("*") if p.name != "klankbord.db"]
    for path in seen:
        assert path.stat().st_mtime == midnight, path
        assert stat.S_IMODE(path.stat().st_mode) in (0o600, 0o700), path
    assert sorted(path.name for path in machine.place.iterdir()) == [
        f"klankbord-{DAY}.age",
        f"klankbord-{DAY}.age.sha256",
        f"withdrawn-{DAY}.age",
        f"withdrawn-{DAY}.age.sha256",
    ]


def test_later_or_failed_backup_also_leaves_no_time_finer_than_a_day(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _filled(machine.server)
    machine.does("backup")
    machine.later(1)
    midnight = datetime.datetime.combine(machine.day, datetime.time(), datetime.UTC).timestamp()
    places = (machine.place, machine.server.folder / "files")
    machine.does("backup")  # a second backup, which removes an older list
    assert [place.stat().st_mtime for place in places] == [midnight] * 2
    machine.does("backup")  # a third backup, which removes the second list
    assert [place.stat().st_mtime for place in places] == [midnight] * 2

    def broken(*_: object) -> None:
        raise OSError("the disk")

    monkeypatch.setattr(directory, "finished", broken)
    assert machine.types("backup").exit_code == 1
    assert [place.stat().st_mtime for place in places] == [midnight] * 2


# withdrawals


def test_conversation_withdrawn_after_the_backup_stays_withdrawn(machine: Machine) -> None:
    """The list next to the backups records it, and each later backup updates that list."""
    for name in ("one", "two"):
        machine.server.report(name)
    machine.does("backup")
    first = machine.newest
    machine.later(1)
    machine.server.withdraw("one", 2)
    machine.does("backup")
    done = machine.restore(file=first)
    assert done.exit_code == 0
    assert "1 had been withdrawn since" in done.stdout
    new = SqliteStore(machine.folder / "new", lambda: machine.day)
    assert new.mailboxes() == [ids("two")[0]]
    assert new.is_withdrawn(ids("one")[0])
    new.close()


def test_withdrawal_list_of_the_old_folder_removes_conversations_withdrawn_later(
    machine: Machine,
) -> None:
    for name in ("one", "two"):
        machine.server.report(name)
    machine.does("backup")
    machine.server.withdraw("one", 2)
    new = machine.restored("--withdrawn", machine.server.folder / "withdrawn")
    assert new.mailboxes() == [ids("two")[0]]
    new.close()
    again = machine.restored(name="without")
    assert len(again.mailboxes()) == 2
    again.close()


def test_withdrawal_waiting_for_desks_is_still_waiting_after_a_restore(machine: Machine) -> None:
    machine.server.report("one")
    sealed = machine.server.withdraw("one", 2)
    machine.does("backup")
    new = machine.restored()
    assert [row.item.id for row in new.inbox(str(ANNA), 0, 9)] == [sha256_hex(sealed)]
    assert new.mailbox_of(ids("one")[1]) is None
    new.close()


def test_conversation_withdrawn_during_the_backup_is_not_restored(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The withdrawal comes after the database is copied but before the other files are."""
    machine.server.report("one")
    machine.server.put_file("one", file(2, LARGE))
    machine.server.reply("one", 1)
    checked = snapshot.check

    def meanwhile(database: object) -> None:
        checked(database)  # type: ignore[arg-type]  # passed on unchanged
        machine.server.withdraw("one", 2)

    monkeypatch.setattr(snapshot, "check", meanwhile)
    assert machine.types("backup").exit_code == 0
    monkeypatch.undo()
    monkeypatch.setattr(common, "today", lambda: machine.day)
    new = machine.restored()
    assert new.mailboxes() == []
    new.close()
    assert not list((machine.folder / "new" / "files").iterdir())


def test_missing_withdrawal_list_next_to_the_backup_is_reported(machine: Machine) -> None:
    machine.server.report("one")
    machine.does("backup")
    elsewhere = machine.folder / machine.newest.name
    elsewhere.write_bytes(machine.newest.read_bytes())
    done = machine.restore(file=elsewhere)
    assert done.exit_code == 0
    assert "there was no list of withdrawn conversations" in done.stderr


# retention


def test_one_backup_a_day_is_kept_for_fourteen_days(machine: Machine) -> None:
    machine.does("backup")
    machine.does("backup")
    assert machine.kept == [f"klankbord-{DAY}-2.age"]
    for day in range(1, 20):
        machine.later(day)
        machine.does("backup")
    assert len(machine.kept) == 14
    assert machine.newest.name == f"klankbord-{DAY + datetime.timedelta(19)}.age"
    names = {path.name for path in machine.place.iterdir()}
    assert len(names) == 2 * 14 + 2
    assert sum(name.startswith("withdrawn-") for name in names) == 2


def test_site_can_shorten_backup_retention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path, retention=Retention(backup=3))
    monkeypatch.setattr(common, "today", lambda: machine.day)
    machine.make_key()
    for day in range(6):
        machine.later(day)
        machine.does("backup")
    assert len(machine.kept) == 3
    machine.server.store.close()


def test_clock_jump_removes_no_backup(machine: Machine) -> None:
    machine.server.report("one")
    with machine.server.store.writing():
        machine.server.store.set_served(DAY)
    machine.does("backup")
    machine.day = DAY + datetime.timedelta(400)
    machine.does("backup")
    assert len(machine.kept) == 2
    machine.day = DAY - datetime.timedelta(400)
    machine.does("backup")
    assert len(machine.kept) == 3
    machine.later(1)
    machine.does("backup")
    assert machine.kept == [f"klankbord-{DAY}.age", f"klankbord-{machine.day}.age"]


def test_backups_expire_on_time_even_without_a_new_backup(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.does("backup")
    machine.later(31)
    usage = shutil.disk_usage(machine.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=8 * 1024 * 1024))
    refused = machine.types("backup")
    assert refused.exit_code == 1
    assert "there is no room" in refused.stderr
    assert machine.kept == []


def test_withdrawal_list_given_instead_of_a_backup_is_reported(machine: Machine) -> None:
    machine.does("backup")
    (listed,) = directory.kept(machine.place, "withdrawn")
    refused = machine.restore(file=listed.path)
    assert "a list of withdrawn mailboxes; give the klankbord-" in refused.stderr


def test_old_backup_is_refused_unless_confirmed(machine: Machine) -> None:
    machine.server.report("one")
    machine.does("backup")
    machine.day = DAY + datetime.timedelta(31)
    refused = machine.restore()
    assert refused.exit_code == 1
    assert "conversations withdrawn since may come back" in refused.stderr
    assert not (machine.folder / "new").exists()
    assert machine.restore("--old").exit_code == 0


# faults


def test_flipped_bit_anywhere_is_detected_without_a_key(machine: Machine) -> None:
    machine.server.report("one")
    machine.does("backup")
    assert "unchanged" in machine.does("backup", "--check")
    tried = 0
    for path in sorted(machine.place.iterdir()):
        whole = path.read_bytes()
        steps = range(0, len(whole), max(1, len(whole) // 25))
        for at in (*steps, len(whole) - 1):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
            found = machine.types("backup", "--check")
            assert found.exit_code == 1, (path.name, at)
            assert "not what was written" in found.stdout
            tried += 1
        path.write_bytes(whole)
    assert tried > 80
    assert machine.types("backup", "--check").exit_code == 0
    machine.newest.with_name(machine.newest.name + ".sha256").unlink()
    assert "it has no checksum" in machine.types("backup", "--check").stdout


def test_restore_detects_a_flipped_bit_and_leaves_nothing_behind(machine: Machine) -> None:
    machine.server.report("one")
    machine.does("backup")
    whole = machine.newest.read_bytes()
    for at in range(0, len(whole), len(whole) // 20):
        machine.newest.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert machine.restore().exit_code == 1
        assert not (machine.folder / "new").exists()
    for cut in (0, 10, 5000, len(whole) - 1):
        machine.newest.write_bytes(whole[:cut])
        assert machine.restore().exit_code == 1
    machine.newest.write_bytes(whole + b"x")
    assert machine.restore().exit_code == 1
    machine.newest.write_bytes(whole)
    assert machine.restore().exit_code == 0


def test_wrong_key_opens_no_backup_and_an_old_key_still_opens_its_own_backups(
    machine: Machine,
) -> None:
    machine.server.report("one")
    machine.does("backup")
    old = machine.folder / "old.txt"
    machine.key.rename(old)
    machine.make_key("--new")
    refused = machine.restore()
    assert refused.exit_code == 1
    assert "another key than the one given" in refused.stderr
    first = machine.newest
    machine.later(1)
    machine.does("backup")
    both = machine.types(
        *("restore", first, "--key", machine.key, "--key", old), folder=machine.folder / "new"
    )
    assert both.exit_code == 0, both.output
    nonsense = machine.folder / "nonsense"
    nonsense.write_text("AGE-SECRET-KEY-PQ-1HALF\n")
    said = machine.types("restore", first, "--key", nonsense, folder=machine.folder / "other")
    assert said.exit_code == 1
    assert "HALF" not in said.output


@pytest.mark.parametrize(
    "saved",
    [
        lambda key: codecs.BOM_UTF8 + key,
        lambda key: key.decode().replace("\n", "\r\n").encode("utf-16"),
    ],
    ids=["Notepad", "PowerShell"],
)
def test_key_file_in_any_text_encoding_opens_its_backups(
    machine: Machine, saved: Callable[[bytes], bytes]
) -> None:
    """On Windows ``ssh SERVER klankbord-server backup-key > backup-key.txt`` writes UTF-16."""
    machine.server.report("one")
    machine.does("backup")
    machine.key.write_bytes(saved(machine.key.read_bytes()))
    done = machine.restore()
    assert done.exit_code == 0, done.output


def test_nonempty_folder_is_left_unchanged(machine: Machine) -> None:
    machine.does("backup")
    target = machine.folder / "new"
    target.mkdir()
    (target / "something").write_text("mine")
    refused = machine.restore()
    assert refused.exit_code == 1
    assert "is not empty; nothing was changed" in refused.stderr
    assert _contents(target) == {"something": b"mine"}
    (target / "something").unlink()
    node = target.stat().st_ino
    assert machine.restore().exit_code == 0
    assert target.stat().st_ino == node


def test_killed_restore_is_reported_and_can_be_started_again(machine: Machine) -> None:
    machine.server.report("one")
    machine.does("backup")
    target = machine.folder / "new"
    (target / ".restoring" / "files").mkdir(parents=True)
    (target / "cards").mkdir()
    named = machine.types("doctor", folder=target)
    assert named.exit_code == 1
    assert "a restore was interrupted here; run it again" in named.stdout
    assert machine.restore().exit_code == 0
    assert not (target / ".restoring").exists()


def test_files_left_by_a_killed_backup_are_removed_by_the_next_backup(machine: Machine) -> None:
    machine.does("backup")
    for name in (f".klankbord-{DAY}-2.age.new", "klankbord-2026-01-01.age.sha256"):
        (machine.place / name).write_text("half")
    (machine.server.folder / "files" / ("0" * 32 + ".part")).write_bytes(b"half a database")
    (machine.place / "note.txt").write_text("the operator's own")
    machine.does("backup")
    names = {path.name for path in machine.place.iterdir()}
    assert names - {"note.txt"} == {
        f"{kind}-{DAY}-2.age{end}" for kind in ("klankbord", "withdrawn") for end in ("", ".sha256")
    }
    machine.server.store.sweep()
    assert not list((machine.server.folder / "files").iterdir())


def test_concurrent_second_backup_is_refused(machine: Machine) -> None:
    machine.place.mkdir()
    with directory.alone(machine.place, DAY):
        refused = machine.types("backup")
    assert refused.exit_code == 1
    assert "another backup is being made" in refused.stderr


def test_broken_site_does_not_block_backups_of_others(machine: Machine) -> None:
    machine.does(
        *("site", "add", "bakery", "--name", "Bakker", "--origin", "https://box.example.net")
    )
    machine.server.report("one")
    machine.does("backup")
    machine.later(15)
    (machine.server.folder / "sites" / "bakery" / "klankbord.db").write_bytes(b"no database" * 99)
    done = machine.types("backup")
    assert done.exit_code == 1
    assert "bakery: the database is damaged" in done.stderr
    assert "sites: 1, items: 1" in done.stdout
    assert len(machine.kept) == 2, "the one that still holds it"
    assert machine.restore().exit_code == 0


BROKEN = {
    "gone": None,
    "no TOML": "[",
    "of another id": settings_writer.write(Settings("77" * 16, "X", ("https://x.example",))),
}


@pytest.mark.parametrize("how", BROKEN)
def test_site_with_invalid_settings_is_backed_up_and_restored_as_closed(
    machine: Machine, how: str
) -> None:
    """The site's database contains the id that the lists of withdrawn mailboxes use."""
    path, broken = machine.server.folder / "site.toml", BROKEN[how]
    with machine.server.store.writing():
        machine.server.store.set_site_id(settings.read(machine.server.folder).site)
    for name in ("one", "two"):
        machine.server.report(name)
    written = path.read_text()
    path.unlink()
    if broken is not None:
        path.write_text(broken)
    done = machine.types("backup")
    first = machine.newest
    machine.later(1)
    machine.server.withdraw("one", 2)
    machine.types("backup")
    if broken is None:
        assert done.exit_code == 1
        assert "site.toml is gone, so it is not in the backup" in done.stderr
        said = machine.types("doctor").stdout
        assert "see Lost settings in deploy/guide/emergencies.md" in said
        assert "make it with init" not in said
    done = machine.restore(file=first)
    assert done.exit_code == 0, done.output
    assert "its settings are wrong, see site check: 1 conversation is back" in done.stdout
    new = machine.folder / "new"
    assert loader.read(new).sites == ()
    (new / "site.toml").write_text(written)
    assert [one.place.name for one in loader.read(new).sites] == ["."]
    store = SqliteStore(new, lambda: machine.day)
    assert store.mailboxes() == [ids("two")[0]]
    store.close()


def test_backup_of_an_earlier_build_with_last_good_settings_is_restored(
    machine: Machine,
) -> None:
    machine.server.report("one")
    machine.does("backup")
    seed = Seed.parse(machine.key.read_text().splitlines()[-1])
    plain = machine.folder / "made.tar"
    plain.write_bytes(age.open_sealed(machine.newest.read_bytes(), [seed]))
    with tarfile.open(plain, "a") as archive:
        archive.addfile(tarfile.TarInfo("last-good"))
    made = machine.place / f"klankbord-{DAY}-7.age"
    made.write_bytes(age.seal(plain.read_bytes(), [seed.recipient()]))
    store = machine.restored(file=made)
    assert store.site_id() == settings.read(machine.server.folder).site
    store.close()


def test_damaged_items_are_named_and_the_rest_restored(machine: Machine) -> None:
    sealed = _filled(machine.server)
    small, _, large, _ = sealed
    with closing(sqlite3.connect(machine.server.folder / DATABASE)) as database, database:
        database.execute("UPDATE sealed SET file = ? WHERE item = ?", (message(1), small))
    path = machine.server.folder / "files" / large
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = machine.types("backup")
    assert done.exit_code == 1
    assert "1 items are damaged" in done.stderr
    said = machine.restore()
    assert said.exit_code == 0
    assert "2 items were not in the backup, or were incomplete" in said.stdout
    new = SqliteStore(machine.folder / "new", lambda: machine.day)
    assert {item: new.read(item) for item in sealed} == {
        item: data if item not in (small, large) else None for item, data in sealed.items()
    }
    assert faults_in(machine.folder / "new") == []
    new.close()


def test_backup_with_contents_that_no_server_writes_is_refused(machine: Machine) -> None:
    machine.server.report("one")
    machine.does("backup")
    seed = Seed.parse(machine.key.read_text().splitlines()[-1])
    for name in ("../outside", "/absolute", "sites/../../x", "sites/A B/site.toml", "files/short"):
        plain = machine.folder / "made.tar"
        with tarfile.open(plain, "w") as archive:
            archive.addfile(tarfile.TarInfo(name))
        made = machine.place / f"klankbord-{DAY}-7.age"
        made.write_bytes(age.seal(plain.read_bytes(), [seed.recipient()]))
        refused = machine.restore(file=made)
        assert refused.exit_code == 1
        assert "data that no server writes" in refused.stderr
        assert not (machine.folder / "new").exists()


def _tar(*entries: tarfile.TarInfo, data: bytes = b"") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            entry.size = len(data) if entry.isreg() else 0
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def _entry(
    name: str, kind: bytes = tarfile.REGTYPE, headers: dict[str, str] | None = None
) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.pax_headers = kind, "../../../etc/passwd", headers or {}
    return entry


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "site.toml",
          "GNU.sparse.realsize": str(1024**4)}  # fmt: skip
HOSTILE = {
    "a terabyte of zeros": _tar(_entry("x", headers=SPARSE), data=b"1\n0\n0\n".ljust(512, b"\0")),
    "a header without end": _tar(_entry("site.toml", headers={"comment": "x" * 100_000})),
    "a link": _tar(_entry("site.toml", tarfile.SYMTYPE)),
    "a hard link": _tar(_entry("site.toml"), _entry("backup-key", tarfile.LNKTYPE)),
    "a device": _tar(_entry("site.toml", tarfile.CHRTYPE)),
    "a pipe": _tar(_entry("site.toml", tarfile.FIFOTYPE)),
    "a folder": _tar(_entry("sites", tarfile.DIRTYPE)),
    "a way out": _tar(_entry("sites/../../x")),
    "an absolute name": _tar(_entry("/etc/klankbord/x")),
    "a name in a header": _tar(_entry("x", headers={"path": "../" * 40 + "etc/x"})),
    "nothing": b"",
    "no archive": bytes(range(256)) * 100,
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_backup_is_refused_and_leaves_nothing_behind(what: str, machine: Machine) -> None:
    """Anyone with the server's folder can seal a backup to its key, because that key is public."""
    public = (machine.server.folder / "backup-key").read_text().strip()
    file = machine.folder / "klankbord-2026-03-10.age"
    file.write_bytes(age.seal(HOSTILE[what], [Recipient.parse(public)]))
    before = {path for path in machine.folder.rglob("*") if "new" not in path.parts}
    refused = machine.restore("--old", file=file)
    assert refused.exit_code == 1, refused.output
    assert refused.stderr.startswith("Error: ")
    assert not (machine.folder / "new").exists()
    assert set(machine.folder.rglob("*")) == before


def test_restore_leaves_disk_space_for_other_sites(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.does("backup")
    usage = shutil.disk_usage(machine.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=64 * 1024 * 1024))
    refused = machine.restore()
    assert refused.exit_code == 1
    assert "the disk is full; nothing was restored" in refused.stderr
    assert not (machine.folder / "new").exists()


@pytest.mark.parametrize("part", [0, 1, 100, 0.3, 0.9, -1])
def test_truncated_backup_is_refused_and_leaves_nothing_behind(
    machine: Machine, part: float
) -> None:
    machine.server.report("one")
    machine.does("backup")
    data = machine.newest.read_bytes()
    machine.newest.write_bytes(data[: int(part * len(data)) if 0 < part < 1 else int(part)])
    refused = machine.restore()
    assert refused.exit_code == 1, refused.output
    assert not (machine.folder / "new").exists()


def test_doctor_checks_the_backups(machine: Machine) -> None:
    def found() -> list[dict[str, str]]:
        listed: list[dict[str, str]] = json.loads(machine.types("doctor", "--json").stdout)
        return [one for one in listed if "backup" in one["check"]]

    assert [(one["state"], one["fault"]) for one in found()] == [
        ("note", "there is none yet"),
        ("fine", ""),
    ]
    machine.later(2)
    assert (found()[0]["state"], found()[0]["fault"]) == ("wrong", "there is none")
    machine.does("backup")
    assert {one["state"] for one in found()} == {"fine"}
    machine.newest.write_bytes(b"x")
    assert [one["state"] for one in found()] == ["fine", "wrong"]
    machine.later(5)
    assert "the newest is of" in found()[0]["fault"]
    (machine.server.folder / "backup-key").unlink()
    assert found()[0]["state"] == "note"


def test_files_made_by_root_belong_to_the_servers_account(machine: Machine) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    machine.server.report("one")
    give_away(machine.server.folder)
    assert in_a_process(lambda: machine.does("backup"))
    assert {p.stat().st_uid for p in (machine.place, *machine.place.iterdir())} == {65534}
    target = machine.folder / "new"
    target.mkdir()
    give_away(target, machine.key)
    assert in_a_process(lambda: machine.restore().exit_code) == 0
    assert {p.stat().st_uid for p in (target, *target.rglob("*"))} == {65534}


def test_invalid_withdrawal_list_is_refused(machine: Machine) -> None:
    machine.does("backup")
    wrong = machine.folder / "wrong"
    replace_whole(wrong, b"no list\n", DAY)
    refused = machine.restore("--withdrawn", wrong)
    assert refused.exit_code == 1
    assert "not a list of withdrawn mailboxes" in refused.stderr
    Withdrawn(wrong).write({ids("one")[0]: DAY}, DAY)
    assert machine.restore("--withdrawn", wrong).exit_code == 0


def test_backup_with_a_duplicate_file_name_is_refused_and_the_name_shown(machine: Machine) -> None:
    seed = Seed.parse(machine.key.read_text().splitlines()[-1])
    plain = machine.folder / "made.tar"
    with tarfile.open(plain, "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("site.toml"))
    machine.place.mkdir()
    made = machine.place / f"klankbord-{DAY}.age"
    made.write_bytes(age.seal(plain.read_bytes(), [seed.recipient()]))
    refused = machine.restore(file=made)
    assert refused.exit_code == 1
    assert "it holds site.toml twice" in refused.stderr
    assert not (machine.folder / "new").exists()
