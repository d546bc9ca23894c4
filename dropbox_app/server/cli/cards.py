"""``klankbord-server card``: add, list and retire counsellors' cards."""

import contextlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import click

from dropbox_app.protocol import card as cards
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.errors import CardError, KlankbordError
from dropbox_app.server.cli import common
from dropbox_app.server.cli.common import (
    GivenFile,
    folder_of,
    folder_option,
    place_of,
    site_option,
)
from dropbox_app.server.config import paths
from dropbox_app.server.config import site as sites
from dropbox_app.server.config.paths import Place
from dropbox_app.server.config.site import Site

_ZIP = b"PK\x03\x04"


@click.group()
def card() -> None:
    """Manage the cards of the counsellors to whom reporters can write."""


@card.command("add")
@folder_option
@site_option
@click.argument("files", metavar="FILE...", type=GivenFile(), nargs=-1, required=True)
@click.option("--name", "file_name", help="The card's name on this server: a-z, 0-9 and -.")
@click.option("--fingerprint", help="The ten groups, as the counsellor read them out.")
def card_add(
    folder: Path | None,
    site_name: str | None,
    files: tuple[Path, ...],
    file_name: str | None,
    fingerprint: str | None,
) -> None:
    """Put a counsellor's card into use after you have confirmed its fingerprint.

    Call the counsellor on a number that you already know, and ask them to read out the ten groups
    of the fingerprint. You can confirm several cards in one call. Each card is added to the site
    for which it was made.

    \b
    klankbord-server --dir /var/lib/klankbord card add noor.card
    """
    if len(files) > 1 and (file_name or fingerprint):
        raise click.UsageError("Give --name and --fingerprint with one card at a time.")
    offers = [_offer(folder, site_name, file, file_name, len(files) > 1) for file in files]
    refused = False
    for offer in offers:
        try:
            _confirm(offer, fingerprint, say_where=len(files) > 1)
            offer.site.pin(offer.name, offer.raw, common.today())
        except CardError as error:
            if len(files) == 1:
                raise
            common.say(f"{offer.name}: {error}. The next card:\n", err=True)
            refused = True
            continue
        common.say(f"{offer.name}: in use from now on.")
    if refused:
        raise click.exceptions.Exit(1)


@dataclass(frozen=True)
class _Offer:
    """A valid card that can be put into use at its site under this name."""

    site: Site
    name: str
    raw: bytes
    card: Card


def _offer(
    folder: Path | None, site_name: str | None, file: Path, file_name: str | None, several: bool
) -> _Offer:
    """Read a card and find its site, before any question. Raises CardError, SettingsError."""
    with file.open("rb") as opened:
        raw = opened.read(cards.MAX_BYTES + 1)
    try:
        shown = cards.parse(_as_it_was_made(raw))
        site = sites.load(_place(folder, site_name, shown).folder)
        name = file_name or _name_for(shown)
        return _Offer(site, name, raw, site.check_new(name, raw, common.today()))
    except CardError as error:
        if several:
            raise CardError(f"{file}: {error}; no card was put in use") from None
        raise


def _as_it_was_made(raw: bytes) -> bytes:
    """Return the bytes of a card file. Raises CardError if they were changed in transit."""
    if raw.startswith(_ZIP):
        raise CardError("this is a zip file: unpack it, and give the cards that are in it")
    whole = raw.startswith(b"{") and raw.endswith(b"\n") and b"\r" not in raw
    if len(raw) <= cards.MAX_BYTES and not whole:
        raise CardError(
            "this is no card file, or a mail program changed it; ask for it again, as an attachment"
        )
    return raw


def _place(folder: Path | None, site_name: str | None, shown: Card) -> Place:
    """Return the site that the operator named, or the site for which the card was made."""
    if site_name is None:
        for place in paths.places(folder_of(folder)):
            with contextlib.suppress(KlankbordError):  # a fault in another site does not matter
                if sites.load(place.folder).settings.site == shown.site:
                    return place
    return place_of(folder, site_name)


