"""Restores a drop box from a backup on a new machine: its data and its addresses.

Root writes no file in the service account's folder and reads none: the account does. The key of the
backup is in memory (/run) alone, and goes again at once.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from installer import onions, tor
from installer.machine import CURRENT, Machine, say, stop
from installer.program import ACCOUNT, COMMAND, DATA

KEY_HEAD = b"== ed25519v1-secret: type0 =="
SEALED = (b"age-encryption.org/", b"-----BEGIN AGE")
KEY_SIZE = 96  # bytes of hs_ed25519_secret_key
_IN_MEMORY = Path("/run/klankbord-restore")
_ON_DISK = Path("/var/lib/klankbord-restore")  # a backup is sealed, and may be large
_FRESH = "lost+found"  # what a new disk has at its top
_AS_ACCOUNT = ("env", "-i", "setsid", "--wait", "/usr/sbin/runuser", "-u", ACCOUNT, "--")
_WRITE = 'umask 077 && cat > "$1"'


def check(asked: argparse.Namespace) -> None:
    """End with an error if something is missing or wrong, before anything is changed."""
    if asked.restore is None:
        if asked.key or asked.onion_key or asked.withdrawn or asked.old:
            stop("--key, --onion-key, --withdrawn and --old are for --restore")
        return
    if asked.key is None:
        stop("--restore needs --key: the file that backup-key printed")
    if any(path.name != _FRESH for path in DATA.glob("*")):
        stop(f"{DATA} is not empty: --restore is for a new machine; nothing was changed")
    for path in (asked.restore, asked.key, *asked.withdrawn):
        if not path.is_file():
            stop(f"there is no file {path}")
    if asked.onion_key is not None:
        _check_onion_key(asked.onion_key)


def _check_onion_key(path: Path) -> None:
    if not path.is_file():
        stop(f"there is no file {path}")
    with path.open("rb") as file:
        data = file.read(KEY_SIZE + 1)
    if data.startswith(SEALED):
        said = f"(umask 077; age -d {quote(str(path))} > {quote(f'{path}.open')})"
        stop(f"{path} is encrypted; decrypt it first: {said}, then give that file")
    if len(data) != KEY_SIZE or not data.startswith(KEY_HEAD):
        stop(f"{path} is no hs_ed25519_secret_key of Tor")


def data(machine: Machine, asked: argparse.Namespace) -> list[str]:
    """Fill the server's folder; return the reporters' addresses that the site had."""
    say("What was kept, from the backup")
    for place in (_IN_MEMORY, _ON_DISK):
        machine.run("install", "-d", "-m", "700", "-o", ACCOUNT, "-g", ACCOUNT, place)
    try:
        # Under its own name, which says its day, and beside the lists of what was withdrawn.
        beside = asked.restore.absolute().parent.glob("withdrawn-*.age*")
        for path in (asked.restore, *sorted(beside)):
            _hand_over(machine, path, _ON_DISK / path.name)
        words: list[str | Path] = []
        for number, path in enumerate(asked.withdrawn):
            _hand_over(machine, path, _ON_DISK / f"given-{number}")
            words += ["--withdrawn", _ON_DISK / f"given-{number}"]
        _hand_over(machine, asked.key, _IN_MEMORY / "key")
        words += ["--old"] if asked.old else []
        machine.show(
            *(*_AS_ACCOUNT, CURRENT / "bin" / "klankbord-server", "--dir", DATA, "restore"),
            *(_ON_DISK / asked.restore.name, "--key", _IN_MEMORY / "key", *words),
        )
    finally:
        machine.remove(_IN_MEMORY, _ON_DISK)
    if machine.dry:
        return []
    return list(json.loads(machine.run(COMMAND, "move"))["origins"])


def _hand_over(machine: Machine, path: Path, target: Path) -> None:
    """Open a file of root's for the account to read."""
    machine.run(*_AS_ACCOUNT, "sh", "-c", _WRITE, "sh", target, source=path)


def domain_of(origins: Sequence[str]) -> str:
    """Return the domain among the addresses; empty if there is none."""
    names = [origin.removeprefix("https://") for origin in origins if origin[:8] == "https://"]
    return names[0] if names else ""


def onion_key(machine: Machine, file: Path) -> None:
    """Put the key of the onion address where Tor looks for it, before Tor makes another one."""
    say("The key of the onion address")
    folder = onions.folder(onions.OWN)
    machine.run(*onions.AS_TOR, "install", "-d", "-m", "700", folder)
    machine.run(
        *(*onions.AS_TOR, "sh", "-c", onions.WRITE, "sh", folder / "hs_ed25519_secret_key"),
        source=file,
    )


def addresses(
    machine: Machine, asked: argparse.Namespace, before: Sequence[str], onion: str, domain: str
) -> bool:
    """Set the restored site's addresses to those that this machine really has.

    Returns whether they changed.
    """
    if machine.dry:
        return False
    own = f"http://{onion}"
    if asked.onion_key is not None and own not in before:
        _undo(machine)
        stop(f"that onion key is of {onion}, which is no address of this site; nothing was kept")
    now = [own, *([f"https://{domain}"] if domain else [])]
    lost = [origin for origin in before if origin not in now]
    settings = machine.run(*_AS_ACCOUNT, "cat", DATA / "site.toml")
    no_desks = ["--desk-origin", ""] if re.search(r'^desk_origins = \[\s*"', settings, re.M) else []
    if lost or no_desks:
        words = [word for origin in now for word in ("--origin", origin)]
        machine.run(COMMAND, "move", *words, *no_desks)
    for origin in lost:
        say(f"\n{origin} does not lead here any more: its key was not given, or its domain.")
        say("Whoever has only that address finds nothing: tell the new one in every other way.")
    if no_desks:
        say("\nDesks come by the addresses of reporters; deploy/install --desks makes their own.")
    return bool(lost or no_desks)


def _undo(machine: Machine) -> None:
    """Empty what was restored, so that the command can be repeated with another key."""
    machine.service("stop", "tor")
    machine.run(*onions.AS_TOR, "rm", "-r", tor.ONION)
    machine.run(
        *_AS_ACCOUNT,
        "find",
        DATA,
        "-mindepth",
        "1",
        "-maxdepth",
        "1",
        "!",
        "-name",
        _FRESH,
        "-exec",
        "rm",
        "-rf",
        "{}",
        "+",
    )
