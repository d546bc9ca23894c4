"""Backups on another machine: a real sshd, and a key that can only upload."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dropbox_app.server.backup import create, key, offsite
from dropbox_app.server.errors import BackupError
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.server_folder import DAY, AServer

SSHD, RRSYNC = shutil.which("sshd", path="/usr/sbin:/sbin"), shutil.which("rrsync")


@dataclass
class Elsewhere:
    """The other machine: where copies arrive, and how to log in."""

    folder: Path
    keys: Path
    port: int

    def copy(self, place: Path) -> int:
        return offsite.copy(place, f"{getpass.getuser()}@localhost:.", self.keys, self.port)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    if not (SSHD and RRSYNC and shutil.which("rsync")):
        pytest.skip("needs Debian's openssh-server and rsync")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    here, keys = tmp_path / "elsewhere", tmp_path / "keys"
    for folder in (here, keys):
        folder.mkdir(mode=0o700)
    for path in (tmp_path / "host", keys / "key"):
        made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
        subprocess.run(made, check=True)
    port = free_port()
    host = (tmp_path / "host.pub").read_text()
    (keys / "known_hosts").write_text(f"[localhost]:{port} {host}")
    public = (keys / "key.pub").read_text()
    allowed = tmp_path / "allowed"
    allowed.write_text(f'restrict,command="{RRSYNC} -wo -no-del {here}" {public}')
    settings = tmp_path / "sshd_config"
    settings.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nListenAddress ::1\nHostKey {tmp_path / 'host'}\n"
        f"AuthorizedKeysFile {allowed}\nStrictModes no\nUsePAM no\nPidFile none\n"
        "PasswordAuthentication no\nPermitRootLogin forced-commands-only\n"
    )
    log = (tmp_path / "log").open("wb")
    sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", settings], stderr=log)
    scan = ["ssh-keyscan", "-p", str(port), "localhost"]
    try:
        until(lambda: subprocess.run(scan, capture_output=True, check=False).stdout, "sshd")
        yield Elsewhere(here, keys, port)
    finally:
        sshd.terminate()
        sshd.wait()
        log.close()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a folder with one backup."""
    server = AServer(tmp_path / "server")
    server.report("one")
    _, public = key.make()
    key.keep(server.folder, public, DAY)
    create.make(server.folder, server.folder / "backups", DAY)
    server.store.close()
    return server.folder / "backups"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_every_backup_is_copied_and_copying_again_succeeds(
    elsewhere: Elsewhere, place: Path
) -> None:
    assert elsewhere.copy(place) == 4
    assert contents(elsewhere.folder) == contents(place)
    damaged = next(elsewhere.folder.glob("klankbord-*.age"))
    data, found = damaged.read_bytes(), damaged.stat()
    damaged.write_bytes(b"x" + data[1:])
    os.utime(damaged, ns=(found.st_atime_ns, found.st_mtime_ns))
    elsewhere.copy(place)
    assert contents(elsewhere.folder) == contents(place)


@pytest.mark.slow
def test_copying_backups_removes_nothing_from_the_target(elsewhere: Elsewhere, place: Path) -> None:
    (elsewhere.folder / "klankbord-2026-01-01.age").write_bytes(b"older")
    elsewhere.copy(place)
    assert (elsewhere.folder / "klankbord-2026-01-01.age").read_bytes() == b"older"


@pytest.mark.slow
def test_upload_key_cannot_read_run_or_remove_anything(elsewhere: Elsewhere, place: Path) -> None:
    elsewhere.copy(place)
    ssh = ["ssh", "-F", "none", "-i", str(elsewhere.keys / "key"), "-p", str(elsewhere.port)]
    ssh += ["-o", f"UserKnownHostsFile={elsewhere.keys / 'known_hosts'}", "-o", "BatchMode=yes"]
    ran = subprocess.run([*ssh, "localhost", "id"], capture_output=True, text=True, check=False)
    assert ran.returncode
    assert "uid=" not in ran.stdout
    back = ["rsync", "-r", "-e", " ".join(ssh), "localhost:.", str(place.parent / "stolen")]
    assert subprocess.run(back, capture_output=True, check=False).returncode
    before, nothing = contents(elsewhere.folder), place.parent / "nothing"
    nothing.mkdir()
    end = ["rsync", "-r", "--delete", "-e", " ".join(ssh), f"{nothing}/", "localhost:."]
    assert subprocess.run(end, capture_output=True, check=False).returncode
    assert contents(elsewhere.folder) == before


@pytest.mark.slow
def test_changed_host_key_is_refused(elsewhere: Elsewhere, place: Path) -> None:
    known = elsewhere.keys / "known_hosts"
    other = (elsewhere.keys / "key.pub").read_text()
    known.write_text(f"[localhost]:{elsewhere.port} {other}")
    with pytest.raises(BackupError, match="the copy failed"):
        elsewhere.copy(place)
    assert contents(elsewhere.folder) == {}


def test_missing_backup_or_key_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(BackupError, match="key is missing"):
        offsite.copy(tmp_path, "a@b.example:c", tmp_path)
    for name in ("key", "known_hosts"):
        (tmp_path / name).touch()
    with pytest.raises(BackupError, match="no backup"):
        offsite.copy(tmp_path, "a@b.example:c", tmp_path)


@pytest.mark.parametrize(
    ("target", "remote"),
    [
        ("host:folder", True),
        ("me@host.example.org:/srv/box", True),
        ("/srv/box", False),
        ("box", False),
        ("./a:b", False),
        ("-oProxyCommand=x:y", False),
        ("me@-oProxyCommand=x:y", False),
        ("host::module", False),
    ],
)
def test_backup_target_must_be_another_machine(target: str, remote: bool) -> None:
    assert offsite.is_remote(target) is remote
