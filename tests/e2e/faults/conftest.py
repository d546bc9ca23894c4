"""Real processes to break: gunicorn and its workers, a killing strace, disks of a few megabytes."""

import contextlib
import os
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

from tests.e2e.conftest import DropBox, box, counsellor, mould
from tests.support.chance import seed

__all__ = ["box", "counsellor", "mould"]  # fixtures

STRACE = shutil.which("strace")
# Every call by which a process changes a file, takes its turn, or answers.
CALLS = "pwrite64,write,fdatasync,fsync,ftruncate,rename,unlink,openat,flock,utimensat,sendto,mkdir"
needs_strace = pytest.mark.skipif(STRACE is None, reason="strace is not installed")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts small disks")


def workers(box: DropBox) -> list[int]:
    """The processes that serve."""
    assert box.process is not None
    children = Path(f"/proc/{box.process.pid}/task/{box.process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def until(true: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait for a condition, no longer than the deadline."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def kill_all(box: DropBox) -> None:
    """kill -9 of the server and all that it started; its port is free after that."""
    assert box.process is not None
    os.killpg(box.process.pid, signal.SIGKILL)
    box.process.wait(10)
    until(lambda: not _group(box.process.pid if box.process else 0), "somebody survived")
    box.process = None


def _group(number: int) -> bool:
    """Whether anybody of a process group still runs; who only waits to be buried does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(group) == number and state not in "ZX":
                return True
    return False


@contextlib.contextmanager
def watched(pids: list[int], *inject: str, calls: str = CALLS, out: Path) -> Iterator[None]:
    """strace on all threads of these processes, from before the body to after it."""
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
        until(lambda: all(_traced(pid) for pid in pids), "strace does not get hold of them")
        yield
    finally:
        # Told to end, it may wait for ever for a process that it killed.
        tracer.send_signal(signal.SIGKILL if inject else signal.SIGTERM)
        tracer.wait(20)


def _traced(pid: int) -> bool:
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    return all("TracerPid:\t0\n" not in (t / "status").read_text() for t in threads)


def dead(pid: int) -> bool:
    """Whether a process is no more, or waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def calls_in_order(out: Path) -> list[tuple[str, int]]:
    """Each watched call of the busiest thread, by its name and how often that came before.

    strace counts each kind of call for itself, so both are needed to be killed at one of them.
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
    """What is wrong with a site's folder, while no file is on its way into it."""
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
    """Start the server again; the seconds until it answered."""
    began = time.monotonic()
    box.serve()
    return time.monotonic() - began


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def chance() -> random.Random:
    """Where to break."""
    return random.Random(seed())  # noqa: S311 - chooses where to break, keeps no secret


SmallDisk = Callable[[str], Path]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk in memory with the given options; unmounted at the end."""
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
    """The same drop box, its folder on another disk; not serving yet."""
    box.stop()
    shutil.copytree(box.folder, place / "server")
    return DropBox(place / "server", env=box.env, port=box.port)
