"""Data that a process could reveal in a crash, or to another process of the same account."""

import os
import re
import resource
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.drop_box import DropBox
from tests.support.journey import stuck
from tests.support.processes import until
from tests.support.steps import STORY, tell

SETPRIV = shutil.which("setpriv")
CORE = Path("/proc/sys/kernel/core_pattern").read_text().strip()
# A program that reads another process's memory, like a thief under the server's account.
READ_MEMORY = "import sys; open(f'/proc/{sys.argv[1]}/mem', 'rb'); print('open')"
# A process like the server, but without the protections tested here.
OPEN_BOOK = "import sys; sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.read()"


def as_the_account() -> tuple[str, ...]:
    """Return the prefix that restricts a command to what any account may do, even as root."""
    if os.geteuid() != 0:
        return ()
    if SETPRIV is None:
        pytest.skip("setpriv is not installed")
    return (SETPRIV, "--bounding-set=-sys_ptrace")


@pytest.fixture
def here(box: DropBox, tmp_path: Path) -> Iterator[Path]:
    """Yield the folder in which the server runs and a core would appear; core dumps are allowed."""
    box.stop()
    folder = tmp_path / "here"
    folder.mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    box.under = (*as_the_account(), "env", "-C", str(folder))
    box.serve()
    yield folder
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_core_dumps_are_off_and_memory_is_private(box: DropBox, here: Path) -> None:
    """This applies to the parent and each worker; an ordinary process can be read."""
    own = box.processes()
    assert len(own) == 3
    for pid in own:
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 +bytes", limits), limits
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0
        assert "open" not in _reads_memory_of(pid)
    common = subprocess.Popen(
        (*as_the_account(), sys.executable, "-c", OPEN_BOOK),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert common.stdout is not None
    assert common.stdout.readline() == b"ready\n"
    try:
        assert "open" in _reads_memory_of(common.pid), "this test would see no open memory"
    finally:
        common.communicate(timeout=60)


def _reads_memory_of(pid: int) -> str:
    done = subprocess.run(
        (*as_the_account(), sys.executable, "-c", READ_MEMORY, str(pid)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 or "PermissionError" in done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "how",
    [
        signal.SIGSEGV,
        signal.SIGABRT,
        pytest.param(signal.SIGBUS, marks=pytest.mark.long),  # ends it like the first
        pytest.param(signal.SIGQUIT, marks=pytest.mark.long),  # like the second
    ],
)
def test_worker_killed_during_a_report_leaves_nothing_behind(
    box: DropBox, here: Path, how: signal.Signals
) -> None:
    """No core dump, text or traceback is left; the report was not stored; the site continues."""
    mark = secrets.token_hex(12)
    with stuck(box, lambda: tell(box.browser(), "nl", f"{STORY['nl']} {mark}")):
        before = box.processes()[1:]
        for pid in before:
            os.kill(pid, how)
        # SIGABRT and SIGQUIT end a worker in an orderly way: it first waits for its thread.
        if how in (signal.SIGSEGV, signal.SIGBUS):
            until(lambda: not set(before) & set(box.processes()[1:]), "no worker died", 60)
    assert box.browser().get("/nl/").status == 200
    until(lambda: not set(before) & set(box.processes()[1:]), "a worker was not replaced", 60)
    assert [path.name for path in here.iterdir()] == []
    box.stop()
    for path in (*box.folder.rglob("*"), box.log):
        if path.is_file():
            data = path.read_bytes()
            assert mark.encode() not in data, path
            assert b"leidinggevende" not in data, path
    assert "Traceback" not in box.log.read_text()


def test_core_dump_would_be_detected(tmp_path: Path, core_of: Callable[[Path], bytes]) -> None:
    """The same crash of a process without these limits leaves its text on disk."""
    assert b"a-text-in-memory" in core_of(tmp_path)


@pytest.fixture
def core_of() -> Callable[[Path], bytes]:
    """Crash an ordinary process in a folder; return the contents of its core dump."""
    if "/" in CORE or CORE.startswith("|"):
        pytest.skip(f"cores go elsewhere here ({CORE.split()[0]})")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0:
        pytest.skip("cores are forbidden here")

    def die(folder: Path) -> bytes:
        code = (
            "import os, resource, signal; text = '-'.join(('a', 'text', 'in', 'memory'));"
            f"resource.setrlimit(resource.RLIMIT_CORE, ({hard}, {hard}));"
            "os.kill(os.getpid(), signal.SIGSEGV)"
        )
        subprocess.run([sys.executable, "-c", code], cwd=folder, timeout=60, check=False)
        (core,) = folder.glob("core*")
        data = core.read_bytes()
        core.unlink()
        return data

    return die
