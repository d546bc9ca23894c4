"""A whole machine in a folder: a real server's folder, and programs with scripted output.

The output was recorded on Debian 12 with the project's units: systemd 252, nginx 1.22, tor 0.4.9
and util-linux 2.38. Everything that ``doctor`` checks is present and in order; a test then breaks
one thing.
"""

import dataclasses
import datetime
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dropbox_app.server.cli import common, main
from dropbox_app.server.config import settings, settings_writer
from dropbox_app.server.doctor import machine
from dropbox_app.server.doctor.checks import examine
from dropbox_app.server.doctor.finding import Finding
from tests.support.other_account import let_others_through, typed
from tests.support.server_folder import ANNA, BRAM, DAY, AServer, file

RECORDED = Path(__file__).with_name("recorded")
ONION = "b" * 56 + ".onion"
DOMAIN = "box.example.org"
READ = settings.Law(read_by="B. de Wit", read_on=DAY)
OTHER = 65534  # another account's id, for tests that may change a file's owner

CHECKED = f"""compiled = {DAY}

[[referral]]
name = "Klachtencommissie"
topics = ["bullying"]
nl = "Een officiële klacht."
en = "An official complaint."
phone = "030 111 22 33"
checked = {DAY}
"""

# The output of the machine's programs, in files that tests can change.
ANSWERS = "answers"
UNIT = f"{ANSWERS}/units/klankbord.service"
NGINX_UNIT = f"{ANSWERS}/units/klankbord-nginx.service"
TOR_UNIT = f"{ANSWERS}/units/tor@default.service"
NGINX = f"{ANSWERS}/nginx"
TOR = f"{ANSWERS}/tor"
KEYS = "var/lib/tor/klankbord-box"

# Each program prints the file that matches its arguments.
PRINTS = """#!/bin/sh
here="${0%/*}/../../answers"
for last; do :; done
case "${0##*/} $*" in
    getent*) exec cat "$here/getent-$1" ;;
    setpriv*) exec cat "$here/nginx" ;;
    *--verify-config) exit 0 ;;
    findmnt*--fstab*) [ -s "$here/fstab" ] && exec cat "$here/fstab"; exit 1 ;;
    lsblk*) exec cat "$here/lsblk-${last##*/}" ;;
    systemd-analyze*) exec cat "$here/journald.conf" ;;
    systemctl*) ;;
    *) exec cat "$here/${0##*/}" ;;
esac
while [ "$1" != -- ]; do shift; done
shift
for name; do
    cat "$here/units/$name" 2>/dev/null ||
        printf 'Id=%s\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n' "$name"
    echo
done
"""
PROGRAMS = ("systemctl", "systemd-analyze", "setpriv", "tor", "findmnt", "lsblk", "swapon",
            "getent", "dpkg-query", "openssl")  # fmt: skip


class AMachine:
    """A machine in a folder. ``day`` is its clock's date."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.day = DAY

    @property
    def server(self) -> Path:
        return self.root / "var/lib/klankbord"

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, text: str, mode: int = 0o644, encoding: str = "utf-8") -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding)
        path.chmod(mode)

    def replace(self, name: str, old: str, new: str) -> None:
        text = self.path(name).read_text()
        assert old in text, name
        self.path(name).write_text(text.replace(old, new))

    def add(self, name: str, text: str) -> None:
        self.write(name, self.path(name).read_text() + text)

    def link(self, name: str, target: str) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)

    def dated(self, name: str, day: datetime.date) -> None:
        moment = datetime.datetime.combine(day, datetime.time(12), datetime.UTC).timestamp()
        os.utime(self.path(name), (moment, moment))

    def types(self, *words: str) -> Result:
        if words[0] == "doctor":
            return CliRunner().invoke(main.main, ["--dir", str(self.server), *words])
        return typed(main.main, ["--dir", str(self.server), *words])

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Give files made in the server's folder the server's modes and owner."""
        mask = os.umask(0o077)
        try:
            yield
        finally:
            os.umask(mask)
        if os.geteuid() == 0 and self.server.exists():
            for path in self.server.rglob("*"):
                os.chown(path, OTHER, OTHER)

    def examined(self) -> tuple[Finding, ...]:
        return examine(self.server, self.day, None, self.root)


def build(root: Path) -> None:
    """Build the sound machine."""
    let_others_through(root)
    made = AMachine(root)
    for folder in ("proc/sys/kernel", "etc", "var/lib", "run/systemd/system", "var/lib/apt/lists"):
        made.path(folder).mkdir(parents=True)
    _server(made)
    _system(made)
    _service(made)
    _tor(made)
    for name in ("var/lib/dpkg/status", "etc/passwd", "var/lib/apt/lists"):
        made.dated(name, DAY)


