"""An upgrade ends with the new release or the previous one serving, whatever interrupts it.

The server, its data and minisign are real. Shell scripts replace systemctl and ``deploy/install``,
which the installer's tests run.
"""

import contextlib
import errno
import io
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from dropbox_app.protocol.release_signature import BadRelease
from dropbox_app.server.cli import main
from dropbox_app.server.release.upgrade import Machine, Upgrade, UpgradeError
from tests.support.processes import until
from tests.support.releases import Signer

pytestmark = [
    pytest.mark.skipif(not shutil.which("minisign"), reason="needs Debian's minisign"),
    pytest.mark.slow,
]

SYSTEMCTL = """#!/bin/sh
if [ -f {top}/pid ]; then
    pid=$(cat {top}/pid)
    kill $pid 2>/dev/null
    while kill -0 $pid 2>/dev/null && ! grep -q '^State:.Z' /proc/$pid/status; do sleep 0.05; done
    rm {top}/pid
fi
[ "$1" = stop ] && exit 0
setsid {top}/program/current/bin/klankbord-server --dir {top}/data \\
    serve --bind unix:{top}/app.sock --workers 1 </dev/null >{top}/log 2>&1 &
echo $! > {top}/pid
"""
INSTALL = """#!/bin/sh
set -e
place={top}/program/releases/{name}
mkdir -p $place/bin $place/source/deploy
here=$(cd "$(dirname "$0")" && pwd)
[ "$here" = $place/source/deploy ] || cp "$0" $place/source/deploy/install
/usr/bin/printf '#!/bin/sh\\nexec {python} "$@"\\n' > $place/bin/python
/usr/bin/printf '%s\\n' '#!/bin/sh' '{before}' 'exec {server} "$@"' > $place/bin/klankbord-server
chmod +x $place/bin/*
echo $place
[ "$1" = --prepare ] && exit 0
ln -sfn $place {top}/program/current
exec {top}/systemctl restart klankbord
"""
FAILS = 'case "$*" in *serve*) exit 1;; esac'

# A newer program that migrates the database and then fails to serve.
LATER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
kept = database.execute("SELECT * FROM _sqlite_migrations LIMIT 1")
names = [column[0] for column in kept.description]
later = {**dict(zip(names, kept.fetchone())), "id": 999, "name": "m999_later"}
row = [later[name] for name in names]
database.execute("INSERT INTO _sqlite_migrations VALUES (" + ", ".join("?" * len(row)) + ")", row)
database.commit()
"""


class Installed:
    """A running server of version 0.1.0, and releases for it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.signer = Signer(top / "key")
        self.said: list[str] = []
        self.machine = Machine(
            program=top / "program", data=top / "data", key=self.signer.public,
            socket=top / "app.sock", account=None, systemctl=(str(top / "systemctl"),),
            patience=20,
        )  # fmt: skip
        runner = CliRunner()
        words = ["--dir", str(top / "data")]
        made = ["init", "--name", "A", "--origin", "https://box.example.org"]
        assert runner.invoke(main.main, [*words, *made]).exit_code == 0
        assert runner.invoke(main.main, [*words, "backup-key"]).exit_code == 0
        (top / "systemctl").write_text(SYSTEMCTL.format(top=top))
        (top / "systemctl").chmod(0o755)
        first = top / "first"
        first.write_text(self.installer("old"))
        first.chmod(0o755)
        subprocess.run([first], check=True, stdout=subprocess.DEVNULL)

    def installer(self, name: str, before: str = ":") -> str:
        server = Path(sys.executable).with_name("klankbord-server")
        return INSTALL.format(
            top=self.top, name=name, python=sys.executable, server=server, before=before
        )

    def release(
        self, version: str = "0.2.0", before: str = ":", link: str = "", installer: str = ""
    ) -> Path:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            text = (installer or self.installer("new", before)).encode()
            entry = tarfile.TarInfo(f"klankbord-{version}/deploy/install")
            entry.size, entry.mode = len(text), 0o755
            archive.addfile(entry, io.BytesIO(text))
            if link:
                more = tarfile.TarInfo(f"klankbord-{version}/x")
                more.type, more.linkname = tarfile.SYMTYPE, link
                archive.addfile(more)
        files = {f"klankbord-{version}.tar.gz": packed.getvalue()}
        return self.signer.release(self.top / f"release-{version}", files)

    def upgrade(self, release: Path) -> str:
        return Upgrade(self.machine, "0.1.0", self.said.append).run(release)

    @property
    def current(self) -> str:
        return Path(os.readlink(self.top / "program" / "current")).name

    def serves(self) -> bool:
        """Return whether the first page is served."""
        asked = "GET / HTTP/1.0\r\nHost: box.example.org\r\nX-Klankbord-Way: domain\r\n\r\n"
        with socket.socket(socket.AF_UNIX) as end, contextlib.suppress(OSError):
            end.connect(str(self.machine.socket))
            end.sendall(asked.encode())
            return end.recv(12)[9:10] in (b"2", b"3")
        return False

    def is_clean(self) -> bool:
        """Return whether no note, work folder or database copy is left."""
        left = {path.name for path in (self.top / "program").iterdir()} - {"current", "releases"}
        return not left and not list((self.top / "data").rglob(".before-upgrade*"))


