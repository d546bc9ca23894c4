"""The write lock between threads and processes is granted at once if free, or times out."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dropbox_app.server.errors import StoreBusy
from dropbox_app.server.store import write_lock
from dropbox_app.server.store.write_lock import Turns
from tests.support.server_folder import AServer

# Another process that takes the lock as a writer does, says so, and works until it is told to end.
_HOLDER = """
import fcntl, os, sys
handle = os.open(sys.argv[1], os.O_RDONLY)
fcntl.flock(handle, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process, stopped while it holds the lock."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-c", _HOLDER, str(folder)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"held\n"

    def end(self) -> None:
        self._process.communicate(timeout=60)


@contextmanager
def held(folder: Path) -> Iterator[Holder]:
    holder = Holder(folder)
    try:
        yield holder
    finally:
        holder.end()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_lock, "BUSY_SECONDS", 0.5)


def waiting() -> int:
    """Return how many threads of this process wait for the lock."""
    return sum(thread.name == write_lock.WAITING for thread in threading.enumerate())


@pytest.mark.usefixtures("impatient")
def test_report_is_refused_if_a_stopped_command_holds_the_write_lock(tmp_path: Path) -> None:
    server = AServer(tmp_path / "server")
    server.report("before")
    with held(server.folder / "files"):
        began = time.monotonic()
        with pytest.raises(StoreBusy):
            server.report("meanwhile")
        assert time.monotonic() - began > 0.4
        assert len(server.store.mailboxes()) == 1, "reading goes on"
    server.report("after")
    server.store.close()


@pytest.mark.usefixtures("impatient")
def test_all_waiting_threads_time_out_together(tmp_path: Path) -> None:
    turn = Turns(tmp_path)
    ends: list[float] = []

    def write() -> None:
        with pytest.raises(StoreBusy), turn.taken():
            pass
        ends.append(time.monotonic())

    with held(tmp_path):
        began = time.monotonic()
        writers = [threading.Thread(target=write) for _ in range(8)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
    assert len(ends) == 8
    assert max(ends) - began < 8 * 0.5


@pytest.mark.usefixtures("impatient")
def test_abandoned_lock_requests_leave_only_one_waiter_and_no_lock_held(tmp_path: Path) -> None:
    """A lock that is obtained for a cancelled request is released at once."""
    turn = Turns(tmp_path)
    with held(tmp_path):
        for _ in range(3):
            with pytest.raises(StoreBusy), turn.taken():
                pass
        assert waiting() == 1
    for thread in threading.enumerate():
        if thread.name == write_lock.WAITING:
            thread.join(60)
    with held(tmp_path):
        pass
    with turn.taken():
        pass


def test_waiting_writer_is_woken_when_the_lock_is_free(tmp_path: Path) -> None:
    turn = Turns(tmp_path)
    with held(tmp_path) as holder:
        writer = threading.Thread(target=lambda: turn.taken().__enter__())
        writer.start()
        while not waiting():
            time.sleep(0.001)
        holder.end()
        writer.join(60)
        assert not writer.is_alive()


@pytest.mark.usefixtures("impatient")
def test_abandoned_lock_request_is_reused_by_the_next_writer(tmp_path: Path) -> None:
    turn = Turns(tmp_path)
    with held(tmp_path) as holder:
        with pytest.raises(StoreBusy), turn.taken():
            pass
        over = threading.Event()

        def write() -> None:
            with turn.taken():
                over.set()

        writer = threading.Thread(target=write)
        writer.start()
        holder.end()
        assert over.wait(60)
        writer.join(60)


def test_write_lock_is_exclusive_and_every_writer_obtains_it(tmp_path: Path) -> None:
    """There are two processes with four threads each, some of which give up."""
    both = (Turns(tmp_path), Turns(tmp_path))
    at_work: list[int] = []
    done: list[int] = []

    def write(turn: Turns) -> None:
        for _ in range(200):
            try:
                with turn.taken():
                    at_work.append(1)
                    assert len(at_work) == 1
                    at_work.pop()
                    done.append(1)
            except StoreBusy:
                done.append(0)

    writers = [threading.Thread(target=write, args=(both[n % 2],)) for n in range(8)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_lock, "BUSY_SECONDS", 0.002)
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
    assert len(done) == 1600
    assert sum(done)
    for turn in both:
        with turn.taken():
            pass