def _server(made: AMachine) -> None:
    server = AServer(made.server)
    origins = (f"http://{ONION}", f"https://{DOMAIN}", "http://localhost:8000")
    own = dataclasses.replace(
        server.site.settings, origins=origins, phone="030 123 45 67", hours="9-17", law=READ
    )
    (made.server / settings.FILE_NAME).write_text(settings_writer.write(own))
    made.write("var/lib/klankbord/content/referrals.toml", CHECKED, 0o600)
    (made.server / "content").chmod(0o700)
    server.report("one", (ANNA, BRAM))
    large = file(2, 1_500_000)
    server.put_file("one", large)
    server.reply("one", 1)
    server.report("two")
    server.withdraw("two", 2)
    server.fetch()
    server.fetch(BRAM)
    with server.store.writing():
        server.store.set_served(DAY)
    server.store.close()
    for command in ("backup-key", "backup"):
        done = made.types(command)
        assert done.exit_code == 0, done.output
    if os.geteuid() == 0:
        for path in (made.server, *made.server.rglob("*")):
            os.chown(path, OTHER, OTHER)


def _system(made: AMachine) -> None:
    shutil.copytree(RECORDED, made.path(ANSWERS))
    for name in PROGRAMS:
        made.write(f"usr/bin/{name}", PRINTS, 0o755)
    made.write("proc/sys/kernel/core_pattern", "core\n")
    made.write("etc/os-release", 'PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    made.write("var/lib/dpkg/status", "")
    number = made.server.stat().st_uid
    made.write("etc/passwd", "")
    made.write(
        f"{ANSWERS}/getent-passwd",
        "root:x:0:0:root:/root:/bin/bash\ndebian-tor:x:991:991::/var/lib/tor:/bin/false\n"
        f"klankbord:x:{number}:990::/var/lib/klankbord:/usr/sbin/nologin\n"
        "klankbord-nginx:x:989:989::/nonexistent:/usr/sbin/nologin\n",
    )
    for folder in ("root", "home", "tmp", "var/tmp"):
        made.path(folder).mkdir(exist_ok=True)


def _service(made: AMachine) -> None:
    made.write("etc/systemd/system/klankbord.service", "")
    made.write("opt/klankbord/releases/0.1.0-abc/klankbord-whole", "")
    made.write("opt/klankbord/releases/0.1.0-abc/bin/klankbord-server", "#!/bin/sh\n", 0o755)
    made.link("opt/klankbord/current", "releases/0.1.0-abc")
    made.write("usr/lib/systemd/systemd-journald", "")
    made.write("usr/local/bin/klankbord-server", "#!/bin/sh\n", 0o755)
    made.write("run/klankbord/app.sock", "", 0o660)
    made.path("run/klankbord").chmod(0o750)
    if os.geteuid() == 0:
        os.chown(made.path("run/klankbord"), -1, OTHER)
    group = made.path("run/klankbord").stat().st_gid
    made.write(
        f"{ANSWERS}/getent-group",
        f"klankbord:x:990:\nklankbord-nginx:x:{group}:\nklankbord-tor:x:988:\ndebian-tor:x:991:\n",
    )


def _tor(made: AMachine) -> None:
    made.write("etc/tor/torrc", "%include /etc/tor/torrc.d/*.conf\n")
    made.write(f"{KEYS}/hostname", ONION + "\n", 0o600)
    made.write(f"{KEYS}/hs_ed25519_secret_key", "== ed25519v1-secret: type0 ==", 0o600)
    made.path(KEYS).chmod(0o700)
    made.path("sys/module/apparmor").mkdir(parents=True)
    made.write("etc/apparmor.d/system_tor", "")
    folder = "/run/klankbord-nginx"
    lines = f"  {folder}/onion.sock rw,\n  {folder}/desks.sock rw,\n"
    made.write("etc/apparmor.d/local/system_tor", lines)


def with_desks(made: AMachine, let_in: str) -> None:
    """Add an onion address that only clients with a key can reach."""
    made.add(TOR, made.path(f"{ANSWERS}/tor-desks").read_text())
    folder = "var/lib/tor/klankbord-desks"
    made.write(f"{folder}/hostname", "e" * 56 + ".onion\n", 0o600)
    made.write(f"{folder}/hs_ed25519_secret_key", "== ed25519v1-secret: type0 ==", 0o600)
    made.write(f"{folder}/authorized_clients/{let_in}", "descriptor:x25519:X\n", 0o600)
    made.path(folder).chmod(0o700)


def copied(source: Path, target: Path) -> AMachine:
    """Return a copy of the machine, with owners, modes and times."""
    let_others_through(target)
    subprocess.run(["cp", "-a", source, target], check=True)
    return AMachine(target)


def sound(folder: Path) -> Iterator[Path]:
    """Yield the sound machine, built once, with the clock set to its date."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "today", lambda: DAY)
        patch.setattr(machine, "ROOT", folder / "sound")
        (folder / "sound").mkdir()
        build(folder / "sound")
        yield folder / "sound"