def hurried(machine: Machine) -> Machine:
    """Return the machine with a server that has only a few seconds to respond."""
    return Machine(**{**vars(machine), "patience": 4.0})


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    made = Installed(tmp_path)
    yield made
    subprocess.run([tmp_path / "systemctl", "stop"], check=True)


def test_newer_release_is_installed_after_a_backup_and_each_step_is_announced(
    installed: Installed,
) -> None:
    assert installed.upgrade(installed.release()) == "0.2.0"
    assert installed.current == "new"
    assert installed.is_clean()
    assert list((installed.top / "data" / "backups").glob("klankbord-*.age"))
    assert [line[:2] for line in installed.said if line[0] != " "] == [f"{n}." for n in range(1, 7)]


def test_older_unsigned_or_malformed_release_changes_nothing(
    installed: Installed,
) -> None:
    before = os.readlink(installed.top / "program" / "current")
    other = Signer(installed.top / "other")
    strange = installed.release("0.3.0")
    shutil.copy(other.release(installed.top / "x", {"a": b""}) / "SHA256SUMS.minisig", strange)
    flipped = installed.release("0.4.0")
    with (flipped / "klankbord-0.4.0.tar.gz").open("ab") as file:
        file.write(b"x")
    for release, said in (
        (installed.release("0.1.0"), "0.1.0 is installed"),
        (installed.release("0.0.9"), "0.1.0 is installed"),
        (strange, "another key"),
        (flipped, "not what was signed"),
        (installed.release("0.5.0", link="/etc/passwd"), "no file"),
    ):
        with pytest.raises((UpgradeError, BadRelease), match=said):
            installed.upgrade(release)
        assert os.readlink(installed.top / "program" / "current") == before
        assert installed.is_clean()
    assert not (installed.top / "program" / "releases" / "new").exists()
    assert not (installed.top / "data" / "backups").exists()


def test_upgrade_advice_depends_only_on_the_exit_status_of_the_installer(
    installed: Installed,
) -> None:
    """An installer's output is written for people, and names folders and files."""
    failing = "#!/bin/sh\necho '{}' >&2\nexit {}\n"
    for number, (words, status, advice) in enumerate(
        (
            ("read-only.conf: no space left in the list, which is full", 1, "Repair that,"),
            ("geen ruimte meer", errno.ENOSPC, "Make room on that disk,"),
            ("over the quota", errno.EDQUOT, "Make room on that disk,"),
            ("alleen-lezen", errno.EROFS, "Let that disk take writes,"),
        )
    ):
        release = installed.release(f"0.{number + 2}.0", installer=failing.format(words, status))
        with pytest.raises(UpgradeError) as refused:
            installed.upgrade(release)
        assert f"{words}. Nothing that serves was changed. {advice}" in str(refused.value)
    assert installed.current == "old"
    assert installed.is_clean()


@pytest.mark.long
def test_upgrade_is_rolled_back_if_the_new_server_does_not_respond(installed: Installed) -> None:
    installed.machine = hurried(installed.machine)
    with pytest.raises(UpgradeError, match="serves again"):
        installed.upgrade(installed.release(before=FAILS))
    assert installed.current == "old"
    assert installed.is_clean()


