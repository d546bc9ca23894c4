"""The drop box as a service: its unit, its program, its account, its socket files."""

import os
import shlex

from dropbox_app.server.doctor.finding import Unseen, note, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.doctor.machine.units import Unit, unit

UNIT = "klankbord.service"
PROGRAM = "/opt/klankbord"
COMMAND = "/usr/local/bin/klankbord-server"
SOCKETS = "/run/klankbord"
ACCOUNT = "klankbord"
# Who has to reach the socket: Tor, and a web server in front.
_FRONTS = {"debian-tor", "caddy", "www-data", "nginx"}
# Lines of deploy/etc/systemd/system/klankbord.service that a promise hangs on, and what it is.
WANTED = {
    "User": (ACCOUNT, "it runs as another account than its own"),
    "UMask": ("0077", "what it writes may be read by others"),
    "PrivateNetwork": ("yes", "it can reach the network"),
    "RestrictAddressFamilies": ("AF_UNIX", "it can open other sockets than files"),
    "ProtectSystem": ("strict", "it can write outside its own folder"),
    "ProtectHome": ("yes", "it can read home folders"),
    "PrivateTmp": ("yes", "it shares /tmp with other programs"),
    "PrivateDevices": ("yes", "it can reach devices"),
    "NoNewPrivileges": ("yes", "it can get more rights"),
    "CapabilityBoundingSet": ("", "it has rights of root"),
    "MemoryDenyWriteExecute": ("yes", "it can run code that it wrote in memory"),
    "MemorySwapMax": ("0", "its memory may be swapped out to a disk"),
}
_MEND = "deploy/install puts it back; then systemctl restart klankbord"


def service(machine: Machine) -> Faults:
    """Whether the unit still holds all that it promises, and comes up with the machine."""
    found = unit(machine, UNIT)
    if found is None:
        yield note(
            "service", f"there is no {UNIT} here, so its walls were not looked at",
            "run doctor where systemd has it; containers have walls of their own",
        )  # fmt: skip
        return
    for key, (value, means) in WANTED.items():
        held = found.last(key)
        same = found.on(key) if value == "yes" else held == value
        if not same or key not in found.settings:
            said = f"{key}={held}" if key in found.settings else f"there is no {key}"
            yield wrong("service", f"{means}: {said} ({_where(found)})", _MEND)
    for key in ("StandardOutput", "StandardError"):
        if found.last(key).startswith(("file:", "append:", "truncate:")):
            yield wrong(
                "service", f"what it says is kept in a file: {key}={found.last(key)}",
                f"take that line out of {_where(found)}: the journal forgets, a file does not",
            )  # fmt: skip
    if "--bind unix:" not in found.last("ExecStart"):
        yield wrong(
            "service", f"it serves on a port, not on a socket file ({found.last('ExecStart')})",
            _MEND,
        )  # fmt: skip
    started = "/etc/systemd/system/multi-user.target.wants/" + UNIT
    if machine.systemd and not machine.there(started):
        yield wrong(
            "service", "it does not start when the machine does", f"systemctl enable {UNIT}"
        )


def _where(found: Unit) -> str:
    return ", ".join(found.files)


def program(machine: Machine) -> Faults:
    """Whoever can change the program reads along while somebody uses a page."""
    if not machine.there(f"{PROGRAM}/current"):
        yield note(
            "program", f"it is not in {PROGRAM}, so who may change it was not looked at",
            "let it belong to root, and nobody else write in it",
        )  # fmt: skip
        return
    root = machine.stat("/")
    owner = root.owner if root else 0
    loose = [
        name
        for name in (COMMAND, f"/etc/systemd/system/{UNIT}", "/etc/systemd/system", *_all(machine))
        if (found := machine.stat(name)) and (found.owner != owner or found.mode & 0o022)
    ]
    if loose:
        yield wrong(
            "program",
            f"others than root may change {loose[0]}"
            + (f" and {len(loose) - 1} more" if loose[1:] else ""),
            "take it as taken over until you know who did it (When it was taken over in "
            f"deploy/README.md); then chown -R root:root and chmod -R go-w {PROGRAM}",
        )
    current = machine.path(f"{PROGRAM}/current").resolve()
    if not (current / "klankbord-whole").is_file() and machine.there(f"{PROGRAM}/releases"):
        yield wrong(
            "program", f"{PROGRAM}/current leads to what was not installed whole",
            "run deploy/install again",
        )  # fmt: skip


