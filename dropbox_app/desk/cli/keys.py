"""Commands about the sites of a desk: card, keys, absence."""

from pathlib import Path
from typing import cast, get_args

import click

from dropbox_app.desk.actions import setup, sites
from dropbox_app.desk.cli import common, labels, render
from dropbox_app.desk.cli.common import shared
from dropbox_app.desk.cli.terminal import visible
from dropbox_app.desk.errors import AlreadyThere
from dropbox_app.desk.keys import schedule
from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage.atomic_files import write_outside
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.storage.vault import HeldSeed
from dropbox_app.protocol.card import Kind, Scope

_READABLE = (
    "WARNING: these keys open everything that this desk can open. Do not leave them on a screen "
    "or in an unsealed file."
)
KINDS, SCOPES = get_args(Kind), get_args(Scope)

register_number_option = click.option(
    "--register-number",
    metavar="TEXT",
    help="Your number in a professional register; reporters see it.",
)
sentence_option = click.option(
    "--sentence",
    type=(str, str),
    multiple=True,
    metavar="LANGUAGE TEXT",
    help="A sentence of your own for the first page, once for each language.",
)


@click.command()
@shared
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the card to this file (default: standard output).",
)
@click.option("--name", help="Change your name, as reporters see it.")
@click.option(
    "--kind", type=click.Choice(KINDS), help="Change whether you work for the organisation."
)
@click.option("--scope", type=click.Choice(SCOPES), help="Change the subjects.")
@click.option("--languages", metavar="nl,en", help="Change the languages.")
@register_number_option
@sentence_option
def card(
    out: Path | None,
    name: str | None,
    kind: str | None,
    scope: str | None,
    languages: str | None,
    register_number: str | None,
    sentence: tuple[tuple[str, str], ...],
) -> None:
    """Write your card for the operator, and show the ten groups to read out.

    The card is public. The operator asks you for the ten groups by telephone.

    The options --name, --kind, --scope, --languages, --register-number and --sentence change the
    card. Once the server has your card, the next 'fetch' sends the changed card, and no call is
    needed. An empty text removes a register number or a sentence.

    \b
    Example:
      klankbord-desk card --out noor.card
      klankbord-desk card --kind internal --languages nl
      klankbord-desk card --sentence nl "Je mag ook eerst alleen iets vragen."
    """

    def change(old: Profile) -> Profile:
        return setup.tidy(
            Profile(
                name if name is not None else old.name,
                cast(Kind, kind or old.kind),
                cast(Scope, scope or old.scope),
                codes(languages) if languages is not None else old.languages,
                register_number if register_number is not None else old.register_number,
                {**old.sentence, **dict(sentence)},
            )
        )

    with common.at_work() as place:
        shown = sites.card(place, common.site_hint(), change)
    if shown.changed:
        click.echo(f"Reporters will see: {labels.profile(shown.profile)}", err=out is None)
        if shown.at_server:
            click.echo("The next 'klankbord-desk fetch' takes that to the site.", err=True)
            return
    raw, groups = shown.raw, shown.fingerprint
    if out is None:
        click.echo(raw.decode("utf-8"), nl=False)
        click.echo(f"Read out to the operator: {groups}", err=True)
        return
    common.write_once(out, raw)
    click.echo(f"The card is in {visible(str(out))}. Read these ten groups to the operator:")
    click.echo(groups)


@click.command("cards")
@shared
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="A new folder, for one card per site.",
)
def all_cards(out: Path) -> None:
    """Write your cards for all sites, and show all groups in one list to read out.

    Give the folder to the operator: 'klankbord-server card add FOLDER/*.card' asks for the groups
    of each site, in the order of this list.

    \b
    Example:
      klankbord-desk cards --out cards
    """
    with common.at_work() as place:
        found = sites.cards_of_all(place)
    try:
        out.mkdir(mode=0o700)
    except FileExistsError:
        raise AlreadyThere(f"{out} already exists; choose a new folder.") from None
    for number, (employer, shown) in enumerate(found, start=1):
        write_outside(out / f"{number:02}.card", shown.raw)
        click.echo(f"{number:02}  {visible(employer)}")
        click.echo(f"    {shown.fingerprint}")
    click.echo(f"{len(found)} cards are in {visible(str(out))}. Read the groups out in this order.")


def codes(languages: str) -> tuple[str, ...]:
    """Return the given languages in the form that a card uses."""
    return tuple(part.strip() for part in languages.split(","))


