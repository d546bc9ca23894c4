"""A report sent twice by an impatient click, at the real server with two workers."""

import os
import re
import signal
import threading
import urllib.parse
from collections.abc import Callable
from pathlib import Path

from tests.support.plain_browser import Page
from tests.support.serving import Serving, wait_until

TEXT = "Mijn leidinggevende raakt mij aan."
# Reports which worker is storing, and waits there until the test lets it continue.
HELD = """
import os, sys, time
from pathlib import Path
from dropbox_app.server.cli import serve as serving
from dropbox_app.server.mailboxes.service import Mailboxes
folder = Path(sys.argv[1]).parent
submit = Mailboxes.submit
def held(self, **named):
    with open(folder / "storing", "a") as said:
        said.write(f"{os.getpid()}\\n")
    if (folder / "after").exists():
        submit(self, **named)
    while not (folder / "go").exists():
        time.sleep(0.01)
    if not (folder / "after").exists():
        submit(self, **named)
Mailboxes.submit = held
serving.run(Path(sys.argv[1]), sys.argv[2], workers=2, threads=int(sys.argv[3]))
"""


def send(serving: Serving, circuit: int, text: str = TEXT) -> Page:
    """Press the button in a browser without a response so far; return the response."""
    body = urllib.parse.urlencode({"text": text}).encode()
    browser = serving.browser(circuit, cookies=False)
    browser.agent = "The same browser"
    return browser.request("POST", "/nl/report", body)


def press(serving: Serving, circuit: int, into: list[Page]) -> threading.Thread:
    made = threading.Thread(target=lambda: into.append(send(serving, circuit)))
    made.start()
    return made


def storing(serving: Serving) -> list[int]:
    file = serving.house.folder.parent / "storing"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_repeated_posts_of_one_circuit_at_both_workers_count_as_one_report(
    serve: Callable[..., Serving],
) -> None:
    serving = serve()
    pages: list[Page] = []
    presses = [press(serving, 7, pages) for _ in range(12)]
    for one in presses:
        one.join(60)
    assert len(pages) == 12
    assert len({page.code for page in pages}) == 1
    assert len({len(page.body) for page in pages}) == 1
    assert serving.house.stored() == 1
    assert send(serving, 8).code != pages[0].code
    assert serving.house.stored() == 2


def test_repeated_post_waits_for_the_code_of_the_first_post(
    serve: Callable[..., Serving], tmp_path: Path
) -> None:
    serving = serve(program=HELD)
    pages: list[Page] = []
    presses = [press(serving, 7, pages)]
    wait_until(lambda: storing(serving))
    presses += [press(serving, 7, pages) for _ in range(5)]
    (tmp_path / "go").touch()
    for one in presses:
        one.join(60)
    assert len({page.code for page in pages}) == 1
    assert serving.house.stored() == 1
    assert len(storing(serving)) == 1


def test_repeated_post_gets_its_code_after_the_storing_worker_is_killed(
    serve: Callable[..., Serving], tmp_path: Path
) -> None:
    """The report is stored and nobody has seen its code, so the second press shows it."""
    (tmp_path / "after").touch()
    serving = serve(program=HELD)
    first: list[Page] = []
    pressed = press(serving, 7, first)
    wait_until(lambda: storing(serving) and serving.house.stored())
    os.kill(storing(serving)[0], signal.SIGKILL)
    pressed.join(60)
    assert first[0].status == 503
    (tmp_path / "go").touch()
    page = send(serving, 7)
    assert re.fullmatch(r"(?:[a-z]+ ){6}[a-z]+", page.code)
    assert serving.house.stored() == 1
    reader = serving.browser(9)
    asked = reader.get("/nl/return")
    assert TEXT in reader.submit(asked, asked.form_with("code"), code=page.code).text


def test_leaving_at_one_worker_ends_the_session_at_every_worker(
    serve: Callable[..., Serving],
) -> None:
    serving = serve()
    reporter, thief = serving.browser(7), serving.browser(8)
    page = reporter.get("/nl/report")
    code = reporter.submit(page, page.form_with("text"), text=TEXT).code
    thief.cookies.update(reporter.cookies)
    assert thief.get("/nl/code").code == code
    reporter.request("GET", "/nl/leave", follow=0)
    # Each worker is asked, and after a reload the new ones too.
    for _ in range(2):
        for _ in range(12):
            assert "code" in thief.get("/nl/conversation").form_with("code").names()
        before = set(serving.workers())
        serving.process.send_signal(signal.SIGHUP)
        wait_until(lambda old=before: not old & set(serving.workers()))  # type: ignore[misc]  # a default binds it now
        wait_until(lambda: serving.status() == 200)
