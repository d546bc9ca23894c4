"""A site's folder with real settings and a real store, and the use cases on both."""

import dataclasses
import datetime
from collections.abc import Callable
from pathlib import Path

from dropbox_app.server.config import settings, settings_writer, site
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.config.stores import SiteStore
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.store.files import write_new
from tests.support.two_stores import Kind, OnSqlite


class OneSite:
    """A new folder for these settings, with the objects that serve it.

    ``today``: the date of its clock. ``on``: its kind of store, by default SQLite.
    """

    def __init__(
        self,
        folder: Path,
        made: Settings,
        today: Callable[[], datetime.date],
        on: Kind | None = None,
    ) -> None:
        self.folder = folder
        self.on = on or OnSqlite()
        made = dataclasses.replace(made, store=self.on.setting(folder))
        folder.mkdir(mode=0o700)
        write_new(folder / settings.FILE_NAME, settings_writer.write(made).encode())
        (folder / site.CARDS).mkdir(mode=0o700)
        self.store: SiteStore = self.on.create(folder, today)
        self.site = site.load(folder)
        self.mailboxes = Mailboxes(self.site, self.store, today)
