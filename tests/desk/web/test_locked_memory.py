"""The program's memory after the desk was locked.

The program runs with allocators that overwrite freed memory, so anything found is still in use. (A
buffer that grew can still leave a trace of a long text.)
"""

import contextlib
import errno
import gc
import os
import re
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.web import desk_lock, server
from dropbox_app.desk.web.desk_lock import DeskLock
from dropbox_app.desk.web.draft import MOST, Form
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Window
from tests.desk.web.test_command import Started
from tests.support.memory import memory_of
from tests.support.plain_browser import Page as Answer
from tests.support.processes import until

OVERWRITING = {"PYTHONMALLOC": "pymalloc_debug", "MALLOC_PERTURB_": "165"}
REPORT, LABEL, NOTE, DRAFT = "over mijn chef", "Zaak qx7z", "notitie jw8k", "antwoord vb3m"
EMPLOYER = "Bakkerij fk6d"
SITE_AWAY = "Voor deze werkgever wordt net iets opgehaald of verstuurd."


@pytest.fixture
def started(office: Office, thread: str, tmp_path: Path) -> Iterator[Started]:
    made = Started(office, tmp_path, environment=OVERWRITING)
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.process.kill()
        made.process.communicate()


def held(started: Started) -> set[str]:
    memory = memory_of(started.process.pid)
    looked_for = (REPORT, LABEL, NOTE, DRAFT, PASSPHRASE, EMPLOYER)
    return {one for one in looked_for if one.encode() in memory}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and asks glibc to overwrite")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads a process's memory")
def test_locked_desk_keeps_no_text_name_passphrase_or_draft_in_memory(started: Started) -> None:
    window, home = started.window()
    found = re.search(r'href="([^"]*/t/[^"]+)"', window.get(home).html)
    assert found
    shown = window.get(found[1])
    window.press(shown, "own", label=LABEL, note=NOTE)
    window.press(window.get(f"{home}employers"), "employers", employer=EMPLOYER)
    assert REPORT in window.get(found[1]).text
    assert {REPORT, PASSPHRASE, EMPLOYER} <= held(started)
    asked = window.press(window.get(home), "lock")
    assert held(started) == set()
    # The button is pressed in a window that still shows the conversation.
    window.press(shown, "reply", text=DRAFT)
    assert held(started) == set()
    again = window.press(asked, "unlock", passphrase=PASSPHRASE)
    assert DRAFT in dict(again.form_to("reply").fields)["text"]
    window.press(window.get(home), "lock")
    assert held(started) == set()


def test_form_sent_to_a_locked_desk_is_shown_again_only_once(running: Running, thread: str) -> None:
    window = running.at_work()
    shown = opened(running, window)
    running.lock.lock()
    asked = window.press(shown, "reply", text=DRAFT)
    running.lock.lock()  # as the timer does every second
    again = window.press(asked, "unlock", passphrase=PASSPHRASE)
    assert DRAFT in dict(again.form_to("reply").fields)["text"]
    assert dict(opened(running, window).form_to("reply").fields)["text"].strip() == ""


def test_pending_form_survives_a_second_lock(running: Running, thread: str) -> None:
    window = running.at_work()
    shown = opened(running, window)
    running.lock.lock()
    window.press(shown, "reply", text=DRAFT)
    for _ in range(2):
        running.page.unlock(PASSPHRASE)
        running.lock.lock()
    running.page.unlock(PASSPHRASE)
    assert DRAFT in dict(opened(running, window).form_to("reply").fields)["text"]


def test_pending_forms_of_two_windows_are_shown_only_on_their_own_pages(
    running: Running, thread: str
) -> None:
    window = running.at_work()
    shown, contact = opened(running, window), window.get(f"{running.home}contact")
    running.lock.lock()
    window.press(shown, "reply", text=DRAFT)
    asked = window.submit(contact, contact.form_with("which"), notes="Bijna kwijt")
    assert "Bijna kwijt" in window.press(asked, "unlock", passphrase=PASSPHRASE).html
    assert DRAFT in dict(opened(running, window).form_to("reply").fields)["text"]
    assert running.page.draft.handle == ""


