"""Checks of the logs that could record visits: the journal, syslog, web servers' files."""

import shlex

from dropbox_app.server.doctor.finding import NoAnswer, note, unseen, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.doctor.machine.units import used

JOURNAL = "/etc/systemd/journald.conf.d/klankbord.conf"
_MEND = f"deploy/install puts {JOURNAL} back; then systemctl restart systemd-journald"
_FOLDERS = ("/var/log/caddy", "/var/log/nginx", "/var/log/apache2", "/var/log/klankbord")
_SENDER = "systemd-journal-upload.service"
_SYSLOGS = ("rsyslog.service", "syslog-ng.service")


def logs(machine: Machine) -> Faults:
    """Check the logs. An error during a visit is logged with its time, which reveals the visit."""
    for folder in _FOLDERS:
        for file in machine.inside(folder):
            found = machine.stat(file)
            if found and found.size and not found.folder:
                yield wrong(
                    "logs", f"{file} holds lines, which can tell of visits",
                    f"remove it (shred -u {shlex.quote(file)}); the check proxy says which "
                    "program writes it",
                )  # fmt: skip
    yield from _journal(machine)
    for name in used(machine, _SENDER, *_SYSLOGS):
        if name == _SENDER:
            yield wrong(
                "logs", "the journal is sent to another machine",
                f"systemctl disable --now {_SENDER}",
            )  # fmt: skip
        else:
            yield wrong(
                "logs", f"{name} keeps lines, with their times, in /var/log, or sends them away",
                "apt-get purge rsyslog syslog-ng, and remove /var/log/syslog*",
            )  # fmt: skip


def _journal(machine: Machine) -> Faults:
    if not any(
        machine.there(f"{place}/systemd/systemd-journald") for place in ("/usr/lib", "/lib")
    ):
        yield unseen(
            "logs", "there is no journal of systemd here, so what keeps the lines was not looked "
            "at", "see that nothing keeps them on a disk",
        )  # fmt: skip
        return
    said = machine.ask("systemd-analyze", "cat-config", "--no-pager", "systemd/journald.conf")
    if "[Journal]" not in said:
        raise NoAnswer("systemd-analyze told nothing of the journal")
    lines = [line.strip().partition("=") for line in said.splitlines()]
    held = {key.strip(): value.strip() for key, _, value in lines if key[:1] not in ("#", ";", "[")}
    storage = held.get("Storage") or "auto"
    if storage == "persistent" or (storage == "auto" and machine.there("/var/log/journal")):
        yield wrong(
            "logs", f"the journal keeps its lines, with their times, on the disk (Storage="
            f"{storage})", f"Storage=volatile: {_MEND}",
        )  # fmt: skip
    elif any(machine.inside(folder) for folder in machine.inside("/var/log/journal")):
        yield note(
            "logs", "what the journal kept before is still on the disk, in /var/log/journal",
            "rm -r /var/log/journal",
        )  # fmt: skip
    if held.get("ForwardToConsole", "no").lower() in ("yes", "y", "true", "t", "1", "on"):
        yield wrong("logs", "the journal is shown on the console: ForwardToConsole=yes", _MEND)
