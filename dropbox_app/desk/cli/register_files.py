"""Register commands that use files: copy a case with names removed, and import tables."""

from pathlib import Path
from typing import cast

import click

from dropbox_app.desk.actions import copies, earlier, register
from dropbox_app.desk.actions.register import Added
from dropbox_app.desk.cli import common
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import tables
from dropbox_app.desk.register.redacted import READERS, Copy, Field, Part, Reader
from dropbox_app.desk.storage.atomic_files import write_outside
from dropbox_app.protocol.encoding import Json

SIGN = "[removed]"


@click.command()
@shared
@click.argument("reference", metavar="CASE")
@click.option(
    "--for", "reader", type=click.Choice(READERS), default="reporter", help="The recipient."
)
@click.option("--field", "fields", multiple=True, metavar="N.NAME", help="Include this field.")
@click.option("--without", multiple=True, metavar="N.NAME", help="Leave out the day of this entry.")
@click.option("--name", "names", multiple=True, help="A name to remove from all texts.")
@click.option("--out", metavar="FILE", help="Write the copy, instead of only showing it.")
def copy(
    reference: str, reader: str, fields: tuple[str, ...], without: tuple[str, ...],
    names: tuple[str, ...], out: str | None,
) -> None:  # fmt: skip
    """Make a copy of a case to pass on. By default, the copy shows only types and days.

    The output lists the other fields that you can choose. The copy never contains notes, your name
    for the case, marks, or the other person in a step. A copy for the employer needs the reporter's
    consent to a step, at most 14 days old, or an exception recorded today; check for yourself
    whether the consent or exception covers this copy. The file is not sealed.

    \b
    Example:
      klankbord-desk register copy 2026-3 --field 0.goal --name "Jan Jansen"
      klankbord-desk register copy 2026-3 --field 0.goal --name "Jan Jansen" --out copy.txt
    """
    with common.at_work() as place:
        found = copies.choice(place, reference)
        there = {(one.number, name) for one in found.parts for name in one.fields}
        chosen = (found.ticked | _named(fields, there)) - _named(without, there)
        made = copies.copy(place, reference, cast(Reader, reader), chosen, names, SIGN)
    lines = _lines(made, found.case.employer)
    for line in lines:
        click.echo(visible(line))
    if made.unfound:
        said = f"Not found in this copy; check for other spellings: {', '.join(made.unfound)}."
        click.echo(visible(said), err=True)
    if out is not None:
        write_outside(Path(out), "\n".join([*lines, ""]).encode())
        click.echo("This file is not sealed. Delete it as soon as you no longer need it.", err=True)
        return
    for one in found.parts:
        click.echo(visible(_choices(one, chosen)), err=True)
    click.echo(f"Never in a copy: {', '.join(_withheld(made)) or 'nothing'}.", err=True)


def taken(place: Workplace, raw: bytes, into: tuple[str, ...]) -> Added:
    """Import the events from a file: lines of JSON, or a table. Raises Refused.

    ``into`` lists existing cases to which rows of a table belong.
    """
    if not tables.is_table(raw):
        return register.bring_in(place, raw)
    from dropbox_app.desk.web.i18n import words  # the page's words; other commands need no page
    from dropbox_app.desk.web.vocabulary import vocabulary

    return earlier.take(place, raw, vocabulary(words("en")), into)


def _named(given: tuple[str, ...], there: set[Field]) -> set[Field]:
    """Return the given fields. An unknown field is reported as a usage error."""
    known = {f"{number}.{name}": (number, name) for number, name in there}
    for one in given:
        if one not in known:
            raise click.UsageError(f"There is no field {one!a}; there are: {', '.join(known)}.")
    return {known[one] for one in given}


def _choices(one: Part, chosen: set[Field]) -> str:
    """Return the fields of a part that were not chosen. Kind and day identify the part."""
    left = [f"{one.number}.{name}" for name in one.fields if (one.number, name) not in chosen]
    return f"Not chosen of {_words(one.kind)} {one.fields['date']}: {', '.join(left) or 'nothing'}."


def _withheld(made: Copy) -> list[str]:
    return list(dict.fromkeys(f"{kind} {name}" for kind, name in made.withheld))


def _lines(made: Copy, employer: str) -> list[str]:
    found = ["Copy of a case with the confidential counsellor", employer]
    for one in made.parts:
        found += ["", _words(one.kind)]
        found += [f"{_words(name)}: {_value(value)}" for name, value in one.fields.items()]
    return found


def _value(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _words(code: str) -> str:
    return code.replace("_", " ")


COMMANDS = (copy,)
