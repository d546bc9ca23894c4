"""A server whose inside is watched: gunicorn as it serves, with a program around it."""

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server.web.conftest import House, real_clock
from tests.support.plain_browser import PlainBrowser
from tests.support.ports import free_port


class Watched:
    """A serving site. The program begins with ``folder``, ``bind`` and what else it is given."""

    def __init__(
        self, folder: Path, program: str, *arguments: str | Path, desk_origins: tuple[str, ...] = ()
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.house = House(
            folder / "site", clock=real_clock(), origins=(self.url,), desk_origins=desk_origins
        )
        self.log = folder / "log"
        given = (self.house.folder, f"127.0.0.1:{self.port}", *arguments)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-c", program, *map(str, given)),
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(folder), "TMPDIR": str(folder)},
            )
        deadline = time.monotonic() + 30
        while True:
            try:
                assert PlainBrowser(self.url).get("/nl/").status == 200
                return
            except OSError:
                assert self.process.poll() is None, self.log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            assert self.process.wait(30) == 0
        self.house.close()
        assert "Traceback" not in self.log.read_text()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A site with one counsellor, in this process."""
    made = House(tmp_path / "site")
    yield made
    made.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[..., Watched]]:
    """Start one: ``watched(program, arguments..., desk_origins=...)``."""
    started: list[Watched] = []

    def start(program: str, *arguments: str | Path, desk_origins: tuple[str, ...] = ()) -> Watched:
        started.append(Watched(tmp_path, program, *arguments, desk_origins=desk_origins))
        return started[-1]

    yield start
    for made in started:
        made.stop()


@pytest.fixture(autouse=True)
def _room_for_connections() -> None:
    """Hundreds of clients are hundreds of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < 2048:
        wanted = 2048 if hard == resource.RLIM_INFINITY else min(2048, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
