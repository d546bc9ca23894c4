"""``klankbord-desk open`` as users start it, in a separate process."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.desk.conftest import Office
from tests.desk.web.conftest import Window
from tests.support.processes import dead
from tests.support.programs import needs_strace
from tests.support.syscalls import WRITES, Watch

# The command, with the cheap passphrase of the tests' desk.
PROGRAM = """
import sys
from dropbox_app.desk.cli.main import main
from dropbox_app.desk.folder import Machine
from dropbox_app.desk.storage import vault
main(sys.argv[1:], obj=Machine(log_n=vault.CHEAP_FOR_TESTS))
"""


class Started:
    """The running program and the one line that it printed."""

    def __init__(
        self,
        office: Office,
        folder: Path,
        *,
        under: tuple[str, ...] = (),
        options: tuple[str, ...] = ("--no-browser", "--port", "0"),
        command: tuple[str, ...] = ("open",),
        home: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = folder / "page.log"
        self.home = home or folder / "home"
        self.home.mkdir(exist_ok=True)
        desk = ["--dir", str(office.folder), "--passphrase-file", str(office.passphrase_file)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(*under, sys.executable, "-c", PROGRAM, *desk),
                    *(*command, *options),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    **os.environ,
                    "HOME": str(self.home),
                    "TMPDIR": str(self.home),
                    **(environment or {}),
                },
            )
        assert self.process.stdout is not None
        if "--no-browser" not in options:
            return
        self.line = self.process.stdout.readline()
        address = urllib.parse.urlsplit(self.line.strip())
        self.url = f"http://{address.netloc}"
        self.link = address.path

    def window(self) -> tuple[Window, str]:
        """Return a window opened with the link, and the address that it led to."""
        made = Window(self.url)
        page = made.request("GET", self.link, headers={"Sec-Fetch-Site": "none"})
        assert page.status == 200
        found = re.search(r'content="0;url=([^"]+)"', page.html)
        assert found
        return made, found[1]

    def end(self) -> tuple[int, str]:
        """Send SIGTERM; return the exit code and the remaining output."""
        self.process.send_signal(signal.SIGTERM)
        rest, _ = self.process.communicate(timeout=60)
        return self.process.returncode, rest


@pytest.fixture
def started(office: Office, tmp_path: Path) -> Iterator[Started]:
    made = Started(office, tmp_path)
    try:
        yield made
    finally:
        if made.process.poll() is None:
            made.process.kill()
            made.process.communicate()


def test_only_the_address_is_printed_and_the_address_opens_the_today_page(started: Started) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/in/[0-9a-f]{64}\n", started.line)
    window, home = started.window()
    assert 'data-page="today"' in window.get(home).html
    assert started.end() == (0, "")
    assert started.log.read_text() == ""


def test_page_options_work_without_a_command(office: Office, tmp_path: Path) -> None:
    started = Started(office, tmp_path, command=())
    window, home = started.window()
    assert 'data-page="today"' in window.get(home).html
    assert started.end() == (0, "")


def test_page_language_is_chosen_at_start_and_kept(office: Office, tmp_path: Path) -> None:
    for options in (("--lang", "en"), ()):
        started = Started(office, tmp_path, options=("--no-browser", *options))
        window, home = started.window()
        assert '<html lang="en"' in window.get(home).html
        assert started.end() == (0, "")


def test_without_browser_the_address_is_printed(office: Office, tmp_path: Path) -> None:
    nothing = {"PATH": str(tmp_path / "none"), "BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    started = Started(office, tmp_path, options=("--port", "0"), environment=nothing)
    assert started.process.stdout is not None
    said = started.process.stdout.readline()
    assert "Er is geen browser gevonden. Open dit adres zelf" in said
    address = urllib.parse.urlsplit(said.split()[-1])
    started.url, started.link = f"http://{address.netloc}", address.path
    window, home = started.window()
    assert 'data-page="today"' in window.get(home).html
    assert started.end()[0] == 0


@pytest.mark.parametrize("option", [("--no-browser",), ("--port", "7000"), ("--lang", "en")])
def test_page_options_before_another_command_are_refused(
    office: Office, option: tuple[str, ...]
) -> None:
    refused = office.run(*option, "list", code=2)
    assert "are for the page" in refused.stderr


def test_desk_can_be_opened_again_and_port_is_closed_after_the_program_ends(
    started: Started, office: Office
) -> None:
    office.run("list", code=1)
    assert started.end()[0] == 0
    office.run("list")
    assert dead(started.process.pid)
    with contextlib.suppress(OSError):
        Window(started.url).get("/")
        pytest.fail("something still answers")


def test_command_line_of_the_desk_contains_no_link(started: Started) -> None:
    line = Path(f"/proc/{started.process.pid}/cmdline").read_bytes()
    assert started.link.removeprefix("/in/").encode() not in line


@needs_strace
def test_form_with_a_large_file_is_not_spooled_to_disk(office: Office, tmp_path: Path) -> None:
    watch = Watch(tmp_path / "calls")
    started = Started(office, tmp_path, under=tuple(watch.command))
    window, home = started.window()
    secret = b"niet op een schijf " * 200_000  # 3.8 MB: every framework would spool it
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
    body = head + secret + b"\r\n--x--\r\n"
    window.request(
        "POST", f"{home}language", body, {"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert started.end()[0] == 0
    watch.wait()
    calls = [call for call in watch.calls() if call.name in WRITES]
    assert calls, "strace saw nothing"
    assert [call.target for call in calls if any(b"op een schijf" in s for s in call.strings)] == []
    assert [*started.home.iterdir()] == []
