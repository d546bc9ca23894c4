"""Parse a systemd unit, and start its service much like systemd, but without it.

bubblewrap applies the unit's namespaces and folders. The filter of system calls is made from the
unit's own lines, with the groups that systemd itself names. Restrictions that only a running
systemd enforces (memory and device cgroups, kernel tunables) are not tested.
"""

import ctypes
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from ctypes.util import find_library
from pathlib import Path
from shutil import which

import pytest

ROOT = Path(__file__).parents[2]
ETC = ROOT / "deploy" / "etc"  # laid out as on a machine
UNITS = ETC / "systemd" / "system"
_LIBRARY = find_library("seccomp")
HERE = bool(which("bwrap") and which("systemd-analyze") and _LIBRARY)
as_a_service = pytest.mark.skipif(not HERE, reason="bubblewrap, systemd or libseccomp is missing")

_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000  # seccomp.h
_LESS, _EQUAL, _MORE, _MASKED = 2, 4, 6, 7  # scmp_compare
_WRITE_EXEC, _EXEC = 6, 4  # PROT_WRITE | PROT_EXEC
_EAFNOSUPPORT, _EPERM = 97, 1


def values(unit: Path, key: str) -> list[str]:
    """Return every value of a name in a unit, in order."""
    return re.findall(rf"^{key}=(.*)$", unit.read_text("utf-8"), re.MULTILINE)


def merged(unit: Path, drop_in: Path, folder: Path) -> Path:
    """Return a unit merged with its drop-in; the drop-in's names replace the unit's."""
    text = unit.read_text("utf-8")
    added = re.findall(r"^(\w+)=(.*)$", drop_in.read_text("utf-8"), re.MULTILINE)
    for key, _ in added:
        text = re.sub(rf"^{key}=.*\n", "", text, flags=re.MULTILINE)
    lines = "".join(f"{key}={value}\n" for key, value in added if key not in ("After", "Wants"))
    made = folder / unit.name
    made.write_text(text.replace("[Service]\n", f"[Service]\n{lines}"))
    return made


def system_calls(unit: Path) -> set[str]:
    """Return the system calls that SystemCallFilter allows, as systemd reads it."""
    allowed = {*_group("@default")}  # always allowed, so that a service can start
    for line in values(unit, "SystemCallFilter"):
        named = {call for name in line.lstrip("~").split() for call in _group(name)}
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed


