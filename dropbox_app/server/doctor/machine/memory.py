"""Where memory could end up on a disk: swap, core dumps. And whether the disk itself is closed."""

import re

from dropbox_app.server.doctor.finding import note, wrong
from dropbox_app.server.doctor.machine import Faults, Machine, proxy, tor
from dropbox_app.server.doctor.machine.units import Unit, settings_of, unit

_HARMLESS = re.compile(r"\|\s*(/usr)?/bin/(false|true)\b|\|\s*/dev/null")
_SYSTEMD = "/systemd-coredump"


def services(machine: Machine) -> list[Unit]:
    """The units of this machine through whose memory a report goes."""
    names = ["klankbord.service"]
    names += ["tor@default.service"] if tor.leads_here(machine) else []
    names += [f"{name}.service" for name in proxy.in_front(machine)]
    return [found for name in names if (found := unit(machine, name))]


def swap(machine: Machine) -> Faults:
    """What is swapped out stays on the disk, readable, after the power is gone."""
    if machine.text("/proc/swaps") is None:
        yield note(
            "swap", "could not look: there is no /proc/swaps here", "look with swapon --show"
        )
        return
    used = [line.split()[0] for line in machine.lines("/proc/swaps")[1:] if line.split()]
    later = [
        line.split()[0]
        for line in machine.lines("/etc/fstab")
        if line.split()[2:3] == ["swap"] and not line.startswith("#")
    ]
    plain = [one for one in dict.fromkeys((*used, *later)) if not _swap_is_closed(machine, one)]
    if not plain:
        return
    loose = [one.name for one in services(machine) if one.last("MemorySwapMax") != "0"]
    if loose or not services(machine):
        yield wrong(
            "swap",
            f"{', '.join(plain)} is not encrypted, and may hold memory of "
            + (", ".join(loose) or "the server"),
            "swapoff -a and take its line out of /etc/fstab, or encrypt it with a key that is "
            "made at each start (/etc/crypttab)",
        )


def _swap_is_closed(machine: Machine, name: str) -> bool:
    """Whether a swap device or file cannot be read after the power is gone."""
    base = name.rpartition("/")[2]
    if base.startswith("zram"):
        return True
    if name.startswith("/dev/"):
        return _device_is_closed(machine, name) is True
    if name.startswith("UUID="):
        try:
            name = machine.path(f"/dev/disk/by-uuid/{name[5:]}").readlink().name
        except OSError:
            return False
        return _device_is_closed(machine, name) is True
    return _place_is_closed(machine, name) is True


def core_dumps(machine: Machine) -> Faults:
    """A dump of a program's memory holds what visitors wrote."""
    pattern = machine.text("/proc/sys/kernel/core_pattern")
    if pattern is None:
        yield note(
            "core dumps", "could not look: there is no /proc/sys/kernel/core_pattern here",
            "look with sysctl kernel.core_pattern",
        )  # fmt: skip
        return
    pattern = pattern.strip()
    for one in services(machine):
        limit = one.last("LimitCORE")
        wanted = ["0", "0:0"]
        if one.name != "klankbord.service" and _SYSTEMD not in pattern:
            wanted.append("")  # where none collects them, Debian's services leave none
        if limit not in wanted:
            yield wrong(
                "core dumps", f"{one.name} may leave them (LimitCORE={limit})",
                f"LimitCORE=0 in its [Service] section: systemctl edit {one.name}",
            )  # fmt: skip
    default = settings_of(machine, "system").get("DefaultLimitCORE", "0")
    if not default.startswith("0"):
        yield wrong(
            "core dumps", f"every service may leave them (DefaultLimitCORE={default})",
            "take DefaultLimitCORE out of /etc/systemd/system.conf",
        )  # fmt: skip
    if pattern.startswith("|") and not _HARMLESS.match(pattern) and _SYSTEMD not in pattern:
        yield wrong(
            "core dumps", f"{pattern[1:].split()[0]} collects them, whatever a service is allowed",
            "put kernel.core_pattern=core in /etc/sysctl.d/klankbord.conf, then sysctl --system",
        )  # fmt: skip


def disk_encryption(machine: Machine) -> Faults:
    """Of the disk that holds the server's folder."""
    closed = _place_is_closed(machine, machine.server)
    if closed is None:
        yield note(
            "disk encryption", f"it cannot be seen from here how the disk of {machine.server} is",
            "look with lsblk -f; see Where the machine stands in deploy/README.md",
        )  # fmt: skip
    elif not closed:
        yield note(
            "disk encryption",
            f"the disk of {machine.server} is not encrypted: who takes it reads days, sizes and "
            "names of counsellors",
            "install on an encrypted disk (LUKS); see Where the machine stands in deploy/README.md",
        )


def _place_is_closed(machine: Machine, path: str) -> bool | None:
    """Whether the disk under a path is encrypted; None if that cannot be seen."""
    best: tuple[str, str, str] | None = None
    for line in machine.lines("/proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        words, source = before.split(), after.split()
        if len(words) < 5 or len(source) < 2:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), words[4])
        if (path + "/").startswith(point.rstrip("/") + "/") and (
            best is None or len(point) >= len(best[0])
        ):
            best = point, words[2], source[1]
    if best is None:
        return None
    _, number, source_name = best
    if machine.there(f"/sys/dev/block/{number}"):
        return _block_is_closed(machine, f"/sys/dev/block/{number}")
    # A file system with no number of its own in there (btrfs) names its device.
    return _device_is_closed(machine, source_name) if source_name.startswith("/dev/") else None


def _device_is_closed(machine: Machine, name: str) -> bool | None:
    """The same of a device, by its name in /dev."""
    base = name.rpartition("/")[2]
    for folder in [f"/sys/class/block/{base}", *machine.inside("/sys/class/block", "dm-*")]:
        mapped = (machine.text(f"{folder}/dm/name") or "").strip()
        if (folder.endswith(f"/{base}") or mapped == base) and machine.there(folder):
            return _block_is_closed(machine, folder)
    return None


def _block_is_closed(machine: Machine, folder: str) -> bool | None:
    """A device is closed if it is an encrypted one, or all that it stands on are."""
    if (machine.text(f"{folder}/dm/uuid") or "").startswith("CRYPT-"):
        return True
    under = [one.rpartition("/")[2] for one in machine.inside(f"{folder}/slaves")]
    if not under:
        # A part or a whole of a disk; what encrypts below that (a hosting company's) is not seen.
        return False
    below = [_block_is_closed(machine, f"/sys/class/block/{one}") for one in under]
    return all(one is True for one in below)
