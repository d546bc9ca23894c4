"""Many simulated days: resource use rises and falls, and nothing grows.

A site in this process has a simulated clock, with reports, returns, wrong codes, replies, fetches,
withdrawals, and the daily purge. At the end the site may use no more resources than after the
second quarter.
"""

import gc
import os
import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from dropbox_app.protocol.retrieval_code import generate
from dropbox_app.server.config.settings import Limits, Retention
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.reporter import agent
from dropbox_app.server.store.sqlite import DATABASE
from tests.server.web.conftest import House
from tests.support.chance import seed
from tests.support.server_folder import file

# Short retention periods, so that many conversations begin and end in a quarter of the days.
SHORT = Retention(
    reporter_items=1, counsellor_items=2, unfetched=4, idle=2, absence=1, silent_desk=2,
    withdrawn_ids=3, backup=2, notice=1,
)  # fmt: skip
ROOM = 2_000_000  # bytes of memory by which Python's own pools may still grow


@dataclass(frozen=True)
class Use:
    """The resources in use after a purge and a garbage collection."""

    memory: int
    descriptors: int
    threads: int
    database: int  # pages, including free ones that will be reused
    log: int
    files: int
    rows: int


class Days:
    """The site, and days of mixed traffic."""

    def __init__(self, house: House, dice: random.Random) -> None:
        self.house = house
        self.dice = dice
        self.codes: list[str] = []
        self.requests = 0

    def day(self, reports: int) -> None:
        """Send a day's reports, then advance the clock and purge."""
        house, dice = self.house, self.dice
        noor = house.counsellors[0]
        today: list[str] = []
        for _ in range(reports):
            browser = house.browser()
            today.append(browser.tell("Een verhaal. " * dice.choice((1, 20, 700))).code)
            if dice.random() < 0.3:
                browser.come_back(today[-1])
                browser.write_on("En nog iets.")
        for code in dice.sample(self.codes, min(3, len(self.codes))) + today[:3]:
            browser = house.browser()
            page = browser.come_back(code)
            if page.path.endswith("/conversation") and dice.random() < 0.5:
                browser.write_on("Daar ben ik weer.")
        for _ in range(3):
            assert house.browser().come_back(" ".join(generate("nl"))).status == 422
        for thread in noor.threads().values():
            if dice.random() < 0.3 and any(thread.genuine()):
                noor.write("reply", {"text": "Dank je wel.", "attachments": []}, thread)
                self._file(thread.mailbox)
        browser = house.browser()
        browser.come_back(today[0])
        page = browser.get("/nl/withdraw")
        browser.submit(page, page.form_to("withdraw"))
        self.codes = today
        house.clock.pass_days(1)
        purge.purge(house.site, house.store, house.clock.today())
        self.requests += 2 * reports + 12

    def _file(self, mailbox: str) -> None:
        sealed = file(2, 1_500_000)
        by = self.house.counsellors[0].identity
        with self.house.mailboxes.stage() as staged:
            staged.write(sealed)
            self.house.mailboxes.put_file(
                identity=by, mailbox=mailbox, item=staged.digest(), staged=staged
            )

    def use(self) -> Use:
        gc.collect()
        store, folder = self.house.store, self.house.folder
        memory = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        with closing(sqlite3.connect(folder / DATABASE)) as database:
            pages: int = database.execute("PRAGMA page_count").fetchone()[0]
            rows = sum(
                database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our own names
                for table in ("mailboxes", "items", "sealed", "addressed", "desks")
            )
        return Use(
            memory,
            len(os.listdir("/proc/self/fd")),
            threading.active_count(),
            pages,
            store.log_size(),
            sum(1 for path in folder.rglob("*") if path.is_file()),
            rows,
        )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    # The cost of hashing is irrelevant here, and would take most of the time.
    known: dict[tuple[str, ...], bytes] = {}
    monkeypatch.setattr(
        agent,
        "derive_root",
        lambda words, site: known.setdefault(tuple(words), os.urandom(32)),
    )
    made = House(tmp_path / "site", retention=SHORT, limits=Limits(free_bytes=1))
    yield made
    made.close()


def test_days_of_mixed_traffic_leak_no_resources(site: House, long_run: bool) -> None:
    """The growth from the second quarter to the last stays within one day's variation."""
    days = Days(site, random.Random(seed()))  # noqa: S311 - no secret
    quarter, reports = (60, 20) if long_run else (6, 4)
    uses: list[Use] = []
    for _ in range(4):
        of_quarter = []
        for _ in range(quarter):
            days.day(reports)
            of_quarter.append(days.use())
        # The minimum of a quarter: resources in use on its quietest day are always in use.
        uses.append(Use(*(min(column) for column in zip(*map(_tuple, of_quarter), strict=True))))
    _, second, _, last = uses
    said = f"{days.requests} requests over {4 * quarter} days: {second} then {last}"
    assert last.descriptors <= second.descriptors, said
    assert last.threads <= second.threads, said
    assert last.log == second.log == 0, said
    # Random traffic varies from day to day. There are two quarters in between: if each report left
    # one row or page behind, or each day one file, the growth would be twice this.
    assert last.rows <= second.rows + quarter * reports, said
    assert last.database <= second.database + quarter * reports, said
    assert last.files <= second.files + quarter, said
    assert last.memory <= second.memory + ROOM, said
    print(said)  # noqa: T201 - a figure to be read with -s


def _tuple(use: Use) -> tuple[int, ...]:
    return tuple(vars(use).values())
