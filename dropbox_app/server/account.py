"""Run commands started by root as the account that owns the server's folder.

An attacker who controls that account can replace any of its files or folders with a link at any
time, and root would follow the link. Root's rights are therefore dropped before the folder is
touched.
"""

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.server.errors import ServerError


@dataclass(frozen=True)
class Owner:
    """An account other than root, with all its groups."""

    name: str
    number: int
    group: int
    groups: tuple[int, ...]

    @classmethod
    def of(cls, number: int, group: int) -> "Owner":
        """Return the account with this user id; use ``group`` if the system has no entry for it."""
        try:
            known = pwd.getpwuid(number)
        except KeyError:
            return cls(str(number), number, group, (group,))
        groups = os.getgrouplist(known.pw_name, known.pw_gid)
        return cls(known.pw_name, number, known.pw_gid, tuple(groups))


def become_owner(folder: Path) -> Owner | None:
    """Drop root's rights permanently if another account owns the folder or a folder above it.

    Returns that account, or None if this process is not root or root owns the entire path. Raises
    ServerError if parts of root's own folder belong to another account.
    """
    owner = _owner(folder)
    if owner is None:
        return None
    os.setgroups(owner.groups)
    os.setresgid(owner.group, owner.group, owner.group)
    os.setresuid(owner.number, owner.number, owner.number)
    return owner


@contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """Run the block as the account that owns the folder, then restore root's rights."""
    owner = _owner(folder)
    if owner is None:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.setgroups(owner.groups)
    os.setegid(owner.group)
    os.seteuid(owner.number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _owner(folder: Path) -> Owner | None:
    """Return the first account other than root that can change where a path leads."""
    if os.geteuid() != 0:
        return None
    for way in (folder, folder.resolve()):  # the path with its links, and their targets
        for path in (*reversed(way.parents), way):
            try:
                found = path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                break
            if found.st_uid != 0:
                return Owner.of(found.st_uid, found.st_gid)
    _refuse_parts_of_others(folder)
    return None


def _refuse_parts_of_others(folder: Path) -> None:
    """Raise ServerError if part of root's folder belongs to another account."""
    for inside in (folder, folder / "sites", *folder.glob("sites/*")):
        for path in inside.iterdir() if inside.is_dir() else ():
            if path.lstat().st_uid != 0:
                raise ServerError(
                    f"{path} belongs to another account than {folder}, which is root's; give the "
                    "whole folder to the account that serves it (chown -R)"
                )
