"""The command ``klankbord-server status``."""

import json
from pathlib import Path

import click

from dropbox_app.server.cli import common
from dropbox_app.server.cli.common import folder_of, folder_option
from dropbox_app.server.doctor import machine
from dropbox_app.server.doctor import status as statuses


@click.command("status")
@folder_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, for monitoring.")
def status_command(folder: Path | None, as_json: bool) -> None:
    """Show the server's current status. The exit code is 1 if anything needs your attention.

    The command shows whether each site is open, when each desk last fetched, the last backup and
    mail, the disk, the version, the certificate and the next purge. The command changes nothing
    and uses no network. To check the machine and learn how to fix problems, use doctor.

    \b
    klankbord-server --dir /var/lib/klankbord status
    """
    from importlib.metadata import version  # not loaded by a serving process

    found = statuses.of(folder_of(folder), common.today(), version("klankbord"), machine.ROOT)
    if as_json:
        click.echo(json.dumps(found.values()))
    else:
        common.say("\n".join(_lines(found)))
    if found.wrong:
        click.get_current_context().exit(1)


def _lines(found: statuses.Status) -> list[str]:
    lines = [f"Klankbord {found.version}"]
    for site in found.sites:
        named = site.organisation or "settings that cannot be read"
        closed = f"closed: {site.why}" if site.why else "closed: it has ended"
        lines.append(f"Site {site.name} ({named}): {'open' if site.open else closed}")
        if site.open and site.why:
            lines.append(f"  Note: {site.why}")
        for card, day in site.desks.items():
            lines.append(f"  Desk of {card}: {f'last fetched on {day}' if day else 'no fetch yet'}")
        if site.upkeep:
            lines.append(f"  Next purge: {site.upkeep}")
    lines += [
        f"Last backup: {found.backup_said}",
        f"Last daily mail: {found.mail_said}",
        f"Disk: {found.free // 2**20} MiB free; below {found.bound // 2**20} nothing new is taken",
        f"Certificate: {found.certificate_said}",
    ]
    return [*lines, *(f"To do: {fault}" for fault in found.wrong), *_next(found)]


def _next(found: statuses.Status) -> list[str]:
    return ["Next: doctor, which says how to repair it."] if found.wrong else []
