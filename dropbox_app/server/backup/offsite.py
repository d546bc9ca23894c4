"""Copy the sealed backups to another machine with rsync over ssh, and compare them there.

This module removes nothing from the other machine, which removes old backups itself. An attacker on
this server can still overwrite the copies that were sent. Only copies that the other machine keeps
outside that folder are safe.
"""

import re
import shutil
import subprocess
from pathlib import Path

from dropbox_app.server.backup import directory
from dropbox_app.server.errors import BackupError

KEYS = Path("/etc/klankbord/offsite")  # contains "key", an ssh key, and "known_hosts"
LONGEST = 5 * 3600  # seconds that one copy may take
_REMOTE = re.compile(r"(?:[A-Za-z0-9_][\w.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:[^:\s][^\s]*")


def is_remote(target: str) -> bool:
    """Return whether a target is ``[USER@]HOST:FOLDER`` rather than a local folder."""
    return bool(_REMOTE.fullmatch(target))


def copy(place: Path, target: str, keys: Path = KEYS, port: int = 22) -> int:
    """Copy every backup and list in a folder, and compare the contents on the other machine.

    Args:
        place: the folder of the backups.
        target: ``[USER@]HOST:FOLDER``.
        keys: the folder with ``key`` and ``known_hosts``.
        port: the port of the ssh server.

    Returns the number of files that are identical there. Raises BackupError.
    """
    if shutil.which("rsync") is None or shutil.which("ssh") is None:
        raise BackupError("rsync or ssh is missing: apt-get install rsync openssh-client")
    for name in ("key", "known_hosts"):
        if not (keys / name).is_file():
            raise BackupError(
                f"{keys / name} is missing, or this account may not read it; see Backups in "
                "deploy/guide/routine.md"
            )
    files = [
        path
        for one in directory.kept(place) + directory.kept(place, "withdrawn")
        for path in (one.sum, one.path)
    ]
    if not files:
        raise BackupError(f"there is no backup in {place} to copy")
    ssh = (
        f"ssh -p {port} -i {keys}/key -o UserKnownHostsFile={keys}/known_hosts"
        " -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=30"
        " -F none"
    )
    usual = ("rsync", "--times", "--checksum", "--timeout=300", "--rsh", ssh)
    ends = ("--", *map(str, files), target.rstrip("/") + "/")
    _run(*usual, *ends)
    left = _run(*usual, "--dry-run", "--out-format=%n", *ends)
    if left:
        raise BackupError(f"missing there, or different from what was sent: {', '.join(left[:3])}")
    return len(files)


def _run(*words: str) -> list[str]:
    """Return the lines that a program prints. Raises BackupError with its last line of output."""
    try:
        done = subprocess.run(  # noqa: S603 - an argument list, no shell
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False, timeout=LONGEST,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BackupError(f"the copy took more than {LONGEST // 3600} hours") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line and "rsync error" not in line]
        raise BackupError(f"the copy failed: {lines[-1] if lines else 'rsync gave no reason'}")
    return done.stdout.split()
