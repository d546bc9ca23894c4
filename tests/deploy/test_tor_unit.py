"""Debian's Tor unit with our drop-in is as restricted as intended, and Tor works in it."""

from __future__ import annotations

import json
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.deploy.test_systemd import needs_systemd
from tests.support.tor_network import TorBrowser, TorNetwork, in_tor
from tests.support.unit_file import ETC, UNITS, as_a_service, filtered, values

TORRC_D = ETC / "tor" / "torrc.d"
DROP_IN = UNITS / "tor@default.service.d" / "klankbord.conf"
DEBIANS_OWN = Path("/lib/systemd/system/tor@default.service")
SOCKETS_GROUP = 990
MIB = 1024 * 1024
needs_tor = pytest.mark.skipif(not DEBIANS_OWN.is_file(), reason="Debian's tor is not installed")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="another account is to be entered")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder outside pytest's own, which no other account may enter."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@needs_systemd
@needs_tor
def test_tor_runs_in_a_sandbox(tmp_path: Path) -> None:
    """Without our drop-in, Debian's unit scores 6.8."""
    assert_closed(DEBIANS_OWN, tmp_path)


def assert_closed(debians_own: Path, folder: Path) -> None:
    """Check Debian's unit with the drop-in, as systemd reads it; Debian's settings are kept."""
    unit = folder / "tor@default.service"
    unit.write_text(debians_own.read_text("utf-8") + DROP_IN.read_text("utf-8"))
    for command in (["security", "--offline=true", "--threshold=15"], ["verify"]):
        done = subprocess.run(
            ["systemd-analyze", *command, unit], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "klankbord" not in done.stderr
    for key in ("ExecStart", "ExecStartPre"):  # identical except for the account
        ours = [line for line in values(DROP_IN, key) if line]
        assert [line.replace(' --User ""', "") for line in ours] == [
            line for line in values(debians_own, key) if line.startswith("/usr/bin/tor")
        ]


@contextmanager
def tor_of_the_unit(folder: Path) -> Iterator[int]:
    """Start the drop-in's ExecStart with its account, groups and folders; return the pid."""
    account = pwd.getpwnam(values(DROP_IN, "User")[0])
    settings, state, runs = folder / "etc", folder / "state", folder / "run"
    (settings / "torrc.d").mkdir(parents=True)
    shutil.copy(TORRC_D / "klankbord.conf", settings / "torrc.d")
    onion = (TORRC_D / "klankbord-onion.conf.in").read_text("utf-8").replace("@NAME@", "box")
    (settings / "torrc.d" / "klankbord-box.conf").write_text(onion)
    (settings / "torrc").write_text("%include /etc/tor/torrc.d/*.conf\n")
    for place, mode in ((state, 0o700), (runs, 0o2755)):
        place.mkdir()
        os.chown(place, account.pw_uid, account.pw_gid)
        place.chmod(mode)
    assert values(DROP_IN, "ProtectSystem") == ["strict"]
    assert values(DROP_IN, "ReadWritePaths") == ["", "/var/lib/tor"]
    assert values(DROP_IN, "RuntimeDirectory") == ["tor"]
    assert values(DROP_IN, "SupplementaryGroups") == ["klankbord-tor"]
    _, line = values(DROP_IN, "ExecStart")
    reading, writing = os.pipe()
    with filtered(DROP_IN) as program, (folder / "log").open("wb") as said:
        process = subprocess.Popen(
            ["setpriv", "--reuid", str(account.pw_uid), "--regid", str(account.pw_gid),
             "--groups", str(SOCKETS_GROUP), "bwrap", "--unshare-all", "--die-with-parent",
             "--as-pid-1", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc",
             "--bind", state, "/var/lib/tor", "--tmpfs", "/run",
             "--bind", runs, "/run/tor", "--ro-bind", settings, "/etc/tor",
             "--info-fd", str(writing),
             "--seccomp", str(program), *shlex.split(line)],
            stdout=said, stderr=said, pass_fds=[program, writing],
        )  # fmt: skip
    os.close(writing)
    try:
        with os.fdopen(reading) as told:
            inside = json.load(told)["child-pid"]
        deadline = time.monotonic() + 60
        while not ((state / "klankbord-box" / "hostname").exists() and (runs / "control").exists()):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield inside
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait(60)


@needs_tor
@as_root
@as_a_service
def test_tor_starts_in_its_sandbox_and_can_use_the_socket(folder: Path) -> None:
    """Tor is started as root, as on Debian, and then drops every group but one."""
    account = pwd.getpwnam("debian-tor")
    with tor_of_the_unit(folder) as pid:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        told = (line.partition(":\t") for line in lines)
        status = {name: value.split() for name, _, value in told}
    assert status["Name"] == ["tor"]
    assert status["Uid"] == [str(account.pw_uid)] * 4
    assert status["Groups"] == [str(SOCKETS_GROUP)]
    assert status["Seccomp"] == ["2"]
    assert status["CapEff"] == ["0000000000000000"]
    # Only Tor can read its key, and nothing was written elsewhere.
    key = folder / "state" / "klankbord-box" / "hs_ed25519_secret_key"
    assert key.stat().st_mode & 0o077 == 0
    assert "[warn]" not in (folder / "log").read_text()


def taken(pids: list[int]) -> int:
    """Return the bytes used by all processes of one program, regardless of other programs.

    Anonymous memory counts by each process's share; mapped files count once.
    """
    made, read = [0], [0]
    for pid in pids:
        roll = Path(f"/proc/{pid}/smaps_rollup").read_text()
        status = Path(f"/proc/{pid}/status").read_text()
        made.append(int(roll.split("\nPss_Anon:")[1].split()[0]) * 1024)
        read.append(int(status.split("\nRssFile:")[1].split()[0]) * 1024)
    return sum(made) + max(read)


class Walled(TorNetwork):
    """The network, with the unit's restrictions around the onion's own tor."""

    def __init__(self, folder: Path, socket_file: Path, program: int) -> None:
        super().__init__(folder, 0)
        self._socket_file = socket_file
        self.under = (
            *("sh", "-c", f'exec "$@" 9< /proc/{os.getpid()}/fd/{program}', "sh"),
            *("bwrap", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev"),
            *("--bind", str(folder), str(folder), "--seccomp", "9"),
        )

    def host(self) -> str:
        return (
            f"SocksPort 0\nHiddenServiceDir {self.hidden}\nHiddenServicePoWDefensesEnabled 1\n"
            f"HiddenServicePort 80 unix:{self._socket_file}\n"
        )

    def pids(self) -> list[int]:
        """Return the ids of the onion's own tor, which bubblewrap may have become or started."""
        found = [self._processes["host"].pid]
        for pid in found:
            found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        return [pid for pid in found if Path(f"/proc/{pid}/comm").read_text() == "tor\n"]


@pytest.mark.long
@in_tor
@as_a_service
@pytest.mark.timeout(1800)
def test_visitor_reaches_server_through_sandboxed_tor(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "box.sock"))
    listening.listen()

    def answer() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            # A broken circuit ends its connection, and Tor connects again over another one.
            with connection, suppress(OSError):
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwelco")

    threading.Thread(target=answer, daemon=True).start()
    with filtered(DROP_IN) as program:
        network = Walled(tmp_path / "tor", tmp_path / "box.sock", program)
        with network.running():
            assert TorBrowser(network).first("/nl/").body == b"welco"
            took = taken(network.pids())
    print(f"Tor after a visit: {took // MIB} MiB")  # noqa: T201 - shown with -s
    assert 0 < took < 60 * MIB  # together with the server, less than 150 MB
    listening.close()
