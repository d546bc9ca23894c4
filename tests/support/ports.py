"""Ports for test servers: each belongs to one test for the lifetime of its process.

A port that was free a moment ago may not be free now: the system may use it for an outgoing
connection, or another test's server may take it while ours restarts. Ports are therefore chosen
below the system's range, and each is reserved with a lock on its name, for all processes of all
runs on one machine.
"""

import fcntl
import itertools
import os
import random
import socket
import tempfile
from pathlib import Path

_LOCKS = Path(tempfile.gettempdir()) / f"klankbord-ports-{os.getuid()}"
_HELD: dict[int, int] = {}  # port -> the descriptor whose lock keeps it ours


def free_port() -> int:
    """Return a free loopback port that no other test will use."""
    _LOCKS.mkdir(mode=0o700, exist_ok=True)
    ports = range(10_000, _first_of_the_system())
    first = random.SystemRandom().randrange(len(ports))
    for port in itertools.chain(ports[first:], ports[:first]):
        if port not in _HELD and _lock(port):
            if _is_free(port):
                return port
            os.close(_HELD.pop(port))
    raise OSError("no port is free")


def _first_of_the_system() -> int:
    """Return the lowest port that the system itself assigns."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except FileNotFoundError:  # not Linux; the lowest such port that is common elsewhere
        return 32_768


def _lock(port: int) -> bool:
    """Lock the port's name until this process ends; return whether it was free."""
    held = os.open(_LOCKS / str(port), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return False
    _HELD[port] = held
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
