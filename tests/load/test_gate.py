"""Never more Argon2id at once than cores, over all workers; and who cannot be served is told."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dropbox_app.protocol.retrieval_code import generate
from dropbox_app.server.reporter.kdf_limiter import PATIENCE, PLACES, Busy, Cores, Gate
from dropbox_app.server.web.app import create_app
from tests.load.conftest import Watched
from tests.server.web.conftest import House
from tests.support.plain_browser import Page, PlainBrowser

STORY = "Een herkenbaar verhaal.\nMet een tweede regel."

# Every stretch says when it begins and when it ends, and stays long enough for others to come.
PROGRAM = """
import os, sys, time
from pathlib import Path
from dropbox_app.server.reporter import kdf_limiter as gate
from dropbox_app.server.reporter import agent as reporter_agent
from dropbox_app.server.cli import serve as serving
said = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
gate.core_count = lambda: int(sys.argv[4])
stretch = reporter_agent.derive_root
def slowly(words, site):
    os.write(said, b"+")
    try:
        time.sleep(0.05)
        return stretch(words, site)
    finally:
        os.write(said, b"-")
reporter_agent.derive_root = slowly
serving.run(Path(sys.argv[1]), sys.argv[2], workers=int(sys.argv[5]), threads=8)
"""


def _most_at_once(said: str) -> int:
    inside = most = 0
    for sign in said:
        inside += 1 if sign == "+" else -1
        most = max(most, inside)
    assert inside == 0
    return most


@pytest.mark.parametrize(
    ("cores", "workers"), [(2, 2), (1, 2), pytest.param(2, 3, marks=pytest.mark.long)]
)
def test_never_more_stretches_at_once_than_cores_over_all_workers(
    tmp_path: Path, watched: Callable[..., Watched], cores: int, workers: int
) -> None:
    """Reports and wrong codes of forty people at once."""
    made = watched(PROGRAM, tmp_path / "said", str(cores), str(workers))
    page = PlainBrowser(made.url).get("/nl/return")
    form = page.form_with("code")
    report = PlainBrowser(made.url).get("/nl/report")
    answers: list[Page] = []

    def ask(number: int) -> None:
        browser = PlainBrowser(made.url, cookies=False)
        if number % 4:
            answers.append(browser.submit(page, form, code=" ".join(generate("nl"))))
        else:
            answers.append(browser.submit(report, report.form_with("text"), text=STORY))

    people = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
    for person in people:
        person.start()
    for person in people:
        person.join(60)
    assert sorted(answer.status for answer in answers) == [200] * 10 + [422] * 30
    said = (tmp_path / "said").read_text()
    assert len(said) == 80
    assert 1 <= _most_at_once(said) <= cores


def test_a_worker_that_dies_inside_takes_no_core_with_it() -> None:
    cores = Cores(1)
    ready, inside = os.pipe()
    child = os.fork()
    if child == 0:
        with cores.one(time.monotonic() + 10):
            os.write(inside, b"x")
            os.kill(os.getpid(), 9)
    assert os.read(ready, 1) == b"x"
    os.waitpid(child, 0)
    with Gate(1, cores=cores).passing():
        pass
    cores.close()
    os.close(ready)
    os.close(inside)


def test_who_finds_every_core_taken_by_another_process_is_told_in_the_end() -> None:
    cores = Cores(1)
    inside, told = os.pipe()
    done, go = os.pipe()
    child = os.fork()
    if child == 0:
        with cores.one(time.monotonic() + 10):
            os.write(told, b"x")
            os.read(done, 1)
        os._exit(0)
    assert os.read(inside, 1) == b"x"
    with pytest.raises(Busy), Gate(1, patience=0.05, cores=cores).passing():
        pass
    os.write(go, b"x")
    os.waitpid(child, 0)
    with Gate(1, patience=30, cores=cores).passing():
        pass
    cores.close()
    for handle in (inside, told, done, go):
        os.close(handle)


def _shown_busy(page: Page) -> None:
    assert page.status == 503
    assert "erg druk" in page.text
    fields = dict(page.form_with("text").fields)
    assert fields["text"].replace("\r\n", "\n") == STORY


def test_64_may_wait_and_the_next_is_told_at_once_and_keeps_the_text(house: House) -> None:
    """The 64 then all get through."""
    gate = Gate(1, patience=60)
    assert (PLACES, PATIENCE) == (64, 10.0)
    house.app = create_app(house.folder, today=house.clock.today, now=house.clock.now, gate=gate)
    answers: list[Page] = []
    lock = threading.Lock()

    def tell() -> None:
        page = house.browser(cookies=False).tell(STORY)
        with lock:
            answers.append(page)

    people = [threading.Thread(target=tell) for _ in range(PLACES)]
    with gate.passing():
        for person in people:
            person.start()
        deadline = time.monotonic() + 60
        while gate._places._value:
            assert time.monotonic() < deadline, gate._places._value
            time.sleep(0.01)
        _shown_busy(house.browser().tell(STORY))
        assert not answers
        assert not house.stored()
    for person in people:
        person.join(60)
    assert len({page.code for page in answers}) == PLACES
    assert house.stored() == PLACES


def test_who_waited_too_long_is_told_and_keeps_the_text(house: House) -> None:
    gate = Gate(1, patience=0.05)
    house.app = create_app(house.folder, today=house.clock.today, now=house.clock.now, gate=gate)
    browser = house.browser()
    with gate.passing():
        _shown_busy(browser.tell(STORY))
    assert not house.stored()
    assert len(browser.tell(STORY).code.split()) == 7
