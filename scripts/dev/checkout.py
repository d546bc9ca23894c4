"""Code for all scripts: a virtual environment in the checkout, created on first use.

This uses only the standard library, and syntax that an old Python can parse, so that even there it
can print one plain sentence. All messages go to stderr, because stdout belongs to the command that
is started.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"


def say(text: str) -> None:
    """Write one line to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def stop(text: str) -> NoReturn:
    """End with one sentence and exit code 1."""
    say(text)
    raise SystemExit(1)


def prepare(packages: str) -> None:
    """Make ``.venv`` contain the packages in ``requirements/PACKAGES.txt``, and this checkout.

    ``packages`` is ``run`` or ``test`` (which includes all of ``run``). Does nothing if ``.venv``
    is already up to date. Ends the program with one sentence if that fails.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - this message is for an older Python
        name = os.path.basename(sys.argv[0])
        stop(
            "Klankbord needs Python 3.11 or newer and this is "
            f"{sys.version_info[0]}.{sys.version_info[1]}; where a newer one is installed, start "
            f"it with that: python3.11 scripts/{name}"
        )
    if _ready(packages):
        return
    # Two scripts may start at the same time: the second waits here, then finds the work done.
    folder = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    if not _ready(packages):
        _make_venv()
        _install(packages)
    os.close(folder)


def _ready(packages: str) -> bool:
    """Return whether the pinned versions of these packages are installed for this folder."""
    for name in {packages, "test"}:
        stamp = VENV / f"klankbord-{name}"
        if stamp.is_file() and stamp.read_text() == _wanted(name):
            return os.access(PYTHON, os.X_OK)
    return False


def _wanted(packages: str) -> str:
    """Return a text that identifies the environment: the pins, the metadata, the folder."""
    digest = hashlib.sha256(str(ROOT).encode())
    for file in (ROOT / "requirements" / f"{packages}.txt", ROOT / "pyproject.toml"):
        digest.update(file.read_bytes())
    return digest.hexdigest() + "\n"


def _make_venv() -> None:
    if PYTHON.exists() and _runs(PYTHON, "-c", "import pip"):
        return
    if not (_has("venv") and _has("ensurepip")):
        stop(
            "Python's venv is not installed here; "
            "on Debian and Ubuntu: sudo apt install python3-venv"
        )
    say(f"First use: making {VENV.relative_to(ROOT)} ...")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(VENV)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if made.returncode:
        stop(made.stdout + "The virtual environment could not be made; the lines above say why.")


def _has(module: str) -> bool:
    # The empty folder of a removed package has no origin.
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.origin is not None


def _runs(*command: object) -> bool:
    return not subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode


def _install(packages: str) -> None:
    pins = ROOT / "requirements" / f"{packages}.txt"
    count = len(re.findall(r"^[a-z0-9].*==", pins.read_text(), re.MULTILINE))
    say(f"Installing {count} packages, each checked against its hash; about a minute ...")
    # Only wheels are used: nothing is compiled here, and no package's own setup code runs.
    _pip(count, "--require-hashes", "--only-binary", ":all:", "-r", str(pins))
    _pip(0, "--no-deps", "--no-index", "--no-build-isolation", "--editable", str(ROOT))
    (VENV / f"klankbord-{packages}").write_text(_wanted(packages))


def _pip(count: int, *arguments: str) -> None:
    """Run ``pip install`` and report progress. Show its output only if it fails."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", *arguments]
    lines: list[str] = []
    done = 0
    pip = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert pip.stdout is not None  # noqa: S101 - opened as a pipe above
        for line in pip.stdout:
            lines.append(line)
            if count and " (from -r " in line:
                done += 1
                if sys.stderr.isatty():
                    sys.stderr.write(f"\r  {done} of {count} ")
                elif done % 10 == 0:
                    say(f"  {done} of {count}")
            elif count and line.startswith("Installing collected"):
                say(("\r" if sys.stderr.isatty() else "") + "  writing them to disk ...")
    except BaseException:
        # After Ctrl-C or SIGTERM, pip does not continue alone; the next start repeats this step.
        pip.kill()
        raise
    finally:
        pip.wait()
    if pip.returncode:
        sys.stderr.write("".join(lines[-25:]))
        stop("The packages could not be installed; the lines above say why.")
