"""The store of a site: SQLite in its folder, or the PostgreSQL schema named in its settings.

psycopg is only loaded if a site needs it.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dropbox_app.protocol import second_seal
from dropbox_app.server.config import database_url
from dropbox_app.server.config.paths import Place
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.errors import StoreError
from dropbox_app.server.store import inspect
from dropbox_app.server.store.copying import Copyable
from dropbox_app.server.store.inspect import Look
from dropbox_app.server.store.sqlite import DATABASE, FILES, WITHDRAWN
from dropbox_app.server.store.sqlite_copy import SqliteCopy

if TYPE_CHECKING:
    from dropbox_app.server.store.postgres_copy import PostgresCopy
    from dropbox_app.server.store.postgres_inspect import Schema

Today = Callable[[], datetime.date]


class SiteStore(Copyable, Protocol):
    """A store whose contents can be moved."""

    def remove_tables(self) -> None:
        """Remove all tables, inside ``writing``. After that, the store cannot be used."""


def opened(place: Place, settings: Settings, today: Today) -> SiteStore:
    """Open the store of a site. Raises StoreError, StoreBusy, SiteFull, OSError."""
    if not settings.store:
        return SqliteCopy(place.folder, today, place.reserve)
    store = _postgres(settings, today)
    known = store.site_id()
    if known != settings.site:
        store.close()
        raise StoreError(
            f"the conversations there belong to the site {known}, and site in the settings is "
            f"{settings.site}: with another id every code is lost"
        )
    return store


def create(folder: Path, settings: Settings, today: Today) -> SiteStore:
    """Create the store of a new site. Raises StoreError, StoreBusy, FileExistsError."""
    if not settings.store:
        return SqliteCopy.create(folder, today)
    return _postgres(settings, today, create=True)


def discard(settings: Settings) -> None:
    """Remove the tables that ``create`` just made in PostgreSQL. Raises StoreError."""
    if settings.store:
        _schema(settings).discard()


def site_of(place: Place, settings: Settings) -> str | None:
    """Return the id of the site whose conversations are in this store, or None.

    Raises StoreError, StoreBusy.
    """
    if settings.store:
        return _schema(settings).site_id()
    return inspect.site_of(place.folder / DATABASE)


def look(place: Place, settings: Settings) -> Look:
    """Check a store without changing it. Raises StoreError, StoreBusy, OSError."""
    if settings.store:
        return _schema(settings).look()
    folder = place.folder
    return inspect.look(folder / DATABASE, folder / FILES, folder / WITHDRAWN)


def remarks(settings: Settings) -> tuple[str, ...]:
    """Return warnings about data that a PostgreSQL server keeps or reveals needlessly.

    Raises StoreError.
    """
    return _schema(settings).remarks() if settings.store else ()


def old(place: Place, settings: Settings) -> bool:
    """Return whether the next start must update the store. Raises StoreError, StoreBusy."""
    if settings.store:
        return _schema(settings).old()
    return inspect.old(place.folder / DATABASE)


def fetches(place: Place, settings: Settings) -> Mapping[str, datetime.date]:
    """Return the last day on which each desk fetched. Raises StoreError, StoreBusy."""
    if settings.store:
        return _schema(settings).fetches()
    return inspect.fetches(place.folder / DATABASE)


def days(place: Place, settings: Settings) -> tuple[datetime.date | None, datetime.date | None]:
    """Return the newest day stored and the day of the last purge. Raises StoreError, StoreBusy."""
    if settings.store:
        return _schema(settings).days()
    return inspect.days(place.folder / DATABASE)


def _address(settings: Settings) -> Mapping[str, str]:
    return database_url.read(settings.store)


def _postgres(settings: Settings, today: Today, *, create: bool = False) -> PostgresCopy:
    from dropbox_app.server.store.postgres_copy import PostgresCopy

    return PostgresCopy(_address(settings), second_seal, today, create=create)


def _schema(settings: Settings) -> Schema:
    from dropbox_app.server.store.postgres_inspect import Schema

    return Schema(_address(settings))
