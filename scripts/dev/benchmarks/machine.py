"""Code for all measurements: CPU time, memory, and lightweight clients."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Callable
from pathlib import Path

TEXT = "My manager belittles me every day, and I do not know what to do. " * 12
FORM = "application/x-www-form-urlencoded"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def cpu_of(parent: int) -> float:
    """Return the CPU seconds that a server's first process and its workers have used so far."""
    spent = 0
    for process in (parent, *children(parent)):
        for thread in Path(f"/proc/{process}/task").iterdir():
            spent += int((thread / "schedstat").read_text().split()[0])  # nanoseconds
    return spent / 1e9


def children(parent: int) -> list[int]:
    """Return the child processes of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return sorted(found)


def resident(process: int) -> float:
    """Return the resident memory of a process in MB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1000
    return 0.0


def own_cpu(work: Callable[[], object], count: int) -> float:
    """Return the CPU seconds of this process for each run of ``work``."""
    before = time.process_time()
    for _ in range(count):
        work()
    return time.process_time() - before


def server_cpu(parent: int, work: Callable[[], object], count: int) -> float:
    """Return the CPU seconds of the server for each run of ``work``."""
    before = cpu_of(parent)
    for _ in range(count):
        work()
    return cpu_of(parent) - before


def post(port: int, path: str, body: bytes) -> tuple[int, bytes]:
    """Send one form from a lightweight client, because it shares the server's cores."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": FORM, "Origin": f"http://127.0.0.1:{port}"}
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()
    page = answer.read()
    connection.close()
    return answer.status, page


def lean_report(port: int, body: bytes) -> None:
    """Send one report, which the server must accept."""
    status, page = post(port, "/en/report", body)
    if status != 200 or b'id="code"' not in page:
        raise RuntimeError(f"a report was not taken: {status}")


def wait_for(port: int) -> None:
    """Wait until a server responds on this port, twenty seconds at most."""
    from tests.support.plain_browser import PlainBrowser

    deadline = time.monotonic() + 20
    while True:
        try:
            PlainBrowser(f"http://127.0.0.1:{port}").get("/en/")
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
