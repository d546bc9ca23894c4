"""kill -9 during an import, the issuing of a report, or the destruction of a case.

Each step happens completely or not at all: nothing is lost, and the next attempt completes it.
"""

import contextlib
import datetime
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess as Process
from pathlib import Path
from typing import Any

import pytest

from dropbox_app.desk.actions import annual, register, retention
from dropbox_app.desk.errors import NotFound, Unfit
from dropbox_app.desk.folder import Machine, Workplace, opened
from dropbox_app.desk.register.form import Refused
from dropbox_app.desk.storage import vault
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.register.test_keeping import jsonl
from tests.support.chance import seed
from tests.support.forks import PROCESSES

KILLS = {"import": 16, "issue": 16, "destroy": 8}  # the last one takes the longest
MORE = 10  # times as many with --long

SHEETS: list[dict[str, Any]] = [
    {"event": "agreement", "date": "2024-01-01", "employer": "Zorg", "headcount": 400,
     "until": "2027-12-31"},
    {"event": "case", "date": "2025-03-01", "employer": "Zorg", "case": "K"},
    {"event": "case", "date": "2025-03-01", "employer": "Zorg", "case": "L", "belongs_with": ["K"]},
]  # fmt: skip
FILE = jsonl(*(
    {"event": "contact", "date": "2026-03-01", "employer": "Zorg", "minutes": number % 60}
    for number in range(400)
)).encode()  # fmt: skip
WORK: Mapping[str, Callable[[Workplace], object]] = {
    "import": lambda place: register.bring_in(place, FILE),
    "issue": lambda place: annual.freeze(place, "Zorg", "2025"),
    "destroy": lambda place: retention.destroy(place, register.case(place, "K")),
}


def work(what: str, folder: Path, day: datetime.date, pipe: Connection) -> None:
    """Run this in the process to be killed; report the start, the end and the completion."""
    pipe.send("begun")
    with opened(folder, PASSPHRASE, machine_of(day)) as place:
        WORK[what](place)
        pipe.send("worked")
    pipe.send("done")  # the desk is closed, and its database was rekeyed if necessary


def machine_of(day: datetime.date) -> Machine:
    return Machine(lambda: day, log_n=vault.CHEAP_FOR_TESTS)


@contextlib.contextmanager
def started(what: str, folder: Path, day: datetime.date) -> Iterator[tuple[Process, Connection]]:
    """Start a process that does the work."""
    here, there = PROCESSES.Pipe()
    process = PROCESSES.Process(target=work, args=(what, folder, day, there))
    process.start()
    there.close()
    assert here.recv() == "begun"
    yield process, here
    process.join(60)
    here.close()
    process.close()


def measured(what: str, folder: Path, day: datetime.date) -> tuple[float, float]:
    """Do the work; return the seconds until it was done and until the desk was closed."""
    with started(what, folder, day) as (_, pipe):
        began = time.monotonic()
        assert pipe.recv() == "worked"
        worked = time.monotonic() - began
        assert pipe.recv() == "done"
        return worked, time.monotonic() - began


def killed(what: str, folder: Path, day: datetime.date, seconds: float) -> None:
    """Start the work and kill the process after the given number of seconds."""
    with started(what, folder, day) as (process, _):
        process.join(seconds)  # it ends on its own only after all of the work
        process.kill()


def state(office: Office) -> str:
    """Return everything in the register."""
    with office.open() as place:
        return register.export(place)


@pytest.mark.parametrize("what", list(WORK))
def test_import_killed_at_any_time_is_complete_or_has_no_effect_and_can_be_repeated(
    office: Office, what: str, long_run: bool
) -> None:
    office.run("register", "import", "-", given=jsonl(*SHEETS))
    day, kept = office.clock(), office.folder.with_name("before")
    before = state(office)
    shutil.copytree(office.folder, kept)
    lengths = measured(what, office.folder, day)
    after = state(office)
    assert after != before
    chance = random.Random(seed())  # noqa: S311 - moments, not secrets
    many = KILLS[what] * (MORE if long_run else 1)
    for number in range(many):  # spread evenly, half of them before the desk starts to close
        shutil.rmtree(office.folder)
        shutil.copytree(kept, office.folder)
        killed(what, office.folder, day, lengths[number % 2] * (number + chance.random()) / many)
        # Try again, like a user who saw no result. Work that is already done is reported as such.
        with office.open() as place, contextlib.suppress(NotFound, Refused, Unfit):
            found = register.export(place)
            WORK[what](place)
        assert found in (before, after)
        with office.open() as place:
            assert register.export(place) == after
            assert not place.database.rewrite_is_due
        assert len([*office.folder.glob("desk-*.db")]) == 1
