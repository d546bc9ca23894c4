"""Checks for memory that can be written to a disk (swap, core dumps), and for disk encryption."""

import json
import re
from typing import Any

from dropbox_app.server.doctor.finding import NoAnswer, note, unseen, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.doctor.machine.units import NGINX, SERVER, TOR, Unit, units

_HARMLESS = re.compile(r"\|\s*(/usr)?/bin/(false|true)\b|\|\s*/dev/null")


def _services(machine: Machine) -> dict[str, Unit]:
    """Return the units on this host that have reports in their memory. Raises NoAnswer."""
    return units(machine, SERVER, NGINX, TOR)


def swap(machine: Machine) -> Faults:
    """Check for swap, because swapped memory stays readable on the disk after power-off."""
    used = machine.ask("swapon", "--show=NAME", "--noheadings", "--raw").splitlines()
    later = _list(
        machine, "filesystems", "findmnt", "--json", "--fstab", "--evaluate", "--types", "swap",
        "--output", "SOURCE", codes=(0, 1),
    )  # fmt: skip
    if not all(name.startswith("/") for name in used):
        raise NoAnswer("swapon gave an answer that cannot be read")
    names = dict.fromkeys([*used, *(str(one.get("source")) for one in later)])
    plain = [name for name in names if not _swap_is_encrypted(machine, name)]
    if not plain:
        return
    try:
        found = _services(machine)
        loose = [name for name, one in found.items() if one["MemorySwapMax"] != "0"]
    except NoAnswer:
        found, loose = {}, []
    if loose or not found:
        yield wrong(
            "swap",
            f"{', '.join(plain)} is not encrypted, and may hold memory of "
            + (", ".join(loose) or "the server"),
            "swapoff -a and take its line out of /etc/fstab, or encrypt it with a key that is "
            "made at each start (/etc/crypttab)",
        )


def _swap_is_encrypted(machine: Machine, name: str) -> bool:
    if name.startswith("/dev/zram"):
        return True
    device = name if name.startswith("/dev/") else _device_under(machine, name)
    return device is not None and _is_encrypted(machine, device) is True


def core_dumps(machine: Machine) -> Faults:
    """Check that no core dump is written, because it would contain visitors' texts."""
    pattern = machine.text("/proc/sys/kernel/core_pattern")
    if pattern is None:
        yield unseen(
            "core dumps", "there is no /proc/sys/kernel/core_pattern here",
            "look with sysctl kernel.core_pattern",
        )  # fmt: skip
        return
    pattern = pattern.strip()
    systemds = "/systemd-coredump" in pattern  # systemd-coredump respects each service's limit
    if pattern.startswith("|") and not _HARMLESS.match(pattern) and not systemds:
        yield wrong(
            "core dumps",
            f"{(pattern[1:].split() or ['a program'])[0]} collects them, whatever a service is "
            "allowed",
            "put kernel.core_pattern=core in /etc/sysctl.d/klankbord.conf, then sysctl --system",
        )
    for name, one in _services(machine).items():
        if one["LimitCORE"] != "0":
            yield wrong(
                "core dumps", f"{name} may leave them (LimitCORE={one['LimitCORE']})",
                f"LimitCORE=0 in its [Service] section: systemctl edit {name}",
            )  # fmt: skip


def disk_encryption(machine: Machine) -> Faults:
    """Check whether the disk that contains the server's folder is encrypted."""
    device = _device_under(machine, machine.server)
    encrypted = _is_encrypted(machine, device) if device else None
    if encrypted is None:
        yield unseen(
            "disk encryption", f"it cannot be seen from here how the disk of {machine.server} is",
            "look with lsblk -f; see Where to put the machine in deploy/guide/install.md",
        )  # fmt: skip
    elif not encrypted:
        yield note(
            "disk encryption",
            f"the disk of {machine.server} is not encrypted: whoever takes it reads days, sizes "
            "and names of counsellors",
            "install on an encrypted disk (LUKS); see Where to put the machine in "
            "deploy/guide/install.md",
        )


def _device_under(machine: Machine, path: str) -> str | None:
    """Return the device on which a path is stored; None if it is not in /dev. Raises NoAnswer."""
    found = _list(
        machine, "filesystems", "findmnt", "--json", "--nofsroot", "--output", "SOURCE",
        "--target", path, codes=(0, 1),
    )  # fmt: skip
    source = str(found[-1].get("source")) if found else ""
    return source if source.startswith("/dev/") else None


def _is_encrypted(machine: Machine, device: str) -> bool | None:
    """Return whether a device, or every part of it, is encrypted; None if lsblk cannot tell.

    Encryption that a hosting company applies below the virtual machine cannot be detected.
    """
    try:
        found = _list(
            machine, "blockdevices", "lsblk", "--json", "--inverse", "--output", "PATH,TYPE", "--",
            device,
        )  # fmt: skip
    except NoAnswer:
        return None
    return all(_all_crypt(one) for one in found) if found else None


def _all_crypt(device: dict[str, Any]) -> bool:
    under = device.get("children")
    if device.get("type") == "crypt":
        return True
    return isinstance(under, list) and bool(under) and all(_all_crypt(one) for one in under)


def _list(
    machine: Machine, name: str, *words: str, codes: tuple[int, ...] = (0,)
) -> list[dict[str, Any]]:
    """Return the list called ``name`` in a program's JSON; [] if it printed nothing.

    Raises NoAnswer.
    """
    said = machine.ask(*words, codes=codes)
    try:
        found = json.loads(said or "{}").get(name, [])
        if all(isinstance(one, dict) for one in found):
            return list(found)
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    raise NoAnswer(f"{words[0]} gave an answer that cannot be read")
