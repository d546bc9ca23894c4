"""Slow, parallel, interrupted and killed uploads to real workers, and a search for plaintext."""

import contextlib
import mmap
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.server.config import site
from dropbox_app.server.mailboxes.service import Mailboxes
from tests.server.web.conftest import Counsellor
from tests.server.web.test_file_downloads import reply_with
from tests.server.web.test_files import received
from tests.support.plain_browser import MULTIPART, PlainBrowser, multipart
from tests.support.serving import Serving

MIB = 1024 * 1024
PATTERN = b"een herkenbaar patroon, elke keer weer; "
NAME = "herkenbare-bestandsnaam.jpg"


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    made = Serving(tmp_path, upkeep=0.2, forked=False)
    yield made
    while SENDERS:
        SENDERS.pop().connection.close()
    made.close()


class Sender:
    """A reporter whose browser sends a form with a file as far and as fast as the test says."""

    def __init__(self, serving: Serving, text: str = "Blijf.") -> None:
        self.serving = serving
        self.browser = PlainBrowser(serving.url)
        page = self.browser.get("/nl/report")
        self.code = self.browser.submit(page, page.form_with("text"), text="Het begin.").code
        page = self.browser.get("/nl/files")
        self.fields = [f for f in page.form_with("files").fields if f[0] not in ("text", "files")]
        self.fields.append(("text", text))
        self.connection = socket.create_connection(("127.0.0.1", serving.port), 60)
        SENDERS.append(self)

    def begin(self, size: int, content: bytes = PATTERN) -> None:
        """Send headers, fields and the beginning of a file of ``size`` bytes."""
        empty = multipart(self.fields, [(NAME, b"\0")])
        start, _, self.end = empty.partition(b"\0")
        cookies = "; ".join(f"{name}={value}" for name, value in self.browser.cookies.items())
        head = (
            f"POST /nl/files HTTP/1.1\r\nHost: 127.0.0.1:{self.serving.port}\r\n"
            f"Origin: {self.serving.url}\r\nCookie: {cookies}\r\nContent-Type: {MULTIPART}\r\n"
            f"Content-Length: {len(empty) - 1 + size}\r\n\r\n"
        )
        self.connection.sendall(head.encode() + start)
        self.left = size
        self.send(content[:size])

    def send(self, content: bytes) -> None:
        self.connection.sendall(content)
        self.left -= len(content)

    def finish(self) -> bytes:
        """Send the rest of the form; return the response."""
        self.connection.sendall(self.end)
        answer = b""
        while piece := self.connection.recv(65_536):
            answer += piece
        self.connection.close()
        return answer


SENDERS: list[Sender] = []  # of the running test


