"""Checks of the operating system: clock, release, updates and versions of programs."""

import datetime
import re
import sys

from dropbox_app.server.doctor.finding import note, unseen, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.doctor.machine.units import used

# The last day on which Debian supports a release, including its long-term support.
SUPPORTED = {
    "11": datetime.date(2026, 8, 31),
    "12": datetime.date(2028, 6, 30),
    "13": datetime.date(2030, 6, 30),
}
LEAST = 12
TOR = (0, 4, 8)  # the first version with proof-of-work defences
LATE = 14  # days without a check for updates
# Debian's services that set the clock.
_CLOCKS = tuple(
    f"{name}.service"
    for name in ("systemd-timesyncd", "chrony", "ntpsec", "openntpd", "ntp", "chronyd")
)
_PASSED = ("/var/lib/dpkg/status", "/var/lib/systemd/timesync/clock", "/etc/passwd")


def clock(machine: Machine) -> Faults:
    """Check the clock. With a wrong date, conversations end too early or not at all."""
    for name in _PASSED:
        found = machine.stat(name)
        if found and found.day > machine.today + datetime.timedelta(1):
            yield wrong(
                "machine clock",
                f"it says {machine.today}, but {name} was written on {found.day}",
                "set it: timedatectl set-ntp true",
            )
            break
    if not used(machine, *_CLOCKS):
        yield note(
            "machine clock", "nothing was found that keeps the clock right",
            "apt-get install systemd-timesyncd, or see that the machine's host keeps it",
        )  # fmt: skip


def system(machine: Machine) -> Faults:
    """Check that Debian still supports this release, and that updates are installed."""
    told = machine.text("/etc/os-release") or machine.text("/usr/lib/os-release") or ""
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', told, re.MULTILINE))
    version = fields.get("VERSION_ID", "").partition(".")[0]
    if fields.get("ID") != "debian" or not version.isdigit():
        yield unseen(
            "system", f"this is {fields.get('PRETTY_NAME', 'no Debian')}, so its support and "
            "updates were not looked at", "keep it up to date by its own ways",
        )  # fmt: skip
        return
    end = SUPPORTED.get(version)
    if int(version) < LEAST or (end and machine.today > end):
        yield wrong(
            "system", f"Debian {version} is too old" + (f": its support ended on {end}" if end and
            machine.today > end else ""),
            "install on a newer Debian: see Restore in deploy/guide/emergencies.md",
        )  # fmt: skip
    elif end is None:
        yield note(
            "system", f"until when Debian {version} is supported is not known here",
            "look at Debian's own pages, and for a newer version of this program",
        )  # fmt: skip
    yield from _updates(machine)


def _updates(machine: Machine) -> Faults:
    looked = [
        found.day
        for name in ("/var/lib/apt/lists", "/var/cache/apt/pkgcache.bin",
                     "/var/lib/apt/periodic/update-success-stamp")
        if (found := machine.stat(name))
    ]  # fmt: skip
    if not looked:
        yield unseen(
            "system",
            "there is no apt here, so updates were not looked for",
            "apt-get update",
        )
    elif (machine.today - max(looked)).days > LATE:
        boxed = machine.there("/run/.containerenv") or machine.there("/.dockerenv")
        yield wrong(
            "system", f"nobody has looked for security updates since {max(looked)}",
            "build the image again" if boxed else "apt-get update && apt-get upgrade; apt-get "
            "install unattended-upgrades does it daily",
        )  # fmt: skip
    if machine.there("/run/reboot-required"):
        yield wrong("system", "an update waits for a restart of the machine", "systemctl reboot")


def versions(machine: Machine) -> Faults:
    """Report the versions of the drop box and of the programs on which it depends."""
    if sys.version_info < (3, 11):  # noqa: UP036 - reported in case a packager loosened it
        yield wrong("versions", "Python is older than 3.11", "install on a newer Debian")
    said = machine.ask("dpkg-query", "--show", "--showformat=${Status} ${Version}", "tor",
                       codes=(0, 1))  # fmt: skip
    found = re.fullmatch(r"install ok installed (\S+)", said.strip())
    if found:
        numbers = tuple(int(one) for one in re.findall(r"\d+", found[1])[:3])
        if numbers < TOR:
            yield wrong(
                "versions", f"tor is {found[1]}, too old for proof of work against a flood",
                "apt-get update && apt-get install tor, with Debian's security updates",
            )  # fmt: skip
    else:
        yield unseen(
            "versions", "no tor of Debian's is installed, so its version was not looked at",
            "tor --version has to be 0.4.8 or newer",
        )  # fmt: skip
