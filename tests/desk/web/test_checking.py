"""Checks of the sites in the page: by the button, by itself, and what the first page shows."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from dropbox_app.desk.actions import check_site
from dropbox_app.desk.site_check import findings
from dropbox_app.desk.storage import notebook
from dropbox_app.desk.web import checking
from dropbox_app.desk.web.checking import LATER, SOON, Checking
from tests.desk.conftest import Office
from tests.desk.site_check.conftest import PASSPHRASE, Reply, World, body_changed
from tests.desk.web.conftest import Running, Seconds, Window
from tests.support.processes import until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@pytest.fixture
def running(world: World) -> Iterator[Running]:
    made = Running(cast(Office, world), Seconds())  # it uses only the folder and the machine
    yield made
    made.close()


def wait(running: Running) -> None:
    until(lambda: not running.page.checking.under_way, "the check did not end")


def press(running: Running, window: Window) -> str:
    """Press the button; return the page with the result."""
    window.press(window.get(f"{running.home}check"), "check")
    wait(running)
    return window.get(f"{running.home}check").html


def test_button_starts_the_site_check_and_the_page_shows_the_result(
    running: Running, world: World
) -> None:
    window = running.at_work()
    assert "Nog niet gecontroleerd." in window.get(f"{running.home}check").html
    assert "Geen verschil gevonden" in press(running, window)
    assert "de site van Bakkerij" not in window.get(running.home).html
    world.alter = body_changed("/nl/role", b"<h1>", b"<h1 >")
    shown = press(running, window)
    assert "De pagina /nl/role is niet die van deze versie." in shown
    assert "&lt;h1 &gt;" in shown
    assert "Er klopt iets niet aan de site van Bakkerij." in window.get(running.home).html
    world.alter = lambda _number, _target, reply: reply
    press(running, window)
    assert "de site van Bakkerij" not in window.get(running.home).html


def test_text_from_a_site_is_isolated_from_the_surrounding_sentence(
    running: Running, world: World
) -> None:
    world.alter = body_changed("/nl/role", b"<h1>", "<h1>\u202e<b>".encode())
    shown = press(running, running.at_work())
    (line,) = (one for one in shown.splitlines() if "De pagina /nl/role" in one)
    excerpt = line.partition("<bdi>")[2].partition("</bdi></p>")[0]
    assert "\u202e&lt;b&gt;" in excerpt


def test_unexpected_error_in_a_site_check_is_recorded_as_a_failure(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*_given: object, **_named: object) -> None:
        raise KeyError("what nobody thought of")

    window = running.at_work()
    with monkeypatch.context() as patch:
        patch.setattr(check_site, "check", check)
        press(running, window)
    failure = running.page.checking.failure
    assert isinstance(failure, KeyError)
    assert failure.__traceback__ is None
    assert "what nobody thought of" not in window.get(f"{running.home}check").html


def test_stored_lone_surrogate_does_not_break_the_site_check_page(
    running: Running, world: World
) -> None:
    world.alter = body_changed("/nl/role", b"<h1>", b"<h1 >")
    window = running.at_work()
    press(running, window)
    with running.lock.use() as place:
        ((name, text),) = (
            one for one in notebook.settings(place.database).items() if one[0].startswith("check ")
        )
        (result,) = findings.load(text).values()
        bad = findings.Finding("version", "", {"name": "9\ud800"})
        notebook.keep_setting(
            place.database, name, findings.dump({result.origin: replace(result, findings=(bad,))})
        )
    assert "9?" in window.get(f"{running.home}check").html


def test_automatic_site_check_runs_once_a_day_at_a_random_time(
    running: Running, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "READING", (0.0, 0.0))
    clock = Seconds()
    timer = Checking(running.lock, clock)
    clock.now += SOON[1]
    timer.start_if_due()
    assert not timer.under_way, "the desk is locked"
    running.at_work()
    timer.start_if_due()  # plans
    clock.now += SOON[0] - 1
    timer.start_if_due()
    assert not world.asked
    clock.now += SOON[1] - SOON[0] + 1
    timer.start_if_due()
    until(lambda: not timer.under_way, "the check did not end")
    asked = len(world.asked)
    assert asked > 50
    clock.now += LATER[1]
    timer.start_if_due()
    until(lambda: not timer.under_way, "the check did not end")
    assert len(world.asked) == asked, "the site was checked today already"
    world.house.clock.pass_days(1)
    clock.now += LATER[1]
    timer.start_if_due()
    until(lambda: not timer.under_way, "the check did not end")
    assert len(world.asked) > asked


def test_result_of_a_site_check_interrupted_by_locking_is_not_kept(
    running: Running, world: World
) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def alter(_number: int, _target: str, reply: Reply) -> Reply:
        arrived.set()
        go_on.wait(60)
        return reply

    world.alter = alter
    running.at_work()
    running.page.checking.start()
    assert arrived.wait(60)
    running.lock.lock()
    assert not running.lock.is_open
    go_on.set()
    wait(running)
    running.lock.unlock(PASSPHRASE)
    with running.lock.use() as place:
        (kept,) = check_site.last(place)
    assert kept.results == ()
