"""The browser window in which the desk's page opens.

The first choice is a separate window of the system's Edge, Chrome or Chromium, in a new profile
that is removed at the end. No browser extension can read the page, and nothing remains in the
browser's history. If none is found, the user's ordinary browser is used, and the page explains what
that browser keeps.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

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
    "--disable-background-networking", "--disable-component-update", "--disable-breakpad",
)  # fmt: skip
Kind = Literal["own", "ordinary", "none"]
_PATIENCE = 5  # seconds that a browser gets to end by itself


@contextlib.contextmanager
def opened(file: Path, language: str) -> Iterator[Kind]:
    """Open a browser at ``file``; yield the kind of window that was found, if any.

    ``language`` is the language of the browser's own texts, such as those next to a file field. At
    the end, a separate window is closed and its profile removed.
    """
    program = find(os.environ)
    if program is None:
        yield "ordinary" if webbrowser.open(file.as_uri()) else "none"
        return
    own = Path(tempfile.mkdtemp(prefix="klankbord-window-"))
    try:
        with subprocess.Popen(  # noqa: S603 - a browser of this system, no shell
            command(program, own / "profile", file, language),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "LANGUAGE": language, **_folders(own)},
            start_new_session=True,  # Ctrl-C is for the program, which then ends the window
        ) as browser:  # fmt: skip
            try:
                yield "own"
            finally:
                _end(browser)
    finally:
        _remove(own)


def command(program: Path, profile: Path, file: Path, language: str) -> list[str]:
    """Return the command that opens the window, without the link, which other users could read.

    On Linux, ``language`` has no effect here: browsers there use the variable LANGUAGE.
    """
    private = "--inprivate" if "edge" in program.name.lower() else "--incognito"
    return [
        str(program), f"--app={file.as_uri()}", private, f"--user-data-dir={profile}",
        f"--lang={language}", *_SWITCHES,
    ]  # fmt: skip


def find(environment: Mapping[str, str]) -> Path | None:
    """Find Edge, Chrome or Chromium in the usual places of this system."""
    if sys.platform == "win32":
        roots = [environment[name] for name in _WINDOWS_ROOTS if name in environment]
        found = [Path(root) / name for name in _WINDOWS for root in roots]
    elif sys.platform == "darwin":
        found = [Path("/Applications") / name for name in _MAC]
    else:
        named = (shutil.which(name, path=environment.get("PATH")) for name in _LINUX)
        found = [Path(name) for name in named if name]
    return next((path for path in found if path.is_file()), None)


def _folders(own: Path) -> dict[str, str]:
    """Return other places where a Linux browser writes: temporary files, crash reports."""
    if sys.platform != "linux":
        return {}
    made = {}
    # The names have one letter: a socket is created there, and its path may have at most 107 bytes.
    for name, short in (("TMPDIR", "t"), ("XDG_CONFIG_HOME", "c"), ("XDG_CACHE_HOME", "k")):
        folder = own / short
        folder.mkdir(mode=0o700)
        made[name] = str(folder)
    return made


def _end(browser: subprocess.Popen[bytes]) -> None:
    """End the browser and all processes that it started."""
    browser.terminate()
    try:
        browser.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        browser.kill()
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(browser.pid, signal.SIGKILL)


def _remove(folder: Path) -> None:
    """Remove a folder, even if processes that are shutting down still write to it for a moment."""
    until = time.monotonic() + _PATIENCE
    while folder.exists() and time.monotonic() < until:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.05)
