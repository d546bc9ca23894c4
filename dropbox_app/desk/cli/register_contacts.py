"""Commands for contacts without a case: list them, and move one into a case later."""

import click

from dropbox_app.desk.actions import corrections, register
from dropbox_app.desk.cli import common, render
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.register import form
from dropbox_app.desk.register.events import Contact
from dropbox_app.desk.register.form import Refused


@click.command()
@shared
@click.option("--employer", metavar="NAME", default="", help="Only those at one employer.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def contacts(employer: str, as_json: bool) -> None:
    """List the contacts without a case, newest first, with their numbers.

    A contact with nothing recorded is not listed, because it cannot be part of a case.

    \b
    Example:
      klankbord-desk register contacts --employer "Voorbeeld BV"
    """
    with common.at_work() as place:
        found = [
            (number, one)
            for number, one in reversed(register.numbered(place, employer))
            if isinstance(one, Contact) and not one.case and not one.record_nothing
        ]
    if as_json:
        click.echo(render.dumps([{"number": number, **form.to_json(one)} for number, one in found]))
        return
    for number, one in found:
        minutes = "" if one.minutes is None else f"{one.minutes} minutes"
        parts = [f"{number}", f"{one.date}", one.employer, one.how, one.topic, minutes, one.notes]
        click.echo(visible("  ".join(part.replace("_", " ") for part in parts if part)))
    if not found:
        click.echo("There are no contacts without a case.")


@click.command("into-case")
@shared
@click.argument("number", type=int)
@click.argument("reference", metavar="[CASE]", default="")
@click.option("--new-case", metavar="LABEL", help="Make a case, with your own name for it.")
def into_case(number: int, reference: str, new_case: str | None) -> None:
    """Move the contact NUMBER, which has no case, into CASE or into a new case.

    'register contacts' shows the numbers. The contact is then counted with that case, and no longer
    separately.

    \b
    Example:
      klankbord-desk register into-case 17 2026-1
      klankbord-desk register into-case 17 --new-case "rota"
    """
    if bool(reference) == (new_case is not None):
        raise click.UsageError("Give either CASE or --new-case.")
    with common.at_work() as place:
        try:
            added = corrections.into_case(place, number, reference, new_case)
        except Refused as refused:
            raise click.ClickException(visible(str(refused))) from None
    click.echo(visible(f"The contact is in case {added.case} now."))


COMMANDS = (contacts, into_case)