def _confirm(offer: _Offer, fingerprint: str | None, *, say_where: bool) -> None:
    """Ask the operator to confirm a card's fingerprint. Raises CardError if they do not."""
    groups = offer.card.identity.fingerprint()
    who = f"{offer.card.name}, {_who(offer.card)}"
    where = f", at {offer.site.settings.name}" if say_where else ""
    common.say(f"The card of {who}{where}, with the fingerprint\n\n    {groups}\n", err=True)
    for line in _said(offer.card):
        common.say(line, err=True)
    for phone in _telephones(offer.site, offer.name):
        common.say(
            f"Reporters who write to {offer.name} see {phone}, from telephones in site.toml. Is it "
            "this counsellor's number? If not, correct it first.\n",
            err=True,
        )
    if fingerprint is None:
        answer = click.prompt(
            "Did the counsellor read out exactly these ten groups? Type yes", err=True
        )
        if answer.strip().lower() not in ("yes", "ja"):
            raise CardError("it was not confirmed; nothing was changed")
    elif _hex_only(fingerprint) != _hex_only(groups):
        raise CardError("the ten groups that were read out are not this card's; do not use it")


@card.command("list")
@folder_option
@site_option
def card_list(folder: Path | None, site_name: str | None) -> None:
    """List the cards in use, with counsellor, scope, last day and fingerprint.

    \b
    klankbord-server --dir /var/lib/klankbord card list
    """
    site = sites.load(place_of(folder, site_name).folder)
    for named in site.cards():
        until = named.card.sealing[-1].until
        if named.card.over(common.today()):
            state = f"expired, keys until {until}: nobody can write to it"
        elif named.card.sealing_key(common.today()) is None:
            state = "cannot be written to today"
        else:
            state = f"open, keys until {until}"
        if (away := named.card.away) is not None and away.until >= common.today():
            stand_in = site.card_of(away.stand_in) if away.stand_in else None
            state += f"; away until {away.until}"
            state += f", stand-in {stand_in.file_name}" if stand_in else ""
        common.say(f"{named.file_name}: {named.card.name}; {state}")
        common.say(f"    {_who(named.card)}")
        for line in _said(named.card):
            common.say(f"    {line}")
        common.say(f"    {named.card.identity.fingerprint()}")
    for file_name, fault in site.faults():
        common.say(f"{file_name}: cannot be used: {fault}")
    if not site.cards():
        common.say("No card is in use: the site is not open yet.", err=True)


@card.command("retire")
@folder_option
@site_option
@click.argument("name")
def card_retire(folder: Path | None, site_name: str | None, name: str) -> None:
    """Retire a card at once, when a desk is lost or stolen or a counsellor leaves.

    The desk with this card can no longer fetch messages, and is never accepted again. To continue,
    the counsellor makes a new desk, and you add its card.

    \b
    klankbord-server --dir /var/lib/klankbord card retire noor
    """
    site = sites.load(place_of(folder, site_name).folder)
    site.retire(name, common.today())
    common.say(f"{name}: retired. Reporters can no longer write to it.")
    for phone in _telephones(site, name):
        common.say(
            f"Remove {phone} from telephones in site.toml: it would be shown with the next "
            f"card called {name}.",
            err=True,
        )


def _telephones(site: Site, name: str) -> list[str]:
    """Return the telephone numbers that the settings contain for a card with this name."""
    return [own.phone for own in site.settings.telephones if own.card == name]


def _who(shown: Card) -> str:
    """Return the kind and scope of a card as text."""
    scope = {
        "unwanted_behaviour": "unwanted behaviour",
        "integrity": "integrity",
        "both": "unwanted behaviour and integrity",
    }[shown.scope]
    return f"{shown.kind} counsellor for {scope}"


def _said(shown: Card) -> list[str]:
    """Return the counsellor's description of themselves on the site, as lines."""
    number = [f"register number {shown.register_number}"] if shown.register_number else []
    said = shown.sentence.items()
    return [*number, *(f"own words ({code}): \u201c{text}\u201d" for code, text in sorted(said))]


def _name_for(new: Card) -> str:
    """Return a file name that is based on the counsellor's name."""
    letters = unicodedata.normalize("NFKD", new.name).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", letters.lower()).strip("-")[:40].strip("-") or "counsellor"


def _hex_only(groups: str) -> str:
    return re.sub(r"[^0-9a-f]", "", groups.lower())