def wait_for(what: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def staged(serving: Serving) -> list[Path]:
    return list((serving.house.folder / "files").iterdir())


def opened(serving: Serving) -> Iterator[Path]:
    """Yield every regular file that a server process has open, deleted or not."""
    processes = [serving.process.pid]
    with contextlib.suppress(FileNotFoundError):  # the master has ended
        processes += serving.workers()
    for pid in processes:
        handles: list[Path] = []
        with contextlib.suppress(FileNotFoundError):  # this file was closed
            handles += Path(f"/proc/{pid}/fd").iterdir()
        for handle in handles:
            with contextlib.suppress(FileNotFoundError):
                if handle.is_file():
                    yield handle


def places(serving: Serving) -> Iterator[Path]:
    """Yield where the server could have written: its folder, its home, and open files."""
    for folder in (serving.house.folder, serving.home, Path("/dev/shm")):  # noqa: S108 - searched
        yield from (path for path in folder.rglob("*") if path.is_file())
    yield serving.log
    yield from opened(serving)


def found_in(serving: Serving, *wanted: bytes) -> list[str]:
    """Return the places whose content or name includes one of these byte strings."""
    found = []
    for path in places(serving):
        found += [f"name {path}" for one in wanted if one.decode() in str(path)]
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            if os.fstat(file.fileno()).st_size:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    found += [f"{path}" for one in wanted if content.find(one) >= 0]
    return found


def allow(serving: Serving, size: int) -> None:
    """Allow files of this size."""
    house, settings = serving.house, serving.house.folder / "site.toml"
    limits = re.sub(r"^file = .*", f"file = {size}", settings.read_text(), flags=re.MULTILINE)
    settings.write_text(limits)
    house.site = site.load(house.folder)
    house.mailboxes = Mailboxes(house.site, house.store, house.clock.today)
    serving.stop()
    serving.start()


def noor(serving: Serving) -> Counsellor:
    return serving.house.counsellors[0]


def test_disk_search_finds_plaintext(serving: Serving) -> None:
    """Without this, the tests below could never fail."""
    secret = serving.home / "spool"
    secret.write_bytes(b"x" * 70_000 + PATTERN)
    assert found_in(serving, PATTERN) == [str(secret)]
    with (serving.house.folder / NAME).open("w"):
        assert len(found_in(serving, NAME.encode())) == 1


def test_running_upload_leaves_no_plaintext_byte_or_name(serving: Serving, long_run: bool) -> None:
    size = (200 if long_run else 20) * MIB
    allow(serving, size)
    sender = Sender(serving)
    sender.begin(size)
    block = PATTERN * (MIB // len(PATTERN))
    while sender.left > len(block):
        sender.send(block)
        if sender.left % (8 * len(block)) < len(block):
            assert found_in(serving, PATTERN, NAME.encode()) == []
    wait_for(lambda: any(p.stat().st_size > size - 3 * MIB for p in staged(serving)))
    assert found_in(serving, PATTERN, NAME.encode()) == []
    sender.send(block[: sender.left])
    assert sender.finish().startswith(b"HTTP/1.1 303")
    assert found_in(serving, PATTERN, NAME.encode()) == []
    ((attachment, content),) = received(noor(serving))
    assert (attachment.name, attachment.size) == (NAME, size)
    assert content[: len(block)].count(PATTERN) > 20_000


def test_interrupted_upload_leaves_nothing_behind(serving: Serving) -> None:
    sender = Sender(serving)
    sender.begin(30 * MIB)
    sender.send(PATTERN * (8 * MIB // len(PATTERN)))
    wait_for(lambda: any(p.stat().st_size > 4 * MIB for p in staged(serving)))
    sender.connection.close()
    wait_for(lambda: not staged(serving))
    wait_for(lambda: not [p for p in opened(serving) if ".part" in str(p.readlink())])
    assert found_in(serving, PATTERN, NAME.encode()) == []
    assert [m.text for m in noor(serving).only_thread().genuine()] == ["Het begin."]
    assert "Traceback" not in serving.log.read_text()


def test_kill_9_leaves_no_plaintext_and_the_next_start_cleans_up(serving: Serving) -> None:
    sender = Sender(serving)
    sender.begin(30 * MIB)
    sender.send(PATTERN * (8 * MIB // len(PATTERN)))
    wait_for(lambda: any(p.stat().st_size > 4 * MIB for p in staged(serving)))
    workers = serving.workers()
    serving.process.kill()  # first, because a new worker would remove the leftovers
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    serving.stop(signal.SIGKILL)
    assert found_in(serving, PATTERN, NAME.encode()) == []
    assert len(staged(serving)) == 1
    serving.start()
    wait_for(lambda: not staged(serving))
    assert found_in(serving, PATTERN, NAME.encode()) == []
    sender.connection.close()


def test_slow_upload_that_makes_progress_is_not_cut_off(serving: Serving) -> None:
    """The pauses are longer than nginx waits for the rest of an ordinary form."""
    sender = Sender(serving)
    size = 700_000
    sender.begin(size)
    for _ in range(3):
        sender.send(os.urandom(8000))
        time.sleep(2.5)  # nginx waits 2 seconds for an ordinary form here
    sender.send(bytes(sender.left))
    assert sender.finish().startswith(b"HTTP/1.1 303")
    assert received(noor(serving))[0][0].size == size


def test_large_file_uses_no_extra_memory_in_either_direction(
    serving: Serving, long_run: bool
) -> None:
    """The server uses at most 64 MB more than when idle, whatever the size."""
    size = (500 if long_run else 80) * MIB
    allow(serving, size)
    sender = Sender(serving)
    idle = peak(serving.workers(), reset=True)
    sender.begin(size)
    block = os.urandom(MIB)
    while sender.left:
        sender.send(block[: sender.left])
    assert sender.finish().startswith(b"HTTP/1.1 303")
    assert peak(serving.workers()) - idle < 64 * MIB
    content = os.urandom(MIB) * (size // MIB)
    item = reply_with(noor(serving), content)
    idle = peak(serving.workers(), reset=True)
    assert sha256_hex(sender.browser.get(f"/nl/files/{item}").body) == sha256_hex(content)
    assert peak(serving.workers()) - idle < 64 * MIB


def peak(workers: list[int], *, reset: bool = False) -> int:
    """Return the peak resident memory of a worker since the last reset, in bytes."""
    peaks = []
    for pid in workers:
        if reset:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        assert found
        peaks.append(int(found[1]) * 1024)
    return max(peaks)
