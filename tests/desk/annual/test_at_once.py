"""A year is closed in one step: another window's entries are included or refused."""

import datetime
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dropbox_app.desk import folder as workplace
from dropbox_app.desk.actions import annual, register
from dropbox_app.desk.errors import InUse, Unfit
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import events as e
from dropbox_app.desk.register.form import Refused
from tests.desk.annual.worlds import agreed
from tests.desk.conftest import PASSPHRASE, Office

CASE = e.Case(date=datetime.date(2025, 3, 3), employer="Zorg", case="late")
WAIT = 0.5  # seconds in which the other window would finish if nothing blocked it


class Meanwhile:
    """A clock that lets another window act when the day is first read."""

    def __init__(self, day: datetime.date, work: Callable[[], object]) -> None:
        self.day = day
        self.window: threading.Thread | None = threading.Thread(target=work)
        self.ended = self.window

    def __call__(self) -> datetime.date:
        if self.window is not None:
            window, self.window = self.window, None
            window.start()
            window.join(WAIT)
        return self.day


@pytest.fixture
def filled(office: Office) -> Office:
    with office.open() as place:
        register.record(place, *agreed("Zorg", 400))
    return office


def at_once(place: Workplace, work: Callable[[Workplace], object]) -> list[Exception]:
    """Issue the report while another window does ``work``; return the error that it gets."""
    refused: list[Exception] = []

    def tried() -> None:
        try:
            work(place)
        except (Refused, Unfit) as error:
            refused.append(error)

    clock = Meanwhile(place.machine.today(), tried)
    annual.freeze(replace(place, machine=replace(place.machine, today=clock)), "Zorg", "2025")
    clock.ended.join(60)
    return refused


def test_attempt_to_record_a_case_while_its_report_is_issued_waits_and_then_fails(
    filled: Office,
) -> None:
    with filled.open() as place:
        (told,) = at_once(place, lambda place: register.record(place, CASE))
        assert "does not change any more" in str(told)
        assert CASE not in register.every(place)


def test_report_issued_from_two_windows_at_once_is_issued_only_once(filled: Office) -> None:
    with filled.open() as place:
        (told,) = at_once(place, lambda place: annual.freeze(place, "Zorg", "2025"))
        assert "issued already" in str(told)
        assert sum(isinstance(one, e.Freeze) for one in register.every(place)) == 1


def test_second_process_is_refused_while_the_desk_is_open(filled: Office, tmp_path: Path) -> None:
    with filled.open():
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(InUse), workplace.opened(filled.folder, PASSPHRASE, filled.machine):
            pass
        assert sorted(tmp_path.rglob("*")) == before
