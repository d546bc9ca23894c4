"""The command ``klankbord-server doctor``."""

import json
from pathlib import Path

import click

from dropbox_app.server import account
from dropbox_app.server.cli import common
from dropbox_app.server.cli.common import folder_option, named_folder, site_option
from dropbox_app.server.config import loader
from dropbox_app.server.doctor import machine
from dropbox_app.server.doctor.finding import total


@click.command("doctor")
@folder_option
@site_option
@click.option("--json", "as_json", is_flag=True, help="One JSON list on stdout, for monitoring.")
@click.option("--visit", is_flag=True, help="Also visit the sites at their addresses.")
@click.option(
    "--socks",
    metavar="HOST:PORT",
    help="With --visit: the port on which Tor accepts client connections, for onion addresses.",
)
def doctor_command(
    folder: Path | None, site_name: str | None, as_json: bool, visit: bool, socks: str | None
) -> None:
    """Check the server and its machine, or one site; explain how to fix each problem.

    This command changes nothing, and uses the network only with --visit. The exit code is 1 if
    there is a problem. Notes and incomplete checks do not change the exit code; decide for yourself
    whether they matter.

    \b
    klankbord-server --dir /var/lib/klankbord doctor
    """
    # Imported here, because serving does not need it.
    from dropbox_app.server.doctor import checks

    target = named_folder(folder)
    findings = list(checks.examine(target, common.today(), site_name, machine.ROOT))
    if socks is not None and not visit:
        raise click.UsageError("--socks needs --visit.")
    if visit:
        from dropbox_app.server.doctor import visit as visits  # this loads Flask and httpcore

        try:
            port = visits.address_of(socks) if socks is not None else None
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--socks") from None
        with account.as_owner(target):
            read = loader.read(target)
        findings += visits.visit(read, site_name, machine.ROOT / visits.BOX, port)
    if as_json:
        click.echo(json.dumps([finding.values() for finding in findings]))
    else:
        several = len({finding.site for finding in findings if finding.site}) > 1
        for finding in findings:
            click.echo(finding.told(several))
        click.echo(total(findings))
    if any(finding.state == "wrong" for finding in findings):
        click.get_current_context().exit(1)
