"""One organisation's site: its settings and its counsellors' cards, from one folder.

The folder contains ``site.toml``, ``cards/``, ``retired``, ``klankbord.db``, ``files/`` and
``withdrawn``. If the site is closed to new reports, the folder also contains ``ended``. Settings
are read strictly and only once, at start. Cards are read again on every call, because another
worker or the operator may have changed them. A card file in use pins its identity (SPEC section 3).
"""

import datetime
import functools
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.protocol import card as cards
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.errors import CardError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.server.config import settings
from dropbox_app.server.config.settings import Limits, Retention, Settings
from dropbox_app.server.store.files import open_untouched, replace_whole, sync_folder
from dropbox_app.server.store.write_lock import Turns

__all__ = ["Limits", "NamedCard", "Retention", "Settings", "Site", "load"]

CARDS = "cards"
ENDED = "ended"  # the file with the day since which the site accepts no new reports
RETIRED = "retired"  # lines ``IDENTITY YYYY-MM-DD``, identities in base64

PARSED = 100  # parsed cards that a process keeps for all sites; each takes about 40 KB

CARD_NAME = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True)
class NamedCard:
    """A card in use, and the name of its file without ``.card``."""

    file_name: str
    card: Card


class Site:
    """A loaded folder, which threads can share."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        # Other processes cannot change cards while this is locked: a retired card must not return.
        self._turns = Turns(folder / CARDS)

    def cards(self) -> tuple[NamedCard, ...]:
        """Return all pinned counsellors' cards, by file name, except the unusable ones."""
        return tuple(NamedCard(n, c) for n, c in self._read() if isinstance(c, Card))

    def faults(self) -> tuple[tuple[str, str], ...]:
        """Return the unusable card files, each with the reason."""
        return tuple((n, c) for n, c in self._read() if isinstance(c, str))

    def begun(self) -> bool:
        """Return whether the site has ever had a card; if not, the site is not open yet."""
        return bool(self.cards() or self.faults() or self._retired())

    def ended(self) -> str:
        """Return the day on which the site closed to new reports; "" if it still accepts them."""
        try:
            return (self.folder / ENDED).read_text("ascii", errors="replace").strip() or "long ago"
        except FileNotFoundError:
            return ""

    def end(self, day: datetime.date) -> None:
        """Stop accepting new reports. Existing conversations continue until they expire."""
        if not self.ended():
            replace_whole(self.folder / ENDED, f"{day}\n".encode("ascii"), day)

    def open_cards(self, day: datetime.date) -> tuple[Card, ...]:
        """Return the cards to which a message can be sealed on ``day``."""
        return tuple(c.card for c in self.cards() if c.card.sealing_key(day) is not None)

    def card_of(self, identity: VerifyKey) -> NamedCard | None:
        """Return the card of a pinned identity; None if the identity is unknown here."""
        return next((c for c in self.cards() if c.card.identity == identity), None)

    def pin(self, name: str, raw: bytes, day: datetime.date) -> Card:
        """Put into use a card that the operator has confirmed. Raises CardError, StoreBusy."""
        with self._turns.taken():
            card = self.check_new(name, raw, day)
            self._write(name, raw, day)
            return card

    def check_new(self, name: str, raw: bytes, day: datetime.date) -> Card:
        """Return the card if ``pin`` would accept it; otherwise raise the same error as ``pin``."""
        if not CARD_NAME.fullmatch(name):
            raise CardError("the name of a card must be 1 to 40 characters from a-z, 0-9 and -")
        card = cards.parse(raw)
        if card.site != self.settings.site:
            raise CardError("the card was made for another site")
        if card.over(day):
            raise CardError(f"the card has expired: its last key was for {card.sealing[-1].until}")
        known = self.card_of(card.identity)
        if known is not None:
            raise CardError(f"this counsellor already has a card here: {known.file_name}")
        retired = self._retired().get(str(card.identity))
        if retired is not None:
            raise CardError(
                f"this identity was retired on {retired}; the counsellor makes a new desk"
            )
        if self._path(name).exists():
            raise CardError(f"there is already a card called {name}; retire it, or give --name")
        self._check_name(card)
        return card

    def update(self, identity: VerifyKey, raw: bytes, day: datetime.date) -> Card:
        """Replace a pinned counsellor's card with a newer one (SPEC section 3).

        Raises CardError.
        """
        with self._turns.taken():
            known = self.card_of(identity)
            if known is None:
                raise CardError("this counsellor has no card here")
            card = cards.accept(raw, site=self.settings.site, pinned=identity, current=known.card)
            # A card that keeps its name is renewed, even if another card has that name.
            if _folded(card.name) != _folded(known.card.name):
                self._check_name(card)
            if card.raw != known.card.raw:
                self._write(known.file_name, raw, day)
            return card

    def retire(self, name: str, day: datetime.date | None = None) -> None:
        """Retire a card immediately: nobody can write to its counsellor, and its desk cannot fetch.

        The identity is never accepted again, because the holder of a lost or stolen desk could use
        it to read messages.
        """
        with self._turns.taken():
            if not CARD_NAME.fullmatch(name) or not self._path(name).exists():
                raise CardError(f"there is no card called {name}")
            # The owner of a broken card is unknown, so no identity is retired with it. The same
            # applies if the counsellor has a second card.
            known = next((c.card for c in self.cards() if c.file_name == name), None)
            if known is not None:
                day = day or datetime.datetime.now(datetime.UTC).date()
                retired = {str(known.identity): day.isoformat()} | self._retired()
                lines = "".join(f"{identity} {of}\n" for identity, of in sorted(retired.items()))
                replace_whole(self.folder / RETIRED, lines.encode("ascii"), day)
            self._path(name).unlink()
            sync_folder(self.folder / CARDS)

    def _check_name(self, card: Card) -> None:
        """Reject a name that another counsellor has, because reporters rely on names."""
        for other in self.cards():
            if other.card.identity != card.identity and _folded(other.card.name) == _folded(
                card.name
            ):
                raise CardError(f"another counsellor here has that name: {other.file_name}")

    def _retired(self) -> dict[str, str]:
        """Return the retired identities and the day of each."""
        try:
            text = (self.folder / RETIRED).read_text("ascii", errors="ignore")
        except FileNotFoundError:
            return {}
        return {line.partition(" ")[0]: line.partition(" ")[2] for line in text.splitlines()}

    def _path(self, name: str) -> Path:
        return self.folder / CARDS / f"{name}.card"

    def _read(self) -> Iterator[tuple[str, Card | str]]:
        try:
            names = sorted(n for n in os.listdir(self.folder / CARDS) if n.endswith(".card"))
        except FileNotFoundError:
            return
        seen: set[VerifyKey] = set()
        for name in names:
            try:
                with open_untouched(self.folder / CARDS / name) as file:
                    raw = file.read(cards.MAX_BYTES + 1)
            except FileNotFoundError:
                continue  # the card was retired after the folder was listed
            except OSError as error:
                yield name.removesuffix(".card"), f"it cannot be read: {error.strerror}"
                continue
            card = _parse(name.removesuffix(".card"), raw, self.settings.site)
            if isinstance(card, Card):
                if card.identity in seen:
                    card = "the same counsellor has another card here"
                else:
                    seen.add(card.identity)
            yield name.removesuffix(".card"), card

    def _write(self, name: str, raw: bytes, day: datetime.date) -> None:
        """Replace a card file atomically; its times are rounded to the day."""
        replace_whole(self._path(name), raw, day)


@functools.lru_cache(maxsize=PARSED)
def _parse(name: str, raw: bytes, site: str) -> Card | str:
    """Parse each card once and cache the result, because parsing takes some milliseconds."""
    if not CARD_NAME.fullmatch(name):
        return "the name of a card must be 1 to 40 characters from a-z, 0-9 and -"
    try:
        card = cards.parse(raw)
    except CardError as error:
        return str(error)
    return card if card.site == site else "the card was made for another site"


def _folded(name: str) -> str:
    """Return a name in a form that ignores differences in case, width and number of spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def load(folder: Path) -> Site:
    """Read a site's folder. Raises SettingsError with the file, the key and the expected value."""
    return Site(folder, settings.read(folder))
