"""A whole machine as a folder: a real server's folder in it, and around it the project's own files.

Everything that ``doctor`` looks at is there and in order; a test then breaks one thing.
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
from dropbox_app.server.config import settings
from dropbox_app.server.doctor import machine
from dropbox_app.server.doctor.checks import examine
from dropbox_app.server.doctor.finding import Finding
from tests.support.server_folder import ANNA, BRAM, DAY, AServer, file

DEPLOY = Path(__file__).parents[3] / "deploy"
ONION = "b" * 56 + ".onion"
DOMAIN = "box.example.org"
OTHER = 65534  # an account's number, for who may give files away
DISK = "253:1"

NGINX = "etc/nginx/nginx.conf"
CADDY = "etc/caddy/Caddyfile"
TORRC = "etc/tor/torrc"
OWN_TOR = "etc/tor/torrc.d/klankbord.conf"
BOX = "etc/tor/torrc.d/klankbord-box.conf"
UNIT = "etc/systemd/system/klankbord.service"
STARTED = "etc/systemd/system/multi-user.target.wants/klankbord.service"
KEYS = "var/lib/tor/klankbord-box"


class AMachine:
    """One that is in a folder. ``day`` is what its clock says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.day = DAY

    @property
    def server(self) -> Path:
        return self.root / "var/lib/klankbord"

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
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
        return CliRunner().invoke(main.main, ["--dir", str(self.server), *words])

    @contextmanager
    def changing(self) -> Iterator[None]:
        """What is made in the server's folder is closed, and the account's, as the server does."""
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
    """Make the sound one."""
    made = AMachine(root)
    for folder in ("proc/sys/kernel", "etc", "var/lib", "run/systemd/system", "var/lib/apt/lists"):
        made.path(folder).mkdir(parents=True)
    _server(made)
    _system(made)
    _service(made)
    _tor(made)
    _caddy(made)
    for name in ("var/lib/dpkg/status", "etc/passwd", "var/lib/apt/lists"):
        made.dated(name, DAY)


def _server(made: AMachine) -> None:
    server = AServer(made.server)
    origins = (f"http://{ONION}", f"https://{DOMAIN}", "http://localhost:8000")
    own = dataclasses.replace(server.site.settings, origins=origins, phone="030 123 45 67")
    (made.server / settings.FILE_NAME).write_text(settings.write(own))
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
    made.write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1 0 5\n")
    made.write("proc/sys/kernel/core_pattern", "core\n")
    made.write("proc/self/mountinfo", f"22 1 {DISK} / / rw - ext4 /dev/mapper/root rw\n")
    made.write(f"sys/dev/block/{DISK}/dm/uuid", "LVM-abcdef\n")
    made.path(f"sys/dev/block/{DISK}/slaves/dm-0").mkdir(parents=True)
    made.write("sys/class/block/dm-0/dm/uuid", "CRYPT-LUKS2-abcdef-sda2_crypt\n")
    made.write("etc/fstab", "/dev/mapper/root / ext4 defaults 0 1\n")
    made.write("etc/os-release", 'PRETTY_NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    made.write(
        "var/lib/dpkg/status",
        "Package: tor\nStatus: install ok installed\nPriority: optional\nVersion: 0.4.9.11-1\n\n",
    )
    number = made.server.stat().st_uid
    made.write(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/bash\ndebian-tor:x:991:991::/var/lib/tor:/bin/false\n"
        f"klankbord:x:{number}:990::/var/lib/klankbord:/usr/sbin/nologin\n",
    )
    made.write("etc/group", "root:x:0:\nklankbord:x:990:debian-tor,caddy\n")
    for folder in ("root", "home", "tmp", "var/tmp"):
        made.path(folder).mkdir(exist_ok=True)
    made.link("etc/systemd/system/sysinit.target.wants/systemd-timesyncd.service", "../timesync")
    made.write("etc/systemd/system/timesync", "")


