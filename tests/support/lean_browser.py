"""Debian's Chromium and Firefox without a driver that listens to the network.

Playwright keeps the bodies of requests, so it cannot show how much memory a page needs. These
browsers are told only to open, fill in and press, over the pipe of Chromium's DevTools protocol
(no domain enabled) and over Firefox's Marionette.
"""

import contextlib
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from tests.support.browsers import CHROMIUM, PROGRAMS
from tests.support.ports import free_port
from tests.support.processes import GONE, kill_group, until

PATIENCE = 60.0  # seconds until an element is there
# The element's identifier in answers of WebDriver, as that standard fixes it.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
QUIET = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.safebrowsing.downloads.remote.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.captive-portal-service.enabled": False,
    "services.settings.server": "data:,",
    "startup.homepage_welcome_url": "about:blank",
    "toolkit.telemetry.enabled": False,
}

INTERPRETED = {
    "javascript.options.asmjs": False,
    "javascript.options.baselinejit": False,
    "javascript.options.ion": False,
    "javascript.options.native_regexp": False,
    "javascript.options.wasm": False,
}


class LeanBrowser(Protocol):
    """A browser with one page, and what can be done in it."""

    process: subprocess.Popen[bytes]

    def go(self, url: str) -> None:
        """Open an address."""

    def there(self, css: str) -> bool:
        """Return whether the page has such an element."""

    def write(self, css: str, text: str) -> None:
        """Type into an empty field."""

    def press(self, css: str) -> None:
        """Press a button, or tick a box."""

    def choose(self, css: str, file: Path) -> None:
        """Choose a file, as in the browser's file dialog."""

    def scripts(self, *, on: bool) -> None:
        """Allow or block scripts on the pages that are opened next."""


def wait(browser: LeanBrowser, *any_of: str, seconds: float = PATIENCE) -> None:
    """Wait until the page has one of these elements; ask rarely, as each question takes time."""
    deadline = time.monotonic() + seconds
    while not any(map(browser.there, any_of)):
        assert time.monotonic() < deadline, f"none of {any_of} appeared"
        time.sleep(0.05)


@contextlib.contextmanager
def lean_browser(name: str, folder: Path, *, jit: bool = True) -> Iterator[LeanBrowser]:
    """Run a browser whose profile and home are in this new folder.

    Without ``jit`` it compiles no script, as at Tor Browser's level "Safer".
    """
    folder.mkdir()
    with (Chromium if name == "chromium" else Firefox)(folder, jit=jit) as browser:
        yield browser


class _Started:
    """A browser's processes, which end with the block."""

    process: subprocess.Popen[bytes]

    def _start(self, command: Sequence[str], folder: Path, pipes: Sequence[int] = ()) -> None:
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=pipes,
                env={**os.environ, "HOME": str(folder)},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        kill_group(self.process)


