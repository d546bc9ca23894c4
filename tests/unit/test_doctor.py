"""doctor: finds nothing on a sound machine, each fault on a broken one, and changes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from dropbox_app.server.findings import Check
from tests.unit import a_machine
from tests.unit.a_machine import AMachine
from tests.unit.broken_machines import BROKEN

CHECKS = get_args(Check)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from a_machine.sound(tmp_path_factory.mktemp("machine"))


@pytest.fixture
def machine(sound: Path, tmp_path: Path) -> AMachine:
    return a_machine.copied(sound, tmp_path / "machine")


def test_a_sound_machine_has_no_fault_and_every_check_looked(machine: AMachine) -> None:
    found = machine.examined()
    assert [str(one) for one in found if one.state != "fine"] == []
    assert {one.check for one in found} == set(CHECKS) - {"visit"}


def test_so_has_the_one_with_nginx(machine: AMachine) -> None:
    a_machine.with_nginx(machine)
    assert [str(one) for one in machine.examined() if one.state != "fine"] == []


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_machine_is_found_and_named_with_its_repair(machine: AMachine, what: str) -> None:
    check, broken, fault, repair = BROKEN[what]
    with machine.changing():
        broken(machine)
    wrong = [one for one in machine.examined() if one.state == "wrong"]
    assert {one.check for one in wrong} == {check}
    assert any(fault in one.fault for one in wrong), wrong
    assert any(repair in one.repair for one in wrong), wrong


def test_there_are_more_than_forty_of_them_and_one_for_each_check() -> None:
    assert len(BROKEN) >= 40
    judged = {"disk encryption", "visit"}  # see the tests of these
    assert {check for check, *_ in BROKEN.values()} == set(CHECKS) - judged
