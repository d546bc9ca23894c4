"""The page's window: the system's own browser, with a profile that is removed afterwards."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dropbox_app.desk.web import window
from dropbox_app.desk.web.link import handed_over
from tests.desk.conftest import Office
from tests.desk.web.conftest import Running
from tests.desk.web.test_command import Started
from tests.support.browsers import PROGRAMS, here
from tests.support.processes import children, until


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Use a headless Chromium that root may start; return its TMPDIR."""
    programs = tmp_path / "bin"
    programs.mkdir()
    script = programs / "chromium"
    script.write_text(f'#!/bin/sh\nexec {PROGRAMS["chromium"]} --headless=new --no-sandbox "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    with tempfile.TemporaryDirectory(prefix="w-", dir="/tmp") as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        monkeypatch.setattr("tempfile.tempdir", None)
        yield Path(temporary)


@here("chromium")
@pytest.mark.slow
def test_window_opens_the_page_and_leaves_nothing_behind(running: Running, system: Path) -> None:
    address = running.gate.link.address(running.url)
    with handed_over(address) as file, window.opened(file, "nl") as found:
        assert found == "own"
        until(lambda: running.page.last_ping is not None, "the window shows no page", 60)
    assert [*system.iterdir()] == []


def test_only_the_user_can_read_the_link_file() -> None:
    with handed_over("http://127.0.0.1:1/in/0123") as file:
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert "0123" in file.read_text()
    assert not file.parent.exists()


def test_window_command_contains_no_link_and_disables_extensions(tmp_path: Path) -> None:
    for name, private in (("chromium", "--incognito"), ("msedge.exe", "--inprivate")):
        with handed_over("http://127.0.0.1:1/in/0123") as file:
            said = window.command(tmp_path / name, tmp_path / "profile", file, "nl")
        assert private in said
        assert "--disable-extensions" in said
        assert "--lang=nl" in said, "the browser's own words are those of the page"
        assert f"--user-data-dir={tmp_path / 'profile'}" in said
        assert not [one for one in said if "0123" in one]


def test_no_browser_is_found_outside_the_search_path() -> None:
    assert window.find({"PATH": "/nowhere"}) is None
    assert sys.platform == "linux"  # the folders of other systems are not tested here


@here("chromium")
@pytest.mark.slow
def test_program_closes_its_window_on_exit(office: Office, tmp_path: Path, system: Path) -> None:
    started = Started(office, tmp_path, options=("--port", "0"), home=system)
    until(lambda: children(started.process.pid), "no window was opened", 60)
    line = Path(f"/proc/{children(started.process.pid)[0]}/cmdline").read_bytes()
    assert b"/in/" not in line
    until(lambda: [*system.glob("klankbord-window-*/profile/*")], "no profile was made", 60)
    os.kill(started.process.pid, signal.SIGTERM)
    started.process.communicate(timeout=60)
    assert started.process.returncode == 0
    assert [*system.iterdir()] == []
