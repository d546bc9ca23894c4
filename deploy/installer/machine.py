"""Change a machine, and show every program that is run and every file that is written."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

PROGRAM = Path("/opt/klankbord")
CURRENT = PROGRAM / "current"
UNITS = Path("/etc/systemd/system")
DEPLOY = Path(__file__).resolve().parent.parent  # the folder with the templates
POLICY = Path("/usr/sbin/policy-rc.d")  # Debian's packages ask this before they start a service
BEGIN, END = "# klankbord: begin", "# klankbord: end"


def stop(sentence: str) -> NoReturn:
    sys.exit(f"deploy/install: {sentence}")


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _failed(done: subprocess.CompletedProcess[str]) -> NoReturn:
    """Stop with the last line of a program's output, because ``upgrade`` shows only this line."""
    last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["it said nothing"]
    stop(
        f"that failed ({last[0].strip()}); the lines above say more, and nothing that was there "
        "before is lost"
    )


class Machine:
    """Makes changes and shows them. With ``dry`` it only shows them."""

    def __init__(self, dry: bool) -> None:
        self.dry = dry
        self.systemd = Path("/run/systemd/system").is_dir()

    def run(self, *command: str | Path, given: str = "", source: Path | None = None) -> str:
        """Run a program, with ``given`` or a file as its input, and return its output.

        If it fails, the last lines of its output are shown and the installer ends.
        """
        done = self._done(command, given, source)
        if done is not None and done.returncode:
            _failed(done)
        return done.stdout if done is not None else ""

    def show(self, *command: str | Path, names: Mapping[str, str]) -> None:
        """Run a program and show all of its output.

        ``names`` maps paths of copies to the original files, whose names replace them in the
        output.
        """
        done = self._done(command, "", names=names)
        if done is not None and done.returncode:
            _failed(done)
        if done is not None:
            say("\n".join(f"  {line}" for line in (done.stdout + done.stderr).splitlines()))

    def try_to_run(self, *command: str | Path) -> bool:
        """Run a program that may fail. Returns whether it succeeded."""
        done = self._done(command, "")
        return done is None or done.returncode == 0

    def _done(
        self,
        command: Sequence[str | Path],
        given: str,
        source: Path | None = None,
        names: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.CompletedProcess[str] | None:
        """Run a program, and show its last lines if it failed. Returns None if ``dry``."""
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
        for copy, name in names.items():
            done.stdout, done.stderr = (
                text.replace(copy, name) for text in (done.stdout, done.stderr)
            )
        if done.returncode:
            sys.stderr.write("\n".join((done.stdout + done.stderr).splitlines()[-25:]) + "\n")
        return done

    def service(self, *words: str) -> None:
        """Run systemctl, if systemd is running."""
        if self.systemd or self.dry:
            self.run("systemctl", *words)
        else:
            say(f"  (systemd does not run here, so not done: systemctl {shlex.join(words)})")

    def write(self, path: Path, text: str, mode: int = 0o644) -> bool:
        """Write a whole file. Returns whether it changed."""
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
        """Write our lines at the end of a file that is not ours, replacing our earlier lines.

        Without lines, ours are removed. Returns whether the file changed.
        """
        there = path.read_text("utf-8") if path.is_file() else ""
        rest = re.sub(rf"\n?{BEGIN}\n.*?{END}\n", "", there, flags=re.DOTALL)
        ours = "\n".join(["", BEGIN, *lines, END, ""]) if lines else ""
        return rest + ours != there and self.write(path, rest + ours)

    def ship(self, path: Path, mode: int = 0o644) -> bool:
        """Install the file for this path from deploy/etc/. Returns whether it changed."""
        return self.write(path, shipped(path), mode)

    def mask(self, unit: str) -> None:
        """Mask one of Debian's units, so that nothing starts it, even without a running systemd."""
        path = UNITS / unit
        if path.is_symlink() or path.exists():
            return
        say(f"  masking {unit}")
        if not self.dry:
            path.symlink_to("/dev/null")
            self.service("daemon-reload")

    @contextmanager
    def nothing_starts(self) -> Iterator[None]:
        """Keep packages that are installed in this block from starting services."""
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
        """Remove a folder if it is now empty."""
        if folder.is_dir() and not any(folder.iterdir()):
            self.remove(folder)

    def join(self, account: str, group: str) -> bool:
        """Add an account to a group. Returns whether it is a new member."""
        if account in members(group):
            return False
        self.run("usermod", "--append", "--groups", group, account)
        return True


def make_account(machine: Machine, name: str, home: Path | str = "/nonexistent") -> None:
    """Create an account with its own group. Nobody can log in to it."""
    if not account_is_there(name):
        machine.run(
            *("useradd", "--system", "--user-group", "--no-create-home"),
            *("--home-dir", home, "--shell", "/usr/sbin/nologin", name),
        )


def make_group(machine: Machine, name: str) -> None:
    if not group_is_there(name):
        machine.run("groupadd", "--system", name)


def group_is_there(name: str) -> bool:
    """Return whether the system has a group with this name."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def members(group: str) -> list[str]:
    """Return the accounts that are in a group."""
    try:
        return grp.getgrnam(group).gr_mem
    except KeyError:
        return []


def account_is_there(name: str) -> bool:
    """Return whether the system has an account with this name."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def shipped(target: Path) -> str:
    """Return the file in deploy/etc/ for a path below /etc. Both trees have the same layout."""
    return settings(str(target).lstrip("/"))


def settings(file: str, **filled: str) -> str:
    """Return a file below deploy/ with its @WORDS@ filled in."""
    text = (DEPLOY / file).read_text("utf-8")
    for word, value in filled.items():
        text = text.replace(f"@{word.upper()}@", value)
    return text


def packages(machine: Machine, wanted: Iterable[str]) -> None:
    """Install any of these packages that are missing, without starting their services.

    Debian starts the services that it installs. With Debian's settings, nginx would open port 80
    and write logs, so its unit is masked permanently. policy-rc.d keeps packages from starting
    services during their installation, even where systemd does not run.
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