def _all(machine: Machine) -> list[str]:
    def unseen(error: OSError) -> None:
        raise Unseen(error.filename)

    found = []
    top = machine.path(PROGRAM)
    for folder, _, files in os.walk(top, onerror=unseen):
        found.append(machine.name(machine.root / folder))
        for file in files:
            path = machine.root / folder / file
            if not path.is_symlink():  # what it leads to is Debian's
                found.append(machine.name(path))
    return found


def account(machine: Machine) -> Faults:
    """An account that nobody logs in to, and a group that only Tor and a web server are in."""
    accounts = [line.split(":") for line in machine.lines("/etc/passwd")]
    own = next((one for one in accounts if one[0] == ACCOUNT and len(one) > 6), None)
    folder = machine.stat(machine.server)
    owner = folder.owner if folder else None
    if own is None:
        yield note(
            "account", f"there is no account {ACCOUNT}, so who may act as it was not looked at",
            "give the server an account of its own that nobody logs in to",
        )  # fmt: skip
        return
    if own[2] == "0" or owner == 0 or str(owner) != own[2]:
        yield wrong(
            "account", f"{machine.server} belongs to account number {owner}, not to {ACCOUNT}",
            f"chown -R {ACCOUNT}:{ACCOUNT} {shlex.quote(machine.server)}",
        )  # fmt: skip
    if own[6].rpartition("/")[2] not in ("nologin", "false"):
        yield wrong(
            "account", f"one can log in as {ACCOUNT} (its shell is {own[6]})",
            f"usermod --shell /usr/sbin/nologin {ACCOUNT}",
        )  # fmt: skip
    groups = [line.split(":") for line in machine.lines("/etc/group")]
    members = {
        member
        for group in groups
        if group[0] == ACCOUNT and len(group) > 3
        for member in group[3].split(",")
        if member
    }
    for other in sorted(members - _FRONTS):
        yield wrong(
            "account", f"{other} is in the group {ACCOUNT}, and so reaches the socket",
            f"gpasswd --delete {shlex.quote(other)} {ACCOUNT}",
        )  # fmt: skip
    for name, *rest in accounts:
        if name not in (ACCOUNT, "root") and rest[2:3] == [own[3]]:
            yield wrong(
                "account", f"{name} has the group {ACCOUNT} as its own",
                f"usermod --gid nogroup {shlex.quote(name)}",
            )  # fmt: skip


def socket(machine: Machine) -> Faults:
    """Where Tor and a web server come in, and nobody else."""
    place = machine.stat(SOCKETS)
    if place is None:
        if machine.systemd and unit(machine, UNIT):
            yield wrong("socket", "the server does not run", "systemctl status klankbord says why")
        else:
            yield note(
                "socket", f"there is no {SOCKETS}, so it was not looked at",
                "run doctor where the server runs",
            )  # fmt: skip
        return
    files = machine.inside(SOCKETS, "*.sock")
    if not files:
        yield wrong("socket", "the server does not run", "systemctl status klankbord says why")
    for name in (SOCKETS, *files):
        found = machine.stat(name)
        if found and found.mode & 0o007 and (name == SOCKETS or place.mode & 0o001):
            yield wrong(
                "socket", f"{name} may be used by every account here",
                f"RuntimeDirectoryMode=0750 in {UNIT}: {_MEND}",
            )  # fmt: skip
