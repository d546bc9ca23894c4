"""A whole Tor network on loopback: authorities, relays, an onion for a port, a client.

Every node is Debian's own tor, in its mode for test networks; nothing leaves this machine. The
start can take tens of seconds longer on some runs, so the tests wait for each step, and retry an
address that is not found yet.
"""

import contextlib
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from shutil import which

import pytest

from tests.support.plain_browser import Page, PlainBrowser
from tests.support.ports import free_port

HERE = bool(which("tor") and which("tor-gencert"))
in_tor = pytest.mark.skipif(not HERE, reason="Debian's tor is not installed")
AUTHORITIES, RELAYS = 3, 2  # an onion can be reached only with at least four nodes in total
PATIENCE = 300.0  # seconds for each step; most take ten
_NODE = """\
TestingTorNetwork 1
DataDirectory {folder}
Nickname {name}
Log notice file {folder}/notice.log
ShutdownWaitLength 0
PathsNeededToBuildCircuits 0.25
"""
_RELAY = """\
Address 127.0.0.1
ORPort 127.0.0.1:{port} IPv4Only
AssumeReachable 1
SocksPort 0
ContactInfo test@test.invalid
ExitPolicy reject *:*
"""
_AUTHORITY = """\
DirPort 127.0.0.1:{port}
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
AuthDirMaxServersPerAddr 0
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
TestingDirAuthVoteExit *
TestingMinExitFlagThreshold 0
V3AuthNIntervalsValid 2
TestingV3AuthInitialVotingInterval 5
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
V3AuthVotingInterval 10
V3AuthVoteDelay 2
V3AuthDistDelay 2
"""


