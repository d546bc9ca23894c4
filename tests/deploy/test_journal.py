"""The machine never logs its programs' output to disk, and keeps the logs briefly."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.unit_file import ETC, UNITS, values

DROP_IN = ETC / "systemd" / "journald.conf.d" / "klankbord.conf"
JOURNALD = Path("/lib/systemd/systemd-journald")
PLACES = {"memory": "/run/log/journal", "disk": "/var/log/journal"}
SAID = "OperationalError in store.py, line 12"
# systemd's journal as started on a machine, and another log program that listens like Debian's
# rsyslog. One line is logged, and then searched for.
_SCRIPT = """
import json, os, socket, subprocess, sys, time
journald, said, places = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
os.makedirs("/run/systemd/journal")
open("/run/systemd/journal/flushed", "x").close()  # a disk to keep it on would be there
other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
other.bind("/run/systemd/journal/syslog")
journal = subprocess.Popen([journald])
for name in ("dev-log", "io.systemd.journal"):  # for programs, and for journalctl
    while not os.path.exists("/run/systemd/journal/" + name):
        time.sleep(0.02)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as program:
    program.connect("/run/systemd/journal/dev-log")
    program.send(b"<14>" + said.encode())
subprocess.run(["journalctl", "--sync"], check=True)
found = []
for name, place in places.items():
    shown = subprocess.run(
        ["journalctl", "--directory", place, "--output", "cat"], capture_output=True, text=True
    ).stdout
    found += [name] if said in shown else []
other.setblocking(False)
try:
    while True:
        found += ["another program"] if said.encode() in other.recv(9999) else []
except BlockingIOError:
    pass
print(json.dumps(found))
journal.terminate()
journal.wait()
"""
real = pytest.mark.skipif(
    not (
        shutil.which("bwrap")
        and JOURNALD.is_file()
        and Path(PLACES["disk"]).is_dir()
        and Path("/etc/machine-id").is_file()
    ),
    reason="needs bubblewrap and systemd's journal",
)


def where_a_line_stays(folder: Path, *, settings: bool) -> set[str]:
    """Return where a log line goes: memory, disk, or another program."""
    system, kept = folder / "systemd", folder / "journal"
    kept.mkdir(parents=True)
    shutil.copytree("/etc/systemd", system, ignore=lambda *_: ["system", "user"])
    if settings:
        (system / "journald.conf.d").mkdir(exist_ok=True)
        shutil.copy(DROP_IN, system / "journald.conf.d")
    done = subprocess.run(
        ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev",
         "--proc", "/proc", "--tmpfs", "/run", "--bind", kept, PLACES["disk"],
         "--ro-bind", system, "/etc/systemd", "/usr/bin/python3", "-c", _SCRIPT,
         JOURNALD, SAID, json.dumps(PLACES)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@real
def test_time_of_a_fault_is_not_written_to_disk_or_sent_to_another_program(tmp_path: Path) -> None:
    """The journal adds a time to each line, and Debian's default writes it to disk."""
    as_debian = where_a_line_stays(tmp_path / "debian", settings=False)
    assert as_debian == {"disk", "another program"}
    assert where_a_line_stays(tmp_path / "ours", settings=True) == {"memory"}


def test_journal_entries_expire_after_about_a_day() -> None:
    assert values(DROP_IN, "MaxRetentionSec") == ["1day"]
    assert values(DROP_IN, "MaxFileSec") == ["12h"]  # logs are removed one complete file at a time


@pytest.mark.parametrize("program", ["tor", "nginx"])
def test_no_program_writes_logs_that_logrotate_would_keep(program: str) -> None:
    """Debian's logrotate rules keep logs for weeks, so nothing may be logged there."""
    rule = Path("/etc/logrotate.d") / program
    rotated = (
        re.findall(r"^(/\S+)/[^/\s]+", rule.read_text(), re.MULTILINE) if rule.exists() else []
    )
    assert set(rotated) <= {f"/var/log/{program}"}
    unit = {
        "tor": UNITS / "tor@default.service.d" / "klankbord.conf",
        "nginx": UNITS / "klankbord-nginx.service",
    }[program]
    assert values(unit, "ProtectSystem") == ["strict"]  # the program could not write there
    written = [place for place in values(unit, "ReadWritePaths") if place]
    assert written == (["/var/lib/tor"] if program == "tor" else [])
    folder = {"tor": ETC / "tor", "nginx": ETC / "klankbord" / "nginx"}[program]
    settings = "\n".join(path.read_text("utf-8") for path in folder.rglob("*") if path.is_file())
    assert f"/var/log/{program}" not in settings
    targets = re.findall(r"^\s*(?:Log|error_log|access_log)\s+(.*?);?$", settings, re.MULTILINE)
    assert set(targets) <= {"warn syslog", "stderr emerg", "off"}
    assert targets
