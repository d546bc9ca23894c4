"""The onion addresses of a machine: for its sites, and for the desks of each site.

Each has a file in Tor's torrc.d, made from a template here, and a folder with its key. Tor
generates the key if there is none. Part of ``deploy/install``.

The folders are inside Tor's own folder, where an attacker who controls Tor can put anything. Root
therefore neither writes nor reads files there. Tor's account does, and the form of its output is
checked.
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

from installer.machine import DEPLOY, Machine, say, stop

TOR_FILES = Path("/etc/tor/torrc.d")
KEYS = Path("/var/lib/tor")
TEMPLATES = DEPLOY / "etc" / "tor" / "torrc.d"
OWN, DESKS = "box", "desks"  # for the site in the server's own folder
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
KEY = re.compile(r"descriptor:x25519:[A-Z2-7]{52}")
NOBODY = "nobody"  # its key keeps the address closed while there is no other
ONION = re.compile(r"[a-z2-7]{56}\.onion")
# Run without root's terminal and environment.
AS_TOR = ("env", "-i", "setsid", "--wait", "/usr/sbin/runuser", "-u", "debian-tor", "--")
# Write the whole file or nothing, readable only by Tor.
WRITE = 'umask 077 && rm -f "$1.new" && cat > "$1.new" && mv -T "$1.new" "$1"'


def of_site(site: str | None) -> str:
    """Return the name that the installer uses for a site's address.

    None means the site in the server's own folder.
    """
    return f"site-{site}" if site else OWN


def of_desks(site: str | None) -> str:
    """Return the name that the installer uses for the address of a site's desks."""
    return f"{DESKS}-{site}" if site else DESKS


def folder(name: str) -> Path:
    """Return the folder with an address's key. For the first address it is klankbord-box."""
    return KEYS / f"klankbord-{name}"


def there() -> list[str]:
    """Return this machine's addresses, found by their settings files or by their keys."""
    found = {path.stem for path in TOR_FILES.glob("klankbord-*.conf")}
    found |= {path.name for path in kept() if (path / "hs_ed25519_secret_key").is_file()}
    return sorted(name.removeprefix("klankbord-") for name in found)


def kept() -> list[Path]:
    """Return the folders of our addresses. Folders with other names and links are skipped."""
    found = [path for path in KEYS.glob("klankbord-*") if path.is_dir() and not path.is_symlink()]
    return sorted(path for path in found if _is_ours(path.name.removeprefix("klankbord-")))


def _is_ours(name: str) -> bool:
    kind, dash, site = name.partition("-")
    return name in (OWN, DESKS) or (kind in ("site", DESKS) and bool(dash and NAME.fullmatch(site)))


def write(machine: Machine, wanted: Iterable[str]) -> bool:
    """Write Tor's settings for these addresses and the existing ones.

    Returns whether any changed.
    """
    changed = False
    for name in dict.fromkeys([*wanted, *there()]):
        desks = name.split("-")[0] == DESKS
        if desks:
            _close(machine, name)
        template = TEMPLATES / f"klankbord-{'desks' if desks else 'onion'}.conf.in"
        text = template.read_text("utf-8").replace("@NAME@", name)
        changed |= machine.write(TOR_FILES / f"klankbord-{name}.conf", text)
    return changed


