"""Traces of a visit that are still in the memory of the app and nginx minutes later."""

import contextlib
import os
import time
from collections.abc import Callable

import pytest

from tests.load.test_front_crowds import cookie_of, enter, held, post
from tests.support.memory import memory_of
from tests.support.plain_browser import MULTIPART
from tests.support.serving import Serving, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root reads a process's memory")

MARK = "HerkenbaarVerhaalq7xq7x"
# The server, with seconds instead of minutes.
HASTY = """
import sys
from pathlib import Path
from dropbox_app.server.cli import renewal
from dropbox_app.server.cli import serve as serving
renewal.QUIET, renewal.EVERY = 2.0, 0.2
serving.run(Path(sys.argv[1]), sys.argv[2], workers=2, threads=int(sys.argv[3]))
"""

# One worker, which also waits only seconds for running requests.
IMPATIENT = HASTY.replace("workers=2", "workers=1").replace(
    "renewal.QUIET,",
    "serving.GRACE, renewal.SPARING, renewal.PATIENCE = 1, 1.0, 2.0\nrenewal.QUIET,",
)


def holders(serving: Serving, *secrets: str) -> set[str]:
    """Return the programs that have one of these texts in memory."""
    programs = {
        "master": [serving.process.pid],
        "worker": serving.workers(),
        "nginx": serving.front.processes(),
    }
    found = set()
    for name, processes in programs.items():
        for process in processes:
            try:
                memory = memory_of(process)
            except FileNotFoundError:
                continue  # a worker that has just ended
            if any(secret.encode() in memory for secret in secrets):
                found.add(name)
    return found


def test_no_visit_data_is_in_memory_after_a_quiet_period(
    serve: Callable[..., Serving],
) -> None:
    serving = serve(program=HASTY, forked=False)
    reporter = serving.browser(7)
    page = reporter.get("/nl/report")
    first = reporter.submit(page, page.form_with("text"), text=f"{MARK} woord\n" * 400)
    assert MARK in reporter.request("POST", "/nl/code", b"kept=y&go=1").text
    assert "worker" in holders(serving, MARK, first.code)
    # nginx keeps a connection to the app for 30 seconds, along with the last data on it.
    wait_until(lambda: not holders(serving, MARK, first.code), 60)
    # The session continues, and no running request was interrupted.
    assert MARK in reporter.get("/nl/conversation").text


def test_endless_upload_leaves_no_text_in_memory_and_its_client_is_told_why_it_ended(
    serve: Callable[..., Serving],
) -> None:
    serving = serve(program=IMPATIENT, forked=False)
    reporter, other = serving.browser(7), serving.browser(8)
    page = reporter.get("/nl/report")
    first = reporter.submit(page, page.form_with("text"), text=f"{MARK} woord\n" * 400)
    assert MARK in reporter.request("POST", "/nl/code", b"kept=y&go=1").text
    enter(other)
    (before,) = serving.workers()
    began = time.monotonic()
    head = post(serving, "/nl/files", MULTIPART, 100 * 2**20, cookie_of(other)) + b"--x"
    connection = serving.connect(8, head)
    answer = b""
    with held(connection):
        connection.settimeout(0.05)
        while not answer:
            assert time.monotonic() - began < 60
            with contextlib.suppress(TimeoutError):
                connection.sendall(b"x" * 500)
                answer = connection.recv(65_536)
    assert answer.startswith(b"HTTP/1.1 503 "), answer[:100]
    wait_until(lambda: before not in serving.workers() and not holders(serving, first.code), 60)
    wait_until(lambda: not holders(serving, MARK), 60)
    assert MARK in reporter.get("/nl/conversation").text
