"""Measure the cost of sealing an upload, its memory, and the effect of eight uploads on reports.

The floor is the same upload through the same parser, unsealed: a bare view in gunicorn that hashes
the data, writes it to the same disk and syncs it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import secrets
import select
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dev.benchmarks.machine import (
    TEXT,
    children,
    lean_report,
    own_cpu,
    post,
    resident,
    say,
    server_cpu,
    wait_for,
)
from dev.checkout import PYTHON, ROOT

if TYPE_CHECKING:
    from tests.support.drop_box import DropBox

SPEED = 0.6  # minimum share of the unsealed upload's speed
MEMORY = 64.0  # maximum MB above idle
HONEST = 4  # people who write and come back, one thing after another
BINDING = 3.0
SLOW = 8  # simultaneous uploads of slow clients
TURNS = 4
WORKERS, THREADS = 2, 8
_MIB = 2**20
_BLOCK = secrets.token_bytes(_MIB)
_PIECE, _EVERY = 8 * 1024, 0.25  # bytes that a slow client sends, and seconds between them

BARE = """
import hashlib, os
from pathlib import Path
from flask import Flask, Response, request
from dropbox_app.server.web.uploads import read_form

class Unsealed:
    def __init__(self):
        self.path = Path(__file__).with_name("unsealed")
        self.file, self.hash = self.path.open("wb"), hashlib.sha256()
    def write(self, data):
        self.hash.update(data)
        return self.file.write(data)
    def begin(self, *_):
        return self
    def finish(self):
        self.file.flush()
        os.fsync(self.file.fileno())
    def close(self):
        self.file.close()
        self.path.unlink()

app = Flask(__name__)
@app.get("/en/")
def ready():
    return "ready"
@app.post("/en/files")
def take():
    taken = Unsealed()
    read_form(request.stream, request.mimetype_params["boundary"], taken)
    taken.close()
    return Response(taken.hash.hexdigest())
"""


def measure(folder: Path, mib: int, seconds: int) -> bool:
    """Print the three measurements; return whether all limits are met."""
    from tests.support.drop_box import Counsellor, DropBox

    counsellor = Counsellor(folder / "desk")
    box = DropBox(folder / "server")
    box.add(counsellor, box.init(), "Bench")
    allow(box, mib)
    box.serve()
    try:
        counsellor.desk("fetch")
        with _bare(folder) as (bare, port):
            good = _speed(box, bare, port, mib)
        good = _memory(box, mib) and good
        return _beside(box, seconds) and good
    finally:
        box.stop()


def allow(box: DropBox, mib: int) -> None:
    """Allow files of this size, and enough space for all of them."""
    path = box.folder / "site.toml"
    text = path.read_text()
    for name, value in (
        ("file", max(mib, 100) * _MIB),
        ("mailbox_bytes", 4 * max(mib, 256) * _MIB),
        ("site_bytes", 40 * max(mib, 256) * _MIB),
    ):
        text = re.sub(rf"^{name} = .*", f"{name} = {value}", text, flags=re.MULTILINE)
    path.write_text(text)


@contextlib.contextmanager
def _bare(folder: Path) -> Iterator[tuple[int, int]]:
    """Run the bare server; yield its process and its port."""
    from tests.support.ports import free_port

    (folder / "unsealed.py").write_text(BARE)
    port = free_port()
    process = subprocess.Popen(
        [
            *(str(PYTHON), "-m", "gunicorn", "--chdir", str(folder), "--pythonpath", str(ROOT)),
            *("--log-level", "error", "--no-control-socket", "--worker-tmp-dir", "/dev/shm"),  # noqa: S108 - as in production
            *("--worker-class", "gthread", "--workers", str(WORKERS), "--timeout", "300"),
            *("--threads", str(THREADS), "--bind", f"127.0.0.1:{port}", "unsealed:app"),
        ],
        start_new_session=True,
    )
    try:
        wait_for(port)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(20)


class _Upload:
    """An upload of one file: the data before it, the data after it, and the headers."""

    def __init__(self, port: int, fields: list[tuple[str, str]], cookies: str, size: int) -> None:
        from tests.support.plain_browser import MULTIPART, multipart

        whole = multipart(fields, [("recording.mp4", b"\0")])
        self.start, _, self.end = whole.partition(b"\0")
        self.port, self.size = port, size
        self.headers = {
            "Host": f"127.0.0.1:{port}",
            "Origin": f"http://127.0.0.1:{port}",
            "Content-Type": MULTIPART,
            "Content-Length": str(len(whole) - 1 + size),
            "Cookie": cookies,
        }

    def _body(self) -> Iterator[bytes]:
        yield self.start
        for _ in range(self.size // _MIB):
            yield _BLOCK
        yield self.end

    def send(self) -> tuple[int, bytes]:
        """Send everything as fast as possible; return the status and body of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request("POST", "/en/files", self._body(), self.headers)
        answer = connection.getresponse()
        page = answer.read()
        connection.close()
        return answer.status, page

    def begin(self) -> socket.socket:
        """Send the headers, and the form up to the file's first byte; return the socket."""
        made = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        made.sendall(f"POST /en/files HTTP/1.1\r\n{head}\r\n".encode() + self.start)
        return made


