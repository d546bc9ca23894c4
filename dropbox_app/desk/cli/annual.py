"""The command ``annual``: the annual report to an employer, its preview, and the bill."""

import sys
from pathlib import Path

import click

from dropbox_app.desk.actions import annual as actions
from dropbox_app.desk.actions import joint
from dropbox_app.desk.annual.render import FORMATS
from dropbox_app.desk.annual.report import LANGUAGES, OwnWords
from dropbox_app.desk.annual.sealed_counts import MAX_FILE
from dropbox_app.desk.annual.words import MAX_WORDS
from dropbox_app.desk.cli import common
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import document, visible
from dropbox_app.desk.register.form import Refused
from dropbox_app.desk.storage.atomic_files import write_outside
from dropbox_app.protocol.card import MAX_BYTES as MAX_CARD
from dropbox_app.protocol.keys import VerifyKey

_MOST = 4 * MAX_WORDS  # maximum bytes of a text in UTF-8


class _Annual(click.Group):
    """A group in which ``annual EMPLOYER YEAR`` means ``annual report EMPLOYER YEAR``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the command ``report`` if the arguments name no command."""
        if args and args[0] not in (*self.commands, *self.get_help_option_names(ctx)):
            args = ["report", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_Annual)
def annual() -> None:
    """Make the annual report to an employer, and exchange counts for a joint report.

    \b
    Example:
      klankbord-desk annual "Voorbeeld BV" 2026 --preview
      klankbord-desk annual counts --help
    """


@annual.command()
@shared
@click.argument("employer")
@click.argument("year")
@click.option(
    "--format", "kind", type=click.Choice(FORMATS), default="md", show_default=True,
    help="The report's format.",
)  # fmt: skip
@click.option(
    "--lang", type=click.Choice(LANGUAGES), default="nl", show_default=True,
    help="The language.",
)  # fmt: skip
@click.option("--signals", metavar="FILE", help="Your own text about signals, in forms B and C.")
@click.option(
    "--bottlenecks", metavar="FILE", help="Your own text about bottlenecks, in forms B and C."
)
@click.option(
    "--preview", is_flag=True, help="Explain the report; for you only, do not hand it over."
)
@click.option("--freeze", is_flag=True, help="Issue the report; it cannot be changed after that.")
@click.option("--bill", is_flag=True, help="Make the year's bill instead of the report.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The new file.")
def report(
    employer: str, year: str, kind: str, lang: str, signals: str | None,
    bottlenecks: str | None, preview: bool, freeze: bool, bill: bool, out: Path | None,
) -> None:  # fmt: skip
    """Make the annual report to EMPLOYER for the calendar year YEAR.

    The report gives wide ranges or no figures at all, in a form that was agreed before the term
    began. Look at --preview first. After --freeze you always get the same report. Without --signals
    and --bottlenecks the report has the text that you saved for it on the page, if any.

    \b
    Example:
      klankbord-desk annual "Voorbeeld BV" 2026 --preview
      klankbord-desk annual "Voorbeeld BV" 2026 --freeze
      klankbord-desk annual "Voorbeeld BV" 2026 --format pdf --out report.pdf
    """
    if sum((preview, freeze, bill)) > 1:
        raise click.UsageError("Give only one of --preview, --freeze and --bill.")
    if kind == "pdf" and out is None and not (preview or freeze):
        raise click.UsageError("A PDF needs --out FILE.")
    own = _own(signals, bottlenecks)
    with common.at_work() as place:
        if freeze:
            try:
                actions.freeze(place, employer, year, lang, own)
            except Refused as refused:
                raise click.ClickException(visible(str(refused))) from None
            click.echo("The report is issued. It does not change any more, and neither does its")
            click.echo("year in the register. Write it with --format and --out.")
            return
        if preview:
            for line in actions.show(place, employer, year, lang, own).preview or (
                "This report was issued and does not change.",
            ):
                click.echo(visible(line))
            return
        if bill:
            made = actions.bill(place, employer, year, kind, lang)
        else:
            made = actions.write(place, employer, year, kind, lang, own)
    if out is None:
        if sys.stdout.isatty():
            click.echo(document(made.data), nl=False)
        else:
            sys.stdout.buffer.write(made.data)
        return
    write_outside(out, made.data)
    click.echo(f"It is in {visible(str(out))}.")


@annual.group()
def counts() -> None:
    """Exchange counts for a joint report by two counsellors at the same employer.

    One of you exports the counts, and the other imports them and makes the report. That report
    shows only the range of the total.

    \b
    Example:
      klankbord-desk annual counts export "Voorbeeld BV" 2026 --to sam.card --out counts.age
      klankbord-desk annual counts import counts.age
    """


@counts.command("export")
@shared
@click.argument("employer")
@click.argument("year")
@click.option("--to", "card", metavar="FILE", required=True, help="Your colleague's card.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True,
              help="The new file.")  # fmt: skip
def give(employer: str, year: str, card: str, out: Path) -> None:
    """Seal your counts of YEAR at EMPLOYER for a colleague, who then makes the report.

    FILE is the card that your colleague wrote with 'klankbord-desk card --out FILE'. Only your
    colleague can open the counts. All files with counts have the same size. The year is then closed
    in your register, or all three years if a single range for three years was agreed. If you export
    again, the counts are the same.

    \b
    Example:
      klankbord-desk annual counts export "Voorbeeld BV" 2026 --to sam.card --out counts.age
    """
    raw = common.read_file(card, MAX_CARD)
    with common.at_work() as place:
        try:
            made = joint.give(place, employer, year, raw, _confirmed)
        except Refused as refused:
            raise click.ClickException(visible(str(refused))) from None
    write_outside(out, made)
    click.echo(f"Your counts are in {visible(str(out))}. Your colleague makes the report.")


@counts.command("import")
@shared
@click.argument("file")
@click.option("--employer", metavar="NAME", default="", help="Your name for the employer.")
def take(file: str, employer: str) -> None:
    """Add a colleague's counts. The report then covers both of you.

    \b
    Example:
      klankbord-desk annual counts import counts.age
    """
    raw = common.read_file(file, MAX_FILE)
    with common.at_work() as place:
        try:
            taken = joint.take(place, raw, employer, _confirmed)
        except Refused as refused:
            raise click.ClickException(visible(str(refused))) from None
    years = "-".join(str(one) for one in sorted({taken.years[0], taken.years[-1]}))
    click.echo(visible(f"The counts of {taken.name} for {taken.employer}, {years}, are kept."))


def _confirmed(name: str, identity: VerifyKey) -> bool:
    return common.confirm_identity(f"This is said to be from {name}", identity)


def _own(signals: str | None, bottlenecks: str | None) -> OwnWords | None:
    if signals is None and bottlenecks is None:
        return None
    return OwnWords(_text(signals), _text(bottlenecks))


def _text(file: str | None) -> str:
    if file is None:
        return ""
    try:
        return common.read_file(file, _MOST).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise click.ClickException(
            f"{visible(file)} is not text in UTF-8. Save it as UTF-8 and try again."
        ) from None


COMMANDS = (annual,)
