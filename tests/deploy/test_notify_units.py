"""The daily mail as services: two programs, each restricted to its half of the work."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dropbox_app.server.notify import config, sent_log, status_file
from tests.server.notify.conftest import Mailer, authority, mailer, provider, trusted  # noqa: F401 - fixtures
from tests.support.mail_server import MailServer
from tests.support.server_folder import AServer
from tests.support.unit_file import ROOT, UNITS, as_a_service, filtered, values

WORD, NOTIFY = UNITS / "klankbord-word.service", UNITS / "klankbord-notify.service"
TIMER = UNITS / "klankbord-notify.timer"
needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")


@needs_systemd
@pytest.mark.parametrize(("unit", "most"), [(WORD, 5), (NOTIFY, 15)])  # scores out of a hundred
def test_each_unit_has_the_specified_sandbox(unit: Path, most: int) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={most}", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@needs_systemd
def test_systemd_accepts_every_line_of_the_units(tmp_path: Path) -> None:
    program = tmp_path / "opt/klankbord/current/bin/klankbord-server"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in (WORD, NOTIFY, TIMER):
        text = unit.read_text("utf-8").replace("/opt/klankbord", f"{tmp_path}/opt/klankbord")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / unit.name for unit in (WORD, NOTIFY, TIMER))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "klankbord" not in done.stderr


def test_units_and_program_use_the_same_paths() -> None:
    assert [f"/var/lib/{one}" for one in values(WORD, "StateDirectory")] == [str(status_file.PLACE)]
    assert [f"/var/lib/{one}" for one in values(NOTIFY, "StateDirectory")] == [str(sent_log.PLACE)]
    assert values(WORD, "ExecStart")[0].endswith(" --dir /var/lib/klankbord word")
    assert values(NOTIFY, "ExecStart")[0].endswith("/klankbord-server notify")
    assert values(WORD, "User") + values(NOTIFY, "User") == ["klankbord", "klankbord-notify"]
    assert values(WORD, "Group") == values(NOTIFY, "Group") == ["klankbord-notify"]
    assert values(TIMER, "Unit") == [NOTIFY.name]


def test_database_unit_has_no_network_and_mail_unit_cannot_read_database() -> None:
    assert values(WORD, "PrivateNetwork") == ["yes"]
    assert values(WORD, "RestrictAddressFamilies") == ["none"]
    assert values(NOTIFY, "RestrictAddressFamilies") == ["AF_INET AF_INET6"]
    assert "-/var/lib/klankbord" in values(NOTIFY, "InaccessiblePaths")[0].split()


def inside(unit: Path, places: dict[str, Path], *program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in the unit's sandbox; return the result. ``places``: writable paths."""
    parts = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for place in ("/tmp", "/home", "/root", "/opt", "/run", "/var/lib", "/etc"):  # noqa: S108 - places that must be closed
        parts += ["--tmpfs", place]
    for path in (Path(sys.base_prefix), ROOT):
        parts += ["--ro-bind", str(path), str(path)]
    parts += ["--symlink", str(ROOT / ".venv"), "/opt/klankbord/current"]
    for name in ("hosts", "nsswitch.conf", "passwd", "group", "ld.so.cache"):
        parts += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for name, path in places.items():
        parts += ["--ro-bind" if name.startswith("/etc") else "--bind", str(path), name]
    shared = [] if values(unit, "PrivateNetwork") == ["yes"] else ["--share-net"]
    with filtered(unit) as rules:
        return subprocess.run(
            [
                *("bwrap", "--unshare-all", *shared, "--die-with-parent", "--new-session"),
                *("--uid", "990", "--gid", "990", *parts, "--remount-ro", "/var/lib"),
                *("--seccomp", str(rules), *program),
            ],
            env={"PATH": os.environ["PATH"], "SSL_CERT_FILE": "/etc/klankbord-notify/authority"},
            pass_fds=[rules], capture_output=True, text=True, check=False,
        )  # fmt: skip


@as_a_service
def test_one_unit_writes_the_statuses_and_another_mails_them(
    tmp_path: Path,
    mailer: Mailer,  # noqa: F811 - a fixture
    provider: MailServer,  # noqa: F811 - a fixture
) -> None:
    server = AServer(tmp_path / "server")
    server.store.close()
    shutil.copy(os.environ["SSL_CERT_FILE"], mailer.file.with_name("authority"))
    settings = tmp_path / "etc"
    settings.mkdir()
    row = '[[counsellor]]\ncards = ["anna"]\naddress = "a@home.example"\nlanguage = "en"\n'
    with provider:
        mailer.set_up(provider.port, counsellors=row)
        for path in (mailer.file, mailer.password, mailer.file.with_name("authority")):
            path.rename(settings / path.name)
        while True:
            day = datetime.datetime.now(datetime.UTC).date()
            put = inside(
                WORD,
                {"/var/lib/klankbord": server.folder, str(status_file.PLACE): mailer.words},
                *values(WORD, "ExecStart")[0].split(),
            )
            sent = inside(
                NOTIFY,
                {
                    str(status_file.PLACE): mailer.words,
                    str(sent_log.PLACE): mailer.state,
                    str(config.FILE.parent): settings,
                },
                *values(NOTIFY, "ExecStart")[0].split(),
            )
            if datetime.datetime.now(datetime.UTC).date() == day:
                break  # otherwise midnight passed between the two
    assert (put.returncode, put.stderr) == (0, "")
    assert (sent.returncode, sent.stderr) == (0, "")
    assert b"Please open your desk." in provider.taken[-1].raw
    assert sent_log.last(mailer.state) == day


@as_a_service
@pytest.mark.parametrize(
    ("unit", "attempt"),
    [
        (WORD, "import socket; socket.socket(socket.AF_INET)"),
        (WORD, "import socket; socket.socket(socket.AF_UNIX)"),
        (NOTIFY, "import socket; socket.socket(socket.AF_UNIX)"),
        (NOTIFY, "import socket; socket.socket(socket.AF_NETLINK)"),
    ],
)
def test_units_are_denied_forbidden_operations(unit: Path, attempt: str) -> None:
    done = inside(unit, {}, "/opt/klankbord/current/bin/python", "-c", attempt)
    assert done.returncode == 1
    assert "not supported" in done.stderr
