"""Writes survive a crash, only one desk works at a time, and no time is finer than a day."""

import datetime
import errno
import multiprocessing
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dropbox_app.desk.errors import AlreadyThere, Damaged, InUse, NotSetUp, Unfit
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.atomic_files import Disk, write_outside
from dropbox_app.desk.storage.vault import CHEAP_FOR_TESTS, Vault
from dropbox_app.protocol.errors import WrongPassphrase
from tests.desk.conftest import PASSPHRASE, Office
from tests.support.fake_server import Clock, Peer, Reporter

SITE = "ab" * 16


class Killed(BaseException):
    """The simulated machine stopped here."""


@pytest.fixture
def disk(tmp_path: Path, clock: Clock) -> Disk:
    made = Disk(tmp_path / "desk", clock)
    made.make()
    return made


def test_file_write_is_atomic_at_every_step(tmp_path: Path, clock: Clock) -> None:
    """The kill happens before, between and after all steps of replacing a vault."""
    steps: list[str] = []
    disk = Disk(tmp_path / "desk", clock, steps.append)
    disk.make()
    old = Vault.create(disk, PASSPHRASE, log_n=CHEAP_FOR_TESTS)
    old.join(SITE)
    old.save(once=True)
    count = len(steps)
    assert [step.split()[0] for step in steps] == ["opened", "written", "safe", "in", "done"]
    for kill_at in range(count):
        seen = 0

        def step(_: str, kill_at: int = kill_at) -> None:
            nonlocal seen
            if seen == kill_at:
                raise Killed
            seen += 1

        dying = Disk(tmp_path / "desk", clock, step)
        new = Vault.open(dying, PASSPHRASE, log_n=CHEAP_FOR_TESTS)
        other = f"{kill_at:032x}"
        new.join(other)
        with pytest.raises(Killed):
            new.save()
        with Disk(tmp_path / "desk", clock).locked():
            left = Vault.open(disk, PASSPHRASE)
        assert SITE in left.sites
        # The new file counts only after the rename.
        assert (other in left.sites) is (kill_at >= 3)


def test_partial_file_of_a_dead_process_is_removed(disk: Disk) -> None:
    disk.write("sites/x/state.age", b"old")
    leftover = disk.path("sites/x/state.age.new")
    leftover.write_bytes(b"half")
    assert disk.names("sites/x") == ["state.age"]
    with disk.locked():
        assert not leftover.exists()
    assert disk.read("sites/x/state.age") == b"old"


def test_each_write_in_a_group_is_atomic_at_every_step(tmp_path: Path, clock: Clock) -> None:
    """No file is replaced before all are synced; a kill at any step leaves no stray file."""
    names = ("a", "sites/x/b", "sites/x/c")

    def write(disk: Disk, contents: bytes) -> None:
        with disk.together() as group:
            for name in names:
                with group.writing(name) as take:
                    take(contents)

    steps: list[str] = []
    plain = Disk(tmp_path / "desk", clock, steps.append)
    plain.make()
    write(plain, b"old")
    first, last = steps.index("safe a"), len(steps)
    assert {f"written {name}" for name in names} <= set(steps[:first])
    for kill_at in range(last):
        seen = 0

        def step(_: str, kill_at: int = kill_at) -> None:
            nonlocal seen
            seen += 1
            if seen == kill_at + 1:
                raise Killed

        write(plain, b"old")
        with pytest.raises(Killed):
            write(Disk(tmp_path / "desk", clock, step), b"new")
        with plain.locked():
            found = [plain.read(name) for name in names]
        assert set(found) <= {b"old", b"new"}
        assert kill_at >= first or set(found) == {b"old"}
        assert not list(plain.root.rglob("*.new"))


def test_last_write_to_a_file_in_a_group_takes_effect(disk: Disk) -> None:
    """The earlier file is closed before it is replaced; otherwise there is a ResourceWarning."""
    with disk.together() as group:
        for data in (b"first", b"second"):
            with group.writing("a") as take:
                take(data)
    assert disk.read("a") == b"second"
    assert [path.name for path in disk.root.iterdir()] == ["a"]


