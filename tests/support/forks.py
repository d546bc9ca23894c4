"""Processes forked from one that has imported the project, instead of started by a program.

Most of the cost of a start is the imports, which are the same each time. A forked server behaves
as the program does: it has its own session, environment and output, and gunicorn's workers are its
children. Only its command line in ``/proc`` and the memory that it uses differ. Tests of those
start the program.
"""

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# One process per test process, from which all others are forked. It has no threads and opens no
# database. The modules of tests are those whose functions are run in a fork.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["tests.support.preloaded", "tests.desk.test_kill", "tests.desk.register.test_kill"]
)


class Fork:
    """A running fork, with what tests use of ``subprocess.Popen``."""

    def __init__(
        self,
        target: Callable[..., None],
        arguments: Sequence[object],
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._process = PROCESSES.Process(
            target=_run,
            args=(target, arguments, log, dict(environment or os.environ)),
            daemon=True,  # one that a failing test leaves behind ends with the tests
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("a fork", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(
    target: Callable[..., None],
    arguments: Sequence[object],
    log: Path,
    environment: Mapping[str, str],
) -> None:
    """Run this in the fork: become what a program started with this log would be."""
    os.setsid()
    with log.open("ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    target(*arguments)


def operate(words: Sequence[str], cheap_codes: bool = False) -> None:
    """Run ``klankbord-server`` with these words; codes may be hashed at once."""
    from dropbox_app.server.cli.main import main
    from tests.support.codes import hashed_cheaply

    sys.argv = ["klankbord-server", *words]
    with hashed_cheaply() if cheap_codes else contextlib.nullcontext():
        main(list(words), prog_name="klankbord-server")


def execute(program: str, words: Sequence[str]) -> None:
    """Run a program's text as ``python -c`` does."""
    sys.argv = ["-c", *words]
    exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102 - the test's
