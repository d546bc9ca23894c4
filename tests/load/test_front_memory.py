"""What is left in memory of a visit, minutes after it: in the app's processes and in nginx."""

import os
from collections.abc import Callable

import pytest

from tests.support.memory import memory_of
from tests.support.serving import Serving, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root reads a process's memory")

MARK = "HerkenbaarVerhaalq7xq7x"
# The server, with seconds where it has minutes.
HASTY = """
import sys
from pathlib import Path
from dropbox_app.server.cli import renewal
from dropbox_app.server.cli import serve as serving
renewal.QUIET, renewal.EVERY = 2.0, 0.2
serving.run(Path(sys.argv[1]), sys.argv[2], workers=2, threads=int(sys.argv[3]))
"""


def holders(serving: Serving, *secrets: str) -> set[str]:
    """Which programs hold one of these."""
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


def test_nothing_of_a_visit_is_in_memory_after_a_quiet_period(
    serve: Callable[..., Serving],
) -> None:
    serving = serve(program=HASTY)
    reporter = serving.browser(7)
    page = reporter.get("/nl/report")
    first = reporter.submit(page, page.form_with("text"), text=f"{MARK} woord\n" * 400)
    assert MARK in reporter.request("POST", "/nl/code", b"kept=y&go=1").text
    assert "worker" in holders(serving, MARK, first.code)
    # nginx keeps a connection to the app for 30 seconds, and with it what came over it last.
    wait_until(lambda: not holders(serving, MARK, first.code), 60)
    # The session goes on, and what was under way at any moment was finished.
    assert MARK in reporter.get("/nl/conversation").text
