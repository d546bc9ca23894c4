"""Fixtures for fault tests: gunicorn with workers, strace that kills them, small disks."""

import contextlib
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.chance import seed
from tests.support.drop_box import DropBox
from tests.support.processes import dead, threads, until
from tests.support.programs import STRACE

# Every call with which a process changes a file, takes a lock, or responds.
CALLS = "pwrite64,write,fdatasync,fsync,ftruncate,rename,unlink,openat,flock,utimensat,sendto,mkdir"


@contextlib.contextmanager
def watched(box: DropBox, *inject: str, calls: str = CALLS, out: Path) -> Iterator[None]:
    """Run strace on all threads of the workers for the duration of the block.

    A worker that is killed while strace attaches has reached its call; the block starts without it.
    The parent is not traced: the injected signal would kill it too, and each new worker.
    """
    pids = box.workers()
    given = [part for pid in pids for part in ("-p", str(pid))]
    for one in inject:
        given += ["-e", f"inject={one}"]
    assert STRACE is not None
    tracer = subprocess.Popen(
        (STRACE, "-f", "-qq", "-o", str(out), "-e", f"trace={calls}", *given),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: all(map(_traced, pids)), "strace does not get hold of the workers")
        yield
    finally:
        # When told to end, strace may wait forever for a process that it killed.
        tracer.send_signal(signal.SIGKILL if inject else signal.SIGTERM)
        tracer.wait(20)


def _traced(pid: int) -> bool:
    """Return whether every running thread of a process is traced."""
    return dead(pid) or all("TracerPid:\t0\n" not in status for _, status in threads(pid))


def calls_in_order(out: Path) -> list[tuple[str, int]]:
    """Return the watched calls of the busiest thread, by name and number of earlier calls.

    strace counts each system call separately, so both are needed to kill at one of them.
    """
    of: dict[str, list[str]] = {}
    for line in out.read_text(errors="replace").splitlines():
        who, _, what = line.partition(" ")
        name = re.match(r" *(\w+)\(", what)
        if name:
            of.setdefault(who, []).append(name[1])
    names = max(of.values(), key=len, default=[])
    return [(name, names[: at + 1].count(name)) for at, name in enumerate(names)]


def faults_of(folder: Path) -> list[str]:
    """Return the faults of a site's folder while no file is being received."""
    connection = sqlite3.connect(folder / "klankbord.db")
    try:
        found = [str(r) for r in connection.execute("PRAGMA integrity_check") if r[0] != "ok"]
        found += [str(row) for row in connection.execute("PRAGMA foreign_key_check")]
        found += [
            f"an item without its bytes: {row[0]}"
            for row in connection.execute(
                "SELECT item FROM items WHERE size <= 1048576"
                " AND item NOT IN (SELECT item FROM sealed)"
            )
        ]
        large = {
            row[0]: row[1]
            for row in connection.execute("SELECT item, size FROM items WHERE size > 1048576")
        }
    finally:
        connection.close()
    beside = {path.name: path.stat().st_size for path in (folder / "files").iterdir()}
    found += [f"a file nobody names: {name}" for name in beside.keys() - large.keys()]
    found += [f"not whole: {item}" for item, size in large.items() if beside.get(item) != size]
    return found


def restarted(box: DropBox) -> float:
    """Restart the server; return the seconds until it responded."""
    began = time.monotonic()
    box.serve()
    return time.monotonic() - began


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def chance() -> random.Random:
    """Return a random number generator for the points of failure."""
    return random.Random(seed())  # noqa: S311 - chooses points of failure, not secrets


SmallDisk = Callable[[str], Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Mount a disk in memory with the given options; unmount it at the end."""
    mounted: list[Path] = []

    def make(options: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        done = subprocess.run(
            ("mount", "-t", "tmpfs", "-o", f"mode=0700,{options}", "tmpfs", str(place)),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"mount is not allowed here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(("umount", "--lazy", str(place)), check=True)


def moved(box: DropBox, place: Path) -> DropBox:
    """Return the same drop box with its folder on another disk, not serving yet."""
    box.stop()
    shutil.copytree(box.folder, place / "server")
    return DropBox(place / "server", env=box.env, port=box.port)