def _upload(box: DropBox, size: int) -> _Upload:
    """Return an upload by a reporter who has just entered a new code."""
    from tests.support.steps import come_back, tell

    code = tell(box.browser(), "en", TEXT).code
    reporter = box.browser()
    come_back(reporter, "en", code)
    form = reporter.get("/en/files").form_with("files")
    fields = [field for field in form.fields if field[0] != "files"]
    cookies = "; ".join(f"{name}={value}" for name, value in reporter.cookies.items())
    return _Upload(box.port, fields, cookies, size)


def _taken(upload: _Upload) -> None:
    """Send an upload, and check that it was stored."""
    status, page = upload.send()
    if status != 303:
        raise RuntimeError(f"an upload was not taken: {status} {page[:2000]!r}")


def _served(box: DropBox) -> int:
    if box.process is None:
        raise RuntimeError("it does not serve")
    return box.process.pid


def _speed(box: DropBox, bare: int, port: int, mib: int) -> bool:
    """Measure sealed and unsealed alternately, so that a busy machine affects both."""
    wanted = hashlib.sha256(_BLOCK * mib).hexdigest().encode()
    plain = _Upload(port, [("text", TEXT)], "", mib * _MIB)
    took, cpu = {"sealed": 0.0, "unsealed": 0.0}, {"sealed": 0.0, "unsealed": 0.0}

    def unsealed() -> None:
        if plain.send() != (200, wanted):
            raise RuntimeError("the bare server did not take it")

    for turn in range(TURNS + 1):
        reporter = _upload(box, mib * _MIB)

        def sealed(reporter: _Upload = reporter) -> None:
            _taken(reporter)

        both = [("sealed", _served(box), sealed), ("unsealed", bare, unsealed)]
        for name, pid, work in both if turn % 2 else reversed(both):
            began = time.monotonic()
            spent = server_cpu(pid, work, 1)
            if turn:  # the first turn warms up both
                took[name] += time.monotonic() - began
                cpu[name] += spent
    for name in took:
        speed, each = mib * TURNS / took[name], cpu[name] / TURNS
        say(f"{name:<10}{mib:>5} MiB {speed:>7.0f} MiB a second, {each:.2f} s of CPU each")
    ratio = took["unsealed"] / took["sealed"]
    held = ratio >= SPEED
    say(f"speed {ratio:.2f} of the unsealed   binding >= {SPEED}  {_said(held=held)}")
    _shares(mib, cpu["sealed"] / TURNS)
    return held


def _said(*, held: bool) -> str:
    return "held" if held else "NOT HELD"


