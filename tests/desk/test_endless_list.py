"""An endless list of threads exhausts neither the desk's memory nor its time."""

import contextlib
import itertools
import json
import tracemalloc
from collections.abc import Iterable, Iterator, Mapping

import pytest

from dropbox_app.desk.errors import BadAnswer
from dropbox_app.desk.transport import api_client as couriers
from dropbox_app.desk.transport import pace
from dropbox_app.desk.transport.api_client import Courier
from dropbox_app.desk.transport.connection import Answer
from dropbox_app.protocol.keys import SigningKey


class Endless:
    """A server that lists endless parts, each with ``size`` threads of ``authors`` authors."""

    def __init__(self, size: int, authors: int = 1, seconds: float = 0.0) -> None:
        self.parts = 0
        self.now = 0.0
        self._size = size
        self._seconds = seconds
        self._ids = itertools.count(1)
        who = ["reporter", *(str(SigningKey.generate().verify_key) for _ in range(authors - 1))]
        self._newest = [{"by": by, "n": 1} for by in who]

    def monotonic(self) -> float:
        return self.now

    @contextlib.contextmanager
    def send(
        self,
        method: str,
        origin: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
        seconds: float,
    ) -> Iterator[Answer]:
        if "challenge" in target:
            yield Answer(200, iter((b'{"token":"t","day":"2027-01-05"}',)))
            return
        self.parts += 1
        self.now += min(self._seconds, seconds)
        part = [
            {"id": f"{next(self._ids):064x}", "newest": self._newest} for _ in range(self._size)
        ]
        yield Answer(200, iter((json.dumps({"mailboxes": part, "more": True}).encode(),)))

    def break_off(self) -> None:
        """Do nothing: no request waits here."""

    def apart(self) -> "Endless":
        return self

    def close(self) -> None:
        """Do nothing: there is no connection."""


def listing(server: Endless) -> None:
    Courier(server, ["http://x"], "cd" * 16, SigningKey.generate()).mailboxes()


def test_too_many_threads_raise_an_alarm_that_states_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(couriers, "MOST_THREADS", 3_000)
    server = Endless(1_000)
    with pytest.raises(BadAnswer, match=r"ALARM.* longer than that of 3,000 threads"):
        listing(server)
    assert server.parts == 4


def test_threads_with_too_many_authors_raise_an_alarm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(couriers, "MOST_NEWEST", 5_000)
    server = Endless(40, authors=100)
    with pytest.raises(BadAnswer, match="ALARM"):
        listing(server)
    assert server.parts == 2


def test_slow_parts_of_a_thread_list_share_one_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each part arrives in time on its own; all parts share one deadline."""
    server = Endless(1, seconds=100.0)
    monkeypatch.setattr(couriers, "time", server)
    with pytest.raises(BadAnswer, match=r"ALARM.* longer than 30 minutes"):
        listing(server)
    assert server.now <= 30 * 60 + pace.ANSWER_SECONDS


def test_longest_thread_list_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the list is generated and measured."""
    monkeypatch.setattr(couriers, "MOST_THREADS", couriers.MOST_THREADS // 10)
    monkeypatch.setattr(couriers, "MOST_NEWEST", couriers.MOST_NEWEST // 10)
    for authors in (1, 5, 200):
        server = Endless(100, authors)
        tracemalloc.start()
        try:
            with pytest.raises(BadAnswer, match="ALARM"):
                listing(server)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 25 * 1024 * 1024
