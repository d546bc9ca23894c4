"""Shared memory of workers: all read an entry that one writes, and a killed worker blocks none."""

import os
import signal
import time
from collections.abc import Callable

from dropbox_app.server.web.repeated_posts import ANSWER, RepeatedPosts
from dropbox_app.server.web.shared_table import SharedTable

KEY = bytes(range(16))


def in_a_worker(work: Callable[[], object]) -> int:
    """Run ``work`` in a process forked from this one; return the process id."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def hold(table: SharedTable, key: bytes) -> None:
    with table.locked() as rows:
        rows.put(key, 10.0, 1.0, b"held")
        signal.pause()


def has(table: SharedTable, key: bytes) -> bool:
    with table.locked() as rows:
        return rows.get(key, 1.0) is not None


def test_entry_written_by_one_worker_can_be_read_by_all_workers() -> None:
    table = SharedTable(4, 4, 4)

    def write() -> None:
        with table.locked() as rows:
            rows.put(KEY, 10.0, 1.0, b"four")

    os.waitpid(in_a_worker(write), 0)
    with table.locked() as rows:
        assert rows.get(KEY, 9.9) == b"four"
        assert rows.get(KEY, 10.0) is None


def test_worker_killed_while_holding_the_lock_does_not_block_the_others() -> None:
    table, ready = SharedTable(4, 4, 4), SharedTable(1, 1, 0)

    def work() -> None:
        with table.locked():
            with ready.locked() as rows:
                rows.put(KEY, 10.0, 1.0)
            signal.pause()

    pid = in_a_worker(work)
    until(lambda: has(ready, KEY))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert not has(table, KEY)


def test_partially_written_entry_is_ignored() -> None:
    """The time of an entry is written last, so the entry does not exist until then."""
    table = SharedTable(1, 1, 4)
    table.write(table.places()[0], KEY, 10.0, b"four")
    table.write(table.places()[0], KEY, 0.0, b"othe")
    assert not has(table, KEY)


def test_dropped_and_expired_entries_are_overwritten() -> None:
    table = SharedTable(4, 4, 4)
    other = bytes(16)
    with table.locked() as rows:
        rows.put(KEY, 10.0, 1.0, b"four")
        rows.put(other, 5.0, 1.0, b"five")
        rows.drop_expired(6.0)
        rows.drop(KEY)
    assert all(table.value(place) == bytes(4) for place in table.places())
    assert all(table.key(place) == bytes(16) for place in table.places())


def test_post_interrupted_by_a_killed_worker_continues_with_its_stored_answer() -> None:
    posts, ready = RepeatedPosts(), SharedTable(1, 1, 0)
    sealed = bytes([7]) * ANSWER

    def work() -> None:
        with posts.turn(KEY) as turn:
            turn.keep(sealed)
            with ready.locked() as rows:
                rows.put(KEY, 10.0, 1.0)
            signal.pause()

    pid = in_a_worker(work)
    until(lambda: has(ready, KEY))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with posts.turn(KEY) as turn:
        assert turn.answer == sealed


def test_worker_waits_for_a_post_running_in_another_worker() -> None:
    posts, ready = RepeatedPosts(), SharedTable(1, 1, 0)
    sealed = bytes([7]) * ANSWER

    def work() -> None:
        with posts.turn(KEY) as turn:
            with ready.locked() as rows:
                rows.put(KEY, 10.0, 1.0)
            time.sleep(0.3)  # the work that the other waits for
            turn.keep(sealed)

    pid = in_a_worker(work)
    until(lambda: has(ready, KEY))
    with posts.turn(KEY) as turn:
        assert turn.answer == sealed
    os.waitpid(pid, 0)


def test_post_without_a_free_slot_is_not_delayed() -> None:
    posts = RepeatedPosts(buckets=1, slots=1)
    with posts.turn(KEY), posts.turn(bytes(16)) as turn:
        assert turn.answer == b""
        turn.keep(bytes(ANSWER))
    with posts.turn(bytes(16)) as turn:
        assert turn.answer == b""