@functools.cache  # systemd's groups contain some thirty others, and each unit names them
def _group(name: str) -> frozenset[str]:
    if not name.startswith("@"):
        return frozenset({name})
    said = subprocess.run(
        ["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True
    ).stdout
    found: set[str] = set()
    for line in said.splitlines()[1:]:
        if (call := line.strip()) and not call.startswith("#"):
            found |= _group(call)
    return frozenset(found)


class _Compare(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def write_filter(unit: Path, target: int) -> None:
    """Compile the unit's system call filter, address families and ban on writable code."""
    library = ctypes.CDLL(_LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    told = values(unit, "SystemCallErrorNumber") == ["EPERM"]
    made = ctypes.c_void_p(library.seccomp_init(_ERRNO | _EPERM if told else _KILL))

    def rule(action: int, call: str, *compared: tuple[int, int, int, int]) -> None:
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # otherwise it is a call of another architecture
            several = (_Compare * len(compared))(*(_Compare(*one) for one in compared))
            done = library.seccomp_rule_add_array(made, action, number, len(compared), several)
            assert done == 0, (call, done)

    special = {"mmap", "mprotect", "pkey_mprotect", "socket", "unshare", "setns"}
    for call in sorted(system_calls(unit) - special):
        rule(_ALLOW, call)
    assert values(unit, "RestrictNamespaces") == ["yes"]
    if not told:
        for call in ("unshare", "setns"):
            rule(_ERRNO | _EPERM, call)
    assert values(unit, "MemoryDenyWriteExecute") == ["yes"]
    for both in (0, 2, 4):  # neither writable nor executable, or only one of them
        rule(_ALLOW, "mmap", (2, _MASKED, _WRITE_EXEC, both))
    if not told:
        rule(_ERRNO | _EPERM, "mmap", (2, _MASKED, _WRITE_EXEC, _WRITE_EXEC))
    for call in ("mprotect", "pkey_mprotect"):
        rule(_ALLOW, call, (2, _MASKED, _EXEC, 0))
        if not told:
            rule(_ERRNO | _EPERM, call, (2, _MASKED, _EXEC, _EXEC))
    names = values(unit, "RestrictAddressFamilies")[0].replace("none", "").split()
    families = sorted(int(getattr(socket, name)) for name in names)
    for number in families:
        rule(_ALLOW, "socket", (0, _EQUAL, number, 0))
    if not families:
        rule(_ERRNO | _EAFNOSUPPORT, "socket")
    elif not told:  # otherwise the filter's default applies
        rule(_ERRNO | _EAFNOSUPPORT, "socket", (0, _LESS, families[0], 0))
        rule(_ERRNO | _EAFNOSUPPORT, "socket", (0, _MORE, families[-1], 0))
        for number in {*range(families[0], families[-1])} - {*families}:
            rule(_ERRNO | _EAFNOSUPPORT, "socket", (0, _EQUAL, number, 0))
    assert library.seccomp_export_bpf(made, target) == 0
    library.seccomp_release(made)


def command(
    unit: Path,
    state: Path | None,
    run: Path | None,
    program: Sequence[str],
    system: Path | None = None,
    shown: Mapping[str, Path] | None = None,
) -> list[str]:
    """Return bubblewrap's arguments for the unit's folders, account and network.

    ``state`` and ``run``: folders that the unit may write to. ``shown``: other paths that it may
    read, and what they contain. ``system``: a whole Debian in a folder, with the program installed;
    without it this machine's own, with the program and the settings of this checkout.
    """
    for key in ("PrivateTmp", "PrivateDevices", "PrivateIPC", "ProtectHome"):
        assert values(unit, key) == ["yes"], key
    assert values(unit, "ProtectSystem") == ["strict"]
    account = ["990", "990"]
    become: list[str] = []
    own: list[str] = []
    folders: list[str] = []
    network = [] if values(unit, "PrivateNetwork") == ["yes"] else ["--share-net"]
    if state is not None:
        folders += ["--bind", str(state), *values(unit, "ReadWritePaths")]
    if run is not None:
        folders += ["--bind", str(run), f"/run/{values(unit, 'RuntimeDirectory')[0]}"]
    for place, path in (shown or {}).items():
        folders += ["--ro-bind", str(path), place]
    closed = ["/run", "/var/lib"]
    if system is None:  # the unit's program is this checkout
        closed += ["/opt", "/etc"]
        own += ["--tmpfs", "/etc"]
        for path in sorted(Path("/etc").iterdir()):
            if path.name != "klankbord":
                own += ["--ro-bind-try", str(path), str(path)]
        own += ["--ro-bind", str(ETC / "klankbord"), "/etc/klankbord"]
        for path in (Path(sys.base_prefix), ROOT):
            own += ["--ro-bind", str(path), str(path)]
        own += ["--tmpfs", "/opt", "--symlink", str(ROOT / ".venv"), "/opt/klankbord/current"]
    else:
        account = [str(number) for number in owner(unit, system)]
        more = [str(_group_id(system, name)) for name in values(unit, "SupplementaryGroups")]
        become = ["setpriv", "--reuid", account[0], "--regid", account[1]]
        become += ["--groups", ",".join(more)] if more else ["--clear-groups"]
    return [
        *become,
        *("bwrap", "--unshare-all", *network, "--die-with-parent", "--new-session"),
        *("--uid", account[0], "--gid", account[1], "--ro-bind", str(system or "/"), "/"),
        *("--dev", "/dev", "--proc", "/proc"),
        *(word for place in ("/tmp", "/home", "/root") for word in ("--tmpfs", place)),  # noqa: S108 - places that are hidden
        *own,
        *("--tmpfs", "/run", "--tmpfs", "/var/lib", *folders),
        *(word for place in closed for word in ("--remount-ro", place)),
        *program,
    ]


def owner(unit: Path, system: Path) -> tuple[int, int]:
    """Return the ids of the unit's account and group in a Debian in a folder."""
    (user,), (group,) = values(unit, "User"), values(unit, "Group")
    for line in (system / "etc" / "passwd").read_text().splitlines():
        if line.split(":")[0] == user:
            return int(line.split(":")[2]), _group_id(system, group)
    raise AssertionError(f"no account {user}")


def _group_id(system: Path, group: str) -> int:
    for line in (system / "etc" / "group").read_text().splitlines():
        if line.split(":")[0] == group:
            return int(line.split(":")[2])
    raise AssertionError(f"no group {group}")


@contextmanager
def filtered(unit: Path) -> Iterator[int]:
    """Yield a file descriptor with the filter, at its beginning."""
    with tempfile.TemporaryFile() as file:
        write_filter(unit, file.fileno())
        file.seek(0)
        yield file.fileno()


@contextmanager
def started(
    unit: Path,
    state: Path | None,
    run: Path,
    log: Path,
    system: Path | None = None,
    under: Sequence[str] = (),
    shown: Mapping[str, Path] | None = None,
    sockets: Sequence[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the unit's service once it reports that it is ready; end it as systemd would.

    A service that reports nothing is ready when its ``sockets`` exist. ``under``: a program that
    starts it, such as strace. ``shown``: as for ``command``.
    """
    (line,) = values(unit, "ExecStart")
    assert values(unit, "Type") == ["exec" if sockets else "notify"]
    (folder,) = values(unit, "RuntimeDirectory")
    signals = [getattr(signal, name) for name in values(unit, "KillSignal")]
    reading, writing = os.pipe()
    with filtered(unit) as program, log.open("ab") as said:
        inside = ["--as-pid-1", "--info-fd", str(writing), "--seccomp", str(program)]
        with _notified(run / "notify", log) as ready:
            service = subprocess.Popen(
                [*under, *command(unit, state, run, [*inside, *line.split()], system, shown)],
                stdout=said,
                stderr=said,
                pass_fds=[program, writing],
                env={"PATH": os.environ["PATH"], "NOTIFY_SOCKET": f"/run/{folder}/notify"},
            )
            os.close(writing)
            try:
                if sockets:
                    _listens(service, [run / name for name in sockets], log)
                else:
                    ready()
                yield service
            finally:
                with os.fdopen(reading) as told, suppress(ValueError, ProcessLookupError):
                    # Do not read to the end: the program that started the service may keep it open.
                    said_of_it = "".join(iter(lambda: told.read(1), "}")) + "}"
                    os.kill(json.loads(said_of_it)["child-pid"], (signals or [signal.SIGTERM])[0])
                with suppress(subprocess.TimeoutExpired):
                    service.wait(30)
                service.kill()
                service.wait(60)


def _listens(service: subprocess.Popen[bytes], sockets: Sequence[Path], log: Path) -> None:
    """Wait until each of these accepts connections."""
    deadline = time.monotonic() + 60
    for path in sockets:
        while True:
            with socket.socket(socket.AF_UNIX) as made, suppress(OSError):
                made.connect(str(path))
                break
            assert service.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)


@contextmanager
def _notified(path: Path, log: Path) -> Iterator[Callable[[], None]]:
    """Yield a notify socket like systemd's, and a function that waits for readiness."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(path))
        path.chmod(0o666)
        heard.settimeout(30)

        def ready() -> None:
            try:
                while b"READY=1" not in heard.recv(4096):
                    pass
            except TimeoutError:
                pytest.fail(f"it never was ready: {log.read_text()}")

        try:
            yield ready
        finally:
            path.unlink()


class Bridge:
    """A local port that leads to a socket file, for programs that only dial ports.

    ``first`` is sent to it before anything else, like Tor's line about the circuit.
    """

    def __init__(self, path: Path, port: int = 0, first: bytes = b"") -> None:
        self._path = path
        self._first = first
        self._listening = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listening.getsockname()[1])
        self._accepting = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> int:
        self._accepting.start()
        return self.port

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # wakes the accepting thread, which would otherwise keep the port
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._accepting.join()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._between, args=(near,), daemon=True).start()

    def _between(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far:
            far.connect(str(self._path))
            far.sendall(self._first)
            back = threading.Thread(target=self._pass, args=(far, near), daemon=True)
            back.start()
            self._pass(near, far)
            back.join()

    @staticmethod
    def _pass(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
