"""Checks of the service: its unit, program, account and socket file."""

import os
import shlex

from dropbox_app.server.doctor.finding import Unseen, unseen, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.doctor.machine.nginx import ACCOUNT as FRONT
from dropbox_app.server.doctor.machine.units import SERVER, Unit, unit

PROGRAM = "/opt/klankbord"
COMMAND = "/usr/local/bin/klankbord-server"
SOCKETS = "/run/klankbord"
ACCOUNT = "klankbord"
# Settings that the promises depend on, and the effect of a wrong value.
WANTED = {
    "User": (ACCOUNT, "it runs as another account than its own"),
    "UMask": ("0077", "other accounts may read what it writes"),
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
    """Check that the unit has the promised sandbox and starts at boot."""
    found = unit(machine, SERVER)
    if found is None:
        yield unseen(
            "service", f"there is no {SERVER} here, so its walls were not looked at",
            "run doctor where systemd has it; containers have walls of their own",
        )  # fmt: skip
        return
    for key, (value, means) in WANTED.items():
        if found[key] != value:
            yield wrong("service", f"{means}: {key}={found[key]} ({_files(found)})", _MEND)
    for key in ("StandardOutput", "StandardError"):
        if found[key] in ("file", "append", "truncate"):
            yield wrong(
                "service", f"what it says is kept in a file: {key}={found[key]}",
                f"take that line out of {_files(found)}: the journal forgets, a file does not",
            )  # fmt: skip
    if "--bind unix:" not in found["ExecStart"]:
        yield wrong("service", "it serves on a port, not on a socket file", _MEND)
    if not found["UnitFileState"].startswith("enabled"):
        yield wrong(
            "service", "it does not start when the machine does", f"systemctl enable {SERVER}"
        )


def _files(found: Unit) -> str:
    return " ".join([found["FragmentPath"], found["DropInPaths"]]).strip()


def program(machine: Machine) -> Faults:
    """Check who can change the program, and thus read messages while a page is in use."""
    if not machine.there(f"{PROGRAM}/current"):
        yield unseen(
            "program", f"it is not in {PROGRAM}, so who may change it was not looked at",
            "let it belong to root, and nobody else write in it",
        )  # fmt: skip
        return
    root = machine.stat("/")
    owner = root.owner if root else 0
    loose = [
        name
        for name in (COMMAND, "/etc/systemd/system", *_units(machine), *_all(machine))
        if (found := machine.stat(name)) and (found.owner != owner or found.mode & 0o022)
    ]
    if loose:
        yield wrong(
            "program",
            f"others than root may change {loose[0]}"
            + (f" and {len(loose) - 1} more" if loose[1:] else ""),
            "treat it as compromised until you know who did it (When the machine was compromised "
            f"in deploy/guide/emergencies.md); then chown -R root:root and chmod -R go-w {PROGRAM}",
        )
    current = machine.path(f"{PROGRAM}/current").resolve()
    if not (current / "klankbord-whole").is_file() and machine.there(f"{PROGRAM}/releases"):
        yield wrong(
            "program", f"{PROGRAM}/current leads to what was not installed whole",
            "run deploy/install again",
        )  # fmt: skip
    if machine.there(f"{PROGRAM}/upgrade.json"):
        yield wrong(
            "program", "an upgrade was broken off, or is under way",
            "if none is under way, type klankbord-server upgrade RELEASE once more, now",
        )  # fmt: skip


def _units(machine: Machine) -> list[str]:
    return machine.inside("/etc/systemd/system", "klankbord*.service")


def _all(machine: Machine) -> list[str]:
    def unseen(error: OSError) -> None:
        raise Unseen(error.filename)

    found = []
    top = machine.path(PROGRAM)
    for folder, _, files in os.walk(top, onerror=unseen):
        found.append(machine.name(machine.root / folder))
        for file in files:
            path = machine.root / folder / file
            if not path.is_symlink():  # the target of a link belongs to Debian
                found.append(machine.name(path))
    return found


def account(machine: Machine) -> Faults:
    """Check that nobody can log in to the account, and that its groups have no other members."""
    accounts = _entries(machine, "passwd", 7)
    own = next((one for one in accounts if one[0] == ACCOUNT), None)
    folder = machine.stat(machine.server)
    owner = folder.owner if folder else None
    if own is None:
        yield unseen(
            "account", f"there is no account {ACCOUNT}, so who may act as it was not looked at",
            "give the server an account of its own that nobody logs in to",
        )  # fmt: skip
        return
    if own[2] == "0" or owner == 0 or str(owner) != own[2]:
        yield wrong(
            "account", f"{machine.server} belongs to account number {owner}, not to {ACCOUNT}",
            f"chown -R {ACCOUNT}:{ACCOUNT} {shlex.quote(machine.server)}",
        )  # fmt: skip
    for one in accounts:
        if one[0] in (ACCOUNT, FRONT) and one[6].rpartition("/")[2] not in ("nologin", "false"):
            yield wrong(
                "account", f"one can log in as {one[0]} (its shell is {one[6]})",
                f"usermod --shell /usr/sbin/nologin {one[0]}",
            )  # fmt: skip
    for group in _entries(machine, "group", 4):
        if group[0] in (ACCOUNT, FRONT):
            yield from _members(group, accounts)


def _members(group: list[str], accounts: list[list[str]]) -> Faults:
    """Yield a fault for each account that is needlessly a member of a group."""
    allowed = {group[0], "root"}
    for other in sorted({one for one in group[3].split(",") if one} - allowed):
        yield wrong(
            "account", f"{other} is in the group {group[0]}, and so reaches its files and sockets",
            f"gpasswd --delete {shlex.quote(other)} {group[0]}",
        )  # fmt: skip
    for one in accounts:
        if one[3] == group[2] and one[0] != group[0]:
            yield wrong(
                "account", f"{one[0]} has the group {group[0]} as its own",
                f"usermod --gid nogroup {shlex.quote(one[0])}",
            )  # fmt: skip


def _entries(machine: Machine, kind: str, size: int) -> list[list[str]]:
    lines = machine.ask("getent", kind).splitlines()
    return [entry for line in lines if len(entry := line.split(":")) == size]


def socket(machine: Machine) -> Faults:
    """Check that only nginx can connect to the server's socket."""
    place = machine.stat(SOCKETS)
    if place is None:
        if unit(machine, SERVER):
            yield wrong("socket", "the server does not run", "systemctl status klankbord says why")
        else:
            yield unseen(
                "socket", f"there is no {SOCKETS}, so it was not looked at",
                "run doctor where the server runs",
            )  # fmt: skip
        return
    group = next((one[2] for one in _entries(machine, "group", 4) if one[0] == FRONT), None)
    if place.mode & 0o007 or str(place.group) != group:
        yield wrong(
            "socket", f"others than nginx may come to the server's socket in {SOCKETS} "
            f"(mode {place.mode:04o}, group number {place.group})",
            f"that folder is of mode 0750 and of the group {FRONT}: {_MEND}",
        )  # fmt: skip
    if not machine.inside(SOCKETS, "*.sock"):
        yield wrong("socket", "the server does not run", "systemctl status klankbord says why")
