"""Run a program of the host, with limits on time and output."""

import os
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from dropbox_app.server.doctor.finding import NoAnswer

SECONDS = 10.0  # seconds to wait for the output
MOST = 4 * 1024 * 1024  # maximum bytes of output
# Use the system's own programs, regardless of PATH, because doctor may run as root.
FOLDERS = ("usr/bin", "usr/sbin", "bin", "sbin")


def run(root: Path, words: tuple[str, ...], codes: tuple[int, ...] = (0,)) -> str:
    """Run a program found below ``root`` and return its output. Raises NoAnswer."""
    name = words[0]
    places = [root / folder / name for folder in FOLDERS]
    program = next((str(place) for place in places if os.access(place, os.X_OK)), None)
    if program is None:
        raise NoAnswer(f"there is no {name} here to ask")
    try:
        started = subprocess.Popen(  # noqa: S603 - a fixed command of this package
            [program, *words[1:]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", "LC_ALL": "C", "SYSTEMD_PAGER": ""},
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise NoAnswer(f"{name} cannot be started: {error.strerror}") from None
    try:
        said = _read(started, name)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)  # it may have started other processes
        code = started.wait()
        if started.stdout:
            started.stdout.close()
    if code not in codes:
        raise NoAnswer(f"{name} gave no answer (it ended with {code})")
    return said.decode("utf-8", "replace")


def _read(started: "subprocess.Popen[bytes]", name: str) -> bytes:
    end = time.monotonic() + SECONDS
    said = b""
    with selectors.DefaultSelector() as waiting:
        assert started.stdout is not None  # noqa: S101 - opened as a pipe above
        waiting.register(started.stdout, selectors.EVENT_READ)
        while waiting.select(max(0.0, end - time.monotonic())):
            piece = os.read(started.stdout.fileno(), 65_536)
            if not piece:
                with suppress(subprocess.TimeoutExpired):
                    started.wait(max(0.0, end - time.monotonic()))
                    return said
                break
            said += piece
            if len(said) > MOST:
                raise NoAnswer(f"{name} did not stop talking after {MOST} bytes")
            if time.monotonic() > end:
                break
    raise NoAnswer(f"{name} did not answer within {SECONDS:.0f} seconds")
