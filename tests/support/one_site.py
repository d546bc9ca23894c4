"""A site's folder with real settings, a real store, and the use cases over both."""

import datetime
from collections.abc import Callable
from pathlib import Path

from dropbox_app.server.config import settings, settings_writer, site
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.mailboxes.service import Mailboxes
from dropbox_app.server.store.files import write_new
from dropbox_app.server.store.sqlite import SqliteStore


class OneSite:
    """A new folder for these settings, and what serves it. ``today``: its clock's date."""

    def __init__(self, folder: Path, made: Settings, today: Callable[[], datetime.date]) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700)
        write_new(folder / settings.FILE_NAME, settings_writer.write(made).encode())
        (folder / site.CARDS).mkdir(mode=0o700)
        self.store = SqliteStore.create(folder, today)
        self.site = site.load(folder)
        self.mailboxes = Mailboxes(self.site, self.store, today)
