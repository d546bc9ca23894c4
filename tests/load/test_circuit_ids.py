"""Circuits take turns: who asks for much waits for itself, and nobody else for it."""

import io
import itertools
import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dropbox_app.server import circuits
from dropbox_app.server.circuits import NO_CIRCUIT, NoCircuit
from dropbox_app.server.reporter.kdf_limiter import PLACES
from dropbox_app.server.threads import CIRCUITS, OF_ONE, Line
from tests.support.circuit import line

REQUEST = b"GET /nl/ HTTP/1.1\r\n\r\n"
WRONG = [
    REQUEST,
    b"\r\n",
    b"PROXY TCP6 fc00:dead:beef:4dad::0:9e ::1 0 80\n" + REQUEST,
    b"PROXY TCP4 127.0.0.1 127.0.0.1 0 80\r\n" + REQUEST,
    b"PROXY UNKNOWN\r\n" + REQUEST,
    b"PROXY TCP6 2001:db8::1 ::1 0 80\r\n" + REQUEST,
    b"PROXY TCP6 fc00:dead:beef:4dad::0:9e ::1 0 80 x\r\n" + REQUEST,
    b"PROXY TCP6 fc00:dead:beef:4dad::0:12345 ::1 0 80\r\n" + REQUEST,
    b"\r\n\r\n\0\r\nQUIT\n" + REQUEST,
    b"PROXY" + b" " * 200,
]


@given(st.integers(0, 2**32 - 1), st.binary(max_size=300), st.lists(st.integers(0, 400)))
def test_the_line_is_taken_out_however_it_comes_and_the_rest_stays(
    circuit: int, rest: bytes, cuts: list[int]
) -> None:
    whole = line(circuit) + rest
    edges = sorted({0, len(whole), *(cut for cut in cuts if cut < len(whole))})
    buffer, known, came = io.BytesIO(), None, b""
    for start, end in itertools.pairwise(edges):
        came += whole[start:end]
        buffer.write(whole[start:end])
        known = known or circuits.take(buffer)
        assert (known is not None) == (len(came) >= len(line(circuit)))
    assert known is not None
    high, low = known.split(b":")
    assert int(high, 16) << 16 | int(low, 16) == circuit
    assert buffer.getvalue() == rest
    assert buffer.tell() == len(rest)


@pytest.mark.parametrize("said", WRONG)
def test_what_tor_does_not_say_is_nobodys_circuit(said: bytes) -> None:
    with pytest.raises(NoCircuit):
        circuits.take(io.BytesIO(said))


class Served:
    """A line of which it is written down who began."""

    def __init__(self, threads: int, places: int | None = PLACES) -> None:
        self.line = Line(ThreadPoolExecutor(1), threads, places)
        self.began: list[tuple[bytes, int]] = []

    def asks(self, circuit: bytes, count: int = 1) -> list[bool]:
        return [
            self.line.enter(circuit, partial(self.began.append, (circuit, number)))
            for number in range(count)
        ]


def test_another_circuit_comes_before_the_firsts_own_queue() -> None:
    served = Served(1)
    served.asks(b"a", 5)
    served.asks(b"b", 2)
    assert served.began == [(b"a", 0)]
    for circuit in (b"a", b"b", b"a", b"b", b"a", b"a"):
        served.line.leave(circuit)
    order = [circuit for circuit, _ in served.began]
    assert order == [b"a", b"b", b"a", b"b", b"a", b"a", b"a"]
    assert [number for circuit, number in served.began if circuit == b"a"] == [0, 1, 2, 3, 4]


def test_one_circuit_has_one_thread_and_a_few_places_and_others_have_theirs() -> None:
    served = Served(4)
    assert served.asks(b"a", OF_ONE + 3) == [True] * (1 + OF_ONE) + [False] * 2
    assert served.began == [(b"a", 0)]
    assert served.asks(b"b") == [True]
    assert served.began[-1] == (b"b", 0)


def test_who_comes_by_no_circuit_has_every_thread_that_is_free_and_all_places() -> None:
    served = Served(4)
    assert served.asks(NO_CIRCUIT, 4 + PLACES + 1) == [True] * (4 + PLACES) + [False]
    assert len(served.began) == 4
    # A crowd from the one side takes no place from the other, and has one turn like everybody.
    for circuit in (b"a", b"b"):
        assert served.asks(circuit) == [True]
    for _ in range(3):
        served.line.leave(NO_CIRCUIT)
    assert [circuit for circuit, _ in served.began[4:]] == [NO_CIRCUIT, b"a", b"b"]


def test_circuits_together_have_so_many_places_and_no_more_but_for_the_first_of_each() -> None:
    served = Served(1)
    served.asks(b"held")
    many = [bytes([65 + number]) for number in range(PLACES // OF_ONE)]
    assert all(taken for circuit in many for taken in served.asks(circuit, OF_ONE))
    # The line is full, and whoever has nothing in it has a place all the same.
    assert served.asks(b"new", 2) == [True, False]
    assert served.asks(b"held", 2) == [True, False]
    assert served.asks(NO_CIRCUIT) == [True]


def test_so_many_circuits_wait_and_no_more() -> None:
    served = Served(1)
    served.asks(b"held")
    told = [served.asks(f"{number}".encode())[0] for number in range(CIRCUITS + 1)]
    assert told == [True] * CIRCUITS + [False]
    assert served.asks(NO_CIRCUIT) == [True]


@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(1, 30)), max_size=40),
    st.integers(1, 4),
    st.randoms(use_true_random=False),
)
def test_whoever_floods_a_newcomer_is_taken_in_and_waits_for_each_circuit_once(
    floods: list[tuple[int, int]], threads: int, order: random.Random
) -> None:
    served = Served(threads)
    flooders = [f"{number}".encode() for number in range(16)]
    for number, count in floods:
        served.asks(flooders[number], count)
    assert served.asks(b"new") == [True]
    since = len(served.began)
    while (b"new", 0) not in served.began:
        # Some thread is free again, and who had it asks for as much as ever.
        ended = order.choice(sorted(served.line._inside))
        served.line.leave(ended)
        served.asks(ended, 30)
    before = [circuit for circuit, _ in served.began[since:-1]]
    assert len(before) == len(set(before))


def test_a_circuit_is_forgotten_with_its_last_request() -> None:
    served = Served(2)
    for _ in range(3):
        served.asks(b"a", 3)
        for _ in range(3):
            served.line.leave(b"a")
    assert not served.line._rows
    assert not served.line._inside
    assert served.line._free == 2


def test_the_one_to_go_is_of_the_circuit_that_holds_most() -> None:
    held = {"early": 900, "flood 1": 400, "flood 2": 400, "flood 3": 400, "late": 1000}
    assert circuits.first_to_go(held, lambda one: one[:5].encode()) == "flood 1"
