"""Setup commands: make a desk or add a site, use new addresses, make a key for Tor."""

from pathlib import Path
from typing import cast

import click

from dropbox_app.desk.actions import setup
from dropbox_app.desk.cli import common, labels
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.keys import (
    KINDS,
    SCOPES,
    codes,
    register_number_option,
    sentence_option,
)
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.transport import onion_key
from dropbox_app.protocol.card import Kind, Scope


@click.command()
@shared
@click.argument("invitation", metavar="INVITATION")
@click.option("--name", required=True, help="Your name, as reporters see it.")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="external",
    show_default=True,
    help="Whether you work for the organisation itself; reporters see this.",
)
@click.option(
    "--scope",
    type=click.Choice(SCOPES),
    default="both",
    show_default=True,
    help="The subjects that people can contact you about.",
)
@click.option(
    "--languages", default="nl,en", show_default=True, help="The languages that you read and write."
)
@register_number_option
@sentence_option
@click.option(
    "--proxy",
    default="",
    help="Tor: socks5h://127.0.0.1:9050, or http://127.0.0.1:8118 (HTTP CONNECT).",
)
def init(
    invitation: str,
    name: str,
    kind: str,
    scope: str,
    languages: str,
    register_number: str | None,
    sentence: tuple[tuple[str, str], ...],
    proxy: str,
) -> None:
    """Make a desk: your identity, your keys and your card for a site.

    INVITATION is the file that the operator gave you, or - to read it from standard input. If the
    folder already contains a desk, the site is added to it.

    \b
    Example:
      klankbord-desk init invitation.json --name "Noor Jansen" --kind external \\
        --proxy socks5h://127.0.0.1:9050
    """
    raw = common.read_file(invitation, setup.MAX_INVITATION)
    setup.invited(raw)  # this error comes before anybody types a passphrase in vain
    made = setup.init(
        common.folder(),
        common.passphrase(new=not setup.exists(common.folder())),
        common.machine(),
        raw,
        Profile(
            name,
            cast(Kind, kind),
            cast(Scope, scope),
            codes(languages),
            register_number or "",
            dict(sentence),
        ),
        proxy,
    )
    click.echo(f"Your desk for {visible(made.employer)} is in {visible(str(common.folder()))}.")
    click.echo(f"Reporters will see: {labels.profile(made.profile)}")
    click.echo("If that is not so: 'klankbord-desk card --help' tells how to change it.")
    click.echo("Next: 'klankbord-desk card --out NAME.card', give that file to the operator, and")
    click.echo("read these ten groups to the operator by telephone:")
    click.echo(made.fingerprint)


@click.command()
@shared
@click.argument("invitation", metavar="INVITATION")
@click.option("--proxy", help="A different proxy, as for init; '' for none.")
def move(invitation: str, proxy: str | None) -> None:
    """Use the new addresses of a site of this desk.

    INVITATION is the site's new invitation, or - to read it from standard input.

    \b
    Example:
      klankbord-desk move invitation-new.json --proxy socks5h://127.0.0.1:9050
    """
    raw = common.read_file(invitation, setup.MAX_INVITATION)
    setup.invited(raw)
    with common.at_work() as place:
        moved = setup.move(place, raw, proxy)
    dialled = ", ".join(moved.dialled)
    click.echo(f"{visible(moved.employer)} is now reached at {visible(dialled)}.")


@click.command("onion-key")
@shared
@click.argument("address", metavar="ADDRESS")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help=f"The new file for Tor; its name ends in {onion_key.SUFFIX}.",
)
def onion_key_command(address: str, out: Path) -> None:
    """Make a key for Tor on this computer, for an address that only desks can reach.

    ADDRESS is the onion address that the operator gave you. The printed line is not secret: send it
    to the operator. The file is secret, and is only for Tor on this computer.

    \b
    Example:
      klankbord-desk onion-key ADDRESS.onion --out klankbord.auth_private
    """
    click.echo(setup.make_onion_key(address, out))
    click.echo("Send this line to the operator; it is no secret.", err=True)
    click.echo(f"Give {visible(str(out))} to Tor on this computer, and to nobody else.", err=True)


COMMANDS = (init, move, onion_key_command)
