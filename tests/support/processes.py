"""Waiting for a condition, and reading ``/proc`` of processes that may end at any moment.

A process that is gone while it is read counts as gone; nothing here raises for it.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

GONE = (FileNotFoundError, ProcessLookupError)
# Of the kernel: linux/sched.h's flag of a process on its way out, and the bit of its signal 9.
_EXITING = 0x4
_SIGKILL = 1 << (signal.SIGKILL - 1)


def until(true: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait for a condition; fail with ``what`` if it is still false after so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The ids of a process's children, those included that ended and are not yet reaped."""
    with contextlib.suppress(*GONE):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def dead(pid: int) -> bool:
    """Return True if a process is gone, has ended, or cannot go on: kill -9 is on its way to it."""
    with contextlib.suppress(*GONE):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        if fields[0] in "ZX" or int(fields[6]) & _EXITING:
            return True
        pending = re.findall(r"(?:Sig|Shd)Pnd:\s+(\w+)", Path(f"/proc/{pid}/status").read_text())
        return any(int(mask, 16) & _SIGKILL for mask in pending)
    return True


def threads(pid: int) -> Iterator[tuple[str, str]]:
    """The id and ``/proc`` status of each thread of a process that still runs."""
    with contextlib.suppress(*GONE):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(*GONE):
                yield thread.name, (thread / "status").read_text()


def open_files(pid: int) -> Iterator[Path]:
    """What a process has open, as paths below ``/proc`` that lead there."""
    with contextlib.suppress(*GONE):
        yield from Path(f"/proc/{pid}/fd").iterdir()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """kill -9 of a process and of all that it started in its own group; wait for their end."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(60)
    until(lambda: not _group(process.pid), "a process of the group survived")


def _group(number: int) -> bool:
    """Return True if a process of a group still runs; one that is not yet reaped does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) == number and state not in "ZX":
                return True
    return False
