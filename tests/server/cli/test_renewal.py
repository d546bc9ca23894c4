"""When a worker exits: if possible not during a request, and only if it has data to forget."""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest

from dropbox_app.server.cli.renewal import LONGEST, PATIENCE, QUIET, SPARING, Renewal

FORM = {"REQUEST_METHOD": "POST"}
COOKIE = {"REQUEST_METHOD": "GET", "HTTP_COOKIE": "s=x"}
PAGE = {"REQUEST_METHOD": "GET"}


class Worker:
    """A worker whose clock the test controls."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ends = 0
        self.fails = False
        self.renewal = Renewal(self.app, self.end, clock=lambda: self.now)

    def app(self, _environ: WSGIEnvironment, _start: StartResponse) -> Iterable[bytes]:
        if self.fails:
            raise RuntimeError
        return [b"a", b"b"]

    def end(self) -> None:
        self.ends += 1

    def begin(self, environ: WSGIEnvironment) -> Iterable[bytes]:
        return self.renewal(environ, lambda *_: lambda _: None)

    def serve(self, environ: WSGIEnvironment) -> None:
        pieces = self.begin(environ)
        assert list(pieces) == [b"a", b"b"]
        pieces.close()  # type: ignore[attr-defined]  # as gunicorn does

    def ended_after(self, seconds: float) -> bool:
        self.now += seconds
        self.renewal.step()
        return bool(self.ends)


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.mark.parametrize("environ", [FORM, COOKIE])
def test_worker_exits_some_minutes_after_the_last_form_or_cookie(
    worker: Worker, environ: WSGIEnvironment
) -> None:
    worker.serve(environ)
    assert not worker.ended_after(QUIET - 1)
    worker.serve(environ)
    assert not worker.ended_after(QUIET - 1)
    assert worker.ended_after(1)


def test_requests_for_static_pages_neither_end_a_worker_nor_keep_it_running(worker: Worker) -> None:
    worker.serve(PAGE)
    assert not worker.ended_after(10 * LONGEST)
    worker.serve(FORM)
    for _ in range(int(QUIET) // 60):
        worker.serve(PAGE)
        worker.now += 60
    assert worker.ended_after(0)


@pytest.mark.parametrize(
    ("environ", "patience"), [(FORM, PATIENCE), (COOKIE, SPARING), (PAGE, SPARING)]
)
def test_worker_waits_for_running_requests_until_its_time_limit(
    worker: Worker, environ: WSGIEnvironment, patience: float
) -> None:
    worker.serve(FORM)
    pieces = worker.begin(environ)
    assert not worker.ended_after(QUIET + patience - 1)
    pieces.close()  # type: ignore[attr-defined]  # as gunicorn does
    assert worker.ended_after(QUIET)


def test_consecutive_slow_requests_keep_no_worker_running_for_more_than_two_hours(
    worker: Worker,
) -> None:
    worker.serve(FORM)
    for _ in range(int(LONGEST + PATIENCE) // 60):
        worker.begin(FORM)  # never finishes
        worker.serve(COOKIE)
        assert not worker.ended_after(59)
        worker.now += 1
    assert worker.ended_after(0)


def test_worker_with_constant_readers_exits_between_uploads(
    worker: Worker,
) -> None:
    for _ in range(int(LONGEST + SPARING) // 60 - 1):
        worker.begin(COOKIE)  # never finishes
        worker.serve(FORM)
        assert not worker.ended_after(60)
    upload = worker.begin(FORM)
    assert not worker.ended_after(900)
    upload.close()  # type: ignore[attr-defined]  # as gunicorn does
    assert worker.ended_after(0)


def test_busy_worker_exits_within_an_hour(worker: Worker) -> None:
    for _ in range(int(LONGEST) // 60):
        worker.serve(FORM)
        assert not worker.ended_after(59)
        worker.now += 1
    assert worker.ended_after(0)


def test_failed_request_no_longer_counts_as_running(worker: Worker) -> None:
    worker.fails = True
    with pytest.raises(RuntimeError):
        worker.begin(FORM)
    assert worker.ended_after(QUIET)
