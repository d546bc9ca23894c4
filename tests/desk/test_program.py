"""The installed program, as a separate process."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dropbox_app.desk import folder
from dropbox_app.desk.cli import common
from dropbox_app.desk.session import Report
from dropbox_app.desk.storage import vault
from tests.desk.conftest import PASSPHRASE, Office
from tests.support.fake_server import Clock, Peer

DESK = Path(sys.executable).parent / "klankbord-desk"


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Peer]:
    """Return the folder of a desk whose vault opens fast, and the server that invited it."""
    clock = Clock("2025-01-05")
    peer, folder = Peer(clock), tmp_path_factory.mktemp("program")
    (folder / "i.json").write_bytes(peer.invitation())
    (folder / "pass").write_text(PASSPHRASE + "\n")
    Office(folder / "desk", peer, clock).set_up()
    return folder, peer


@pytest.fixture
def program(made_once: tuple[Path, Peer], tmp_path: Path) -> Path:
    """Return a copy of that desk for one test."""
    return Path(shutil.copytree(made_once[0], tmp_path / "program"))


def _call(place: Path, *arguments: str, desk: str = "desk") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(DESK), *arguments, "--dir", desk, "--passphrase-file", "pass"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONWARNINGS": "error"},
        timeout=60,
    )


def test_installed_program_runs(program: Path) -> None:
    assert _call(program, "list", "--json").stdout == "[]\n"
    assert _call(program, "card", "--out", "els.card").returncode == 0
    again = _call(program, "card", "--out", "els.card")
    assert (again.returncode, again.stderr) == (0, "")
    init = ("init", "i.json", "--name", "Els", "--kind", "external")
    wrong = _call(program, *init)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.count("\n") == 1
    assert _call(program, *init, desk="another").returncode == 0
    first = (program / "another" / vault.NAME).read_bytes().splitlines()[1].split()
    assert (first[1], int(first[-1])) == (b"scrypt", vault.USUAL)
    assert _call(program, "lits").returncode == 2
    (program / "pass").write_text("iets heel anders dan voorheen\n")
    wrong = _call(program, "list")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "The passphrase does not fit this desk; try again.\n"


def test_installed_program_reports_an_unreachable_server(
    program: Path, made_once: tuple[Path, Peer]
) -> None:
    line = {"v": 1, "origins": ["http://127.0.0.1:1"], "site": made_once[1].site, "name": "X",
            "day": "2025-01-05"}  # fmt: skip
    (program / "m.json").write_text(json.dumps(line, sort_keys=True, separators=(",", ":")))
    assert _call(program, "move", "m.json").returncode == 0
    done = _call(program, "fetch")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("http://127.0.0.1:1 could not be reached")
    assert done.stderr.count("\n") == 1


def test_program_uses_utc() -> None:
    assert folder.utc_today().isoformat() >= "2026-01-01"


def test_without_a_terminal_the_program_says_which_options_are_needed(program: Path) -> None:
    done = subprocess.run(
        [str(DESK), "--dir", "desk", "list"],
        cwd=program, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        start_new_session=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "There is no terminal to ask on. Give --passphrase-file.\n"


def test_closed_pipe_ends_the_program_silently(program: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [str(DESK), "list", "--dir", "desk", "--passphrase-file", "pass"],
        cwd=program, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(writing)
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["list", "--help"], ["lits"]])
def test_closed_pipe_gives_the_conventional_exit_code_and_no_traceback(
    program: Path, arguments: list[str]
) -> None:
    """The exit code of ``list | head -1`` is the one that a shell reports for SIGPIPE."""
    reading, closed = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [str(DESK), "--dir", "desk", "--passphrase-file", "pass", *arguments],
        cwd=program, stdin=subprocess.DEVNULL, stdout=closed, timeout=60, check=False,
        stderr=closed if arguments == ["lits"] else subprocess.PIPE,
    )  # fmt: skip
    os.close(closed)
    assert ended.returncode == 128 + signal.SIGPIPE
    assert not ended.stderr


def test_alarms_are_printed_even_if_stdout_is_closed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    report = Report()
    report.note("One new message.", "new")
    report.alarm("ALARM: another file than was listed.", "other_file")
    monkeypatch.setattr(sys, "stdout", Closed())
    with pytest.raises(BrokenPipeError):
        common.say(report)
    assert capsys.readouterr().err == "ALARM: another file than was listed.\n"