def test_group_of_writes_that_cannot_be_synced_replaces_no_file(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk may report its error only at this point."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def write() -> None:
        with disk.together() as group:
            for name in ("a", "b"):
                with group.writing(name) as take:
                    take(b"new")
            monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space"):
        write()
    assert not [path for path in disk.root.rglob("*") if path.is_file()]


def test_write_once_option_never_overwrites_a_file(disk: Disk) -> None:
    disk.write("vault.age", b"first", once=True)
    with pytest.raises(AlreadyThere):
        disk.write("vault.age", b"second", once=True)
    assert disk.read("vault.age") == b"first"
    assert disk.names("") == ["vault.age"]


def test_files_are_private_and_their_dates_reveal_no_time_of_day(
    office: Office, reporter: Reporter
) -> None:
    reporter.attach("Zie de foto", ("foto.jpg", "image/jpeg", b"x"))
    office.fetch_quietly()
    midnight = datetime.datetime(2027, 1, 5, tzinfo=datetime.UTC).timestamp()
    paths = [office.folder, *office.folder.rglob("*")]
    assert len(paths) > 6
    for path in paths:
        state = path.stat()
        assert stat.S_IMODE(state.st_mode) == (0o700 if path.is_dir() else 0o600)
        assert (path, state.st_mtime) == (path, midnight)


def test_file_names_are_only_ids_and_fixed_words(office: Office, reporter: Reporter) -> None:
    (item,) = reporter.attach("Zie de foto", ("foto van mijn chef.jpg", "image/jpeg", b"x"))
    office.fetch_quietly()
    site = office.peer.site
    names = {p.relative_to(office.folder).as_posix() for p in office.folder.rglob("*")}
    assert names == {
        "lock", "vault.age", "desk-a.db", "sites", f"sites/{site}", f"sites/{site}/items",
        f"sites/{site}/items/{item}.body",
    }  # fmt: skip


def _hold(
    root: Path,
    ready: "multiprocessing.synchronize.Event",
    done: "multiprocessing.synchronize.Event",
) -> None:
    with Disk(root, Clock("2027-01-05")).locked():
        ready.set()
        done.wait(60)


def test_second_desk_process_in_the_same_folder_is_told_to_wait(office: Office) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(office.folder, ready, done))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(InUse, match="wait until it has ended"):
            office.fetch()
    finally:
        done.set()
        other.join(60)
    office.fetch_quietly()


def test_lock_is_released_when_its_process_ends(office: Office) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(office.folder, ready, done))
    other.start()
    assert ready.wait(60)
    other.kill()
    other.join(60)
    office.fetch_quietly()


def test_wrong_passphrase_and_damaged_vault_give_different_errors(office: Office) -> None:
    disk = Disk(office.folder, office.clock)
    with pytest.raises(WrongPassphrase):
        Vault.open(disk, "iets heel anders dan eerst")
    data = bytearray(disk.read(vault.NAME))
    data[-1] ^= 1
    disk.write(vault.NAME, bytes(data))
    with pytest.raises(Damaged, match="backup"):
        Vault.open(disk, PASSPHRASE)


def test_refusal_of_a_short_passphrase_is_explained(disk: Disk) -> None:
    with pytest.raises(Unfit, match="at least 16"):
        Vault.create(disk, "kort", log_n=CHEAP_FOR_TESTS)


def test_missing_desk_is_reported(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(NotSetUp, match="init"), Disk(tmp_path / "none", clock).locked():
        pass


@pytest.mark.slow
def test_default_scrypt_cost_is_the_cost_that_the_protocol_specifies(disk: Disk) -> None:
    """log N is 18, and no environment variable makes it cheaper."""
    made = Vault.create(disk, PASSPHRASE)
    made.save(once=True)
    header = disk.read(vault.NAME).split(b"\n")[1].split(b" ")
    assert header[1] == b"scrypt"
    assert header[3] == b"18"


def test_exported_files_are_new_and_private(tmp_path: Path) -> None:
    write_outside(tmp_path / "out", b"x")
    assert stat.S_IMODE(os.stat(tmp_path / "out").st_mode) == 0o600
    with pytest.raises(AlreadyThere):
        write_outside(tmp_path / "out", b"y")
    assert (tmp_path / "out").read_bytes() == b"x"


def test_repeating_init_completes_a_crashed_init(
    tmp_path: Path, peer: Peer, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The injected hook runs at each disk operation."""
    office = Office(tmp_path / "desk", peer, clock)
    for kill_at in range(40):
        seen = 0

        def step(_: str, kill_at: int = kill_at) -> None:
            nonlocal seen
            seen += 1
            if seen > kill_at:
                raise Killed

        def dying(root: Path, today: Clock, step: object = step) -> Disk:
            return Disk(root, today, step)  # type: ignore[arg-type] # the hook above

        monkeypatch.setattr("dropbox_app.desk.folder.Disk", dying)
        try:
            office.set_up()
        except Killed:
            continue
        except AlreadyThere:
            break  # killed after the last file was in place: it is finished
        finally:
            monkeypatch.setattr("dropbox_app.desk.folder.Disk", Disk)
    else:
        pytest.fail("never finished")
    assert kill_at >= 8
    with office.desk() as desk:
        peer.add_card(desk.state.card)
    office.fetch_quietly()


def test_concurrent_fetches_that_create_the_same_folder_all_succeed(
    tmp_path: Path, clock: Clock
) -> None:
    for attempt in range(30):
        disk = Disk(tmp_path / str(attempt), clock)
        disk.make()
        together = threading.Barrier(4, timeout=60)

        def write(site: int, disk: Disk = disk, together: threading.Barrier = together) -> None:
            together.wait()
            disk.write(f"sites/{site}/items/a.age", b"x")

        with ThreadPoolExecutor(4) as pool:
            assert [*pool.map(write, range(4))] == [None] * 4
