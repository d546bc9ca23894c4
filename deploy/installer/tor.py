"""The settings and the sandbox of Debian's Tor.

Part of ``deploy/install``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from installer import nginx, onions
from installer.machine import UNITS, Machine, members, say
from installer.onions import TOR_FILES

TORRC = Path("/etc/tor/torrc")
CLOSED = UNITS / "tor@default.service.d" / "klankbord.conf"
APPARMOR = Path("/etc/apparmor.d/local/system_tor")
ONION = onions.folder(onions.OWN)
SOCKETS = ("onion", "desks")
COMMAND = (
    "tor", "--defaults-torrc", "/usr/share/tor/tor-service-defaults-torrc", "-f", str(TORRC),
)  # fmt: skip


def onion(machine: Machine, *wanted: str) -> list[str]:
    """Serve these onion addresses in addition to the existing ones.

    Returns the addresses.
    """
    say("The onion address")
    changed = machine.ship(CLOSED)
    machine.service("daemon-reload")
    changed |= machine.ship(TOR_FILES / "klankbord.conf")
    changed |= onions.write(machine, wanted)
    changed |= machine.block(TORRC, [f"%include {TOR_FILES}/*.conf"])
    if APPARMOR.parent.is_dir():  # Debian's profile allows Tor only the sockets that it lists
        changed |= machine.block(
            APPARMOR, [f"  /run/{nginx.ACCOUNT}/{name}.sock rw," for name in SOCKETS]
        )
        if Path("/sys/module/apparmor").is_dir() and shutil.which("apparmor_parser"):
            machine.run("apparmor_parser", "--replace", "/etc/apparmor.d/system_tor")
    machine.run("install", "-d", "-m", "2755", "-o", "debian-tor", "-g", "debian-tor", "/run/tor")
    machine.run(*COMMAND, "--RunAsDaemon", "0", "--verify-config")
    machine.service("enable", "tor")
    machine.service("restart" if changed else "start", "tor")
    if machine.dry:
        return ["ONION" for _ in wanted]
    return onions.addresses(machine, COMMAND, wanted)


def leave(machine: Machine) -> None:
    """Remove all our settings. The keys of addresses stay."""
    say("Tor")
    machine.remove(CLOSED, *TOR_FILES.glob("klankbord*.conf"))
    machine.remove_empty(CLOSED.parent)
    for path in (TORRC, APPARMOR):
        if path.is_file():
            machine.block(path, [])
    machine.service("daemon-reload")
    if TORRC.is_file():
        machine.service("restart", "tor")


def leave_group(machine: Machine, group: str) -> None:
    """Remove Tor and Caddy from the server's group, to which an earlier version added them."""
    for name in ("debian-tor", "caddy"):
        if name in members(group):
            machine.run("gpasswd", "--delete", name, group)
