"""Access to the page: the link, the passphrase, the lock, the language."""

import json

from dropbox_app.desk.actions import settings
from dropbox_app.desk.web.desk_lock import IDLE_MINUTES
from tests.desk.conftest import PASSPHRASE
from tests.desk.web.conftest import Running, Window
from tests.support.fake_server import Reporter


def ping(running: Running, window: Window, *, active: bool = False) -> bool:
    """Send the page script's ping; return whether it reports that the desk is locked."""
    body = b"active=1" if active else b"active="
    answer = window.request("POST", f"{running.home}ping", body)
    return bool(json.loads(answer.body)["locked"])


def test_link_opens_the_passphrase_page_and_the_passphrase_opens_the_today_page(
    running: Running,
) -> None:
    window = running.window()
    asked = window.get(running.home)
    assert 'data-page="unlock"' in asked.html
    assert 'data-page="today"' in window.press(asked, "unlock", passphrase=PASSPHRASE).html


def test_wrong_passphrase_is_refused_with_a_dutch_message(running: Running) -> None:
    window = running.window()
    answer = window.press(window.get(running.home), "unlock", passphrase="een andere lange zin")
    assert answer.status == 403
    assert "Deze wachtzin klopt niet" in answer.text
    assert "een andere lange zin" not in answer.html
    assert not running.lock.is_open


def test_lock_button_hides_the_open_page(running: Running, reporter: Reporter) -> None:
    window = running.at_work()
    running.fetch(window)
    assert "Het gaat over mijn chef." in window.get(running.home).text
    locked = window.press(window.get(running.home), "lock")
    assert 'data-page="unlock"' in locked.html
    assert not running.lock.is_open
    for path in ("", "fetch"):
        assert "chef" not in window.get(running.home + path).text


def test_other_programs_can_use_the_desk_while_it_is_locked(running: Running) -> None:
    window = running.at_work()
    running.office.run("list", code=1)
    window.press(window.get(running.home), "lock")
    running.office.run("list")


def test_page_locks_after_ten_idle_minutes(running: Running) -> None:
    window = running.at_work()
    for _ in range(IDLE_MINUTES):
        running.clock.now += 59
        assert not running.lock.lock_if_idle()
        ping(running, window)  # an open window alone does not count as activity
    running.clock.now += 59
    assert running.lock.lock_if_idle()
    assert ping(running, window)


def test_typing_prevents_the_idle_lock(running: Running) -> None:
    window = running.at_work()
    for _ in range(2 * IDLE_MINUTES):
        running.clock.now += 59
        assert not running.lock.lock_if_idle()
        ping(running, window, active=True)


def test_page_locks_after_the_computer_wakes_from_sleep(running: Running) -> None:
    running.at_work()
    running.clock.now += 61  # the clock was not checked for a minute
    assert running.lock.lock_if_idle()


def test_post_to_a_locked_desk_reports_that_nothing_was_sent(running: Running) -> None:
    window = running.at_work()
    running.lock.lock()
    answer = window.request("POST", f"{running.home}fetch", b"")
    assert answer.status == 403
    assert "Er is niets verstuurd" in answer.text


def test_page_language_is_dutch_by_default(running: Running) -> None:
    window = running.window()
    asked = window.get(running.home)
    assert 'lang="nl"' in asked.html
    english = window.submit(asked, asked.form_to("language"), 1)
    assert "Open my desk" in english.text
    window.press(english, "unlock", passphrase=PASSPHRASE)
    locked = window.press(window.get(running.home), "lock")
    assert 'lang="en"' in locked.html
    running.page.language = "nl"  # as at the next start
    assert 'lang="en"' in window.press(locked, "unlock", passphrase=PASSPHRASE).html


def test_page_locks_after_the_configured_minutes(running: Running) -> None:
    with running.office.open() as place:
        settings.choose(place, lock_minutes=2, fetch_minutes=15)
    running.at_work()
    assert running.fetching.every_minutes == 15
    running.clock.now += 59
    assert not running.lock.lock_if_idle()
    running.clock.now += 59
    assert not running.lock.lock_if_idle()
    running.clock.now += 2
    assert running.lock.lock_if_idle()


def test_window_counts_as_closed_a_minute_after_its_last_ping(running: Running) -> None:
    assert not running.page.window_is_gone()  # no ping has arrived yet
    ping(running, running.window())
    running.clock.now += 60
    assert not running.page.window_is_gone()
    running.clock.now += 1
    assert running.page.window_is_gone()
