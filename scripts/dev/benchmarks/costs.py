"""The server's cost of a request, compared with the bare work that it requires."""

from __future__ import annotations

import concurrent.futures
import os
import secrets
import sqlite3
import subprocess
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from dev.benchmarks.machine import (
    TEXT,
    children,
    lean_report,
    own_cpu,
    resident,
    say,
    server_cpu,
    wait_for,
)
from dev.checkout import PYTHON

WORKERS, THREADS = 2, 8
BINDING = 1.5

BARE = """
from pathlib import Path
from flask import Flask, Response
app = Flask(__name__)
body = Path(__file__).with_name("body").read_bytes()
@app.get("/en/")
def landing():
    return Response(body, mimetype="text/html")
"""


class Floors:
    """The bare work, with the project's own parameters and sizes but no server around it."""

    def __init__(self, folder: Path) -> None:
        from dropbox_app.protocol import age, keys, retrieval_code

        self._age, self._code = age, retrieval_code
        self._site = secrets.token_hex(16)
        self._words = retrieval_code.generate("en")
        self._seed = keys.Seed.generate()
        self._to = [self._seed.recipient(), keys.Seed.generate().recipient()]
        self._message = secrets.token_bytes(8192)
        self._item = age.seal(self._message, self._to)
        self._database = sqlite3.connect(folder / "floor.db", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE item (id TEXT PRIMARY KEY, sealed BLOB) STRICT")

    def stretch(self) -> None:
        self._code.derive_root(self._words, self._site)

    def report(self) -> None:
        self.stretch()
        sealed = self._age.seal(self._message, self._to)
        self._database.execute("INSERT INTO item VALUES (?, ?)", (secrets.token_hex(32), sealed))

    def come_back(self) -> None:
        self.stretch()
        for _ in range(2):
            self._age.open_sealed(self._item, [self._seed])


def measure(folder: Path, rounds: int, reports: int) -> bool:
    from dropbox_app.protocol import retrieval_code
    from tests.support.drop_box import Counsellor, DropBox
    from tests.support.plain_browser import PlainBrowser
    from tests.support.ports import free_port
    from tests.support.steps import come_back, tell, write_on

    counsellor = Counsellor(folder / "desk")
    box = DropBox(folder / "server")
    box.add(counsellor, box.init(), "Bench")
    box.serve()
    assert box.process is not None  # noqa: S101 - serve has just started it
    served = box.process.pid
    bare: subprocess.Popen[bytes] | None = None
    try:
        counsellor.desk("fetch")
        plain = PlainBrowser(box.url)
        report_page = plain.get("/en/report")
        report_form = report_page.form_with("text")
        return_page = plain.get("/en/return")
        return_form = return_page.form_with("code")
        chosen = {name: values[0] for name, values in report_form.choices.items()
                  if name == "counsellor"}  # fmt: skip

        def report() -> None:
            page = PlainBrowser(box.url).submit(report_page, report_form, text=TEXT, **chosen)
            if not page.code:
                raise RuntimeError("a report was not taken")

        reporter = box.browser()
        code = tell(reporter, "en", TEXT).code
        first = box.browser()
        write_on(first, come_back(first, "en", code), TEXT)

        def back() -> None:
            page = PlainBrowser(box.url).submit(return_page, return_form, code=code)
            if page.path != "/en/conversation":
                raise RuntimeError("a reporter was not let in")

        def wrong() -> None:
            other = " ".join(retrieval_code.generate("en"))
            page = PlainBrowser(box.url).submit(return_page, return_form, code=other)
            if page.path == "/en/conversation":
                raise RuntimeError("a wrong code was let in")

        (folder / "bare.py").write_text(BARE)
        (folder / "body").write_bytes(plain.get("/en/").body)
        port = free_port()
        bare = subprocess.Popen(
            [
                *(str(PYTHON), "-m", "gunicorn", "--chdir", str(folder), "--log-level", "error"),
                *("--no-control-socket", "--worker-tmp-dir", "/dev/shm"),  # noqa: S108 - as served
                *("--worker-class", "gthread", "--workers", str(WORKERS)),
                *("--threads", str(THREADS), "--bind", f"127.0.0.1:{port}", "bare:app"),
            ],
            start_new_session=True,
        )
        wait_for(port)
        floors = Floors(folder)
        bare_url, bare_pid = f"http://127.0.0.1:{port}", bare.pid

        rows: list[tuple[str, int, Callable[[], object], Callable[[int], float]]] = [
            ("report", 4, report, lambda n: own_cpu(floors.report, n)),
            ("return", 4, back, lambda n: own_cpu(floors.come_back, n)),
            ("wrong code", 4, wrong, lambda n: own_cpu(floors.stretch, n)),
            (
                "landing",
                40,
                lambda: PlainBrowser(box.url).get("/en/"),
                lambda n: server_cpu(bare_pid, lambda: PlainBrowser(bare_url).get("/en/"), n),
            ),
        ]
        good = True
        bottoms: dict[str, float] = {}
        say(f"{'':<12}{'server':>10}{'floor':>10}{'ratio':>8}   binding <= {BINDING}")
        for name, count, work, floor in rows:
            work()
            floor(5)
            cost = bottom = 0.0
            # Alternate in short turns: a machine that is busy for a while then affects both, and
            # each also finds the processor warm from the other's work.
            for _ in range(rounds):
                cost += server_cpu(served, work, count)
                bottom += floor(count)
            ratio = cost / bottom
            bottoms[name] = bottom / (count * rounds)
            good = good and ratio <= BINDING
            each = 1000 / (count * rounds)
            say(
                f"{name:<12}{cost * each:>7.2f} ms{bottom * each:>7.2f} ms{ratio:>8.2f}"
                f"   {'held' if ratio <= BINDING else 'NOT HELD'}"
            )
        say("")
        fields = [*report_form.fields, ("text", TEXT), *chosen.items()]
        body = urllib.parse.urlencode(dict(fields)).encode()
        cores = os.cpu_count() or 1
        say(f"{cores} cores: the floor allows {cores / bottoms['report']:.0f} reports a second")
        for clients in (8, 32):
            started = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(clients) as pool:
                for done in [pool.submit(lean_report, box.port, body) for _ in range(reports // 2)]:
                    done.result()
            took = time.monotonic() - started
            say(f"{clients:>2} clients: {reports // 2 / took:.0f} reports a second, none failed")
        time.sleep(2)
        for number, worker in enumerate(children(served), 1):
            say(f"worker {number}: {resident(worker):.0f} MB resident after {reports} reports")
        return good
    finally:
        if bare is not None:
            bare.terminate()
            bare.wait(20)
        box.stop()
