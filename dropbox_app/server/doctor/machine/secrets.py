"""Checks for misplaced secrets: keys that open backups or reports, or the site's own keys."""

import os
import re
import shlex
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from dropbox_app.server.doctor.finding import Unseen, unseen, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.store.files import NoFile, read_small

_MOST = 64 * 1024  # bytes; a file with a secret is small
MANY = 20_000  # files and folders that are searched in one place
SHOWN = 5  # secrets that are listed for one place
_DEEP = 8  # levels of nested folders that are searched
# Places where an operator may have left a secret. Nothing is written there.
PLACES = ("/root", "/home", "/tmp", "/var/tmp", "/srv", "/etc/klankbord")  # noqa: S108 - places that are searched
DESK = "vault.age"
# A pattern in a file, and the kind of secret that it indicates.
MARKS = {
    rb"AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]{10}": "a secret age key is in {}: it opens backups",
    rb"\A== ed25519v1-secret: type0 ==": "the key of an onion address is in {}: it is the site",
}


def secrets(machine: Machine) -> Faults:
    """Check the server's folder, and places where files are often left by mistake."""
    closed: list[str] = []
    for name in (machine.server, *PLACES):
        found: list[tuple[str, str]] = []
        for path in _files(machine.path(name), closed):
            if path is None:
                yield unseen(
                    "secrets", f"{name} has more than {MANY} files: not all were looked at",
                    f"grep -rl AGE-SECRET-KEY- {shlex.quote(name)}; find {shlex.quote(name)} "
                    f"-name {DESK}",
                )  # fmt: skip
                break
            try:
                found += [(said, machine.name(path)) for said in _told(path)]
            except FileNotFoundError:
                continue
            except OSError:
                closed.append(str(path))
        for said, where in found[:SHOWN]:
            yield wrong(
                "secrets", said.format(where),
                f"take it to another machine, sealed, then shred -u {shlex.quote(where)}",
            )  # fmt: skip
        if more := len(found[SHOWN:]):
            yield wrong(
                "secrets", f"{more} more secrets are in {name}", "run doctor again after these"
            )
    if closed:
        others = f" and {len(closed) - 1} more" if closed[1:] else ""
        raise Unseen(machine.name(Path(closed[0])) + others)


def _files(top: Path, closed: list[str]) -> Iterator[Path | None]:
    """Yield files, least deeply nested first; yield None once if there are too many files.

    Folders that this account cannot read are added to ``closed``.
    """
    left, count = deque([(top, 0)]), 0
    while left:
        folder, deep = left.popleft()
        try:
            with os.scandir(folder) as entries:
                found = []
                for entry in entries:
                    found.append(entry)
                    count += 1
                    if count > MANY:
                        break
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            closed.append(str(folder))
            continue
        if {".git", "dropbox_app"} <= {entry.name for entry in found}:
            continue  # a checkout of this project; the keys in its tests belong to nobody
        for entry in sorted(found, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                if deep < _DEEP:
                    left.append((Path(entry.path), deep + 1))
            elif entry.is_file(follow_symlinks=False):
                yield Path(entry.path)
        if count > MANY:
            yield None
            return


def _told(path: Path) -> Iterator[str]:
    if path.name == DESK:
        yield "the vault of a counsellor's desk is at {}: with its passphrase it opens reports"
    try:
        data = read_small(path, _MOST)
    except NoFile:
        return
    narrow = data.replace(b"\0", b"")  # PowerShell's > writes UTF-16
    for mark, said in MARKS.items():
        if re.search(mark, narrow):
            yield said
