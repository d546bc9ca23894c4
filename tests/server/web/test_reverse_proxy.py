"""nginx's headers are trusted only at its socket; transfers have a minimum rate."""

import contextvars
import io
import time
from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import create_environ, run_wsgi_app

from dropbox_app.server.reporter.kdf_limiter import ARRIVED
from dropbox_app.server.web.hosts import AT_DESKS
from dropbox_app.server.web.reverse_proxy import (
    GRACE,
    SLOWEST,
    WAYS,
    Pace,
    PacedAnswer,
    PacedBody,
    ReverseProxy,
    TooSlow,
)
from dropbox_app.server.web.security_headers import HEADERS


@pytest.fixture(autouse=True)
def own_context() -> Iterator[None]:
    """Remove request state, so that later tests do not see it."""
    arrived, at_desks = ARRIVED.set(None), AT_DESKS.set(None)
    yield
    ARRIVED.reset(arrived)
    AT_DESKS.reset(at_desks)


class Seen:
    """An app that records the environment of a request."""

    def __init__(self) -> None:
        self.way: bool | None = None
        self.waited = 0.0
        self.environ: WSGIEnvironment = {}

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        self.way = AT_DESKS.get()
        self.waited = time.monotonic() - (ARRIVED.get() or 0)
        self.environ = environ
        start("200 OK", [])
        return [b"there"]


def ask(behind_nginx: bool, **headers: str) -> tuple[Seen, str]:
    seen = Seen()
    environ = create_environ("/", headers={k.replace("_", "-"): v for k, v in headers.items()})
    app = ReverseProxy(seen, behind_nginx=behind_nginx)
    # The proxy sets variables for one request; no later test may see them.
    _, status, told = contextvars.copy_context().run(run_wsgi_app, app, environ)
    if status.startswith("421"):
        assert [*told.items()][2:] == list(HEADERS.items())
    return seen, status


@pytest.mark.parametrize(("way", "desks"), [("onion", False), ("domain", False), ("desks", True)])
def test_app_recognises_requests_from_the_desk_socket(way: str, desks: bool) -> None:
    seen, status = ask(True, X_Klankbord_Way=way, X_Klankbord_Since=f"{time.time():.3f}")
    assert (status, seen.way) == ("200 OK", desks)
    assert not [name for name in seen.environ if "KLANKBORD" in name]


@pytest.mark.parametrize("way", [None, "", "Onion", "onion ", "onion,desks", "none"])
def test_behind_nginx_a_request_without_a_known_route_is_refused(way: str | None) -> None:
    seen, status = ask(True, **({} if way is None else {"X_Klankbord_Way": way}))
    assert (status, seen.environ) == ("421 Misdirected Request", {})


@pytest.mark.parametrize("way", [None, "", "nonsense", *WAYS])
def test_nginx_headers_are_not_trusted_if_the_server_runs_without_nginx(way: str | None) -> None:
    told = {} if way is None else {"X_Klankbord_Way": way, "X_Klankbord_Since": "1"}
    seen, status = ask(False, **told)
    assert (status, seen.way) == ("200 OK", None)
    assert seen.waited < 1000  # and not as long as since 1970
    assert not [name for name in seen.environ if "KLANKBORD" in name]


@pytest.mark.parametrize(
    ("since", "least", "most"),
    [(-12, 12, 17), (0, 0, 5), (3600, 0, 5), (-86_400, 60, 65), ("x", 0, 5), ("", 0, 5)],
)
def test_waiting_time_in_the_nginx_queue_is_counted_up_to_one_minute(
    since: int | str, least: float, most: float
) -> None:
    text = since if isinstance(since, str) else f"{time.time() + since:.3f}"
    seen, _ = ask(True, X_Klankbord_Way="onion", X_Klankbord_Since=text)
    assert least - 0.01 <= seen.waited < most


class Clock:
    """A clock that advances when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Dripping(io.RawIOBase):
    """A body that takes a second for each piece."""

    def __init__(self, clock: Clock, rate: int) -> None:
        self.clock, self.rate = clock, rate

    def read(self, size: int = -1) -> bytes:
        self.clock.now += size / self.rate
        return b"x" * size


@pytest.mark.parametrize(("rate", "ends"), [(1000, 130), (SLOWEST - 100, 1300), (20, 61)])
def test_request_body_sent_below_the_minimum_rate_is_cut_off_at_its_deadline(
    rate: int, ends: float
) -> None:
    """The size of the pieces that the app requests does not matter."""
    clock = Clock()
    body = PacedBody(Dripping(clock, rate), Pace(clock))  # type: ignore[arg-type] # has only ``read``
    with pytest.raises(TooSlow):  # noqa: PT012 - until it is too slow
        while True:
            body.read(65_536)
    assert GRACE < clock.now - 1000 < ends + 1024 / rate


def test_request_body_sent_at_the_minimum_rate_is_never_cut_off() -> None:
    clock = Clock()
    body = PacedBody(Dripping(clock, SLOWEST), Pace(clock))  # type: ignore[arg-type] # has only ``read``
    for _ in range(300):
        assert len(body.read(65_536)) == 65_536
    assert clock.now - 1000 > 100 * GRACE


@given(st.binary(max_size=5000), st.lists(st.integers(-1, 3000), max_size=8))
def test_body_is_passed_on_unchanged(content: bytes, sizes: list[int]) -> None:
    paced, plain = PacedBody(io.BytesIO(content), Pace()), io.BytesIO(content)
    for size in sizes:
        assert paced.read(size) == plain.read(size)
        assert paced.readline(size) == plain.readline(size)
    assert list(paced) == list(plain)
    assert paced.readlines() == []


def test_response_that_is_read_too_slowly_is_aborted_and_closed() -> None:
    clock, closed = Clock(), []

    class Pieces:
        """A response whose reader takes a minute and a half for each piece of 64 KiB."""

        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield bytes(65_536)
                clock.now += 90

        def close(self) -> None:
            closed.append(True)

    answer = PacedAnswer(Pieces(), Pace(clock))
    with pytest.raises(TooSlow):
        for _ in answer:
            pass
    answer.close()
    assert closed == [True]
    assert clock.now - 1000 <= 90 * 2


def test_response_without_a_close_method_is_passed_on() -> None:
    answer = PacedAnswer([b"a", b"b"], Pace())
    assert list(answer) == [b"a", b"b"]
    answer.close()


@pytest.mark.parametrize(
    ("path", "content_type", "left"),
    [
        ("/nl/report", "application/x-www-form-urlencoded", 0),
        ("/nl/nothing", "text/plain", 0),
        ("/nl/files", "multipart/form-data; boundary=x", 100_000),
        ("/api/desk/card", "application/octet-stream", 100_000),
    ],
)
def test_received_body_is_drained_even_if_the_app_did_not_read_it(
    path: str, content_type: str, left: int
) -> None:
    """Otherwise gunicorn would close the connection that nginx is about to reuse."""
    environ = create_environ(path, method="POST", data=b"x" * 100_000, content_type=content_type)
    body = environ["wsgi.input"]
    run_wsgi_app(ReverseProxy(Seen(), behind_nginx=False), environ)
    assert len(body.read()) == left
