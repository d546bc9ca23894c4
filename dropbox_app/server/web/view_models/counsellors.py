"""The counsellors of a site as the pages show them. Nothing is sealed to an expired key."""

import datetime
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace

from dropbox_app.protocol.card import Card
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.server.config import response
from dropbox_app.server.config.site import CARDS, Site
from dropbox_app.server.mailboxes.service import Mailboxes


@dataclass(frozen=True)
class Person:
    """A counsellor of the site.

    ``open``: has a sealing key today. ``away``: the last day of an announced absence. ``stand_in``:
    the name of the deputy, if that counsellor is open and neither away nor silent. ``silent``: this
    counsellor's desk has not fetched messages for the promised response time plus two working days.
    ``card``: the card, with the counsellor's own words.
    """

    identity: VerifyKey
    name: str
    kind: str
    scope: str
    languages: tuple[str, ...]
    fingerprint: str
    open: bool
    away: datetime.date | None
    stand_in: str | None
    silent: bool
    phone: str  # the counsellor's own number
    hours: str
    card: Card

    @property
    def value(self) -> str:
        """Return the form value that identifies this person."""
        return self.identity.hex


@dataclass(frozen=True)
class People:
    """All counsellors of a site on one day, by the names of their card files.

    ``begun``: the site has or once had a counsellor. ``ended``: the site accepts no new reports,
    but conversations continue. ``beginning``: this is the view for a visitor without a
    conversation.
    """

    everybody: tuple[Person, ...]
    begun: bool
    ended: bool = False
    beginning: bool = False

    @property
    def to_report(self) -> "People":
        """Return the view for a visitor without a conversation; an ended site offers no counsellor.

        ``Person.open`` stays unchanged, for the sentences to reporters who have a code.
        """
        return replace(self, beginning=True)

    @property
    def open(self) -> tuple[Person, ...]:
        """Return the counsellors who can receive messages."""
        if self.ended and self.beginning:
            return ()
        return tuple(person for person in self.everybody if person.open)

    @property
    def reads(self) -> bool:
        """Return whether any counsellor can open new messages in an existing conversation."""
        return any(person.open for person in self.everybody)

    def called(self, identity: VerifyKey) -> str | None:
        """Return the name on an identity's card; None if it has no card."""
        return next((p.name for p in self.everybody if p.identity == identity), None)

    def chosen(self, value: str) -> Person | None:
        """Return the counsellor that a form names; None if it names none of them."""
        return next((person for person in self.everybody if person.value == value), None)

    def without(self, identities: Iterable[VerifyKey]) -> tuple[Person, ...]:
        """Return the counsellors who can receive messages, except those in ``identities``."""
        leave_out = set(identities)
        return tuple(person for person in self.open if person.identity not in leave_out)


class Directory:
    """Reads the counsellors of a site, and checks on every call whether cards have changed.

    The check is cheap: the result is kept while the day is the same and no card file has changed.
    The result is not kept if a desk is silent, because that desk's next fetch changes no card.
    """

    def __init__(self, site: Site, mailboxes: Mailboxes) -> None:
        self._site = site
        self._mailboxes = mailboxes
        self._fingerprints: dict[VerifyKey, str] = {}
        self._known: tuple[object, People] | None = None

    def on(self, day: datetime.date) -> People:
        """Return everyone with a card, and whether each can be reached on ``day``."""
        ended = bool(self._site.ended())
        state = (day, ended, self._files())
        known = self._known
        if known is not None and known[0] == state:
            return known[1]
        people = self._read(day, ended)
        silent = any(person.silent for person in people.everybody)
        self._known = None if silent else (state, people)
        return people

    def _files(self) -> list[tuple[str, int, int]]:
        """Return the card files by name, with ctime and inode; the mtime is always midnight."""
        try:
            with os.scandir(self._site.folder / CARDS) as entries:
                stats = [(entry.name, entry.stat()) for entry in entries]
        except FileNotFoundError:
            return []
        return sorted((name, stat.st_ctime_ns, stat.st_ino) for name, stat in stats)

    def _read(self, day: datetime.date, ended: bool) -> People:
        named = self._site.cards()
        cards = [one.card for one in named]
        own = {row.card: row for row in self._site.settings.telephones}
        numbers = {one.card.identity: own.get(one.file_name) for one in named}
        away = {c.identity: c.away for c in cards if c.away is not None and c.away.until >= day}
        silent = {card.identity for card in cards if self._silent(card, day)}
        names = {c.identity: c.name for c in cards if c.sealing_key(day) is not None}
        here = {i: name for i, name in names.items() if i not in away and i not in silent}
        people = []
        for card in cards:
            absence = away.get(card.identity)
            stand_in = absence.stand_in if absence else None
            number = numbers[card.identity]
            people.append(
                Person(
                    identity=card.identity,
                    name=card.name,
                    kind=card.kind,
                    scope=card.scope,
                    languages=card.languages,
                    fingerprint=self._fingerprint(card.identity),
                    open=card.identity in names,
                    away=absence.until if absence else None,
                    stand_in=here.get(stand_in) if stand_in else None,
                    silent=card.identity in silent,
                    phone=number.phone if number else "",
                    hours=number.hours if number else "",
                    card=card,
                )
            )
        return People(tuple(people), bool(people) or self._site.begun(), ended)

    def _silent(self, card: Card, day: datetime.date) -> bool:
        """Return whether too long has passed since a desk last fetched or its card was renewed."""
        last = self._mailboxes.last_fetch(card.identity)
        since = card.issued if last is None else max(card.issued, last)
        return response.quiet(since, day, self._site.settings.response_days)

    def _fingerprint(self, identity: VerifyKey) -> str:
        if identity not in self._fingerprints:
            self._fingerprints[identity] = identity.fingerprint()
        return self._fingerprints[identity]
