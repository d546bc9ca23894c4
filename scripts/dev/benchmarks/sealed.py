"""Compare what reports and files cost if the browser seals them and if the server seals them."""

from __future__ import annotations

import concurrent.futures
import http.client
import json
import secrets
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dev.benchmarks import sealed_files
from dev.benchmarks.files import allow
from dev.benchmarks.machine import TEXT, lean_report, say, server_cpu

MOST_CPU = 0.004  # seconds of server time for a report
LEAST_RATE = 3.0  # times as many as by the form
CLIENTS = 32
# Reports of one kind in a row, after some that do not count. Argon2id replaces all that the
# processor has in its cache, so a report just after a form is dearer than one on a site where
# browsers seal.
IN_A_ROW, UNCOUNTED = 50, 5


@dataclass(frozen=True)
class Prepared:
    """A sealed report: the contents of its request."""

    token: str
    target: str
    sealed: bytes


def prepare(url: str, count: int) -> list[Prepared]:
    """Seal reports before the measurement, as that many browsers would."""
    from dropbox_app.protocol import card as cards
    from dropbox_app.protocol import writing
    from dropbox_app.protocol.encoding import check_day
    from dropbox_app.protocol.retrieval_code import reporter_keys
    from tests.support.plain_browser import PlainBrowser

    about = json.loads(PlainBrowser(url).get("/api/site").body)
    card = cards.parse(about["cards"][0].encode())
    made = []
    for _ in range(count):
        keys = reporter_keys(secrets.token_bytes(32))
        draft = writing.from_reporter(
            keys, site=about["site"], day=check_day(about["day"]), lang="en", kind="report",
            body={"text": TEXT, "answers": {}}, thread=None, wanted=(card.identity,), cards=(card,),
        )  # fmt: skip
        to = card.identity.hex
        target = f"/api/reports/{keys.mailbox}?to={to}"
        made.append(Prepared(keys.access_token.hex(), target, draft.seal()))
    return made


def send(port: int, report: Prepared) -> None:
    """Send a report over a new connection. It must be accepted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {
        "Origin": f"http://127.0.0.1:{port}",
        "Content-Type": "application/octet-stream",
        "Authorization": f"Bearer {report.token}",
    }
    connection.request("POST", report.target, report.sealed, headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"a sealed report was not taken: {answer.status}")
    answer.read()
    connection.close()


def measure(folder: Path, rounds: int, reports: int) -> bool:
    """Compare both ways alternately: first by CPU, then by reports a second with 32 clients."""
    from dropbox_app.server.config import settings
    from tests.support.drop_box import Counsellor, DropBox
    from tests.support.plain_browser import PlainBrowser

    counsellor = Counsellor(folder / "desk")
    box = DropBox(folder / "server")
    box.add(counsellor, box.init(), "Bench")
    file = box.folder / settings.FILE_NAME
    file.write_text(file.read_text().replace("seal_in_browser = false", "seal_in_browser = true"))
    allow(box, sealed_files.SIZE)
    box.serve()
    assert box.process is not None  # noqa: S101 - serve has just started it
    served = box.process.pid
    try:
        counsellor.desk("fetch")
        form = PlainBrowser(box.url).get("/en/report").form_with("text")
        fields = {name: value for name, value in form.fields if name != "text"}
        body = urllib.parse.urlencode(fields | {"text": TEXT}).encode()

        def plain(number: int) -> None:
            # Each text differs, because a form equal to the last one would be stored once only.
            lean_report(box.port, body + f"+{number}".encode())

        turns = -(-4 * rounds // IN_A_ROW)
        sealed = prepare(box.url, turns * (UNCOUNTED + IN_A_ROW) + reports)
        numbers = iter(range(10_000_000))
        ways: dict[str, Callable[[], None]] = {
            "form": lambda: plain(next(numbers)),
            "sealed": lambda: send(box.port, sealed.pop()),
        }
        cost = dict.fromkeys(ways, 0.0)
        for _ in range(turns):
            for name, report in ways.items():
                for _ in range(UNCOUNTED):
                    report()
                cost[name] += server_cpu(served, report, IN_A_ROW)
        each = {name: spent / (turns * IN_A_ROW) for name, spent in cost.items()}
        for name, spent in each.items():
            say(f"{name:<8}{1000 * spent:>7.2f} ms of the server for a report")
        form_rate, sealed_rate = (_rate(report, reports // 2) for report in ways.values())
        say(f"{CLIENTS} clients: {form_rate:.0f} a second by the form, {sealed_rate:.0f} sealed")
        good = each["sealed"] <= MOST_CPU and sealed_rate >= LEAST_RATE * form_rate
        say(
            f"{'held' if good else 'NOT HELD'}: at most {1000 * MOST_CPU:.0f} ms, and "
            f"{LEAST_RATE:.0f} times the form's rate; here {sealed_rate / form_rate:.1f}"
        )
        good = sealed_files.measure_reports(box.url, folder) and good
        return sealed_files.measure(box.url, folder) and good
    finally:
        box.stop()


def _rate(work: Callable[[], object], count: int) -> float:
    """Return how many calls a second CLIENTS make in parallel. Raises any of their errors."""
    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(work) for _ in range(count)]:
            done.result()
    return count / (time.monotonic() - started)