def _shares(mib: int, whole: float) -> None:
    """Print the shares of cipher and hash in a sealed upload's CPU time."""
    from dropbox_app.protocol.attachment import AttachmentSealer
    from dropbox_app.protocol.keys import Seed

    def cipher() -> None:
        sealer = AttachmentSealer(len, [Seed.generate().recipient()])
        for _ in range(mib):
            sealer.update(_BLOCK)
        sealer.finish()

    def hashing() -> None:
        digest = hashlib.sha256()
        for _ in range(mib):
            digest.update(_BLOCK)

    flags = re.search(r"^(?:flags|Features)\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.M)
    known = set(flags[1].split()) if flags else set()
    has = "has" if known & {"sha_ni", "sha2"} else "has no"
    say(
        f"the cipher is {own_cpu(cipher, 1) / whole:.0%} of a sealed upload's CPU time, the hash"
        f" {own_cpu(hashing, 1) / whole:.0%}; this processor {has} SHA instructions"
    )


def _memory(box: DropBox, mib: int) -> bool:
    """Compare the peak memory of the worker that got an upload with its memory before."""
    workers = children(_served(box))
    upload = _upload(box, mib * _MIB)
    for worker in workers:
        # Reset the previous peak where that is allowed. Otherwise it counts, which can only raise
        # it.
        with contextlib.suppress(PermissionError):
            Path(f"/proc/{worker}/clear_refs").write_text("5")
    idle = [resident(worker) for worker in workers]
    _taken(upload)
    above = max(_peak(worker) - was for worker, was in zip(workers, idle, strict=True))
    held = above <= MEMORY
    said = f"memory {above:.1f} MB above idle at its peak"
    say(f"{said}   binding <= {MEMORY:.0f}  {_said(held=held)}")
    if children(_served(box)) != workers:
        raise RuntimeError("a worker was replaced")
    return held


def _peak(process: int) -> float:
    """Return the peak memory of a process in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1000 if found else 0.0


def _beside(box: DropBox, seconds: int) -> bool:
    """Measure reports without other load, and during slow uploads."""
    form = box.browser().get("/en/report").form_with("text")
    fields = [*form.fields, ("text", TEXT)]
    fields += [(name, values[0]) for name, values in form.choices.items() if name == "counsellor"]
    report = urllib.parse.urlencode(dict(fields)).encode()
    code = _first(box.port, report)
    idle = _honest([box.port] * HONEST, report, code, seconds)
    slow = _Slow([_upload(box, 100 * _MIB) for _ in range(SLOW)])
    beside = _honest([box.port] * HONEST, report, code, seconds)
    under_way, again = slow.end()
    if under_way < SLOW // 2:
        raise RuntimeError(f"only {under_way} of the slow uploads were under way")
    good = _line("idle", idle, idle)
    good = _line(f"{SLOW} slow uploads", beside, idle) and good
    say(f"{under_way} uploads were under way at the end; {again} times one began again")
    return good


class _Slow:
    """Uploads of slow clients. A client that gets "busy" starts again."""

    def __init__(self, uploads: list[_Upload]) -> None:
        self._uploads = uploads
        self._open = [upload.begin() for upload in uploads]
        self._again = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drip)
        self._thread.start()

    def _drip(self) -> None:
        while not self._stop.wait(_EVERY):
            for place, made in enumerate(self._open):
                try:
                    if not _answered(made):
                        made.sendall(_BLOCK[:_PIECE])
                        continue
                except OSError:
                    pass
                made.close()
                self._again += 1
                self._open[place] = self._uploads[place].begin()

    def end(self) -> tuple[int, int]:
        """End all uploads; return how many were running, and how many restarts there were."""
        self._stop.set()
        self._thread.join()
        under_way = sum(not _answered(made) for made in self._open)
        for made in self._open:
            made.close()
        return under_way, self._again


def _answered(made: socket.socket) -> bool:
    return bool(select.select([made], [], [], 0)[0])


def _line(name: str, times: list[float], idle: list[float], most: float = BINDING) -> bool:
    """Print the slowest twentieth compared with idle; return whether it is within ``most``."""
    p95, quiet = _p95(times), _p95(idle)
    say(
        f"{name:<28}{len(times):>6} honest requests, p95 {1000 * p95:>6.0f} ms"
        f"   {p95 / quiet:.2f}  {'held' if p95 <= most * quiet else 'NOT HELD'}"
    )
    return p95 <= most * quiet


def _p95(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.95)]


def _first(port: int, report: bytes) -> str:
    """Send a report; return its code."""
    _, page = post(port, "/en/report", report)
    found = page.decode().partition('id="code"')[2].partition(">")[2]
    words = "".join(c if c.isalpha() else " " for c in _without_tags(found)).split()
    return " ".join(words[:7])


def _without_tags(html: str) -> str:
    """Return the text at the beginning of a page, without its tags."""
    return " ".join(piece.partition(">")[2] or piece for piece in html[:2000].split("<"))


def _honest(ways: Sequence[int], report: bytes, code: str, seconds: float) -> list[float]:
    """Return the durations of honest people's requests, which each person sends one by one.

    Each person uses one of ``ways``.
    """
    body = urllib.parse.urlencode({"code": code}).encode()
    end = time.monotonic() + seconds
    times: list[float] = []
    broken: list[str] = []

    def person(way: int) -> None:
        while time.monotonic() < end and not broken:
            for coming_back in (False, True):
                began = time.monotonic()
                try:
                    if coming_back:
                        _come_back(way, body)
                    else:
                        lean_report(way, report)
                except (OSError, RuntimeError) as error:
                    broken.append(str(error))
                    return
                times.append(time.monotonic() - began)
                time.sleep(0.2)

    people = [threading.Thread(target=person, args=(way,)) for way in ways]
    for one in people:
        one.start()
    for one in people:
        one.join()
    if broken:
        raise RuntimeError(f"an honest request failed: {broken[0]}")
    return times


def _come_back(way: int, body: bytes) -> None:
    if post(way, "/en/return", body)[0] != 303:
        raise RuntimeError("a reporter was not let in")
