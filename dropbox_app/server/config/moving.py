"""Move a site's conversations to another store while the site is not served.

The copy is compared item by item, then the settings are changed, then the original is removed. A
move that was interrupted before the settings were changed starts again from the beginning.
"""

import dataclasses
import shutil

from dropbox_app.protocol.encoding import new_digest
from dropbox_app.server.config import settings, settings_writer, stores
from dropbox_app.server.config.paths import Place
from dropbox_app.server.config.settings import Settings
from dropbox_app.server.config.stores import Today
from dropbox_app.server.errors import StoreError
from dropbox_app.server.store.copying import Copied, Copyable, copy
from dropbox_app.server.store.files import replace_whole
from dropbox_app.server.store.sqlite import DATABASE, FILES, WITHDRAWN


def move(place: Place, to: str, today: Today) -> Copied:
    """Move a site's conversations to the store ``to``: an address, or "" for the site's folder.

    Raises SettingsError for a wrong address, StoreError, StoreBusy, OSError. After an error, the
    settings and the conversations are unchanged.
    """
    path = place.folder / settings.FILE_NAME
    text = settings.text_of(place.folder)
    before = settings.parse(text, path)
    changed = settings_writer.with_store(text, path, to)
    after = dataclasses.replace(before, store=to)
    if before.store == to:
        raise StoreError("the conversations are there already")
    source = stores.opened(place, before, today)
    try:
        with source.writing():  # a server that is running after all cannot store anything now
            copied = _copied(place, source, after, today)
            replace_whole(path, changed.encode("utf-8"), today())
            # A server that still has the original open fails without its tables, and stores nothing
            # there.
            source.remove_tables()
        source.truncate_log()
    finally:
        source.close()
    if not before.store:
        _remove_files(place)
    return copied


def _copied(place: Place, source: Copyable, after: Settings, today: Today) -> Copied:
    """Copy the conversations to the new store. After a failure, the new store is empty."""
    _discard_begun(place, after)
    target = stores.create(place.folder, after, today)
    try:
        return copy(source, target, new_digest)
    except BaseException:  # also Ctrl-C; raised again
        _discard(place, after)
        raise
    finally:
        target.close()


def _discard_begun(place: Place, after: Settings) -> None:
    """Remove the incomplete copy (without a site id) of an interrupted move. Raises StoreError."""
    if after.store or (place.folder / DATABASE).exists():
        if stores.site_of(place, after) is not None:
            raise StoreError("there are conversations of a site already")
        _discard(place, after)


def _discard(place: Place, after: Settings) -> None:
    if after.store:
        stores.discard(after)
    else:
        _remove_files(place)


def _remove_files(place: Place) -> None:
    """Remove the store in the site's folder."""
    shutil.rmtree(place.folder / FILES, ignore_errors=True)
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", WITHDRAWN):
        (place.folder / name).unlink(missing_ok=True)
