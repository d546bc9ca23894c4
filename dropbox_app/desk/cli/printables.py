"""Commands that make files to print: ``poster``, ``recovery-sheet`` and ``call-sheet``."""

from pathlib import Path
from typing import cast, get_args

import click

from dropbox_app.desk.actions import printables
from dropbox_app.desk.actions.printables import Kind
from dropbox_app.desk.cli import common
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.storage.atomic_files import write_outside
from dropbox_app.protocol.retrieval_code import LANGUAGES

_OUT = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The new file."
)
_LANGUAGE = click.option(
    "--lang",
    type=click.Choice(LANGUAGES),
    default="nl",
    show_default=True,
    help="The language.",
)


@click.command()
@shared
@click.option(
    "--kind", type=click.Choice(get_args(Kind)), default="poster", show_default=True,
    help="An A4 poster, ten wallet cards on an A4 sheet, or a text for an intranet.",
)  # fmt: skip
@_LANGUAGE
@click.option("--phone", default="", help="Your telephone number, if you want it to be shown.")
@click.option("--hours", default="", help="The hours when you can be called.")
@_OUT
def poster(kind: str, lang: str, phone: str, hours: str, out: Path) -> None:
    """Make a poster, wallet cards or an intranet text, for one site.

    The result shows your name, the site's address as text and as a QR code, and your ten groups.
    The file is made on this computer.

    \b
    Example:
      klankbord-desk poster --kind cards --phone "06 12345678" --out wallet-cards.pdf
    """
    with common.at_work() as place:
        made = printables.of_site(
            place, cast(Kind, kind), lang, phone=phone, hours=hours, site=common.site_hint()
        )
    write_outside(out, made.data)
    click.echo(f"It is in {visible(str(out))}.")


@click.command("recovery-sheet")
@shared
@_LANGUAGE
@_OUT
def recovery_sheet(lang: str, out: Path) -> None:
    """Make the sheet to print and keep in a safe: your sites, and what to do without this computer.

    The sheet contains no secret. Write your passphrase on the sheet by hand, and do not keep the
    sheet with a backup.

    \b
    Example:
      klankbord-desk recovery-sheet --out recovery.pdf
    """
    with common.at_work() as place:
        made = printables.recovery_sheet(place, lang)
    write_outside(out, made.data)
    click.echo(f"It is in {visible(str(out))}. It names your employers; keep it in a safe place.")


@click.command("call-sheet")
@shared
@_LANGUAGE
@_OUT
def call_sheet(lang: str, out: Path) -> None:
    """Make a sheet, without data from the desk, to print and fill in by hand during a call.

    Afterwards, type the data into the register and destroy the paper.

    \b
    Example:
      klankbord-desk call-sheet --out call.pdf
    """
    from dropbox_app.desk.web.views import contact  # the page's words; other commands need no page

    write_outside(out, contact.call_sheet(lang).data)
    click.echo(f"It is in {visible(str(out))}.")


COMMANDS = (poster, recovery_sheet, call_sheet)
