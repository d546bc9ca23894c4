"""The units: as closed as they say, and each does its whole work under that."""

from __future__ import annotations

import http.client
import json
import shlex
import shutil
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from dropbox_app.server.backup import directory
from tests.support.drop_box import BIN, Counsellor, run
from tests.support.plain_browser import PlainBrowser
from tests.support.steps import come_back, tell
from tests.support.unit_file import as_a_service, command, filtered, started, values

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
UNIT = UNITS / "klankbord.service"
BACKUP = UNITS / "klankbord-backup.service"
# What systemd itself makes of each, in tenths; less is more closed.
AT_MOST = {path.name: 5 if path == UNIT else 15 for path in sorted(UNITS.glob("*.service"))}
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")


class SocketBrowser(PlainBrowser):
    """A browser whose every connection goes to a socket file, as Tor's and a proxy's do."""

    def __init__(self, url: str, path: Path) -> None:
        super().__init__(url)
        self._path = path

    def connection(self, host: str) -> http.client.HTTPConnection:
        made = http.client.HTTPConnection(host, timeout=60)
        made.sock = socket.socket(socket.AF_UNIX)
        made.sock.settimeout(60)
        made.sock.connect(str(self._path))
        return made


@needs_systemd
@pytest.mark.parametrize("name", AT_MOST)
def test_each_is_as_closed_as_the_design_asks(name: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={AT_MOST[name]}",
         UNITS / name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "SAFE" in done.stdout or "OK" in done.stdout


@needs_systemd
@pytest.mark.parametrize("name", [*AT_MOST, *(path.name for path in sorted(UNITS.glob("*.timer")))])
def test_systemd_understands_every_line(name: str, tmp_path: Path) -> None:
    """A timer together with what it starts."""
    program = tmp_path / "opt/klankbord/current/bin/klankbord-server"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for part in {name, name.replace(".timer", ".service")}:
        text = (UNITS / part).read_text("utf-8")
        (tmp_path / part).write_text(text.replace("/opt/klankbord", f"{tmp_path}/opt/klankbord"))
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # Of the machine's own units it may have something to say; of this one it has nothing.
    assert done.returncode == 0, done.stderr
    assert "klankbord" not in done.stderr


def test_it_serves_the_folder_and_the_socket_that_it_makes() -> None:
    (line,) = values(UNIT, "ExecStart")
    assert f"--dir /var/lib/{values(UNIT, 'StateDirectory')[0]} " in line
    for option in ("--bind", "--onion", "--desks"):
        assert f"{option} unix:/run/{values(UNIT, 'RuntimeDirectory')[0]}/" in line


@as_a_service
def test_a_report_comes_in_and_is_answered_under_it(
    tmp_path: Path,
    mould: tuple[Path, int],
    counsellor: Counsellor,
) -> None:
    state, served, log = tmp_path / "state", tmp_path / "run", tmp_path / "log"
    shutil.copytree(mould[0] / "server", state)
    served.mkdir(mode=0o750)
    url = f"http://127.0.0.1:{mould[1]}"
    with started(UNIT, state, served, log) as service:
        assert stat.S_IMODE((served / "box.sock").stat().st_mode) == 0o660
        browser = SocketBrowser(url, served / "box.sock")
        code = tell(browser, "nl", "Een verhaal onder systemd.").code
        page = come_back(browser, "nl", code)
        assert page.path == "/nl/conversation"
        page = browser.get("/nl/files")
        sent = browser.upload(page, page.form_with("files"), [("een.txt", b"x" * 300_000)])
        assert (sent.status, sent.path) == (200, "/nl/conversation?sent=1")
        assert service.poll() is None
    assert service.returncode == 0, log.read_text()
    assert "Traceback" not in log.read_text()
    assert json.dumps("Een verhaal") not in log.read_text()


@as_a_service
def test_a_backup_is_made_under_its_own(
    tmp_path: Path,
    mould: tuple[Path, int],
) -> None:
    """With nothing but the server's folder, and its database opened as the server has it."""
    state, key = tmp_path / "state", tmp_path / "key"
    shutil.copytree(mould[0] / "server", state)
    key.write_text(run(BIN / "klankbord-server", "--dir", state, "backup-key").stdout)
    (line,) = values(BACKUP, "ExecStart")
    with filtered(BACKUP) as program:
        done = subprocess.run(
            command(BACKUP, state, None, ["--seccomp", str(program), *line.split()]),
            pass_fds=[program], capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "sites: 1," in done.stdout
    (made,) = (state / "backups").glob("klankbord-*.age")
    run(BIN / "klankbord-server", "--dir", tmp_path / "new", "restore", made, "--key", key)
    site = (state / "site.toml").read_bytes()
    assert (tmp_path / "new" / "site.toml").read_bytes() == site


@as_a_service
def test_a_reload_may_send_its_signal_behind_the_same_walls(tmp_path: Path) -> None:
    """What systemd starts for it is held as the service is."""
    state, served = tmp_path / "state", tmp_path / "run"
    state.mkdir()
    served.mkdir()
    (line,) = values(UNIT, "ExecReload")
    words = shlex.split(line)
    taken_up = (
        "import os, signal, subprocess, sys\n"
        "signal.signal(signal.SIGHUP, lambda *_: print('taken up', flush=True))\n"
        "words = [word.replace('$MAINPID', str(os.getpid())) for word in sys.argv[1:]]\n"
        "subprocess.run(words, check=True)\n"
    )
    with filtered(UNIT) as program:
        done = subprocess.run(
            command(UNIT, state, served, ["--seccomp", str(program),
                    "/opt/klankbord/current/bin/python", "-c", taken_up, *words]),
            pass_fds=[program], capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "taken up\n"), done.stderr


def test_a_backup_waits_for_a_key_and_comes_once_a_day_at_one_hour() -> None:
    (state,) = values(BACKUP, "StateDirectory")
    assert values(BACKUP, "ConditionPathExists") == [f"/var/lib/{state}/{directory.KEY}"]
    timer = BACKUP.with_suffix(".timer")
    assert values(timer, "OnCalendar") == ["*-*-* 03:30:00 UTC"]
    assert values(timer, "AccuracySec") == ["1s"]
    # Both go on with the same folder, as the same account.
    for key in ("User", "Group", "StateDirectory", "StateDirectoryMode", "UMask"):
        assert values(BACKUP, key) == values(UNIT, key)


@as_a_service
@pytest.mark.parametrize(
    ("attempt", "wanted"),
    [
        ("import socket; socket.socket(socket.AF_INET)", "not supported"),
        ("import os; os.open('/var/lib/klankbord.x', os.O_CREAT | os.O_WRONLY)", "Read-only"),
        ("import os; os.listdir('/home')[0]", "IndexError"),
        ("import mmap; mmap.mmap(-1, 4096, prot=7)", "not permitted"),
        ("import ctypes; 1 // (1 + ctypes.CDLL(None).unshare(0x10000000))", "ZeroDivision"),
        ("import os; os.chroot('/')", ""),
    ],
)
def test_what_it_may_not_it_cannot(tmp_path: Path, attempt: str, wanted: str) -> None:
    """So that the test above says something: the same walls, and somebody who pushes."""
    state, served = tmp_path / "state", tmp_path / "run"
    state.mkdir()
    served.mkdir()
    python = "/opt/klankbord/current/bin/python"
    with filtered(UNIT) as program:
        done = subprocess.run(
            command(UNIT, state, served, ["--seccomp", str(program), python, "-c", attempt]),
            pass_fds=[program], capture_output=True, text=True, check=False,
        )  # fmt: skip
    if wanted:
        assert done.returncode == 1
        assert wanted in done.stderr
    else:  # ended by the system in the middle of it
        assert done.returncode == 128 + signal.SIGSYS
        assert done.stderr == ""