class Chromium(_Started):
    """The complete Chromium, headless, and its page."""

    def __init__(self, folder: Path, *, jit: bool) -> None:
        # Chromium reads commands from descriptor 3 and writes its answers to descriptor 4.
        theirs, self._to = os.pipe()
        self._from, answers = os.pipe()
        program = [
            *(str(PROGRAMS["chromium"]), *CHROMIUM, "--headless=new", "--remote-debugging-pipe"),
            *(() if jit else ("--js-flags=--jitless",)),
            *(f"--user-data-dir={folder / 'profile'}", "about:blank"),
        ]
        places = f'exec "$@" 3<&{theirs} 4>&{answers}'
        self._start(("bash", "-c", places, "bash", *program), folder, (theirs, answers))
        os.close(theirs)
        os.close(answers)
        self._read = b""
        self._asked = 0
        self._session = ""
        targets = self._ask("Target.getTargets")["targetInfos"]
        page = next(one["targetId"] for one in targets if one["type"] == "page")
        attached = self._ask("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]

    def _ask(self, method: str, **given: object) -> dict[str, Any]:
        self._asked += 1
        question: dict[str, object] = {"id": self._asked, "method": method, "params": given}
        if self._session:
            question["sessionId"] = self._session
        os.write(self._to, json.dumps(question).encode() + b"\0")
        while True:
            while b"\0" not in self._read:
                piece = os.read(self._from, 65_536)
                assert piece, "Chromium has ended"
                self._read += piece
            said, _, self._read = self._read.partition(b"\0")
            answer = json.loads(said)
            if answer.get("id") == self._asked:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def _run(self, script: str) -> dict[str, Any]:
        """Run a script with the rights of a person's press."""
        done = self._ask("Runtime.evaluate", expression=script, userGesture=True)
        result: dict[str, Any] = done["result"]
        return result

    def go(self, url: str) -> None:
        self._ask("Page.navigate", url=url)
        loaded = f"location.href === {json.dumps(url)} && document.readyState === 'complete'"
        until(lambda: self._run(loaded)["value"], f"{url} was not loaded")

    def there(self, css: str) -> bool:
        return bool(self._run(f"!!document.querySelector({json.dumps(css)})").get("value"))

    def write(self, css: str, text: str) -> None:
        field = f"document.querySelector({json.dumps(css)})"
        self._run(f"{field}.value = {json.dumps(text)}; {field}.dispatchEvent(new Event('input'))")

    def press(self, css: str) -> None:
        self._run(f"document.querySelector({json.dumps(css)}).click()")

    def choose(self, css: str, file: Path) -> None:
        field = self._run(f"document.querySelector({json.dumps(css)})")["objectId"]
        self._ask("DOM.setFileInputFiles", files=[str(file)], objectId=field)

    def scripts(self, *, on: bool) -> None:
        self._ask("Emulation.setScriptExecutionDisabled", value=not on)


class Firefox(_Started):
    """Firefox, headless, and its page."""

    def __init__(self, folder: Path, *, jit: bool) -> None:
        port = free_port()
        profile = folder / "profile"
        profile.mkdir()
        wanted = {**QUIET, **({} if jit else INTERPRETED), "marionette.port": port}
        (profile / "user.js").write_text(
            "".join(f'user_pref("{name}", {json.dumps(set_)});\n' for name, set_ in wanted.items())
        )
        # The switch for scripts is a setting of the browser, which only "system access" reaches.
        ways = ("--headless", "--marionette", "--remote-allow-system-access")
        self._start((str(PROGRAMS["firefox"]), *ways, "--profile", str(profile)), folder)
        self._asked = 0
        self._read = b""
        self._line = self._connected(port)
        self._message()  # its greeting
        self._ask("WebDriver:NewSession")

    def _connected(self, port: int) -> socket.socket:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), PATIENCE)
            except OSError:
                assert time.monotonic() < deadline, "Firefox did not start"
                time.sleep(0.1)

    def _message(self) -> Any:  # noqa: ANN401 - any JSON
        while b":" not in self._read:
            self._receive()
        length, _, self._read = self._read.partition(b":")
        while len(self._read) < int(length):
            self._receive()
        said, self._read = self._read[: int(length)], self._read[int(length) :]
        return json.loads(said)

    def _receive(self) -> None:
        piece = self._line.recv(65_536)
        assert piece, "Firefox has ended"
        self._read += piece

    def _ask(self, command: str, **given: object) -> Any:  # noqa: ANN401 - any JSON
        self._asked += 1
        question = json.dumps([0, self._asked, command, given]).encode()
        self._line.sendall(b"%d:%b" % (len(question), question))
        _, number, error, result = self._message()
        assert number == self._asked
        assert error is None, error
        return result

    def _all(self, css: str) -> list[str]:
        found = self._ask("WebDriver:FindElements", using="css selector", value=css)
        return [one[ELEMENT] for one in found]

    def go(self, url: str) -> None:
        self._ask("WebDriver:Navigate", url=url)

    def there(self, css: str) -> bool:
        return bool(self._all(css))

    def write(self, css: str, text: str) -> None:
        self._ask("WebDriver:ElementSendKeys", id=self._all(css)[0], text=text)

    def press(self, css: str) -> None:
        self._ask("WebDriver:ElementClick", id=self._all(css)[0])

    def choose(self, css: str, file: Path) -> None:
        self.write(css, str(file))

    def scripts(self, *, on: bool) -> None:
        self._ask("Marionette:SetContext", value="chrome")
        setting = f"Services.prefs.setBoolPref('javascript.enabled', {json.dumps(on)})"
        self._ask("WebDriver:ExecuteScript", script=setting, args=[])
        self._ask("Marionette:SetContext", value="content")


def used_memory(process: int) -> int:
    """Return the bytes of data of a process and all below it; what they share counts once (PSS).

    Pages of files, which are programs and fonts, are left out: their share depends on what other
    browsers run at the same time.
    """
    total = 0
    with contextlib.suppress(*GONE):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                total += 1024 * int(line.split()[1])
    with contextlib.suppress(*GONE):
        # Browsers start processes from any of their threads.
        for thread in Path(f"/proc/{process}/task").iterdir():
            with contextlib.suppress(*GONE):
                below = (thread / "children").read_text().split()
                total += sum(used_memory(int(child)) for child in below)
    return total
