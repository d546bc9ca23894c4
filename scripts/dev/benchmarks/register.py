"""Measure whether a large register is fast: 10,000 cases at 25 employers, over three years.

The register is filled in the same way as by ``register import``, with every rule checked. The page
runs in this process and is requested over its port. A register with a tenth of the cases is
measured too. The ratio shows any cost that grows faster than the number of cases, whatever the
machine.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dev.benchmarks.desk_pages import best
from dev.benchmarks.machine import say

if TYPE_CHECKING:
    from tests.desk.conftest import Office
    from tests.desk.web.conftest import Running

CASES, EMPLOYERS, SMALL = 10_000, 25, 1_000
YEARS = (2024, 2025, 2026)
REPORT, PAGE = 2.0, 0.3  # seconds
HEADCOUNTS = (12, 80, 400, 1_500)
MOST_RATIO = 15  # for ten times as many cases; some of it does not depend on them


def measure(folder: Path) -> bool:
    """Print the best times of the report and each page; return whether all limits are met."""
    folder.mkdir()
    small, large = (_times(folder / str(count), count) for count in (SMALL, CASES))
    held = True
    for name, found in large.items():
        bound = REPORT if name.startswith("the report") else PAGE
        ratio = found / max(small[name], 0.001)
        fits = found <= bound and ratio <= MOST_RATIO
        held = held and fits
        say(
            f"{name:<36}{1000 * found:>7.0f} ms  <= {1000 * bound:.0f}"
            f"  {ratio:>5.1f} x of {SMALL:,} cases {'held' if fits else 'NOT HELD'}"
        )
    return held


def _times(folder: Path, count: int) -> dict[str, float]:
    from tests.desk.web.conftest import Running, Seconds

    began = time.monotonic()
    office = fill(folder, count)
    say(f"{count} cases at {EMPLOYERS} employers: filled in {time.monotonic() - began:.0f} s")
    running = Running(office, Seconds())
    try:
        return _of_pages(running) | _of_reports(running)
    finally:
        running.close()


def _of_pages(running: Running) -> dict[str, float]:
    window = running.at_work()
    first = {part: next(link for link in window.get(running.home + path).links if part in link)
             for path, part in (("cases", "/case/"), ("employers", "/employers/"))}  # fmt: skip
    pages = {
        "Vandaag": running.home, "Zaken": f"{running.home}cases", "a case": first["/case/"],
        "Werkgevers": f"{running.home}employers", "an employer": first["/employers/"],
        "Nieuw contact": f"{running.home}contact", "Agenda": f"{running.home}agenda",
        "Jaarverslag": f"{running.home}annual",
    }  # fmt: skip
    return {name: best(partial(window.get, path)) for name, path in pages.items()}


def _of_reports(running: Running) -> dict[str, float]:
    """Return the time for the largest employer's report, with the register not yet in memory."""
    from dropbox_app.desk.actions import annual

    def report() -> None:
        with running.office.open() as place:
            began = time.monotonic()
            annual.show(place, _name(3), str(YEARS[-1]), "nl")
            found.append(time.monotonic() - began)

    found: list[float] = []
    running.lock.lock()
    best(report)
    return {"the report of a year": min(found)}


def _name(number: int) -> str:
    return f"Werkgever {number:02}"


def fill(folder: Path, count: int) -> Office:
    """Create a desk with ``count`` cases, each with a contact."""
    from dropbox_app.desk.actions import register
    from tests.desk.conftest import Office
    from tests.support.fake_server import Clock, Peer

    clock = Clock("2027-01-05")
    folder.mkdir()
    office = Office(folder / "desk", Peer(clock), clock)
    office.set_up()
    lines: list[dict[str, object]] = []
    for number in range(EMPLOYERS):
        first = {"date": f"{YEARS[0]}-01-01", "employer": _name(number)}
        headcount = HEADCOUNTS[number % len(HEADCOUNTS)]
        lines += [
            {"event": "employer", **first, "headcount": headcount},
            {"event": "agreement", **first, "until": f"{YEARS[-1]}-12-31", "price": 2400,
             "headcount": headcount},
        ]  # fmt: skip
    for number in range(count):
        day = f"{YEARS[number % len(YEARS)]}-{number % 12 + 1:02}-{number % 28 + 1:02}"
        fixed = {"date": day, "employer": _name(number % EMPLOYERS), "case": f"Z{number}"}
        lines += [
            {
                "event": "case",
                **fixed,
                "label": f"Zaak {number}",
                "main_group": "unwanted_behaviour",
            },
            {"event": "contact", **fixed, "minutes": 45, "how": "telephone"},
        ]
    with office.open() as place:
        for start in range(0, len(lines), _AT_ONCE):
            part = lines[start : start + _AT_ONCE]
            register.bring_in(place, "\n".join(map(json.dumps, part)).encode())
    return office


_AT_ONCE = 5_000  # lines of one import
