"""A fetch's writes are on disk before they count, as seen in its system calls."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dropbox_app.desk.folder import Machine, opened
from dropbox_app.desk.storage import vault
from dropbox_app.desk.storage.atomic_files import NEW, TOGETHER
from dropbox_app.desk.sync import fetch as rounds
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.test_kill import PeerProcess, SocketTransport
from tests.support.fake_server import Clock, Peer, Reporter
from tests.support.forks import PROCESSES
from tests.support.processes import threads, until
from tests.support.programs import STRACE, needs_strace

CALLS = "openat,fsync,fdatasync,rename,write,pwrite64"
_ITEMS = re.compile(r"/items(/[0-9a-f]{64}|\?ids=)")  # a request for one item, or for a batch
_LINE = re.compile(r"\d+ +(\w+)\((.*)", re.DOTALL)
_HANDLE = re.compile(r"\d+<([^>]*)>")
_NAMES = re.compile(r'"([^"]*)"')


def _fetch(folder: Path, address: str, day: str, told: Connection) -> None:
    """Run this in a separate process: wait until it is traced, then fetch."""
    machine = Machine(Clock(day), lambda _: SocketTransport(address), vault.CHEAP_FOR_TESTS)
    told.recv()
    with opened(folder, PASSPHRASE, machine) as place, place.connected(place.one()) as desk:
        rounds.fetch(desk)


@dataclass
class Order:
    """The writes that are not yet on disk, call by call."""

    begun: set[str] = field(default_factory=set)  # files that are being written
    synced: set[str] = field(default_factory=set)  # those whose bytes are on the disk
    # Folders with a new name that is not on the disk yet.
    named: set[Path] = field(default_factory=set)
    placed: int = 0
    # Whether the database on disk has every finished file, and all that was received and written.
    recorded: bool = True
    told: int = 0
    commits: int = 0

    def take(self, line: str) -> None:
        """Process one call; fail if something is recorded that a power cut could still lose."""
        found = _LINE.match(line)
        if found is None:
            return
        call, rest = found[1], found[2]
        handle = _HANDLE.match(rest)
        on = handle[1] if handle else ""
        if call == "openat" and "O_CREAT" in rest and (name := _NAMES.search(rest)):
            if name[1].endswith(NEW) and "/sites/" in name[1]:
                self.begun.add(name[1])
        elif call == "rename" and _NAMES.findall(rest)[0] in self.begun:
            old, new = _NAMES.findall(rest)
            assert old in self.synced, f"{old} has its name before its bytes are on the disk"
            self.begun.remove(old)
            self.named.add(Path(new).parent)
            self.placed += 1
        elif call in ("fsync", "fdatasync"):
            self.synced.add(on)
            if Path(on) in self.named:
                self.named.remove(Path(on))
                self.recorded = False
            if on.endswith("-wal"):
                self.recorded = True
                self.commits += 1
        elif on.endswith("-wal"):
            assert not self.begun | self.named, "a row is written before its file is on the disk"
            self.recorded = False
        elif _ITEMS.search(rest):
            self.recorded = False  # a message is recorded without a file
        elif "/fetched" in rest:
            assert not self.begun | self.named, "the server is told before the file is on the disk"
            assert self.recorded, "the server is told before the row is on the disk"
            assert self.commits, "the server is told before anything was committed"
            self.told += rest.partition("?ids=")[2].partition(" ")[0].count(".") + 1


@pytest.fixture
def server(peer: Peer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerProcess]:
    made = PeerProcess(peer, tmp_path_factory.mktemp("s") / "s")
    yield made
    made.close()


@needs_strace
def test_item_and_directory_entry_are_synced_before_being_recorded_or_confirmed(
    office: Office, peer: Peer, server: PeerProcess, clock: Clock, tmp_path: Path
) -> None:
    count = TOGETHER + 3  # more than are synced at once
    for number in range(count - 1):
        Reporter(peer, office.identity).report(f"Melding {number}")
    last = Reporter(peer, office.identity)
    last.report("Met bestand")
    for number in range(count):
        last.attach(f"Bestand {number}", ("a.bin", "application/octet-stream", bytes(9_000)))
    here, there = PROCESSES.Pipe()
    fetching = PROCESSES.Process(
        target=_fetch, args=(office.folder, server.address, clock().isoformat(), there)
    )
    fetching.start()
    there.close()
    assert STRACE is not None
    out = tmp_path / "calls"
    tracer = subprocess.Popen(
        (STRACE, "-f", "-qq", "-y", "-s", "4000", "-o", out, "-e", f"trace={CALLS}",
         "-p", str(fetching.pid)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert fetching.pid is not None
    pid = fetching.pid
    until(
        lambda: all("TracerPid:\t0\n" not in status for _, status in threads(pid)),
        "strace does not get hold of the desk",
    )
    here.send("watched")
    fetching.join(120)
    assert fetching.exitcode == 0
    tracer.wait(60)
    order = Order()
    for line in out.read_text(errors="replace").splitlines():
        order.take(line)
    assert order.placed == 2 * count  # each attachment as it came, and its body
    assert order.told == 3 * count
    assert order.recorded
    # Each commit waits for the disk, so several threads share one.
    assert order.commits < count
