"""The installer's changes to a machine: each program and file is shown."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import NoReturn

PROGRAM = Path("/opt/klankbord")
CURRENT = PROGRAM / "current"
UNITS = Path("/etc/systemd/system")
DEPLOY = Path(__file__).resolve().parent.parent  # the folder with the templates
POLICY = Path("/usr/sbin/policy-rc.d")  # asked by Debian's packages before they start a service
BEGIN, END = "# klankbord: begin", "# klankbord: end"


def stop(sentence: str) -> NoReturn:
    sys.exit(f"deploy/install: {sentence}")


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class Machine:
    """Does what it is told and shows it; with ``dry`` it only shows."""

    def __init__(self, dry: bool) -> None:
        self.dry = dry
        self.systemd = Path("/run/systemd/system").is_dir()

    def run(self, *command: str | Path, given: str = "", source: Path | None = None) -> str:
        """Run a program, with ``given`` or a file as its input, and return what it printed.

        If it fails, its last words are shown and the installer ends.
        """
        done = self._done(command, given, source)
        if done is not None and done.returncode:
            stop("that failed, the lines above say why; nothing that was there before is lost")
        return done.stdout if done is not None else ""

    def show(self, *command: str | Path) -> None:
        """Run a program and show all that it says."""
        done = self._done(command, "")
        if done is not None and done.returncode:
            stop("that failed, the lines above say why; nothing that was there before is lost")
        if done is not None:
            say("\n".join(f"  {line}" for line in (done.stdout + done.stderr).splitlines()))

    def try_to_run(self, *command: str | Path) -> bool:
        """Run a program that may fail. Returns whether it did its work."""
        done = self._done(command, "")
        return done is None or done.returncode == 0

    def _done(
        self, command: Sequence[str | Path], given: str, source: Path | None = None
    ) -> subprocess.CompletedProcess[str] | None:
        """Run a program, and show its last lines if it failed. Returns None if it is only shown."""
        say("  $ " + shlex.join(str(part) for part in command))
        if self.dry:
            return None
        with source.open("rb") if source else nullcontext() as file:
            done = subprocess.run(
                [str(part) for part in command],
                cwd="/",
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
                **({"stdin": file} if file else {"input": given}),
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            sys.stderr.write("\n".join((done.stdout + done.stderr).splitlines()[-25:]) + "\n")
        return done

    def service(self, *words: str) -> None:
        """systemctl, where systemd runs."""
        if self.systemd or self.dry:
            self.run("systemctl", *words)
        else:
            say(f"  (systemd does not run here, so not done: systemctl {shlex.join(words)})")

    def write(self, path: Path, text: str, mode: int = 0o644) -> bool:
        """Put a whole file there. Returns whether it is another than before."""
        if path.is_file() and path.read_text("utf-8") == text:
            say(f"  {path} is as it should be")
            return False
        say(f"  writing {path}")
        if not self.dry:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            part = path.with_name(path.name + ".new")
            part.write_text(text, "utf-8")
            part.chmod(mode)
            part.replace(path)
        return True

    def block(self, path: Path, lines: Sequence[str]) -> bool:
        """Lines of our own at the end of somebody else's file; none takes them away again.

        Returns whether the file is another than before.
        """
        there = path.read_text("utf-8") if path.is_file() else ""
        rest = re.sub(rf"\n?{BEGIN}\n.*?{END}\n", "", there, flags=re.DOTALL)
        ours = "\n".join(["", BEGIN, *lines, END, ""]) if lines else ""
        return rest + ours != there and self.write(path, rest + ours)

    def ship(self, path: Path, mode: int = 0o644) -> bool:
        """Put the file there that deploy/etc/ holds for this place. True if it is another."""
        return self.write(path, shipped(path), mode)

    def mask(self, unit: str) -> None:
        """Let nothing start a unit of Debian's, also where no systemd runs to be asked for that."""
        path = UNITS / unit
        if path.is_symlink() or path.exists():
            return
        say(f"  masking {unit}")
        if not self.dry:
            path.symlink_to("/dev/null")
            self.service("daemon-reload")

    @contextmanager
    def nothing_starts(self) -> Iterator[None]:
        """Packages that are installed in this block start no service."""
        ours = not self.dry and not (POLICY.exists() or POLICY.is_symlink())
        if ours:
            POLICY.write_text("#!/bin/sh\nexit 101\n", "ascii")
            POLICY.chmod(0o755)
        try:
            yield
        finally:
            if ours:
                POLICY.unlink()

    def remove(self, *paths: Path) -> None:
        for path in paths:
            if path.exists() or path.is_symlink():
                say(f"  removing {path}")
                if not self.dry:
                    whole = path.is_dir() and not path.is_symlink()
                    shutil.rmtree(path) if whole else path.unlink()

    def remove_empty(self, folder: Path) -> None:
        """Take away a folder that was made for files which are gone by now."""
        if folder.is_dir() and not any(folder.iterdir()):
            self.remove(folder)

    def join(self, account: str, group: str) -> bool:
        """Let an account use what is a group's. True if it is new there."""
        if account in members(group):
            return False
        self.run("usermod", "--append", "--groups", group, account)
        return True


def make_account(machine: Machine, name: str, home: Path | str = "/nonexistent") -> None:
    """An account with a group of its own, that nobody logs in to."""
    if not account_is_there(name):
        machine.run(
            *("useradd", "--system", "--user-group", "--no-create-home"),
            *("--home-dir", home, "--shell", "/usr/sbin/nologin", name),
        )


def make_group(machine: Machine, name: str) -> None:
    if not group_is_there(name):
        machine.run("groupadd", "--system", name)


def group_is_there(name: str) -> bool:
    """Whether the system knows a group of this name."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def members(group: str) -> list[str]:
    """The accounts that are in a group."""
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []


def account_is_there(name: str) -> bool:
    """Whether the system knows an account of this name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def shipped(target: Path) -> str:
    """The file that deploy/etc/ holds for a place below /etc: the one lies as the other."""
    return settings(str(target).lstrip("/"))


def settings(file: str, **filled: str) -> str:
    """A file below deploy/ with its @WORDS@ filled in."""
    text = (DEPLOY / file).read_text("utf-8")
    for word, value in filled.items():
        text = text.replace(f"@{word.upper()}@", value)
    return text


def packages(machine: Machine, wanted: Iterable[str]) -> None:
    """Install what is missing of these packages, without starting any service in them.

    Debian starts the services that it installs. nginx as Debian sets it up would open port 80 and
    write logs, so its unit is masked for good. policy-rc.d keeps packages from starting anything
    while they are installed, also where no systemd runs.
    """
    say("Debian packages")
    query = ("dpkg-query", "--show", "--showformat=${db:Status-Status}")
    missing = [
        package
        for package in wanted
        if subprocess.run([*query, package], capture_output=True, text=True, check=False).stdout
        != "installed"
    ]
    if not missing:
        say("  all there")
        return
    if "nginx" in missing:
        machine.mask("nginx.service")
    with machine.nothing_starts():
        machine.run("apt-get", "update", "-qq")
        machine.run("apt-get", "install", "-qq", "--yes", "--no-install-recommends", *missing)
