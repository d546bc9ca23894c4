"""Restore a drop box from a backup on a new machine: its data and its addresses.

Root neither writes nor reads files in the service account's folder; the account does. The backup
key is kept only in memory (/run), and is removed immediately afterwards.
"""

from __future__ import annotations

import argparse
import codecs
import datetime
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
BACKUP = re.compile(r"(klankbord|withdrawn)-(\d{4}-\d{2}-\d{2})(?:-\d{1,4})?\.age")
KEY_LINE = "AGE-SECRET-KEY-PQ-1"  # the beginning of the line that backup-key prints
_KEY_FILE = 64 * 1024  # maximum bytes of a file with keys
_IN_MEMORY = Path("/run/klankbord-restore")
_ON_DISK = Path("/var/lib/klankbord-restore")  # a backup is sealed, and may be large
_FRESH = "lost+found"  # a new disk has this folder at its top
_AS_ACCOUNT = ("env", "-i", "setsid", "--wait", "/usr/sbin/runuser", "-u", ACCOUNT, "--")
_WRITE = 'umask 077 && cat > "$1"'


def check(asked: argparse.Namespace) -> None:
    """Stop with an error if something is missing or wrong, before anything is changed."""
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
    _check_backup(asked.restore, asked.old)
    _check_key(asked.key)
    if asked.onion_key is not None:
        _check_onion_key(asked.onion_key)


def _check_backup(path: Path, old: bool) -> None:
    """Stop with an error for a file that is clearly not a backup; ``restore`` checks the rest."""
    named = BACKUP.fullmatch(path.name)
    if named and named[1] == "withdrawn":
        stop(f"{path} is a list of withdrawn conversations; give the klankbord-... beside it")
    if not old and not (named and _is_day(named[2])):
        stop(
            f"{path} is not the name that the backup had, so its day is not known; give it that "
            "name again (klankbord-YEAR-MONTH-DAY.age), or add --old; nothing was changed"
        )
    with path.open("rb") as file:
        if not file.read(len(SEALED[0])).startswith(SEALED[0]):
            stop(f"{path} is no backup; nothing was changed")


def _is_day(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _check_key(path: Path) -> None:
    """Stop with an error if no line can be the key. ``restore`` finds out if it fits."""
    with path.open("rb") as file:
        data = file.read(_KEY_FILE)
    _refuse_encrypted(path, data)
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # as PowerShell writes it
    text = data.decode("utf-16" if wide else "utf-8-sig", "replace")
    if not any(line.strip().startswith(KEY_LINE) for line in text.splitlines()):
        stop(f"{path} is no key that backup-key printed; nothing was changed")


def _refuse_encrypted(path: Path, data: bytes) -> None:
    if data.startswith(SEALED):
        said = f"(umask 077; age -d -o {quote(f'{path}.open')} {quote(str(path))})"
        stop(f"{path} is encrypted; decrypt it first: {said}, then give that file")


def _check_onion_key(path: Path) -> None:
    if not path.is_file():
        stop(f"there is no file {path}")
    with path.open("rb") as file:
        data = file.read(KEY_SIZE + 1)
    _refuse_encrypted(path, data)
    if len(data) != KEY_SIZE or not data.startswith(KEY_HEAD):
        stop(f"{path} is no hs_ed25519_secret_key of Tor")


def data(machine: Machine, asked: argparse.Namespace) -> list[str]:
    """Fill the server's folder; return the reporters' addresses that the site had."""
    say("What was kept, from the backup")
    for place in (_IN_MEMORY, _ON_DISK):
        machine.run("install", "-d", "-m", "700", "-o", ACCOUNT, "-g", ACCOUNT, place)
    try:
        # The file keeps its own name, which contains its day, and is next to the lists of
        # withdrawals.
        beside = asked.restore.absolute().parent.glob("withdrawn-*.age*")
        for path in (asked.restore, *sorted(beside)):
            _hand_over(machine, path, _ON_DISK / path.name)
        words: list[str | Path] = []
        given = {_ON_DISK / asked.restore.name: asked.restore, _IN_MEMORY / "key": asked.key}
        for number, path in enumerate(asked.withdrawn):
            copy = _ON_DISK / f"given-{number}"
            given[copy] = path
            _hand_over(machine, path, copy)
            words += ["--withdrawn", copy]
        _hand_over(machine, asked.key, _IN_MEMORY / "key")
        words += ["--old"] if asked.old else []
        machine.show(
            *(*_AS_ACCOUNT, CURRENT / "bin" / "klankbord-server", "--dir", DATA, "restore"),
            *(_ON_DISK / asked.restore.name, "--key", _IN_MEMORY / "key", *words),
            names={str(copy): str(path) for copy, path in given.items()},
        )
    finally:
        machine.remove(_IN_MEMORY, _ON_DISK)
    if machine.dry:
        return []
    return list(json.loads(machine.run(COMMAND, "move"))["origins"])


def _hand_over(machine: Machine, path: Path, target: Path) -> None:
    """Open a file that belongs to root, so that the account can read it."""
    machine.run(*_AS_ACCOUNT, "sh", "-c", _WRITE, "sh", target, source=path)


def domain_of(origins: Sequence[str]) -> str:
    """Return the domain among the addresses; "" if there is none."""
    names = [origin.removeprefix("https://") for origin in origins if origin[:8] == "https://"]
    return names[0] if names else ""


def onion_key(machine: Machine, file: Path) -> None:
    """Put the onion address's key in Tor's folder, before Tor generates another one."""
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
    """Remove the restored data, so that the command can be repeated with another key."""
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
