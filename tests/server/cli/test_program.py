"""The installed program, as a separate process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SERVER = Path(sys.executable).parent / "klankbord-server"


@pytest.mark.parametrize(
    "arguments", [["site", "list"], ["--help"], ["doctor", "--help"], ["--version"], ["lits"]]
)
def test_closed_pipe_gives_the_conventional_exit_code_and_no_traceback(
    tmp_path: Path, arguments: list[str]
) -> None:
    """As in ``site list | head -1``: the exit code a shell reports for a tool ended by the signal.

    The name of a command that does not exist is answered on stderr, which is closed then.
    """
    program = [str(SERVER), "--dir", str(tmp_path / "server")]
    init = ["init", "--name", "Voorbeeld BV", "--origin", "https://drop.example.org"]
    subprocess.run([*program, *init], capture_output=True, check=True)
    reading, closed = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*program, *arguments],
        stdin=subprocess.DEVNULL, stdout=closed, timeout=60, check=False,
        stderr=closed if arguments == ["lits"] else subprocess.PIPE,
    )  # fmt: skip
    os.close(closed)
    assert ended.returncode == 128 + signal.SIGPIPE
    assert not ended.stderr
