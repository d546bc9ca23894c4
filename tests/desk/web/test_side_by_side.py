"""A site that does not respond delays no page, and nothing else writes to that site meanwhile."""

import contextlib
import dataclasses
import threading
from collections.abc import Iterable, Iterator, Mapping

import pytest

from dropbox_app.desk.transport.connection import Answer
from dropbox_app.desk.web import desk_lock
from dropbox_app.desk.web.desk_lock import DeskLock
from tests.desk.conftest import PASSPHRASE, Office
from tests.desk.web.conftest import Running, Seconds
from tests.desk.web.test_managing import card_page
from tests.desk.web.test_thread import opened
from tests.support.fake_server import PeerTransport, Reporter
from tests.support.plain_browser import Page
from tests.support.processes import until


class Hanging(PeerTransport):
    """A transport on which no response arrives until ``go`` is set."""

    go: threading.Event

    @contextlib.contextmanager
    def send(self, method: str, origin: str, target: str, headers: Mapping[str, str],
             body: bytes | Iterable[bytes], seconds: float) -> Iterator[Answer]:  # fmt: skip
        assert self.go.wait(60)
        with super().send(method, origin, target, headers, body, seconds) as answer:
            yield answer


@pytest.fixture
def hanging(office: Office, thread: str) -> Iterator[tuple[Running, threading.Event]]:
    go = threading.Event()

    def way(_: object) -> Hanging:
        made = Hanging(office.peer)
        made.go = go
        return made

    office.machine = dataclasses.replace(office.machine, transport=way)
    running = Running(office, Seconds())
    try:
        yield running, go
    finally:
        go.set()
        running.close()


def test_pages_stay_readable_during_a_fetch_and_the_progress_line_names_sites(
    hanging: tuple[Running, threading.Event],
) -> None:
    running, go = hanging
    window = running.at_work()
    progress = window.press(window.get(running.home), "fetch")
    until(lambda: running.fetching.last, "the fetch did not begin")
    progress = window.get(f"{running.home}fetch")
    assert "Werkgevers klaar: 0 van 1" in progress.text
    assert "Voorbeeld BV Nog bezig" in progress.text
    assert 'http-equiv="refresh"' in progress.html
    assert "Het gaat over mijn chef." in opened(running, window).text
    assert "wordt net opgehaald" in opened(running, window).text
    go.set()
    running.wait_for_fetch()
    assert "Er is niets nieuws." in window.get(f"{running.home}fetch").text


