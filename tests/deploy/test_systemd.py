"""The units are as restricted as they claim, and each can do its work."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dropbox_app.server.backup import directory
from tests.support.circuit import CircuitBrowser
from tests.support.drop_box import BIN, run
from tests.support.steps import come_back, tell
from tests.support.unit_file import (
    ETC,
    UNITS,
    as_a_service,
    command,
    filtered,
    merged,
    owner,
    started,
    values,
)

UNIT = UNITS / "klankbord.service"
BACKUP = UNITS / "klankbord-backup.service"
NGINX = UNITS / "klankbord-nginx.service"
SOCKETS = ("onion.sock", "desks.sock")  # nginx's sockets
# systemd's own exposure score of each unit, in tenths; lower is more restricted.
MOST = {UNIT.name: 5, NGINX.name: 7}
AT_MOST = {path.name: MOST.get(path.name, 15) for path in sorted(UNITS.glob("*.service"))}
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")


@dataclass
class Both:
    """The running server and nginx."""

    onion: Path  # nginx's socket, to which Tor leads reporters
    app: Path  # the server's socket
    started: tuple[subprocess.Popen[bytes], ...]

    def processes(self) -> list[int]:
        """Return the processes of both, in starting order."""
        found = [one.pid for one in self.started]
        for pid in found:
            found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return found


@contextmanager
def both(
    folder: Path, state: Path, system: Path | None = None, under: Sequence[str] = (),
    shown: Mapping[str, Path] | None = None,
) -> Iterator[Both]:  # fmt: skip
    """Run the server behind nginx, each as its unit specifies, for the duration of the block.

    ``system`` and ``under``: as for ``tests.support.unit_file.started``. ``shown``: other paths
    that the server may read, and what they contain.
    """
    server, front, log = folder / "run-server", folder / "run-nginx", folder / "log"
    where = UNITS if system is None else system / "etc" / "systemd" / "system"
    for place, unit in ((server, where / UNIT.name), (front, where / NGINX.name)):
        place.mkdir(mode=0o750)
        if system is not None:
            os.chown(place, *owner(unit, system))
    with (
        started(where / UNIT.name, state, server, log, system, under, shown) as service,
        started(
            *(where / NGINX.name, None, front, log, system, under),
            shown={"/run/klankbord": server}, sockets=SOCKETS,
        ) as nginx,
    ):  # fmt: skip
        yield Both(front / "onion.sock", server / "app.sock", (service, nginx))
        assert (service.poll(), nginx.poll()) == (None, None), log.read_text()
    assert (service.returncode, nginx.returncode) == (0, 0), log.read_text()
    shutil.rmtree(server)
    shutil.rmtree(front)


@needs_systemd
@pytest.mark.parametrize("name", AT_MOST)
def test_each_unit_has_the_specified_sandbox(name: str, tmp_path: Path) -> None:
    shutil.copy(UNITS / name, tmp_path)  # without drop-ins from elsewhere
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={AT_MOST[name]}",
         tmp_path / name],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "SAFE" in done.stdout or "OK" in done.stdout


@needs_systemd
@pytest.mark.parametrize("name", [*AT_MOST, *(path.name for path in sorted(UNITS.glob("*.timer")))])
def test_systemd_accepts_every_line_of_the_units(name: str, tmp_path: Path) -> None:
    """A timer is checked together with its service."""
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
    # It may report faults of the machine's own units, but none of this one.
    assert done.returncode == 0, done.stderr
    assert "klankbord" not in done.stderr


def test_server_unit_uses_its_own_folder_and_socket() -> None:
    (line,) = values(UNIT, "ExecStart")
    assert f"--dir {values(UNIT, 'ReadWritePaths')[0]} " in line
    place = f"unix:/run/{values(UNIT, 'RuntimeDirectory')[0]}/app.sock"
    assert line.endswith(f"--bind {place}")
    assert f"server {place} " in (ETC / "klankbord" / "nginx" / "app.conf").read_text("utf-8")


def test_each_socket_is_accessible_to_one_program_only() -> None:
    """The server's socket folder is for nginx, and the folder of nginx's sockets is for Tor."""
    tor = UNITS / "tor@default.service.d" / "klankbord.conf"
    for unit in (UNIT, NGINX):
        assert values(unit, "RuntimeDirectoryMode") == ["0750"]
    assert values(UNIT, "Group") == values(NGINX, "SupplementaryGroups") == ["klankbord-nginx"]
    assert values(NGINX, "Group") == values(tor, "SupplementaryGroups") == ["klankbord-tor"]
    assert values(NGINX, "User") == ["klankbord-nginx"]
    for name in SOCKETS:
        way = (ETC / "klankbord" / "nginx" / "ways" / name).with_suffix(".conf")
        assert f"listen unix:/run/{values(NGINX, 'RuntimeDirectory')[0]}/{name} " in way.read_text()


@as_a_service
def test_report_is_stored_and_answered_in_the_sandbox(
    tmp_path: Path,
    mould: tuple[Path, int],
) -> None:
    state = tmp_path / "state"
    shutil.copytree(mould[0] / "server", state)
    with both(tmp_path, state) as served:
        assert stat.S_IMODE(served.app.stat().st_mode) == 0o660
        browser = CircuitBrowser(f"http://127.0.0.1:{mould[1]}", served.onion, 7)
        code = tell(browser, "nl", "Een verhaal onder systemd.").code
        page = come_back(browser, "nl", code)
        assert page.path == "/nl/conversation"
        page = browser.get("/nl/files")
        sent = browser.upload(page, page.form_with("files"), [("een.txt", b"x" * 300_000)])
        assert (sent.status, sent.path) == (200, "/nl/conversation?sent=1")
    said = (tmp_path / "log").read_text().splitlines()
    assert said == ["Serving on unix:/run/klankbord/app.sock; Ctrl-C ends it."]


@as_a_service
def test_backup_runs_in_its_own_sandbox(
    tmp_path: Path,
    mould: tuple[Path, int],
) -> None:
    """The backup sees only the server's folder, and opens the database as the server left it."""
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
def test_reload_command_can_signal_the_service_from_its_sandbox(tmp_path: Path) -> None:
    """systemd runs the reload command under the service's restrictions."""
    state, served = tmp_path / "state", tmp_path / "run"
    state.mkdir()
    served.mkdir()
    check, line = values(UNIT, "ExecReload")
    assert check.endswith("/klankbord-server --dir /var/lib/klankbord site check --settings")
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


