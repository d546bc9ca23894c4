"""The limit on concurrent code hashing, and the response to a request that waits too long."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dropbox_app.server.reporter.kdf_limiter import ARRIVED, PATIENCE, Busy, Gate, late, slots_for


@contextmanager
def arrived(seconds_ago: float) -> Iterator[None]:
    token = ARRIVED.set(time.monotonic() - seconds_ago)
    try:
        yield
    finally:
        ARRIVED.reset(token)


def test_no_more_requests_than_slots_run_at_once() -> None:
    gate = Gate(2)
    inside, most, lock = 0, 0, threading.Lock()

    def pass_through() -> None:
        nonlocal inside, most
        for _ in range(50):
            with gate.passing():
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1

    runners = [threading.Thread(target=pass_through) for _ in range(8)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert most <= 2


def test_request_that_waits_too_long_is_told_that_the_server_is_busy() -> None:
    gate = Gate(1, patience=0.01)
    with gate.passing(), pytest.raises(Busy), gate.passing():
        pass


def test_waiting_time_is_counted_from_the_arrival_of_the_request() -> None:
    """A free slot does not help a request if its sender has already given up."""
    gate = Gate(1)
    assert PATIENCE == 10
    with arrived(seconds_ago=PATIENCE - 1):
        assert not late()
        with gate.passing():
            pass
    with arrived(seconds_ago=PATIENCE + 1):
        assert late()
        with pytest.raises(Busy), gate.passing():
            pass
    with gate.passing():
        pass


def test_failed_request_releases_its_slot() -> None:
    gate = Gate(1, patience=0.01)
    for _ in range(3):
        with pytest.raises(ValueError, match="inside"), gate.passing():
            raise ValueError("inside")
    with gate.passing():
        pass


def test_all_workers_together_hash_at_most_one_code_per_core(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """If there are more workers than cores, each hashes one code at a time."""
    for cores in (1, 2, 3, 8):
        monkeypatch.setattr("os.sched_getaffinity", lambda _pid, n=cores: set(range(n)))
        for workers in (1, 2, 3, 8):
            assert workers * slots_for(workers) <= max(cores, workers)
