"""What is wrong with the sites of a server, as far as it shows without a look at what they keep.

``site check`` and every start say the same; ``doctor`` looks further.
"""

import datetime
from collections.abc import Iterator
from contextlib import suppress

from dropbox_app.server.config import settings
from dropbox_app.server.config.loader import Fault, ReadSite
from dropbox_app.server.config.paths import Place
from dropbox_app.server.config.site import CARDS, Site
from dropbox_app.server.errors import ServerError, SettingsError
from dropbox_app.server.store import inspect
from dropbox_app.server.store.sqlite import DATABASE


def card_faults(site: Site, today: datetime.date) -> Iterator[str]:
    """Cards that cannot be used, or no longer."""
    for name, fault in site.faults():
        yield f"{site.folder / CARDS / name}.card: it cannot be used: {fault}"
    for named in site.cards():
        if named.card.over(today):
            until = named.card.sealing[-1].until
            path = site.folder / CARDS / f"{named.file_name}.card"
            yield f"{path}: it is over since {until}; a fetch of the counsellor's desk renews it"


def telephone_faults(site: Site) -> Iterator[str]:
    """Telephones of counsellors without a card."""
    cards = {named.file_name for named in site.cards()} | {name for name, _ in site.faults()}
    for own in site.settings.telephones:
        if own.card not in cards:
            said = f"telephones: there is no card called {own.card} (see card list)"
            yield f"{_where(site)}: {said}. Reporters are not shown this telephone."


def _where(site: Site) -> str:
    """The file and the line of the counsellors' own telephones."""
    path = site.folder / settings.FILE_NAME
    with suppress(SettingsError):  # changed since it was read
        line = settings.line_of("telephones", settings.text_of(site.folder))
        return f"{path}, line {line}" if line else str(path)
    return str(path)


def missing(place: Place) -> Iterator[Fault]:
    """Whether there is a database at all: cheap, for a start with hundreds of sites."""
    path = place.folder / DATABASE
    if not path.exists():
        yield Fault(place.name, f"{path} is missing; restore it from a backup")


def look(read: ReadSite, today: datetime.date) -> Iterator[Fault]:
    """All that can be wrong with a site whose settings are right."""
    place = read.place
    try:
        if inspect.old(place.folder / DATABASE):
            said = "is of an older version; the next start brings it up to date: first a backup"
            yield Fault(place.name, f"{place.folder / DATABASE} {said}", note=True)
    except (ServerError, OSError) as error:
        yield Fault(place.name, str(error))
    site = Site(place.folder, read.settings)
    for said in (*card_faults(site, today), *telephone_faults(site)):
        yield Fault(place.name, said)