class TorNetwork:
    """The network, its client's port and the onion's name, while ``running``."""

    def __init__(self, folder: Path, target: int) -> None:
        self.folder = folder
        self.onion = ""
        self.hidden = folder / "hidden"  # where the onion's own tor keeps its key
        self.under: tuple[str, ...] = ()  # a program that starts that tor, as strace does
        self._target = target
        ports = [free_port() for _ in range(2 * AUTHORITIES + RELAYS)]
        self._onion_ports, self._dir_ports = ports[AUTHORITIES:], ports[:AUTHORITIES]
        self._socks: dict[str, int] = {}  # the port of each client
        self._authorities = ""  # a line for each authority, for every node's settings
        self._empty = folder / "empty"  # instead of Debian's defaults
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @contextlib.contextmanager
    def running(self) -> Iterator["TorNetwork"]:
        """Run until the block ends; then every part has stopped."""
        self.folder.mkdir(mode=0o700)
        self._empty.touch()
        try:
            self._start_relays()
            # A node that starts before there is a consensus waits for half a minute.
            _wait(self._has_consensus, "consensus", self.logs)
            self.start_host()
            _wait((self.hidden / "hostname").exists, "name", self.logs)
            self.onion = (self.hidden / "hostname").read_text().strip()
            self.start_clients()
            for name in self._socks:
                _wait(lambda name=name: self._bootstrapped(name), name, self.logs)  # type: ignore[misc]  # a default binds it now
            yield self
        finally:
            for process in self._processes.values():
                process.terminate()
            for process in self._processes.values():
                _end(process)

    def host(self) -> str:
        """Return the settings of the onion's own tor, besides those of every node."""
        return (
            f"SocksPort 0\nHiddenServiceDir {self.hidden}\n"
            f"HiddenServicePort 80 127.0.0.1:{self._target}\n"
        )

    def start_host(self) -> None:
        self._start("host", self.host(), self.under)

    def send_host(self, told: signal.Signals) -> None:
        """Send a signal to the onion's own tor, as systemd would."""
        self._processes["host"].send_signal(told)

    def start_clients(self) -> None:
        """Start the visitors' clients; called once the onion has a name."""
        self.client("client")

    def client(self, name: str, more: str = "") -> int:
        """Start a client; return its SOCKS port."""
        port = self._socks[name] = free_port()
        self._start(name, f"SocksPort 127.0.0.1:{port} ExtendedErrors\n{more}")
        return port

    def _start_relays(self) -> None:
        names = [f"auth{number}" for number in range(AUTHORITIES)]
        names += [f"relay{number}" for number in range(RELAYS)]
        relays = dict(zip(names, self._onion_ports, strict=True))
        authorities = dict(zip(names, self._dir_ports, strict=False))
        for name, port in authorities.items():
            self._authorities += self._authority(name, relays[name], port)
        for name, port in relays.items():
            more = _RELAY.format(port=port)
            if name in authorities:
                more += _AUTHORITY.format(port=authorities[name])
            self._start(name, more)

    def _authority(self, name: str, onion_port: int, dir_port: int) -> str:
        """Make an authority's keys; return the line that identifies it to the others."""
        folder = self.folder / name
        keys = folder / "keys"
        keys.mkdir(parents=True, mode=0o700)
        certificate = keys / "authority_certificate"
        _run(
            *("tor-gencert", "--create-identity-key", "--passphrase-fd", "0", "-m", "12"),
            *("-i", keys / "authority_identity_key", "-s", keys / "authority_signing_key"),
            *("-c", certificate, "-a", f"127.0.0.1:{dir_port}"),
        )
        made = re.search(r"^fingerprint (\S+)", certificate.read_text(), re.MULTILINE)
        said = _run(
            *("tor", "--list-fingerprint", "--hush", "-f", self._empty),
            *("--defaults-torrc", self._empty, "--DataDirectory", folder, "--Nickname", name),
            *("--ORPort", f"127.0.0.1:{onion_port}", "--Address", "127.0.0.1"),
            *("--AssumeReachable", "1", "--ExitPolicy", "reject *:*"),
        )
        shown = re.search(rf"^{name} ([0-9A-F ]+)$", said, re.MULTILINE)
        assert made, certificate
        assert shown, said
        return (
            f"DirAuthority {name} orport={onion_port} no-v2 v3ident={made[1]}"
            f" 127.0.0.1:{dir_port} {shown[1]}\n"
        )

    def _start(self, name: str, more: str, under: tuple[str, ...] = ()) -> None:
        folder = self.folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        settings = folder / "torrc"
        settings.write_text(_NODE.format(folder=folder, name=name) + more + self._authorities)
        with (folder / "out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                [*under, "tor", "-f", settings, "--defaults-torrc", self._empty, "--quiet"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    def _has_consensus(self) -> bool:
        """Return whether the authorities agree on all relays."""
        url = f"http://127.0.0.1:{self._dir_ports[0]}/tor/status-vote/current/consensus"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                agreed = answer.read().decode("ascii", "replace")
        except OSError:
            return False
        return len(re.findall(r"^s .*HSDir", agreed, re.MULTILINE)) == AUTHORITIES + RELAYS

    def _log(self, name: str) -> str:
        path = self.folder / name / "notice.log"
        return path.read_text() if path.exists() else ""

    def logs(self) -> str:
        names = sorted(path.name for path in self.folder.iterdir() if path.is_dir())
        return "\n".join(f"{name}: {self._log(name)[-600:]}" for name in names)

    def port(self, client: str) -> int:
        """Return the SOCKS port of a client."""
        return self._socks[client]

    def until(self, what: Callable[[], bool], name: str) -> None:
        """Wait for something over Tor that may take any length of time."""
        _wait(what, name, self.logs)

    def _bootstrapped(self, name: str) -> bool:
        return "Bootstrapped 100%" in self._log(name)

    def connect(self) -> socket.socket:
        """Connect to the onion by the client's SOCKS port (RFC 1928). Raises OSError."""
        made = socket.create_connection(("127.0.0.1", self._socks["client"]), timeout=60)
        try:
            name = self.onion.encode("ascii")
            made.sendall(b"\x05\x01\x00")
            answer = made.recv(2)
            made.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + b"\x00\x50")
            answer += made.recv(10)
            if answer[:4] != b"\x05\x00\x05\x00":
                raise ConnectionRefusedError(f"Tor says {answer.hex()}")
            made.settimeout(PATIENCE)
        except BaseException:
            made.close()
            raise
        return made


class NginxOnion(TorNetwork):
    """The network, with an onion whose tor connects to nginx's socket and states the circuit."""

    def __init__(self, folder: Path, target: Path) -> None:
        super().__init__(folder, 0)
        self._target_file = target

    def host(self) -> str:
        return (
            f"SocksPort 0\nHiddenServiceDir {self.hidden}\n"
            f"HiddenServicePort 80 unix:{self._target_file}\n"
            "HiddenServiceExportCircuitID haproxy\n"
        )


class TorBrowser(PlainBrowser):
    """A browser without JavaScript that connects only through the network's client."""

    def __init__(self, network: TorNetwork) -> None:
        super().__init__(f"http://{network.onion}")
        self.network = network

    def connection(self, host: str) -> HTTPConnection:
        assert host == self.network.onion
        made = HTTPConnection(host)
        made.sock = self.network.connect()
        return made

    def first(self, path: str) -> Page:
        """Return the first page, retrying until the onion's descriptor is found."""
        found: list[Page] = []

        def asked() -> bool:
            with contextlib.suppress(OSError):
                found.append(self.get(path))
            return bool(found)

        _wait(asked, "first page", self.network.logs)
        return found[0]


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(60)
    process.kill()
    process.wait(60)


def _run(*command: str | Path) -> str:
    """Return a program's output; an empty line is its passphrase."""
    done = subprocess.run(
        [*map(str, command)], input="\n", capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def _wait(what: Callable[[], bool], name: str, logs: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < deadline, f"no {name}\n{logs()}"
        time.sleep(0.25)
