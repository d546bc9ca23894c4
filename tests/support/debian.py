"""Fresh Debian systems for installer tests, each in a folder, made by debootstrap.

Commands run inside by chroot in separate namespaces. systemd does not run there, so tests cannot
check whether services start at boot, or anything that only systemd enforces.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.drop_box import ROOT

# apt's messages if a download failed, which is not a fault of the tested code.
NO_MIRROR = "Failed to fetch|Unable to fetch|Could not resolve|Could not connect"
PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
NAMES = ("--name", "Voorbeeld BV", "--run-by", "Stichting Voorbeeld")
ENTER = """
set -e
mount --make-rprivate /
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mkdir -p "$1/src" "$1/wheels"
mount --bind -o ro "$2" "$1/src"
mount --bind -o ro "$3" "$1/wheels"
where=$1; shift 3
exec chroot "$where" /usr/bin/env -i HOME=/root PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels \\
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
"""


class Debian:
    """A complete system in a folder."""

    def __init__(self, folder: Path, suite: str) -> None:
        self.folder = folder
        self.suite = suite
        self.wheels = folder.with_name("wheels")
        self.source = ROOT

    def make(self) -> None:
        self.wheels.mkdir()
        debootstrap(self.suite, self.folder)
        # Nobody needs this system after a power cut, so dpkg need not wait for the disk.
        (self.folder / "etc" / "dpkg" / "dpkg.cfg.d" / "fast").write_text("force-unsafe-io\n")
        sources = self.folder / "etc" / "apt" / "sources.list"
        line = sources.read_text().split("\n")[0]
        if self.suite == "bookworm":  # whose tor is too old without its security updates
            main = line.split()[1]
            security = re.sub(r"/debian/?$", "/debian-security", main)
            line += f"\ndeb {security} {self.suite}-security main\n"
        sources.write_text(line)
        # Settings with which this machine reaches Debian's packages, if it needs any.
        for name in Path("/etc/apt/apt.conf.d").glob("*"):
            if re.search(r"^Acquire::", name.read_text(), re.MULTILINE):
                shutil.copy(name, self.folder / "etc" / "apt" / "apt.conf.d")
        shutil.copy("/etc/resolv.conf", self.folder / "etc" / "resolv.conf")
        self.enter("apt-get", "update", "-qq")
        self.enter("apt-get", "install", "-qq", "--yes", "--no-install-recommends", "python3")
        self.fetch(self.source)

    def fetch(self, source: Path) -> None:
        """Download the packages that this version of the program needs."""
        run_long(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary", ":all:", "--python-version", PYTHON[self.suite]),
            *("-r", source / "requirements" / "server.txt", "-d", self.wheels),
        )

    def entering(self) -> list[str | Path]:
        """Return the prefix of a command that runs inside."""
        return [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "sh"),
            *(self.folder, self.source, self.wheels),
        ]

    def enter(self, *command: str | Path, check: bool = True) -> str:
        done = subprocess.run(
            [*self.entering(), *command],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode and re.search(NO_MIRROR, done.stdout + done.stderr):
            pytest.skip("Debian's packages cannot be had now")
        if check:
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def install(self, *more: str) -> str:
        return self.enter(
            *("/src/deploy/install", *NAMES),
            *("--other-contact", "Kim Bos", "030 765 43 21"),
            *(() if "--domain" in more else ("--domain", "")),
            *more,
        )

    def path(self, inside: str) -> Path:
        return self.folder / inside.lstrip("/")

    def release(self) -> str:
        return os.readlink(self.path("/opt/klankbord/current"))

    def all_files(self) -> set[str]:
        """Return every file in the places where an installation could leave something."""
        places = ("etc", "opt", "usr/local", "var/lib", "run", "srv", "root")
        return {
            str(path.relative_to(self.folder))
            for place in places
            for path in (self.folder / place).rglob("*")
        }


def debootstrap(suite: str, folder: Path) -> None:
    """Run debootstrap in its own mount namespace, because it may leave a mount behind."""
    private = ("unshare", "--mount", "--propagation", "private")
    subprocess.run(
        [*private, "debootstrap", "--variant=minbase", suite, folder],
        capture_output=True, text=True, check=True, timeout=900,
    )  # fmt: skip


def run_long(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


@contextmanager
def made(suite: str) -> Iterator[Debian]:
    """Yield a fresh system; skip if none is available now."""
    # Not in pytest's own folder, which no other account may enter.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o711)
        system = Debian(Path(folder) / "system", suite)
        try:
            system.make()
        except subprocess.SubprocessError as error:
            pytest.skip(f"no Debian can be made now: {error.args}")
        yield system
