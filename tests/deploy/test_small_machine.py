"""Memory use on a small machine: server, nginx and Tor idle, and all operations in 512 MB."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.test_systemd import both
from tests.deploy.test_tor_unit import (  # noqa: F401 - a fixture
    MIB,
    as_root,
    folder,
    needs_tor,
    taken,
    tor_of_the_unit,
)
from tests.support.circuit import CircuitBrowser
from tests.support.circuit import line as of_circuit
from tests.support.drop_box import BIN, Counsellor, run
from tests.support.steps import ANSWER, FOLLOW_UP, STORY, come_back, tell, the_only_thread, write_on
from tests.support.unit_file import Bridge, as_a_service

IDLE = 150 * MIB
SMALL = 512 * MIB
LARGE_FILE = 20 * MIB  # must never be completely in memory


@needs_tor
@as_root
@as_a_service
def test_idle_programs_use_little_memory(
    tmp_path: Path,
    mould: tuple[Path, int],
    folder: Path,  # noqa: F811 - a fixture
) -> None:
    state = tmp_path / "state"
    shutil.copytree(mould[0] / "server", state)
    with both(tmp_path, state) as served, tor_of_the_unit(folder) as tor:
        CircuitBrowser(f"http://127.0.0.1:{mould[1]}", served.onion, 7).get("/nl/")
        took = [taken(named(served.processes(), name)) for name in ("klankbord-serve", "nginx")]
        took.append(taken([tor]))
    print(f"at rest: {[each // MIB for each in took]} MiB")  # noqa: T201 - shown with -s
    assert sum(took) <= IDLE


def named(pids: list[int], name: str) -> list[int]:
    """Return the processes that run a program of this name, except the systemd substitute."""
    return [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text().startswith(name)]


@dataclass
class Bounds:
    """A limit on the memory of a server's processes, where the system supports it."""

    group: Path | None

    @property
    def under(self) -> tuple[str, ...]:
        if self.group is None:
            return ("prlimit", f"--as={SMALL}")  # limits the address space of each process
        return ("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(self.group))

    def peak(self, pids: list[int]) -> int:
        if self.group is None:
            told = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
            return sum(int(text.split("\nVmHWM:")[1].split()[0]) * 1024 for text in told)
        for name in ("memory.max_usage_in_bytes", "memory.peak"):
            if (self.group / name).exists():
                return int((self.group / name).read_text())
        raise AssertionError(self.group)


@contextmanager
def bounded() -> Iterator[Bounds]:
    """Yield a memory cgroup below this process's own (v1 or v2), or None."""
    group, made = _own_group(), None
    if group is not None:
        with suppress(OSError):
            made = Path(tempfile.mkdtemp(prefix="klankbord-", dir=group))
            limits = [made / name for name in ("memory.limit_in_bytes", "memory.max")]
            (limit,) = [path for path in limits if path.exists()] or [made / "none"]
            if limit.exists():
                limit.write_text(str(SMALL))
            else:
                made.rmdir()
                made = None
    try:
        yield Bounds(made)
    finally:
        deadline = time.monotonic() + 60
        # Its processes are ending, and disappear in a moment.
        while made is not None and made.exists():
            with suppress(OSError):
                made.rmdir()
            assert time.monotonic() < deadline
            time.sleep(0.05)


def _own_group() -> Path | None:
    if os.geteuid() != 0:
        return None
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return Path("/sys/fs/cgroup/memory" + path)
        if controllers == "" and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return Path("/sys/fs/cgroup" + path)
    return None


def test_complete_journey_succeeds_with_512_mb_of_memory(
    mould: tuple[Path, int],
    counsellor: Counsellor,
    tmp_path: Path,
) -> None:
    """Reports, files in both directions, answers, a backup and a withdrawal all complete."""
    content = os.urandom(LARGE_FILE)
    state = tmp_path / "state"
    shutil.copytree(mould[0] / "server", state)
    server = (BIN / "klankbord-server", "--dir", state)
    with (
        bounded() as bounds,
        both(tmp_path, state, under=bounds.under) as served,
        Bridge(tmp_path / "run-nginx" / "onion.sock", mould[1], of_circuit(8)),
    ):
        browser = CircuitBrowser(f"http://127.0.0.1:{mould[1]}", served.onion, 7)
        code = tell(browser, "nl", STORY["nl"]).code
        page = come_back(browser, "nl", code)
        page = browser.get("/nl/files")
        sent = browser.upload(page, page.form_with("files"), [("groot.bin", content)])
        assert (sent.status, sent.path) == (200, "/nl/conversation?sent=1")
        counsellor.desk("fetch")
        thread = the_only_thread(counsellor)
        answer = tmp_path / "antwoord.bin"
        answer.write_bytes(content[::-1])
        counsellor.reply(thread, ANSWER["nl"], answer)
        assert ANSWER["nl"].splitlines()[0] in come_back(browser, "nl", code).text
        listed = json.loads(counsellor.desk("files", thread, "--json").stdout)
        (item,) = [one["item"] for one in listed if one["name"] == answer.name]
        assert browser.get(f"/nl/files/{item}").body == content[::-1]
        assert write_on(browser, browser.get("/nl/conversation"), FOLLOW_UP["nl"]).status == 200
        (tmp_path / "key").write_text(run(*server, "backup-key").stdout)
        before = served.processes()
        run(*bounds.under, *server, "backup")
        page = browser.get("/nl/withdraw")
        assert browser.submit(page, page.form_with("sure"), sure="y").status == 200
        assert served.processes() == before  # no process was killed for lack of memory
        peak = bounds.peak(before)
    print(f"peak: {peak // MIB} MiB")  # noqa: T201 - shown with -s
    assert peak <= SMALL