@click.command()
@shared
@click.option("--reveal", is_flag=True, help="Print the secret age identities too.")
@click.option(
    "--destroy-old", is_flag=True, help="Destroy keys past their 210 days, without asking the site."
)
@click.option("--yes", is_flag=True, help="With --destroy-old: do not ask whether you are sure.")
def keys(reveal: bool, destroy_old: bool, yes: bool) -> None:
    """Show your fingerprint, your keys and the days on which they are destroyed.

    --reveal prints the age identities as an identity file for age, so that stock tools (age 1.3 or
    newer) can decrypt everything that is still sealed to this desk. The first line is the database
    key, for the stock sqlcipher program:

    \b
      (umask 077; klankbord-desk keys --reveal > identities.txt)
      age -d -i identities.txt klankbord-desk/sites/SITE/items/ITEM.age
      sqlcipher klankbord-desk/desk-a.db

    A fetch destroys old keys automatically, on a day that the server confirms. --destroy-old is for
    a site that no longer responds: it relies only on this computer's date.

    \b
    Example:
      klankbord-desk keys
    """
    if (yes and not destroy_old) or (reveal and destroy_old):
        raise click.UsageError("Give --reveal, or --destroy-old (and --yes), or neither.")
    with common.at_work() as place:
        if destroy_old:
            for desk, doomed in sites.overdue(place, common.site_hint()):
                _destroy_old(desk, doomed, yes=yes)
            return
        if reveal:
            click.echo(_READABLE, err=True)
            held = place.vault.database
            click.echo(f"# {held.file}, for sqlcipher: PRAGMA key = \"x'{held.key.hex()}'\";")
        for site in sites.sites(place, common.site_hint()):
            _show_keys(site, reveal=reveal)


def _show_keys(site: sites.Site, *, reveal: bool) -> None:
    mark = "# " if reveal else ""
    click.echo(f"{mark}{visible(site.employer)} (site {site.site})")
    click.echo(f"{mark}  fingerprint {site.fingerprint}")
    click.echo(f"{mark}  identity    {site.identity}")
    click.echo(f"{mark}  in hex      {site.identity_hex}")
    shown = "the server has it" if site.published else "not yet at the server"
    click.echo(f"{mark}  card        number {site.serial}, {shown}")
    for held in site.keys:
        early, late = schedule.destroy_on(held)
        click.echo(
            f"{mark}  key {held.first} to {held.until}: a fetch from {early} on destroys it if all "
            f"that the server listed has come; one from {late} on in any case"
        )
        if reveal:
            click.echo(held.seed.reveal())
    click.echo(
        f"{mark}  A fetch destroys keys only on a day that the server confirms. If it is gone: "
        "'klankbord-desk keys --destroy-old'."
    )


def _destroy_old(desk: Desk, doomed: list[HeldSeed], *, yes: bool) -> None:
    name = visible(desk.state.name)
    if not doomed:
        click.echo(f"{name}: on {desk.today} no key is 210 days past its month.")
        return
    click.echo(f"{name}: by this computer's day, {desk.today}, these keys are past their 210 days:")
    for held in doomed:
        click.echo(f"  {held.first} to {held.until}")
    click.echo(
        "The items in this desk stay readable here. Other items that were sealed to these keys, at "
        "the server or in a copy of it, can then never be opened here."
    )
    if not yes:
        click.confirm("Is that day right, and are these keys to go for good?", abort=True, err=True)
    common.say(sites.destroy_overdue(desk))


@click.command("sites")
@shared
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_sites(as_json: bool) -> None:
    """Show this desk's sites: name, id, day of the last complete fetch, absence.

    \b
    Example:
      klankbord-desk sites
    """
    with common.at_work() as place:
        found = sites.sites(place, common.site_hint())
    if as_json:
        click.echo(render.dumps([render.site(one) for one in found]))
        return
    for one in found:
        read = f"read to the end on {one.read_to_end}" if one.read_to_end else "not fetched yet"
        gone = f"  away until {one.away.until}" if one.away else ""
        click.echo(f"{one.site[:8]}  {visible(one.employer)}  {read}{gone}")


@click.command()
@shared
@click.option("--until", metavar="DAY", help="The last day of your absence.")
@click.option(
    "--stand-in", metavar="WHO", multiple=True,
    help="Your stand-in: ten groups, identity, or name; with --all, one for each site.",
)  # fmt: skip
@click.option("--back", is_flag=True, help="You are back; remove the announcement.")
@click.option("--all", "everywhere", is_flag=True, help="At all sites of this desk.")
def away(until: str | None, stand_in: tuple[str, ...], back: bool, everywhere: bool) -> None:
    """Announce an absence on your card and make keys that outlast it, or end the absence.

    \b
    Example:
      klankbord-desk away --until 2027-02-14 --stand-in \\
        "3f9a c2e1 07b4 5d68 91ce a2f0 4b7d 8e13 d65a 20fc"
      klankbord-desk away --back
    """
    if back == (until is not None) or (back and stand_in):
        raise click.UsageError("Give either --until DAY (and --stand-in WHO), or --back.")
    last = common.read_day(until) if until else None
    with common.at_work() as place:
        done = sites.away(
            place, last, site=common.site_hint(), everywhere=everywhere,
            stand_in="\n".join(stand_in),
            # The questions of several sites would all come at once. For them, the groups must
            # suffice.
            confirmed=(lambda _: False) if everywhere else common.confirm_groups,
        )  # fmt: skip
    for one in done:
        name = f"{visible(one.employer)}: " if everywhere else ""
        common.say(one.report)
        if one.failure is not None:
            click.echo(f"{name}{visible(str(one.failure))}", err=True)
            continue
        instead = f"; {visible(one.stand_in)} stands in" if one.stand_in else ""
        said = f"Your card now says that you are away until {last}{instead}."
        click.echo(f"{name}{said if last else 'You are back.'}")
    if any(one.failure or one.report.alarms for one in done):
        click.get_current_context().exit(1)


COMMANDS = (card, all_cards, keys, list_sites, away)
