"""The onion addresses of a machine: of its sites, and for the desks of each alone.

Each has a file in Tor's torrc.d, made from a template here, and a folder with its key. Tor makes
the key when there is none. Part of ``deploy/install``.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from machine import Machine, say, stop

TOR_FILES = Path("/etc/tor/torrc.d")
KEYS = Path("/var/lib/tor")
TEMPLATES = Path(__file__).resolve().parent / "tor"
OWN, DESKS = "box", "desks"  # of the site in the folder itself
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
KEY = re.compile(r"descriptor:x25519:[A-Z2-7]{52}")
NOBODY = "nobody"  # whose key keeps the address closed while there is no other


def of_site(site: str | None) -> str:
    """What the address of a site is called here; None is the site in the folder itself."""
    return f"site-{site}" if site else OWN


def of_desks(site: str | None) -> str:
    """The same, of the address for its desks alone."""
    return f"{DESKS}-{site}" if site else DESKS


def folder(name: str) -> Path:
    """Where an address has its key; that of the first is in klankbord-box."""
    return KEYS / f"klankbord-{name}"


def there() -> list[str]:
    """What addresses this machine has."""
    files = TOR_FILES.glob("klankbord-*.conf")
    return sorted(path.stem.removeprefix("klankbord-") for path in files)


def write(machine: Machine, wanted: Iterable[str]) -> bool:
    """Tor's settings for these addresses, and anew for those that are there already.

    Returns whether any of them is another than before.
    """
    changed = False
    for name in dict.fromkeys([*wanted, *there()]):
        desks = name.split("-")[0] == DESKS
        if desks:
            _close(machine, name)
        template = TEMPLATES / ("desks.conf" if desks else "onion.conf")
        text = template.read_text("utf-8").replace("@NAME@", name)
        changed |= machine.write(TOR_FILES / f"klankbord-{name}.conf", text)
    return changed


def addresses(machine: Machine, tor: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """The names that Tor made; where no systemd has started it, it is started for that."""
    files = [folder(name) / "hostname" for name in wanted]
    own: subprocess.Popen[bytes] | None = None
    if not machine.systemd and not all(file.is_file() for file in files):
        say("  (systemd does not run here: Tor is started without network, to make the key only)")
        own = subprocess.Popen(
            [*tor, "--RunAsDaemon", "0", "--DisableNetwork", "1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not all(file.is_file() for file in files):
            if time.monotonic() > deadline:
                stop("Tor made no address within a minute; see: journalctl -u tor@default")
            time.sleep(0.2)
    finally:
        if own is not None:
            own.terminate()
            own.wait(30)
    return [file.read_text("ascii").strip() for file in files]


def _close(machine: Machine, name: str) -> None:
    """Before Tor sees an address for desks: without any key in its folder it is open to all."""
    clients = folder(name) / "authorized_clients"
    owner = ("-o", "debian-tor", "-g", "debian-tor")
    machine.run("install", "-d", "-m", "700", *owner, clients.parent, clients)
    if not (clients / f"{NOBODY}.auth").is_file():
        # 32 bytes by chance are a key whose other half nobody has.
        key = base64.b32encode(os.urandom(32)).decode("ascii").rstrip("=")
        _let_in(machine, clients / f"{NOBODY}.auth", f"descriptor:x25519:{key}")


def _let_in(machine: Machine, file: Path, key: str) -> None:
    machine.write(file, key + "\n", 0o600)
    machine.run("chown", "debian-tor:debian-tor", file)


def admit(machine: Machine, site: str | None, desk: str, key: str) -> str:
    """Let a desk in at the address for the desks of a site; return that address."""
    name = of_desks(site)
    if name not in there():
        stop("there is no address for desks yet; make it with --desks")
    _let_in(machine, folder(name) / "authorized_clients" / f"{desk}.auth", key)
    machine.service("reload", "tor")
    return (folder(name) / "hostname").read_text("ascii").strip()


def dismiss(machine: Machine, site: str | None, desk: str) -> None:
    """Let a desk in no more."""
    file = folder(of_desks(site)) / "authorized_clients" / f"{desk}.auth"
    if not file.is_file():
        stop(f"no desk is called {desk!r} there")
    machine.remove(file)
    # Tor has to be started anew: else whoever is inside may stay.
    machine.service("restart", "tor")


def admitted(site: str | None) -> list[str]:
    """The desks that are let in."""
    files = (folder(of_desks(site)) / "authorized_clients").glob("*.auth")
    return sorted(path.stem for path in files if path.stem != NOBODY)


def desks(
    machine: Machine, asked: argparse.Namespace, onion: Callable[[Machine, str], list[str]]
) -> None:
    """An address for desks alone, made by ``onion``, and who is let in there."""
    of = f"--site {asked.site} " if asked.site else ""
    if asked.no_desk:
        dismiss(machine, asked.site, asked.no_desk)
        return
    if asked.desk:
        address = admit(machine, asked.site, *asked.desk)
    else:
        (address,) = onion(machine, of_desks(asked.site))
    inside = [] if machine.dry else admitted(asked.site)
    say(
        f"\nDone. At http://{address} these desks are let in: {', '.join(inside) or 'none yet'}."
        "\nEach counsellor makes a key for that address, and sends you the line that is printed:"
        f"\n\n    klankbord-desk onion-key {address} --out klankbord.auth_private"
        f"\n    deploy/install {of}--desk NAME descriptor:x25519:..."
        "\n\nOnce all are let in, this prints the invitation that takes their desks there;"
        "\nfrom then on desks are answered nowhere else:"
        f"\n\n    klankbord-server move {of}--desk-origin http://{address}"
        "\n    systemctl kill --signal=HUP --kill-whom=main klankbord"
    )


def check(asked: argparse.Namespace, installed: bool) -> None:
    """End where a name or a key has another form, or what they belong to is not there yet."""
    for name in (asked.site, asked.no_desk, asked.desk and asked.desk[0]):
        if name is not None and not NAME.fullmatch(name):
            stop(f"{name!r} is no name of a site or desk: 1 to 40 of a-z, 0-9 and -")
    if NOBODY in (asked.no_desk, asked.desk and asked.desk[0]):
        stop(f"{NOBODY} keeps the address closed; a desk has another name")
    if asked.desk and not KEY.fullmatch(asked.desk[1]):
        stop("that is no key; 'klankbord-desk onion-key' prints one: descriptor:x25519:...")
    if (asked.site or asked.desks or asked.desk or asked.no_desk) and not installed:
        stop("the drop box itself comes first: deploy/install")
