"""The desk's page on a real port, with the desk of ``tests/desk``, and a window that reads it."""

import threading
import urllib.parse
from collections.abc import Iterator

import pytest
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from dropbox_app.desk.web.desk_lock import DeskLock
from dropbox_app.desk.web.fetching import Fetching
from dropbox_app.desk.web.gate import Gate
from dropbox_app.desk.web.here import Page
from dropbox_app.desk.web.server import listen
from tests.desk.conftest import PASSPHRASE, Office
from tests.support.plain_browser import Page as Answer
from tests.support.plain_browser import PlainBrowser
from tests.support.processes import until


class Window(PlainBrowser):
    """A browser window that sends a browser's headers."""

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        follow: int = 5,
    ) -> Answer:
        said = {
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Dest": "document",
        }
        return super().request(method, path, body, said | (headers or {}), follow)

    def press(self, page: Answer, part: str, **values: str) -> Answer:
        """Submit the form whose address contains ``part``, by its last button; return the response.

        With ``insert``, by the first button, which inserts a snippet into the text.
        """
        return self.submit(page, page.form_to(part), 0 if "insert" in values else -1, **values)


class Running:
    """The page, served from a test thread until ``close``."""

    def __init__(self, office: Office, clock: "Seconds") -> None:
        self.office = office
        self.clock = clock
        self.lock = DeskLock(office.folder, office.machine, clock)
        self.fetching = Fetching(self.lock, clock)
        self.page = Page(self.lock, self.fetching, clock=clock)
        self.server, self.gate = listen(self.page, 0)
        self._pulled = threading.Event()
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()

    @property
    def url(self) -> str:
        return self.gate.origin

    @property
    def home(self) -> str:
        return self.gate.prefix + "/"

    def close(self) -> None:
        """End the program; a test may do so early."""
        if not self._thread.is_alive():
            return
        self.server.task_dispatcher.shutdown()  # running work would use a closed trigger
        self.server.trigger.pull_trigger(self._close_sockets)
        self._pulled.set()
        self._thread.join()
        self.lock.end()

    def _close_sockets(self) -> None:
        """Stop the server's loop from inside, because it continues while any socket is open."""
        self._pulled.wait(60)  # closes the trigger, so it must have been used before
        for channel in [*self.server.active_channels.values()]:
            channel.handle_close()
        self.server.close()

    def window(self) -> Window:
        """Return a window that was opened with the link."""
        made = Window(self.url)
        link = urllib.parse.urlsplit(self.gate.link.address(self.url)).path
        assert made.request("GET", link, headers={"Sec-Fetch-Site": "none"}).status == 200
        return made

    def at_work(self) -> Window:
        """Return a window in which the passphrase was entered."""
        made = self.window()
        made.press(made.get(self.home), "unlock", passphrase=PASSPHRASE)
        assert self.lock.is_open
        return made

    def fetch(self, window: Window) -> Answer:
        """Press the fetch button; return the page with the result."""
        window.press(window.get(self.home), "fetch")
        self.wait_for_fetch()
        return window.get(f"{self.home}fetch")

    def wait_for_fetch(self) -> None:
        """Wait until no fetch is running."""
        until(lambda: not self.fetching.under_way, "the fetch did not end")


class Seconds:
    """A clock that advances when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Compiled(BytecodeCache):
    """Jinja's compiled templates, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.kept:
            bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.kept[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def _templates_are_compiled_once() -> Iterator[None]:
    """Share compiled templates, which each test's app would otherwise compile again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": Compiled()})
        yield


@pytest.fixture
def running(office: Office) -> Iterator[Running]:
    made = Running(office, Seconds())
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def gate(running: Running) -> Gate:
    return running.gate
