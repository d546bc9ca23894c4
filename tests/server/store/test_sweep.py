"""The upkeep never mistakes a file in progress for the leftover of a crash."""

import fcntl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol.encoding import new_digest
from dropbox_app.server.store import snapshot
from dropbox_app.server.store.interface import ItemInfo
from dropbox_app.server.store.sqlite import SqliteStore
from tests.support.server_folder import DAY, AServer, ids

LARGE = bytes(range(256)) * 8_192


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AServer]:
    made = AServer(tmp_path_factory.mktemp("sweep") / "server")
    made.report("one")
    yield made
    made.store.close()


def keep(server: AServer, data: bytes) -> str:
    """Stage and store a large file like a message's; return its item id."""
    with server.store.stage(new_digest()) as staged:
        staged.write(data)
        info = ItemInfo(staged.digest(), "attachment", "reporter", 0, DAY, staged.size)
        with server.store.writing():
            server.store.add_item(ids("one")[0], info, staged)
        return info.id


def test_sweep_keeps_a_new_file_that_is_not_yet_locked(
    server: AServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = before_the_lock(server, monkeypatch)
    item = keep(server, LARGE)
    assert swept == [1]
    assert server.store.read(item) == LARGE
    assert [path.name for path in (server.folder / "files").iterdir()] == [item]


def test_sweep_keeps_a_new_backup_copy_that_is_not_yet_locked(
    server: AServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept = before_the_lock(server, monkeypatch)
    with snapshot.copied(server.folder / "klankbord.db", server.folder / "files", DAY) as copy:
        assert swept == [1]
        assert server.store.sweep() == 0
        with snapshot.opened(copy) as database:
            assert database.execute("SELECT count(*) FROM items").fetchone() == (1,)


@pytest.mark.parametrize("end", ["-journal", "-wal", "-shm"])
def test_sweep_keeps_the_sqlite_files_of_a_copy_in_progress(server: AServer, end: str) -> None:
    with snapshot.copied(server.folder / "klankbord.db", server.folder / "files", DAY) as copy:
        beside = copy.with_name(copy.name + end)
        beside.write_bytes(b"of the copy")
        assert server.store.sweep() == 0
        assert beside.exists()
    beside.write_bytes(b"left by a crash")
    assert server.store.sweep() == 1
    assert not beside.exists()


def before_the_lock(server: AServer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sweep exactly between naming a file and locking it; return the removed files."""
    real, swept = fcntl.flock, list[int]()

    def flock(handle: int, how: int) -> None:
        if how == fcntl.LOCK_EX and not swept:
            swept.append(0)
            swept[0] = server.store.sweep()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    return swept


def test_sweep_locks_a_file_while_deciding_whether_to_remove_it(
    server: AServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = server.folder / "files" / "0123.part"
    left.write_bytes(b"left by a crash")
    locked = at_the_decision(monkeypatch, lambda: not free(left))
    assert server.store.sweep() == 1
    assert locked == [True]


def test_file_stored_again_during_a_sweep_is_kept(
    server: AServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has the same name, and the sweep has already seen that the name has no row."""
    item = new_digest(LARGE).hexdigest()
    (server.folder / "files" / item).write_bytes(LARGE)
    again = threading.Thread(target=lambda: keep(server, LARGE))

    def meanwhile() -> bool:
        again.start()
        again.join(1)  # it either gets through, or waits until the sweep is over
        return True

    done = at_the_decision(monkeypatch, meanwhile)
    server.store.sweep()
    assert done == [True]
    again.join(60)
    assert server.store.read(item) == LARGE


def free(path: Path) -> bool:
    """Return whether nobody holds the lock of this file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def at_the_decision(patch: pytest.MonkeyPatch, do: Callable[[], bool]) -> list[bool]:
    """Run a function once, just after the sweep asks whether a file has a row."""
    real, done = SqliteStore.item, list[bool]()

    def item(self: SqliteStore, name: str) -> object:
        answer = real(self, name)
        if not done and answer is None:
            done.append(False)
            done[0] = do()
        return answer

    patch.setattr(SqliteStore, "item", item)
    return done