def test_database_is_restored_when_an_upgrade_fails_after_the_migration(
    installed: Installed,
) -> None:
    """The newer program migrated the database before it failed."""
    installed.machine = hurried(installed.machine)
    database = installed.top / "data" / "klankbord.db"
    migrate = installed.top / "migrate.py"
    migrate.write_text(LATER)
    before = f'case "$*" in *serve*) {sys.executable} {migrate} {database}; exit 1;; esac'
    with pytest.raises(UpgradeError, match="serves again"):
        installed.upgrade(installed.release(before=before))
    assert installed.current == "old"
    assert installed.is_clean()
    with closing(sqlite3.connect(database)) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM _sqlite_migrations")]
    assert "m999_later" not in names


KILLED = """
import os, signal, sys
from pathlib import Path
from dropbox_app.server.release.upgrade import Machine, Upgrade
top, release, last = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
machine = Machine(program=top / "program", data=top / "data", key=top / "key" / "release.pub",
    socket=top / "app.sock", account=None, systemctl=(str(top / "systemctl"),), patience=20)
def say(line):
    if line.startswith(last):
        os.kill(os.getpid(), signal.SIGKILL)
Upgrade(machine, "0.1.0", say).run(release)
"""


def _killed_and_again(installed: Installed, last: str) -> None:
    release = installed.release()
    done = subprocess.run([sys.executable, "-c", KILLED, installed.top, release, last], check=False)
    assert done.returncode == -signal.SIGKILL
    try:
        installed.upgrade(release)
    except UpgradeError as error:
        assert "undone" in str(error)  # noqa: PT017 - one of two valid outcomes
        assert installed.current == "old"
        assert installed.is_clean()
        installed.upgrade(release)
    assert installed.current == "new"
    assert installed.is_clean()


def test_after_a_kill_during_the_switch_the_next_run_rolls_the_upgrade_back_first(
    installed: Installed,
) -> None:
    _killed_and_again(installed, "6.")


@pytest.mark.long
@pytest.mark.parametrize(
    "last",
    [
        *("3.", "5.", "   Yes"),
        *(pytest.param(last, marks=pytest.mark.spare) for last in ("1.", "   0.2.0", "2.", "4.")),
    ],
)
def test_after_a_kill_at_any_step_the_next_run_completes_the_upgrade_or_rolls_it_back(
    installed: Installed, last: str
) -> None:
    _killed_and_again(installed, last)


CUT = """
import os, signal, subprocess, sys
from pathlib import Path
from dropbox_app.server.release.upgrade import Machine, Upgrade
top, release, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
machine = Machine(program=top / "program", data=top / "data", key=top / "key" / "release.pub",
    socket=top / "app.sock", account=None, systemctl=(str(top / "systemctl"),), patience=20)
switching, run = False, subprocess.run
def say(line):
    global switching
    switching = switching or line.startswith("5.")
def counted(*words, **more):
    global left
    left -= switching
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(*words, **more)
subprocess.run = counted
Upgrade(machine, "0.1.0", say).run(release)
"""
COMMANDS = 6  # more than the switch runs; after the last one it is complete


@pytest.mark.parametrize(
    "done", [pytest.param(n, marks=[] if n == 3 else pytest.mark.long) for n in range(COMMANDS)]
)
def test_power_cut_during_the_switch_leaves_a_working_program(
    installed: Installed, done: int
) -> None:
    """The machine starts the installed program; the next call completes or rolls back."""
    release = installed.release()
    words = [sys.executable, "-c", CUT, str(installed.top), str(release), str(done)]
    ended = subprocess.run(words, check=False)
    if ended.returncode == 0:
        assert installed.current == "new"
        assert installed.is_clean()
        return
    assert ended.returncode == -signal.SIGKILL
    subprocess.run([installed.top / "systemctl", "start"], check=True)  # as at the next boot
    until(installed.serves, "nothing serves after the start")
    try:
        installed.upgrade(release)
    except UpgradeError as error:
        assert "serves again" in str(error)  # noqa: PT017 - one of two valid outcomes
        assert installed.current == "old"
        installed.upgrade(release)
    assert installed.current == "new"
    assert installed.is_clean()
