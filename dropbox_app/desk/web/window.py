"""The window in which the page opens.

First choice is a window of its own of the system's Edge, Chrome or Chromium, in a new profile that
is removed at the end: no extension reads along, nothing stays in a history. Otherwise it is the
ordinary browser, and the page says what stays there.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import webbrowser
from collections.abc import Iterator, Mapping
from pathlib import Path

_LINUX = (
    "microsoft-edge", "microsoft-edge-stable", "google-chrome", "google-chrome-stable", "chromium",
    "chromium-browser",
)  # fmt: skip
_MAC = (
    "Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "Google Chrome.app/Contents/MacOS/Google Chrome",
    "Chromium.app/Contents/MacOS/Chromium",
)
_WINDOWS = (
    r"Microsoft\Edge\Application\msedge.exe",
    r"Google\Chrome\Application\chrome.exe",
    r"Chromium\Application\chrome.exe",
)
_WINDOWS_ROOTS = ("PROGRAMFILES(X86)", "PROGRAMFILES", "LOCALAPPDATA")
_SWITCHES = (
    "--no-first-run", "--no-default-browser-check", "--disable-sync", "--disable-extensions",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
_PATIENCE = 5  # seconds that a browser gets to end by itself


@contextlib.contextmanager
def opened(file: Path) -> Iterator[bool]:
    """Open a browser at ``file``; yields whether it is a window of its own.

    At the end that window is closed and its profile removed.
    """
    program = find(os.environ)
    if program is None:
        webbrowser.open(file.as_uri())
        yield False
        return
    profile = Path(tempfile.mkdtemp(prefix="klankbord-window-"))
    try:
        with subprocess.Popen(  # noqa: S603 - a browser of this system, no shell
            command(program, profile, file),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as browser:  # fmt: skip
            try:
                yield True
            finally:
                _end(browser)
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def command(program: Path, profile: Path, file: Path) -> list[str]:
    """Return how the window is started. Every user can read this: it holds no link."""
    private = "--inprivate" if "edge" in program.name.lower() else "--incognito"
    return [
        str(program), f"--app={file.as_uri()}", private, f"--user-data-dir={profile}", *_SWITCHES,
    ]  # fmt: skip


def find(environment: Mapping[str, str]) -> Path | None:
    """Find Edge, Chrome or Chromium where this system keeps programs."""
    if sys.platform == "win32":
        roots = [environment[name] for name in _WINDOWS_ROOTS if name in environment]
        found = [Path(root) / name for name in _WINDOWS for root in roots]
    elif sys.platform == "darwin":
        found = [Path("/Applications") / name for name in _MAC]
    else:
        named = (shutil.which(name, path=environment.get("PATH")) for name in _LINUX)
        found = [Path(name) for name in named if name]
    return next((path for path in found if path.is_file()), None)


def _end(browser: subprocess.Popen[bytes]) -> None:
    browser.terminate()
    try:
        browser.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        browser.kill()