def _service(made: AMachine) -> None:
    for source in (DEPLOY / "etc" / "systemd").rglob("*"):
        if source.is_file():
            made.write(str(source.relative_to(DEPLOY)), source.read_text())
    made.link(STARTED, "../klankbord.service")
    made.write("opt/klankbord/releases/0.1.0-abc/klankbord-whole", "")
    made.write("opt/klankbord/releases/0.1.0-abc/bin/klankbord-server", "#!/bin/sh\n", 0o755)
    made.link("opt/klankbord/current", "releases/0.1.0-abc")
    made.write("usr/lib/systemd/systemd-journald", "")
    made.write("usr/local/bin/klankbord-server", "#!/bin/sh\n", 0o755)
    made.write("run/klankbord/box.sock", "", 0o660)
    made.path("run/klankbord").chmod(0o750)


def _tor(made: AMachine) -> None:
    made.write(TORRC, "%include /etc/tor/torrc.d/*.conf\n")
    made.write(OWN_TOR, (DEPLOY / "etc/tor/torrc.d/klankbord.conf").read_text())
    made.write(
        BOX,
        (DEPLOY / "etc/tor/torrc.d/klankbord-onion.conf.in").read_text().replace("@NAME@", "box"),
    )
    made.write("usr/share/tor/tor-service-defaults-torrc", "SocksPort 9050\nLog notice syslog\n")
    # As Debian's own, which the project's is added to.
    made.write("usr/lib/systemd/system/tor@default.service", "[Service]\nLimitNOFILE=65536\n")
    made.write(f"{KEYS}/hostname", ONION + "\n", 0o600)
    made.write(f"{KEYS}/hs_ed25519_secret_key", "== ed25519v1-secret: type0 ==", 0o600)
    made.path(KEYS).chmod(0o700)
    made.path("sys/module/apparmor").mkdir(parents=True)
    made.write("etc/apparmor.d/system_tor", "")
    lines = "  /run/klankbord/onion.sock rw,\n  /run/klankbord/desks.sock rw,\n"
    made.write("etc/apparmor.d/local/system_tor", lines)


def _caddy(made: AMachine) -> None:
    text = (DEPLOY / "caddy/Caddyfile").read_text()
    made.write(CADDY, text.replace("@DOMAIN@", DOMAIN).replace("@ONION@", ONION))
    made.write("usr/lib/systemd/system/caddy.service", "[Service]\nUser=caddy\n")


def with_nginx(made: AMachine) -> None:
    """The same machine, with the other web server."""
    text = (DEPLOY / "nginx/nginx.conf").read_text()
    shutil.rmtree(made.path("etc/caddy"))
    made.write(NGINX, text.replace("@DOMAIN@", DOMAIN).replace("@ONION@", ONION))
    made.write(
        "usr/lib/systemd/system/nginx.service",
        "[Service]\nLimitCORE=0\nMemorySwapMax=0\n",
    )


def with_desks(made: AMachine, let_in: str) -> None:
    """The same machine, with one more address, for those who have a key."""
    made.write(
        "etc/tor/torrc.d/klankbord-desks.conf",
        (DEPLOY / "etc/tor/torrc.d/klankbord-desks.conf.in").read_text().replace("@NAME@", "desks"),
    )
    folder = "var/lib/tor/klankbord-desks"
    made.write(f"{folder}/hostname", "e" * 56 + ".onion\n", 0o600)
    made.write(f"{folder}/hs_ed25519_secret_key", "== ed25519v1-secret: type0 ==", 0o600)
    made.write(f"{folder}/authorized_clients/{let_in}", "descriptor:x25519:X\n", 0o600)
    made.path(folder).chmod(0o700)


def copied(source: Path, target: Path) -> AMachine:
    """Another one of the same, with owners, modes and times."""
    subprocess.run(["cp", "-a", source, target], check=True)
    return AMachine(target)


def sound(folder: Path) -> Iterator[Path]:
    """The sound machine, built once, on its day."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "today", lambda: DAY)
        patch.setattr(machine, "ROOT", folder / "sound")
        (folder / "sound").mkdir()
        build(folder / "sound")
        yield folder / "sound"
