"""Find faults in the sites of a server without reading stored conversations.

``site check`` and every server start run these checks. ``doctor`` runs more.
"""

import datetime
from collections.abc import Iterator, Mapping
from contextlib import suppress

from dropbox_app.server.config import custom_pages, languages, referrals, response, settings, stores
from dropbox_app.server.config.loader import Fault, ReadSite
from dropbox_app.server.config.paths import Place
from dropbox_app.server.config.site import CARDS, Site
from dropbox_app.server.errors import ServerError, SettingsError
from dropbox_app.server.store.sqlite import DATABASE

SHOWN = 3  # the number of entries with the same fault to list
FIRST = 7  # days within which a new counsellor's desk must fetch for the first time


def card_faults(site: Site, today: datetime.date) -> Iterator[str]:
    """Yield the faults of cards that are invalid or have expired."""
    for name, fault in site.faults():
        yield f"{site.folder / CARDS / name}.card: it cannot be used: {fault}"
    for named in site.cards():
        if named.card.over(today):
            until = named.card.sealing[-1].until
            path = site.folder / CARDS / f"{named.file_name}.card"
            yield f"{path}: it expired on {until}; a fetch of the counsellor's desk renews it"


def telephone_faults(site: Site) -> Iterator[str]:
    """Yield telephone numbers of counsellors without a card."""
    cards = {named.file_name for named in site.cards()} | {name for name, _ in site.faults()}
    for own in site.settings.telephones:
        if own.card not in cards:
            said = f"telephones: there is no card called {own.card} (see card list)"
            yield f"{_where(site, 'telephones')}: {said}. Reporters are not shown this telephone."


def no_other_contact(site: Site, today: datetime.date) -> Iterator[str]:
    """Yield a note if a site has one counsellor and names nobody to contact about that person."""
    if len(site.open_cards(today)) == 1 and not site.settings.other_contact:
        yield (
            f"{_where(site, 'other_contact')}: other_contact: there is one counsellor. Name whom "
            "reporters can call if it is about that person"
        )


def _where(site: Site, key: str) -> str:
    """Return the file and the line number of a setting."""
    path = site.folder / settings.FILE_NAME
    with suppress(SettingsError):  # the settings changed after they were read
        line = settings.line_of(key, settings.text_of(site.folder))
        return f"{path}, line {line}" if line else str(path)
    return str(path)


def desk_faults(
    site: Site, fetches: Mapping[str, datetime.date], today: datetime.date
) -> Iterator[tuple[str, bool]]:
    """Yield a fault for each desk that fetches too rarely, and whether the fault is only a note.

    A counsellor whose card announces an absence is not reported. ``fetches`` maps each identity to
    the day of its last fetch.
    """
    promised = site.settings.response_days
    for named in site.cards():
        away = named.card.away
        last = fetches.get(str(named.card.identity))
        if not response.late(last, today, promised) or (away and away.until >= today):
            continue
        # The first fetch renews the card. Until then the file has the date of ``card add``.
        path = site.folder / CARDS / f"{named.file_name}.card"
        added = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).date()
        said = f"has not fetched since {last}" if last else "has never fetched"
        days = "1 working day" if promised == 1 else f"{promised} working days"
        yield (
            f"the desk of {named.file_name} {said}; "
            f"the site promises an answer within {days} (response_days)",
            last is None and (today - added).days < FIRST,
        )


def stale_texts(read: ReadSite, today: datetime.date) -> Iterator[str]:
    """Yield texts on law and help that were never checked, or not recently."""
    law = read.settings.law
    path = read.place.folder / settings.FILE_NAME
    if law.read_on is None:
        yield f"{path}: law: no lawyer has read the pages' text on the law"
    elif (today - law.read_on).days > referrals.STALE:
        yield f"{path}: law: the pages' text on the law was read on {law.read_on}: read it again"
    if any(read.own_law(*page) for page in read.pages) and not law.author:
        yield f"{path}: law: name the author of your own text on the law"
    if drafts := [lang for lang in read.settings.languages if lang in languages.DRAFTS]:
        yield f"{path}: languages: not yet read by a native speaker: {', '.join(drafts)}"
    old = [one.name for one in read.referrals.entries if one.stale(today)]
    if old:
        own = read.place.folder / custom_pages.FOLDER / referrals.FILE_NAME
        more = f" and {len(old) - SHOWN} more" if len(old) > SHOWN else ""
        yield f"{own}: nobody has checked within a year: {', '.join(old[:SHOWN])}{more}"


def missing(place: Place, store: str = "") -> Iterator[Fault]:
    """Yield a fault if the database is missing. This check is fast enough for hundreds of sites.

    ``store``: the value of the setting ``store``. A database on PostgreSQL is not checked until the
    site is opened.
    """
    path = place.folder / DATABASE
    if not store and not path.exists():
        yield Fault(place.name, f"{path} is missing; restore it from a backup")


def look(read: ReadSite, today: datetime.date) -> Iterator[Fault]:
    """Yield the faults of a site whose settings are valid."""
    place = read.place
    try:
        if stores.old(place, read.settings):
            said = "is of an older version; the next start brings it up to date: first a backup"
            where = "the database" if read.settings.store else place.folder / DATABASE
            yield Fault(place.name, f"{where} {said}", note=True)
    except (ServerError, OSError) as error:
        yield Fault(place.name, str(error))
    site = Site(place.folder, read.settings)
    for said in stale_texts(read, today):
        yield Fault(place.name, said, note=True)
    with suppress(ServerError, OSError):  # reported above
        for said, note in desk_faults(site, stores.fetches(place, read.settings), today):
            yield Fault(place.name, f"{said}: ask the counsellor to fetch", note=note)
    for said in (
        *card_faults(site, today), *telephone_faults(site), *no_other_contact(site, today)
    ):  # fmt: skip
        yield Fault(place.name, said)
