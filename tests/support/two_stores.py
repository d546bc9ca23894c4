"""Both stores: ``on`` is a fixture that runs a test on each of them."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Protocol

import pytest

from dropbox_app.server.config.stores import SiteStore
from dropbox_app.server.store.interface import IN_DATABASE
from dropbox_app.server.store.sqlite import FILES
from dropbox_app.server.store.sqlite_copy import SqliteCopy
from tests.support.postgres import Address, Postgres, open_store

Today = Callable[[], date]


class Kind(Protocol):
    """A kind of store: how it is made, and what is visible from outside."""

    def setting(self, folder: Path) -> str: ...
    def create(self, folder: Path, today: Today) -> SiteStore: ...
    def long_files(self, folder: Path) -> int: ...


class OnSqlite:
    """A store in the site's folder."""

    def setting(self, _folder: Path) -> str:
        """Return the value of the setting ``store``."""
        return ""

    def create(self, folder: Path, today: Today) -> SqliteCopy:
        return SqliteCopy.create(folder, today)

    def long_files(self, folder: Path) -> int:
        """Return how many sealed files are stored next to the database."""
        return len(list((folder / FILES).iterdir()))


class OnPostgres:
    """A store in a separate PostgreSQL schema for each folder."""

    def __init__(self, running: Postgres) -> None:
        self.running = running
        self.addresses: dict[Path, Address] = {}

    def setting(self, folder: Path) -> str:
        """Return the value of the setting ``store``."""
        self.addresses[folder] = self.running.site()
        return self.running.url(self.addresses[folder])

    def create(self, folder: Path, today: Today) -> SiteStore:
        return open_store(self.addresses[folder], today, create=True)

    def long_files(self, folder: Path) -> int:
        """Return how many files have several pieces, whether an item names them or not."""
        with self.running.superuser() as connection:
            rows = connection.execute(
                f"SELECT file FROM {self.addresses[folder]['user']}.pieces GROUP BY file"  # noqa: S608 - our own name
                " HAVING sum(length(sealed)) > %s",
                (IN_DATABASE,),
            ).fetchall()
        return len(rows)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def on(request: pytest.FixtureRequest) -> Kind:
    if request.param == "sqlite":
        return OnSqlite()
    return OnPostgres(request.getfixturevalue("postgres"))
