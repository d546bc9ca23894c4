"""Where lines could be kept that tell of visits: the journal, syslog, files of web servers."""

import re
import shlex

from dropbox_app.server.doctor.finding import note, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.doctor.machine.units import settings_of

JOURNAL = "/etc/systemd/journald.conf.d/klankbord.conf"
_MEND = f"deploy/install puts {JOURNAL} back; then systemctl restart systemd-journald"
_FOLDERS = ("/var/log/caddy", "/var/log/nginx", "/var/log/apache2", "/var/log/klankbord")


def logs(machine: Machine) -> Faults:
    """A fault that a visit meets is told in a line, and a line has a time."""
    yield from _journal(machine)
    yield from _syslog(machine)
    for folder in _FOLDERS:
        for file in machine.inside(folder):
            found = machine.stat(file)
            if found and found.size and not found.folder:
                yield wrong(
                    "logs", f"{file} holds lines, which can tell of visits",
                    f"remove it (shred -u {shlex.quote(file)}), and see the check proxy for who "
                    "writes it",
                )  # fmt: skip


def _journal(machine: Machine) -> Faults:
    if not any(
        machine.there(f"{place}/systemd/systemd-journald") for place in ("/usr/lib", "/lib")
    ):
        yield note(
            "logs", "there is no journal of systemd here, so what keeps the lines was not looked "
            "at", "see that nothing keeps them on a disk",
        )  # fmt: skip
        return
    held = settings_of(machine, "journald")
    storage = held.get("Storage", "auto")
    kept = storage == "persistent" or (storage == "auto" and machine.there("/var/log/journal"))
    if kept:
        yield wrong(
            "logs", f"the journal keeps its lines, with their times, on the disk (Storage="
            f"{storage})", f"Storage=volatile: {_MEND}",
        )  # fmt: skip
    elif machine.systemd and any(
        machine.inside(folder) for folder in machine.inside("/var/log/journal")
    ):
        yield note(
            "logs", "what the journal kept before is still on the disk, in /var/log/journal",
            "rm -r /var/log/journal",
        )  # fmt: skip
    if held.get("ForwardToConsole", "no").lower() in ("yes", "true", "1", "on"):
        yield wrong("logs", "the journal tells the console: ForwardToConsole=yes", _MEND)
    if machine.there("/etc/systemd/journal-upload.conf") and "URL" in settings_of(
        machine, "journal-upload"
    ):
        yield wrong(
            "logs", "the journal is sent to another machine",
            "systemctl disable --now systemd-journal-upload, and take URL out of "
            "/etc/systemd/journal-upload.conf",
        )  # fmt: skip


def _syslog(machine: Machine) -> Faults:
    for file in ("/etc/rsyslog.conf", *machine.inside("/etc/rsyslog.d", "*.conf")):
        for line in machine.lines(file):
            text = line.partition("#")[0].strip()
            if re.search(r"\s@@?[\w\[]", text) or "omfwd" in text:
                yield wrong(
                    "logs", f"lines are sent to another machine: {text} ({file})",
                    f"take that line out of {file}; systemctl restart rsyslog",
                )  # fmt: skip
    if machine.there("/etc/rsyslog.conf") or machine.there("/etc/syslog-ng/syslog-ng.conf"):
        yield note(
            "logs", "a syslog beside the journal keeps lines, with their times, in /var/log",
            "apt-get purge rsyslog syslog-ng, and remove /var/log/syslog*",
        )  # fmt: skip