def test_backup_runs_daily_at_a_fixed_hour_if_there_is_a_key() -> None:
    (state,) = values(BACKUP, "ReadWritePaths")
    assert values(BACKUP, "ConditionPathExists") == [f"{state}/{directory.KEY}"]
    timer = BACKUP.with_suffix(".timer")
    assert values(timer, "OnCalendar") == ["*-*-* 03:30:00 UTC"]
    assert values(timer, "AccuracySec") == ["1s"]
    # Both use the same folder and the same account.
    for key in ("User", "ReadWritePaths", "UMask"):
        assert values(BACKUP, key) == values(UNIT, key)


# What an attacker could try to make nginx do with a request body, and nginx cannot do.
@as_a_service
@pytest.mark.parametrize(
    ("attempt", "wanted"),
    [
        ("import socket; socket.socket(socket.AF_INET)", "not supported"),
        ("open('/etc/klankbord/nginx/temp/0000000001', 'x')", "Read-only"),
        ("open('/var/lib/nginx.x', 'x')", "Read-only"),
        ("open('/run/klankbord/x', 'x')", "Read-only"),
        ("import os; os.chroot('/')", ""),
    ],
)
def test_nginx_has_no_network_access_and_cannot_write_files(
    tmp_path: Path, attempt: str, wanted: str
) -> None:
    for name in ("server", "front"):
        (tmp_path / name).mkdir()
    python = "/opt/klankbord/current/bin/python"
    with filtered(NGINX) as program:
        done = subprocess.run(
            command(NGINX, None, tmp_path / "front",
                    ["--seccomp", str(program), python, "-c", attempt],
                    shown={"/run/klankbord": tmp_path / "server"}),
            pass_fds=[program], capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == (1 if wanted else 128 + signal.SIGSYS)
    assert wanted in done.stderr


@needs_systemd
def test_nginx_unit_with_a_domain_may_bind_privileged_ports(tmp_path: Path) -> None:
    unit = merged(NGINX, NGINX.with_name(f"{NGINX.name}.d") / "domain.conf", tmp_path)
    for words in (["security", "--offline=true", "--threshold=17"], ["verify"]):
        done = subprocess.run(
            ["systemd-analyze", *words, unit], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "klankbord" not in done.stderr
    for key in ("CapabilityBoundingSet", "AmbientCapabilities"):
        assert values(unit, key) == ["CAP_NET_BIND_SERVICE"]
        assert values(NGINX, key) == [""]
    assert values(NGINX, "RestrictAddressFamilies") == ["AF_UNIX"]


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
def test_service_is_denied_forbidden_operations(tmp_path: Path, attempt: str, wanted: str) -> None:
    """This proves the test above: a program under the same restrictions tries each operation."""
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
    else:  # killed by the system during the operation
        assert done.returncode == 128 + signal.SIGSYS
        assert done.stderr == ""
