"""Check the counsellors' cards that a site shows, and the identities on its pages."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dropbox_app.desk.errors import BadAnswer
from dropbox_app.desk.site_check.findings import Finding, Kept
from dropbox_app.desk.site_check.visit import Seen
from dropbox_app.desk.transport import responses
from dropbox_app.protocol import card as cards
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.errors import CardError

ADDRESS = "/api/site"
MOST_CARDS = 100  # of a site
# The slots with the name of one counsellor, as on the card.
_NAMES = ("people.everybody[].name", "people.open[].name", "sealed.others[].name")
# The slots with the identity that a form sends for the chosen counsellor.
_CHOSEN = re.compile(r"(?:people|sealed\.others).*\.value")


class Expected(Protocol):
    """The facts that the desk knows about the site."""

    @property
    def identity(self) -> str: ...  # noqa: D102 - this counsellor's own identity, in hex

    @property
    def card(self) -> bytes: ...  # noqa: D102 - the own card, if the server has it

    @property
    def before(self) -> Kept | None: ...  # noqa: D102 - the last check


@dataclass(frozen=True)
class Shown:
    """The cards in one response. ``faults``: what is wrong with the response."""

    cards: tuple[Card, ...] = ()
    faults: tuple[Finding, ...] = ()


def read(seen: Seen, site: str) -> Shown:
    """Read the cards of a site."""
    if seen.status != 200 or not seen.readable:
        kind = "busy" if seen.busy else "missing"
        return Shown(faults=(Finding(kind, ADDRESS, {"status": str(seen.status)}),))
    try:
        fields = responses.read([seen.body])
    except BadAnswer:
        return Shown(faults=(Finding("facts", ADDRESS),))
    given = fields.get("cards")
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        return Shown(faults=(Finding("facts", ADDRESS),))
    faults, found = [], []
    if len(given) > MOST_CARDS:
        return Shown(faults=(Finding("facts", ADDRESS),))
    if fields.get("site") != site:
        faults.append(Finding("other_site", ADDRESS))
    for text in given:
        try:
            card = cards.parse(text.encode("utf-8", "replace"))
        except CardError:
            faults.append(Finding("card_bad"))
            continue
        if card.site == site:
            found.append(card)
        else:
            faults.append(Finding("card_bad"))
    return Shown(tuple(found), tuple(faults))


def compare(
    both: Sequence[Shown], expected: Expected, slots: Mapping[str, set[str]]
) -> Iterator[Finding]:
    """Yield the faults in the cards that two visitors got, and in the identities on the pages."""
    for one in both:
        yield from one.faults
        yield from _own(one, expected)
        yield from _since(one, expected)
    if any(one.faults for one in both):
        return  # what is missing here is missing for that reason
    first, second = ({card.identity.hex: card for card in one.cards} for one in both)
    for identity in sorted({*first, *second}):
        theirs = [one[identity] for one in (first, second) if identity in one]
        if len(theirs) < 2:
            yield Finding("card_one", said=_said(theirs[0]))
    known = [card for one in both for card in one.cards]
    groups = {card.identity.fingerprint() for card in known}
    values = {card.identity.hex for card in known}
    called = {card.name for card in known}
    for name, shown in slots.items():
        for value in sorted(shown):
            if name in _NAMES and value not in called:
                yield Finding("groups", said={"name": value})
            if name.endswith(".fingerprint") and value not in groups:
                yield Finding("groups", said={"name": value})
            if _CHOSEN.fullmatch(name) and value not in values:
                yield Finding("groups", said={"name": value[:16]})


def names(both: Sequence[Shown]) -> dict[str, str]:
    """Return the name on each card, by identity in hex."""
    return {card.identity.hex: card.name for one in both for card in one.cards}


def _own(shown: Shown, expected: Expected) -> Iterator[Finding]:
    """Compare this counsellor's card on the site with the desk's copy, byte for byte."""
    if not expected.card or shown.faults:
        return
    mine = [card for card in shown.cards if card.identity.hex == expected.identity]
    if not mine:
        yield Finding("card_mine_gone")
    elif any(card.raw != expected.card for card in mine):
        yield Finding("card_mine")


def _since(shown: Shown, expected: Expected) -> Iterator[Finding]:
    """Compare the counsellors with those of the last check.

    A known name with another identity means that the card was swapped.
    """
    before = expected.before
    if before is None or not before.cards or shown.faults:
        return
    now = {card.identity.hex: card for card in shown.cards}
    gone = {identity: name for identity, name in before.cards.items() if identity not in now}
    for identity, card in now.items():
        if identity in before.cards:
            continue
        swapped = card.name in before.cards.values()
        yield Finding("card_swapped" if swapped else "card_new", said=_said(card))
    for identity, name in gone.items():
        if identity != expected.identity and name not in {card.name for card in now.values()}:
            yield Finding("card_gone", said={"name": name})


def _said(card: Card) -> dict[str, str]:
    return {"name": card.name, "groups": card.identity.fingerprint()}