def test_answer_for_an_unresponsive_site_is_refused_and_its_text_kept(
    hanging: tuple[Running, threading.Event], reporter: Reporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, go = hanging
    monkeypatch.setattr(desk_lock, "PATIENCE", 0.1)
    window = running.at_work()
    window.press(window.get(running.home), "fetch")
    until(lambda: running.fetching.last, "the fetch did not begin")
    refused = window.press(opened(running, window), "reply", text="Een lange brief.")
    assert refused.status == 409
    assert "Er is verder niets verstuurd" in refused.text
    assert dict(refused.form_to("reply").fields)["text"] == "Een lange brief."
    go.set()
    running.wait_for_fetch()
    window.press(refused, "reply")
    assert reporter.texts()[-1] == "Een lange brief."


def test_locking_during_a_fetch_hides_everything_and_then_releases_the_desk(
    hanging: tuple[Running, threading.Event], office: Office
) -> None:
    running, go = hanging
    window = running.at_work()
    window.press(window.get(running.home), "fetch")
    until(lambda: running.fetching.last, "the fetch did not begin")
    locked = window.press(window.get(running.home), "lock")
    assert 'data-page="unlock"' in locked.html
    assert "chef" not in window.get(running.home).text
    go.set()
    running.wait_for_fetch()
    office.run("list")


def test_site_stays_reserved_for_a_message_when_an_earlier_fetch_ends(
    office: Office, thread: str
) -> None:
    lock = DeskLock(office.folder, office.machine)
    lock.unlock(PASSPHRASE)
    given_back, sending, over = threading.Event(), threading.Event(), threading.Event()

    def fetch() -> None:
        with lock.use(), lock.send_away(["a", "b"]) as back:
            back("a")
            given_back.set()
            assert sending.wait(60)
        over.set()

    fetching = threading.Thread(target=fetch)
    fetching.start()
    assert given_back.wait(60)
    with lock.use(), lock.send_away(["a"]):
        sending.set()
        assert over.wait(60)
        assert lock.is_away("a")
    fetching.join()
    assert not lock.is_away("a")
    lock.end()


@pytest.mark.parametrize("every", [False, True])
def test_reopened_desk_refuses_requests_that_were_waiting_when_it_was_locked(
    office: Office, every: bool
) -> None:
    lock = DeskLock(office.folder, office.machine, Seconds())
    lock.unlock(PASSPHRASE)
    over, waiting, refused = threading.Event(), threading.Event(), threading.Event()

    def fetch() -> None:
        with lock.use():
            with lock.send_away(["a"]):
                assert over.wait(60)
            lock.unlock(PASSPHRASE)  # before the other request can continue

    def write() -> None:
        with lock.use() as place:
            waiting.set()  # it holds the desk until it waits
            with contextlib.suppress(desk_lock.Locked):
                lock.settle_all() if every else lock.settle("a")
                return
            assert not lock.holds(place)
            refused.set()

    fetching, writing = threading.Thread(target=fetch), threading.Thread(target=write)
    fetching.start()
    until(lambda: lock.is_away("a"), "no fetch began")
    writing.start()
    assert waiting.wait(60)
    lock.lock()
    over.set()
    fetching.join()
    writing.join()
    assert lock.is_open
    lock.end()
    assert refused.is_set()


def test_form_sent_to_a_locked_desk_waits_for_the_passphrase(
    running: Running, reporter: Reporter, thread: str
) -> None:
    window = running.at_work()
    page = opened(running, window)
    running.lock.lock()
    asked = window.press(page, "reply", text="Een lang antwoord.")
    assert asked.status == 403
    assert 'data-page="unlock"' in asked.html
    assert "Een lang antwoord." not in asked.html
    shown = window.press(asked, "unlock", passphrase=PASSPHRASE)
    assert 'data-page="thread"' in shown.html
    assert dict(shown.form_to("reply").fields)["text"].strip() == "Een lang antwoord."
    assert reporter.texts() == ["Het gaat over mijn chef."]


def test_text_of_a_pending_message_is_kept_if_sending_fails_after_a_lock(
    hanging: tuple[Running, threading.Event],
) -> None:
    running, go = hanging
    window = running.at_work()
    page = opened(running, window)
    answers: list[Page] = []
    sending = threading.Thread(
        target=lambda: answers.append(window.press(page, "reply", text="Onderweg."))
    )
    sending.start()
    until(lambda: running.lock.is_away(running.office.peer.site), "it was not sent")
    running.lock.lock()
    running.office.peer.drop_after = 0
    go.set()
    sending.join()
    assert answers[0].status == 403
    shown = window.press(answers[0], "unlock", passphrase=PASSPHRASE)
    assert dict(shown.form_to("reply").fields)["text"].strip() == "Onderweg."


@pytest.mark.parametrize("opened_again", [False, True])
def test_card_waiting_for_a_fetch_is_shown_again_after_a_lock(
    hanging: tuple[Running, threading.Event], monkeypatch: pytest.MonkeyPatch, opened_again: bool
) -> None:
    running, go = hanging
    window = running.at_work()
    page = card_page(running, window)
    window.press(window.get(running.home), "fetch")
    until(lambda: running.lock.is_away(running.office.peer.site), "the fetch did not begin")
    waiting, settle = threading.Event(), running.lock.settle

    def waits(*sites: str) -> None:
        waiting.set()  # it holds the desk until it waits
        settle(*sites)

    monkeypatch.setattr(running.lock, "settle", waits)
    answers: list[Page] = []
    changing = threading.Thread(
        target=lambda: answers.append(
            window.submit(page, page.form_with("scope"), sentence_nl="Iets heel anders.")
        )
    )
    changing.start()
    assert waiting.wait(60)
    running.lock.lock()
    unlocking = threading.Thread(target=running.page.unlock, args=(PASSPHRASE,))
    if opened_again:
        unlocking.start()
    go.set()
    changing.join()
    assert (answers[0].status, "Iets heel anders." in answers[0].html) == (403, False)
    if opened_again:
        unlocking.join()
        shown = card_page(running, window)
    else:
        shown = window.press(answers[0], "unlock", passphrase=PASSPHRASE)
    assert 'data-page="card"' in shown.html
    assert "Iets heel anders." in shown.html


def test_form_result_is_not_shown_once_the_desk_is_locked(
    hanging: tuple[Running, threading.Event],
) -> None:
    running, go = hanging
    window = running.at_work()
    page = window.get(f"{running.home}away")
    answers: list[Page] = []
    announcing = threading.Thread(
        target=lambda: answers.append(window.press(page, "away", until="2030-01-31"))
    )
    announcing.start()
    until(lambda: running.lock.is_away(running.office.peer.site), "it was not announced")
    running.lock.lock()
    go.set()
    announcing.join()
    for shown in (answers[0], window.get(answers[0].path)):
        assert 'data-page="unlock"' in shown.html
        assert "Voorbeeld BV" not in shown.html
    assert "kijk of het is gelukt" in answers[0].text


class Sending:
    """A desk that waits for its server until it is aborted, and then until ``go`` is set."""

    def __init__(self, office: Office) -> None:
        self.go, self.broken_off, self.now = threading.Event(), threading.Event(), Seconds()
        machine = dataclasses.replace(office.machine, transport=lambda _: self._way(office))
        self.lock = DeskLock(office.folder, machine, self.now)
        self.lock.unlock(PASSPHRASE)
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        until(lambda: self.lock.is_away("a"), "it was not sent")

    def _way(self, office: Office) -> PeerTransport:
        made = PeerTransport(office.peer)
        made.break_off = self.broken_off.set  # type: ignore[method-assign] # recorded
        return made

    def _send(self) -> None:
        with self.lock.use() as place, place.connected(place.one()), self.lock.send_away(["a"]):
            assert self.broken_off.wait(60)
            assert self.go.wait(60)

    def close(self) -> None:
        self.broken_off.set()
        self.go.set()
        self._thread.join()
        self.lock.end()


@pytest.fixture
def sending(office: Office) -> Iterator[Sending]:
    made = Sending(office)
    try:
        yield made
    finally:
        made.close()


def test_concurrent_unlock_uses_the_desk_that_is_already_open(
    sending: Sending,
) -> None:
    sending.lock.lock()
    failed: list[Exception] = []

    def unlock() -> None:
        try:
            sending.lock.unlock(PASSPHRASE)
        except Exception as error:
            failed.append(error)

    presses = [threading.Thread(target=unlock) for _ in range(2)]
    for press in presses:
        press.start()
    sending.go.set()
    for press in presses:
        press.join()
    assert not failed
    assert sending.lock.is_open


def test_running_work_is_aborted_if_the_computer_sleeps_while_the_desk_is_locking(
    sending: Sending,
) -> None:
    def pass_by(seconds: float) -> bool:
        sending.now.now += seconds
        return sending.lock.lock_if_idle()

    assert [pass_by(30) for _ in range(2 * sending.lock.idle_minutes)][-1]
    assert not pass_by(30)
    assert not sending.broken_off.is_set()
    pass_by(desk_lock.SLEPT + 1)
    assert sending.broken_off.is_set()


def test_running_work_is_aborted_when_the_program_ends(sending: Sending, office: Office) -> None:
    sending.go.set()
    sending.lock.end()
    assert sending.broken_off.is_set()
    office.run("list")