def addresses(machine: Machine, tor: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Return the names that Tor generated. Without systemd, start Tor to generate them."""
    names = list(wanted)
    files = [folder(name) / "hostname" for name in names]
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
    return [address(machine, name) for name in names]


def address(machine: Machine, name: str) -> str:
    """Return the name that Tor generated."""
    made = machine.run(*AS_TOR, "head", "-c", "100", folder(name) / "hostname").strip()
    if machine.dry:
        return "ONION"
    if not ONION.fullmatch(made):
        stop(f"{folder(name)}/hostname holds no onion address")
    return made


def _close(machine: Machine, name: str) -> None:
    """Put a key into a desk address's folder. Without a key, everybody could reach it."""
    clients = _clients(name)
    machine.run(*AS_TOR, "install", "-d", "-m", "700", clients.parent, clients)
    if not os.access(clients / f"{NOBODY}.auth", os.F_OK):
        # 32 random bytes are a public key for which nobody has the secret key.
        key = base64.b32encode(os.urandom(32)).decode("ascii").rstrip("=")
        _let_in(machine, clients / f"{NOBODY}.auth", f"descriptor:x25519:{key}")


def _clients(name: str) -> Path:
    """Return the folder with the authorization keys of an address. Stops if it is a link."""
    clients = folder(name) / "authorized_clients"
    for path in (clients.parent, clients):
        if os.access(path.parent, os.X_OK) and path.is_symlink():
            stop(f"{path} is a link to another place, and Tor makes none: look who did")
    return clients


def _let_in(machine: Machine, file: Path, key: str) -> None:
    machine.run(*AS_TOR, "sh", "-c", WRITE, "sh", file, given=key + "\n")


def admit(machine: Machine, site: str | None, desk: str, key: str) -> str:
    """Give a desk access to its site's desk address; return that address."""
    name = of_desks(site)
    if name not in there():
        stop("there is no address for desks yet; make it with --desks")
    _let_in(machine, _clients(name) / f"{desk}.auth", key)
    machine.service("reload", "tor")
    return address(machine, name)


def dismiss(machine: Machine, site: str | None, desk: str) -> None:
    """Remove a desk's access."""
    if desk not in admitted(site):
        stop(f"no desk is called {desk!r} there")
    machine.run(*AS_TOR, "rm", _clients(of_desks(site)) / f"{desk}.auth")
    # Restart Tor, because a desk that is connected might otherwise stay connected.
    machine.service("restart", "tor")


def admitted(site: str | None) -> list[str]:
    """Return the desks that have access."""
    names = {path.stem for path in _clients(of_desks(site)).glob("*.auth")} - {NOBODY}
    return sorted(name for name in names if NAME.fullmatch(name))


def desks(
    machine: Machine, asked: argparse.Namespace, onion: Callable[[Machine, str], list[str]]
) -> None:
    """Create an address for desks only, using ``onion``, and set which desks have access."""
    of = f"--site {asked.site} " if asked.site else ""
    if asked.no_desk:
        dismiss(machine, asked.site, asked.no_desk)
        return
    if asked.desk:
        name = admit(machine, asked.site, *asked.desk)
    else:
        (name,) = onion(machine, of_desks(asked.site))
    if machine.dry:
        return
    inside = admitted(asked.site)
    say(
        f"\nDone. At http://{name} these desks are let in: {', '.join(inside) or 'none yet'}."
        "\nEach counsellor makes a key for that address, and sends you the line that is printed:"
        f"\n\n    klankbord-desk onion-key {name} --out klankbord.auth_private"
        f"\n    deploy/install {of}--desk NAME descriptor:x25519:..."
        "\n\nOnce all are let in, this prints the invitation that takes their desks there;"
        "\nfrom then on desks are answered nowhere else:"
        f"\n\n    klankbord-server move {of}--desk-origin http://{name}"
        "\n    systemctl reload klankbord"
    )


def check(asked: argparse.Namespace, installed: bool) -> None:
    """Stop with an error if a name or key is malformed, or its site or address does not exist."""
    for name in (asked.site, asked.no_desk, asked.desk and asked.desk[0]):
        if name is not None and not NAME.fullmatch(name):
            stop(f"{name!r} is no name of a site or desk: 1 to 40 of a-z, 0-9 and -")
    if NOBODY in (asked.no_desk, asked.desk and asked.desk[0]):
        stop(f"{NOBODY} keeps the address closed; a desk has another name")
    if asked.desk and not KEY.fullmatch(asked.desk[1]):
        stop("that is no key; 'klankbord-desk onion-key' prints one: descriptor:x25519:...")
    if (asked.site or asked.desks or asked.desk or asked.no_desk) and not installed:
        stop("the drop box itself comes first: deploy/install")