def test_only_the_newest_pending_forms_are_kept(running: Running) -> None:
    running.at_work()
    draft = running.page.draft
    for number in range(MOST + 1):
        draft.keep(f"/{number}", Form("", {"pairs": "[]"}))
    draft.keep("/1", Form("", {"pairs": "[1]"}))
    with running.lock.use() as place:
        assert draft.take(place, "/0") is None
        assert draft.handle == "/1"
        assert draft.take(place, "/1") == Form("", {"pairs": "[1]"})
        assert draft.handle == f"/{MOST}"
        assert draft.take(place, f"/{MOST}")


def test_form_result_page_can_be_reloaded_until_the_desk_locks(
    running: Running, thread: str
) -> None:
    """The page has its own address, so that no browser stores it together with the form."""
    window = running.at_work()
    found = window.press(window.get(f"{running.home}threads"), "threads", words="chef")
    assert "/answer/" in found.path
    assert "Het gaat over mijn chef." in window.get(found.path).text
    running.lock.lock()
    assert 'data-page="unlock"' in window.get(found.path).html
    window.press(window.get(running.home), "unlock", passphrase=PASSPHRASE)
    assert 'data-page="today"' in window.get(found.path).html


def broken(_: Workplace) -> None:
    """Raise the error of a full disk instead of the last database write."""
    raise OSError(errno.ENOSPC, "No space left on device")


def test_locking_hides_everything_even_if_a_database_write_fails(
    running: Running, thread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = running.at_work()
    found = window.press(window.get(f"{running.home}threads"), "threads", words="chef")
    monkeypatch.setattr(Workplace, "change_key_if_due", broken)
    window.press(window.get(running.home), "lock")
    assert not running.lock.is_open
    assert 'data-page="unlock"' in window.get(found.path).html


def test_idle_lock_still_works_after_a_failed_lock(
    running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "TICK", 0.01)
    running.at_work()
    with server.ticking(running.page, ends_with_window=False):
        with monkeypatch.context() as once:
            once.setattr(Workplace, "change_key_if_due", broken)
            running.clock.now += 3600
            until(lambda: "OSError at" in capsys.readouterr().err, "no fault was told")
        running.page.unlock(PASSPHRASE)
        running.clock.now += 3600
        until(lambda: not running.lock.is_open, "it did not lock", 10)


def test_proposed_passphrase_is_discarded_on_locking(running: Running) -> None:
    running.at_work()
    proposed = running.page.proposed_passphrase(again=False)
    assert running.page.proposed_passphrase(again=True) == proposed
    running.lock.lock()
    assert running.page.proposed_passphrase(again=True) != proposed


@pytest.mark.parametrize("moment", ["after it", "during it"])
def test_failed_fetch_keeps_no_data_of_a_locked_desk_in_memory(
    running: Running, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(desk_lock, "PATIENCE", 0.1)
    window = running.at_work()
    held = weakref.ref(desk_of(running.lock))
    with site_kept_away(running.lock):
        assert running.fetching.start()
        if moment == "after it":
            running.wait_for_fetch()
            assert SITE_AWAY in window.get(f"{running.home}fetch").text
        running.lock.lock()
        running.wait_for_fetch()
    # The thread of the window's last request may still be ending.
    until(lambda: gc.collect() >= 0 and held() is None, "something holds the desk")
    running.page.unlock(PASSPHRASE)
    assert SITE_AWAY not in window.get(f"{running.home}fetch").text


def desk_of(lock: DeskLock) -> Workplace:
    with lock.use() as place:
        return place


@contextlib.contextmanager
def site_kept_away(lock: DeskLock) -> Iterator[None]:
    with lock.use() as place, lock.send_away(place.names()):
        del place
        yield


def opened(running: Running, window: Window) -> Answer:
    found = re.search(r'href="([^"]*/t/[^"]+)"', window.get(running.home).html)
    assert found
    return window.get(found[1])
