"""The program: its account, a folder for each release, and the command that runs it.

Part of ``deploy/install``.
"""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
import tempfile
from pathlib import Path

from installer.machine import CURRENT, DEPLOY, PROGRAM, UNITS, Machine, make_account, say

SOURCE = DEPLOY.parent
DATA = Path("/var/lib/klankbord")
COMMAND = Path("/usr/local/bin/klankbord-server")
UNIT = UNITS / "klankbord.service"
BACKUP = [UNITS / f"klankbord-backup.{kind}" for kind in ("service", "timer")]
PUBLISHED = SOURCE / "keys" / "release.pub"  # does not exist before the first key is published
TRUSTED = Path("/etc/klankbord/release.pub")
ACCOUNT = "klankbord"
ROOM = 200 * 1024 * 1024  # bytes; a program takes about half of it
# A program of this account must not be able to type into root's terminal. It gets its own terminal,
# or none if input or output is not a terminal. Only ``upgrade`` runs as root, because it replaces
# the program.
WRAPPER = f"""\
#!/bin/sh
# Klankbord's command, as the account of the server and for its sites.
[ "${{1-}}" = upgrade ] && exec {CURRENT}/bin/klankbord-server --dir {DATA} "$@"
as='setsid --wait runuser'
[ -t 0 ] && [ -t 1 ] && as='runuser --pty'
exec $as -u {ACCOUNT} -- {CURRENT}/bin/klankbord-server --dir {DATA} "$@"
"""


def account(machine: Machine) -> None:
    """Create the server's account and its folder."""
    say("An account that nobody logs in to, and its folder")
    make_account(machine, ACCOUNT, DATA)
    machine.run("install", "-d", "-m", "700", "-o", ACCOUNT, "-g", ACCOUNT, DATA)


def release() -> str:
    """Return the name of the release: the version, and a hash of all its files."""
    project = (SOURCE / "pyproject.toml").read_text("utf-8")
    version = re.search(r'^version = "([^"]+)"', project, re.MULTILINE)
    digest = hashlib.sha256(project.encode())
    digest.update((SOURCE / "requirements" / "server.txt").read_bytes())
    for path in sorted((SOURCE / "dropbox_app").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(str(path.relative_to(SOURCE)).encode() + b"\0" + path.read_bytes())
    return f"{version[1] if version else 'unknown'}-{digest.hexdigest()[:12]}"


def prepare(machine: Machine) -> Path:
    """Create this release's program next to the one in use. Returns its folder."""
    say("The program, with every package checked against its pinned hash")
    place = PROGRAM / "releases" / release()
    whole = place / "klankbord-whole"
    if not whole.is_file():
        _check_room(PROGRAM)
        try:
            _make(machine, place)
        except BaseException:  # includes Ctrl-C; raised again below
            if not (machine.dry or place in (CURRENT.resolve(), SOURCE.parent)):
                shutil.rmtree(place, ignore_errors=True)  # on a full disk, the server needs it
            raise
        machine.write(whole, "")
    return place


def _check_room(folder: Path) -> None:
    """Raise OSError if the disk has too little space for the program."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if (free := shutil.disk_usage(there).free) < ROOM:
        raise OSError(
            errno.ENOSPC,
            f"no space left for the program: its disk has {free // 2**20} MiB, and it needs "
            f"{ROOM // 2**20}. Nothing was changed there",
            str(folder),
        )


def _make(machine: Machine, place: Path) -> None:
    if not machine.dry:
        place.mkdir(parents=True, exist_ok=True)  # raises OSError if the disk is read-only
    machine.run("python3", "-m", "venv", "--clear", place)
    pip = (place / "bin" / "pip", "--disable-pip-version-check", "install", "--no-cache-dir")
    machine.run(
        *(*pip, "--require-hashes", "--only-binary", ":all:"),
        *("-r", SOURCE / "requirements" / "server.txt"),
    )
    with tempfile.TemporaryDirectory() as folder:  # a build leaves files next to its source
        for name in ("pyproject.toml", "README.md", "LICENSE", "dropbox_app"):
            copy = shutil.copytree if (SOURCE / name).is_dir() else shutil.copy
            copy(SOURCE / name, Path(folder) / name)
        machine.run(*pip, "--no-deps", "--no-index", "--no-build-isolation", folder)
    _keep_source(machine, place / "source")


def _keep_source(machine: Machine, kept: Path) -> None:
    """Copy the source for a later reinstallation, so that ``upgrade`` can roll back."""
    say(f"  copying the source to {kept}")
    if machine.dry or kept == SOURCE:
        return
    part = kept.with_name("source.new")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(SOURCE / name, part / name)
    for name in ("dropbox_app", "deploy", "requirements"):
        shutil.copytree(SOURCE / name, part / name, ignore=shutil.ignore_patterns("__pycache__"))
    if PUBLISHED.is_file():
        (part / "keys").mkdir()
        shutil.copy(PUBLISHED, part / "keys" / PUBLISHED.name)
    part.replace(kept)


def trust(machine: Machine) -> None:
    """Trust the release key in this checkout, if there is one."""
    if PUBLISHED.is_file():
        machine.write(TRUSTED, PUBLISHED.read_text("utf-8"))


def program(machine: Machine) -> bool:
    """Install the program. Returns whether a different version is now in use."""
    place = prepare(machine)
    machine.write(COMMAND, WRAPPER, 0o755)
    trust(machine)
    before = CURRENT.resolve() if CURRENT.is_symlink() else None
    if before == place:
        say(f"  {CURRENT} leads to {place.name} already")
        return False
    say(f"  {CURRENT} leads to {place.name} from now on")
    if before:
        say(f"  (before: {before.name}; it stays, and deploy/guide/routine.md says how to go back)")
    if not machine.dry:
        part = PROGRAM / "current.new"
        part.unlink(missing_ok=True)
        part.symlink_to(place)
        part.replace(CURRENT)
    return True


def backups(machine: Machine) -> None:
    say("A backup each day, once there is a key for it")
    for unit in BACKUP:
        machine.ship(unit)
    machine.service("daemon-reload")
    machine.service("enable", "--now", BACKUP[1].name)
