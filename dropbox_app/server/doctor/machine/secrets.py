"""Secrets where none may be: what opens backups or reports, or is the site, outside its place."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from dropbox_app.server.doctor.finding import Unseen, note, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.store.files import NoFile, read_small

_MOST = 64 * 1024  # bytes: a file with a secret is small
_MANY = 5000  # files of one place
# Where an operator may have left something, and how many folders deep that is looked for.
PLACES = {"/root": 2, "/home": 3, "/tmp": 1, "/var/tmp": 1, "/srv": 1, "/etc/klankbord": 1}  # noqa: S108
DESK = "vault.age"
# What a file begins with or holds, and what it then is.
MARKS = {
    rb"AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{10}": "a secret age key is in {}: it opens backups",
    rb"\A== ed25519v1-secret: type0 ==": "the key of an onion address is in {}: it is the site",
}


def secrets(machine: Machine) -> Faults:
    """The server's folder, all of it, and the places where something is left by mistake."""
    closed = None
    for name, deep in {machine.server: 9, **PLACES}.items():
        try:
            for count, path in enumerate(_files(machine.path(name), deep)):
                if count == _MANY:
                    yield note(
                        "secrets", f"more than {_MANY} files in {name}: not all were looked at",
                        f"grep -rl AGE-SECRET-KEY- {shlex.quote(name)}",
                    )  # fmt: skip
                    break
                for said in _told(path):
                    yield wrong(
                        "secrets", said.format(machine.name(path)),
                        "take it to another machine, sealed, then shred -u "
                        + shlex.quote(machine.name(path)),
                    )  # fmt: skip
        except OSError as error:
            closed = closed or machine.name(Path(error.filename or name))
    if closed:
        raise Unseen(closed)


def _files(folder: Path, deep: int) -> Iterator[Path]:
    """Small files, down to a depth. Raises OSError."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    if {".git", "dropbox_app"} <= {entry.name for entry in found}:
        return  # a checkout of this project, whose tests have keys of nobody
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            if deep > 1:
                yield from _files(Path(entry.path), deep - 1)
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _told(path: Path) -> Iterator[str]:
    if path.name == DESK:
        yield "the vault of a counsellor's desk is at {}: with its passphrase it opens reports"
    try:
        data = read_small(path, _MOST)
    except (FileNotFoundError, NoFile):
        return
    for mark, said in MARKS.items():
        if re.search(mark, data):
            yield said
