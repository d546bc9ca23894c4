"""The gate: no more at once than it may, a queue of its size, and then an honest word."""

import threading

import pytest

from dropbox_app.server.reporter.kdf_limiter import Busy, Gate


def test_no_more_than_the_slots_are_inside_at_once() -> None:
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


def test_who_waits_too_long_is_told_so() -> None:
    gate = Gate(1, places=1, patience=0.01)
    with gate.passing(), pytest.raises(Busy), gate.passing():
        pass


def test_who_finds_the_queue_full_is_told_so_at_once() -> None:
    gate = Gate(1, places=0, patience=60)
    with gate.passing(), pytest.raises(Busy), gate.passing():
        pass


def test_a_failure_inside_gives_the_slot_back() -> None:
    gate = Gate(1, places=0)
    for _ in range(3):
        with pytest.raises(ValueError, match="inside"), gate.passing():
            raise ValueError("inside")
    with gate.passing():
        pass
