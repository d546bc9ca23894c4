"""Decide from stored items and fetches whether each counsellor should open the desk today.

This module runs once a day, without using the network. The status "open" means that something is
waiting, or that the desk must fetch to keep the site's promise. The status therefore does not show
whether anybody wrote.
"""

import datetime
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from dropbox_app.server.config import loader, response, stores
from dropbox_app.server.config.loader import ReadSite
from dropbox_app.server.config.site import CARD_NAME, CARDS, Site
from dropbox_app.server.errors import ServerError, SettingsError
from dropbox_app.server.mailboxes import purge
from dropbox_app.server.notify import status_file
from dropbox_app.server.notify.status_file import Word
from dropbox_app.server.store.interface import Store


def put(server: Path, place: Path, today: datetime.date) -> list[str]:
    """Write today's statuses, which do not change later that day, and return the faults.

    Raises SettingsError if no site can be read, OSError.
    """
    if status_file.read(place, today) is not None:
        return []
    found = loader.read(server)
    words: dict[str, Word] = {}
    faults = []
    for closed in found.closed:
        # An unnecessary "open" is noticed at the desk; a wrong "rest" would not be noticed.
        name, folder = closed.place.name, closed.place.folder / CARDS
        files = [path.stem for path in folder.glob("*.card")]
        words |= {f"{name}/{file}": "open" for file in files if CARD_NAME.fullmatch(file)}
        faults.append(f"{name}: its settings are wrong; site check says why")
    if not found.sites and not words:
        raise SettingsError("no site can be read; site check says why")
    for site in found.sites:
        name = site.place.name
        try:
            cards = _cards(site)
        except OSError as error:
            faults.append(f"{name}: the cards cannot be read: {error.strerror}")
            continue
        try:
            of_site, waits = _words(site, cards, today)
            words |= of_site
            if waits:
                faults.append(f"{name}: purging waits: the clock may be wrong; see doctor")
        except (ServerError, OSError, sqlite3.Error) as error:
            words |= dict.fromkeys(cards, "open")
            faults.append(f"{name}: the database cannot be used: {type(error).__name__}")
    status_file.write(place, words, today)
    return faults


def of(store: Store, identity: str, today: datetime.date, response_days: int) -> Word:
    """Return "open" if a desk should be opened today, otherwise "rest".

    A desk should be opened if something is waiting for it. A desk should also be opened if it has
    not fetched messages within the ``response_days`` working days in which the site promises an
    answer.
    """
    due = response.due(store.last_fetch(identity), today, response_days)
    return "open" if due or store.waits(identity) else "rest"


def _words(
    site: ReadSite, cards: Mapping[str, str], today: datetime.date
) -> tuple[dict[str, Word], bool]:
    """Return each card's status, and whether a purge needs the operator's confirmation."""
    store = stores.opened(site.place, site.settings, lambda: today)
    try:
        days = site.settings.response_days
        words = {name: of(store, identity, today, days) for name, identity in cards.items()}
        return words, bool(purge.doubt(store, today))
    finally:
        store.close()


def _cards(site: ReadSite) -> dict[str, str]:
    """Return the identity of each card, by the name that the mailer uses for the card."""
    cards = Site(site.place.folder, site.settings).cards()
    return {f"{site.place.name}/{one.file_name}": str(one.card.identity) for one in cards}
