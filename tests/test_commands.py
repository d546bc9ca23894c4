"""The two installed commands: Ctrl-C at any moment, and a reader that ends early."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
COMMANDS = ("klankbord-server", "klankbord-desk")


@pytest.mark.parametrize("loaded", ["click", "hashlib", "nacl", "cryptography.exceptions"])
@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_during_import_leaves_no_traceback(command: str, loaded: str) -> None:
    """Python reports each imported module; the key is pressed at one of them."""
    started = subprocess.Popen(
        [sys.executable, "-X", "importtime", BIN / command, "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    assert started.stdout is not None
    for line in started.stderr:
        if line.rstrip().endswith(f" {loaded}"):
            started.send_signal(signal.SIGINT)
            break
    else:
        pytest.fail(f"{loaded} is not read")
    rest = started.stderr.read() + started.stdout.read()
    started.stderr.close()
    started.stdout.close()
    started.wait(60)
    assert "Traceback" not in rest
    assert "KeyboardInterrupt" not in rest


@pytest.mark.parametrize("command", COMMANDS)
def test_closed_pipe_is_not_an_error(command: str) -> None:
    """As with ``--help | head -0``, the pipe is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [BIN / command, "--help"], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert done.stderr == ""
