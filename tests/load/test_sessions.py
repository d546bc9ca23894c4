"""Pages of sessions can take their time: whoever only reads the site does not notice."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dropbox_app.server.reporter import kdf_limiter
from tests.load.conftest import Watched
from tests.load.test_file_answers import cookie, reporter
from tests.support.plain_browser import MULTIPART, Page, PlainBrowser, multipart

THREADS = 2  # for pages of sessions, and as many for posts: half of four
WITHIN = THREADS + kdf_limiter.PLACES
STORY = "Een herkenbaar vervolg."
# A worker in which whoever looks into a conversation is counted, and waits until the file is there.
HELD = """
import sys, time
from pathlib import Path
from dropbox_app.server.reporter import kdf_limiter as gate
from dropbox_app.server.reporter import agent as reporter_agent
from dropbox_app.server.cli import serve as serving
view = reporter_agent.ReporterAgent.view
def held(self, root):
    with open(sys.argv[4], "a") as counted:
        counted.write("v")
    while not Path(sys.argv[3]).exists():
        time.sleep(0.01)
    return view(self, root)
reporter_agent.ReporterAgent.view = held
serving.run(Path(sys.argv[1]), sys.argv[2], workers=1, threads=4)
"""
HASTY = HELD.replace("view = ", "gate.PATIENCE = 0.5\nview = ", 1)


class Site:
    """With one reporter, whose pages are held up until ``go``."""

    def __init__(self, watched: Callable[..., Watched], folder: Path, program: str = HELD) -> None:
        self._go, self._views = folder / "go", folder / "views"
        self._views.touch()
        self.made = watched(program, self._go, self._views)
        self._go.touch()
        self.browser = reporter(self.made)
        self.page = self.browser.get("/nl/conversation")
        self.files = self.browser.get("/nl/files")
        self._go.unlink()
        self._views.write_text("")

    def go(self) -> None:
        self._go.touch()

    def views(self) -> int:
        return len(self._views.read_text())

    def ask(self) -> bytes:
        host = f"Host: 127.0.0.1:{self.made.port}\r\nCookie: {cookie(self.browser)}\r\n"
        return f"GET /nl/conversation HTTP/1.1\r\n{host}Connection: close\r\n\r\n".encode()

    @contextlib.contextmanager
    def asking(self, count: int) -> Iterator[list[socket.socket]]:
        """As many who want to see the conversation; the next is only asked when this is out."""
        with contextlib.ExitStack() as stack:
            people = []
            for _ in range(count):
                person = socket.create_connection(("127.0.0.1", self.made.port), timeout=60)
                people.append(stack.enter_context(person))
                person.sendall(self.ask())
            yield people

    def full(self) -> None:
        """Wait until one more is told that it is busy; it waits in no place."""
        deadline = time.monotonic() + 30
        with contextlib.ExitStack() as stack:
            while True:
                person = socket.create_connection(("127.0.0.1", self.made.port), timeout=60)
                stack.enter_context(person).sendall(self.ask())
                person.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    assert status(person) == 503
                    return
                assert time.monotonic() < deadline

    def at_its_end(self) -> None:
        """Wait until one more is answered: after all who were before it."""
        deadline = time.monotonic() + 30
        while True:
            with self.asking(1) as (person,):
                if status(person) == 200:
                    return
            assert time.monotonic() < deadline

    def served(self) -> None:
        """Whoever has no session reads and is not held up."""
        for path in ("/nl/", "/nl/safety", "/nl/report"):
            assert PlainBrowser(self.made.url).get(path).status in (200, 203)


def status(person: socket.socket) -> int:
    answer = person.recv(12)
    assert answer.startswith(b"HTTP/1.1 "), answer
    while person.recv(65_536):
        pass
    return int(answer[9:])


def hang_up(person: socket.socket) -> None:
    """So that the other side knows it, as when something was still to be read."""
    person.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    person.close()


def test_pages_of_sessions_hold_up_nobody_who_reads_and_one_too_many_is_told(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    site = Site(watched, tmp_path)
    with site.asking(WITHIN) as people:
        site.served()
        with site.asking(10) as more:
            assert [status(person) for person in more] == [503] * 10
        site.served()
        assert site.views() == THREADS
        site.go()
        # Whose wait was longer than patience, on a slow machine, was told so too.
        assert {status(person) for person in people} <= {200, 503}
    site.served()


def test_nothing_is_made_for_who_has_hung_up_and_who_only_says_no_more_is_answered(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    site = Site(watched, tmp_path)
    with site.asking(WITHIN) as people:
        site.full()
        for person in people[THREADS + 2 :]:
            hang_up(person)
        for person in people[THREADS : THREADS + 2]:
            person.shutdown(socket.SHUT_WR)
        site.go()
        assert {status(person) for person in people[: THREADS + 2]} <= {200, 503}
        site.served()
        site.at_its_end()
        assert site.views() <= THREADS + 2 + 1


def test_who_hangs_up_while_waiting_costs_next_to_nothing_when_others_wait(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    """Also in the way in which it cannot be told from who only says no more: told it is busy."""
    site = Site(watched, tmp_path)
    with site.asking(WITHIN) as people:
        site.full()
        for person in people[THREADS:]:
            person.close()
        time.sleep(1.5)  # longer than such a one is waited for
        site.go()
        site.at_its_end()
        assert site.views() <= THREADS + 1


def test_who_waited_longer_than_patience_for_a_page_is_told(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    site = Site(watched, tmp_path, HASTY)
    with site.asking(WITHIN) as people:
        site.full()
        time.sleep(0.6)  # longer than patience, here
        site.go()
        told = [status(person) for person in people]
        assert sorted(told) == THREADS * [200] + kdf_limiter.PLACES * [503]
    assert site.views() == THREADS


def test_posts_of_sessions_hold_up_nobody_who_reads_and_one_too_many_keeps_its_words(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    site = Site(watched, tmp_path)
    form = site.page.form_with("text")
    answers: list[Page] = []

    def switch() -> None:
        browser = PlainBrowser(site.made.url)
        browser.cookies.update(site.browser.cookies)
        answers.append(browser.submit(site.page, form, text=STORY, switch="1"))

    people = [threading.Thread(target=switch) for _ in range(WITHIN + 10)]
    for person in people:
        person.start()
    deadline = time.monotonic() + 30
    while len(answers) < 10:
        site.served()
        assert time.monotonic() < deadline
    busy = list(answers)
    site.go()
    for person in people:
        person.join(60)
    assert len(answers) == WITHIN + 10
    for answer in busy:
        assert answer.status == 503
        assert dict(answer.form_with("text").fields)["text"] == STORY


def test_files_for_which_there_is_no_place_hold_up_nobody_who_reads(
    watched: Callable[..., Watched], tmp_path: Path
) -> None:
    """Whoever is told that there is none gets a page of the conversation, and that takes time."""
    site = Site(watched, tmp_path)
    fields = [f for f in site.files.form_with("files").fields if f[0] not in ("text", "files")]
    body = multipart([*fields, ("text", STORY)], [("a.jpg", bytes(900_000))])
    head = (
        f"POST /nl/files HTTP/1.1\r\nHost: 127.0.0.1:{site.made.port}\r\n"
        f"Origin: {site.made.url}\r\nCookie: {cookie(site.browser)}\r\n"
        f"Content-Type: {MULTIPART}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with contextlib.ExitStack() as stack:
        people = []
        for _ in range(THREADS + WITHIN + 10):
            person = socket.create_connection(("127.0.0.1", site.made.port), timeout=60)
            people.append(stack.enter_context(person))
            person.sendall(head + body[:5000])
        site.served()
        for person in people[-10:]:
            person.sendall(body[5000:])
            answer = b""
            while piece := person.recv(65_536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"te veel bestanden tegelijk" in answer
            assert STORY.encode() in answer
        site.served()
        site.go()


@pytest.mark.parametrize("path", ["/api/site", "/api/desk/mailboxes"])
def test_a_program_is_told_in_its_own_way(
    watched: Callable[..., Watched], tmp_path: Path, path: str
) -> None:
    site = Site(watched, tmp_path)
    with site.asking(WITHIN):
        site.full()
        answer = site.browser.get(path)  # with the cookie, and so among the pages of sessions
        assert answer.status == 503
        assert answer.header("Content-Type") == "application/json"
        site.go()
