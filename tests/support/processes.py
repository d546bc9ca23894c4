"""Waiting for a condition, and reading ``/proc`` of processes that may end at any moment.

A process that ends while it is read counts as ended; no function raises an error for it.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.forks import Fork

GONE = (FileNotFoundError, ProcessLookupError)
# From linux/sched.h: the flag of a process that is exiting; and the bit of signal 9.
_EXITING = 0x4
_SIGKILL = 1 << (signal.SIGKILL - 1)


def until(true: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait for a condition; fail with ``what`` if it is false after this many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """Return the ids of a process's children, including zombies."""
    with contextlib.suppress(*GONE):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def dead(pid: int) -> bool:
    """Return True if a process is gone, has ended, or has a pending kill -9."""
    with contextlib.suppress(*GONE):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if fields[0] in "ZX" or int(fields[6]) & _EXITING:
            return True
        pending = re.findall(r"(?:Sig|Shd)Pnd:\s+(\w+)", Path(f"/proc/{pid}/status").read_text())
        return any(int(mask, 16) & _SIGKILL for mask in pending)
    return True


def threads(pid: int) -> Iterator[tuple[str, str]]:
    """Yield the id and ``/proc`` status of each running thread of a process."""
    with contextlib.suppress(*GONE):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(*GONE):
                yield thread.name, (thread / "status").read_text()


def open_files(pid: int) -> Iterator[Path]:
    """Yield a process's open files, as paths in ``/proc``."""
    with contextlib.suppress(*GONE):
        yield from Path(f"/proc/{pid}/fd").iterdir()


def kill_group(process: subprocess.Popen[bytes] | Fork) -> None:
    """Kill a process and its process group with kill -9; wait for their end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    until(lambda: not _group(process.pid), "a process of the group survived")


def _group(number: int) -> bool:
    """Return True if a process of a group still runs; zombies do not count."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) == number and state not in "ZX":
                return True
    return False
