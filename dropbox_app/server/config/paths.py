"""The folders of a server's sites: the server's own folder, or ``sites/NAME/`` in it.

All site folders have the same layout and contain all data of the site: settings, cards, database,
files and pages. A server with one site may keep that site in the server's own folder.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dropbox_app.server.config.settings import FILE_NAME
from dropbox_app.server.errors import SettingsError
from dropbox_app.server.store.sqlite import DATABASE, RESERVE

SITES = "sites"
RESTORING = ".restoring"  # the working folder of a restore; while it exists, the data is incomplete
OWN = "."  # the name of the site that is kept in the server's own folder
FORM = "1 to 40 characters from a-z, 0-9 and -"

_NAME = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True)
class Place:
    """The folder of a site, and the site's name on this server.

    No page shows this internal name.
    """

    name: str
    folder: Path
    reserve: Path  # shared by all sites of a server, because they share its disk


def own(folder: Path) -> Place:
    """Return the place of the site that is kept in the server's own folder."""
    return Place(OWN, folder, folder / RESERVE)


def named(folder: Path, name: str) -> Place:
    """Return the place of a site, whether or not it exists. Raises SettingsError."""
    if name == OWN:
        return own(folder)
    if not _NAME.fullmatch(name):
        raise SettingsError(f"the name of a site must be {FORM}, not {name!r}")
    return Place(name, folder / SITES / name, folder / RESERVE)


def places(folder: Path) -> tuple[Place, ...]:
    """Return every site; the one in the server's own folder comes first. Raises SettingsError."""
    if os.path.exists(folder / RESTORING):  # the next line reports an unreadable folder
        raise SettingsError(f"{folder}: a restore was interrupted here; run it again")
    found = [named(folder, name) for name in names(folder) if _NAME.fullmatch(name)]
    # A folder with a database but without settings is still a site, though a broken one.
    if not found or any(os.path.exists(folder / name) for name in (FILE_NAME, DATABASE)):
        found.insert(0, own(folder))
    return tuple(found)


def names(folder: Path) -> list[str]:
    """Return the names of all folders in ``sites``, valid or not. Raises SettingsError."""
    try:
        with os.scandir(folder / SITES) as entries:
            found = [e.name for e in entries if e.is_dir() and not e.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise SettingsError(f"{folder / SITES}: cannot be read: {error.strerror}") from None
    return sorted(found)


def misnamed(folder: Path) -> list[str]:
    """Return folders in ``sites`` whose names are not valid for a site."""
    return [name for name in names(folder) if not _NAME.fullmatch(name)]


def chosen(folder: Path, name: str | None) -> Place:
    """Return the site called ``name``, or the default site if no name is given.

    The default is the site in the server's own folder, or else the only site. Raises SettingsError.
    """
    known = {place.name: place for place in places(folder)}
    if name is not None:
        named(folder, name)
        if name not in known:
            raise SettingsError(f"there is no site called {name} here; {_list(known)}")
        return known[name]
    if OWN in known or len(known) == 1:
        return next(iter(known.values()))
    raise SettingsError(f"say which site, with --site NAME; {_list(known)}")


def _list(known: dict[str, Place]) -> str:
    return f"known are {', '.join(known)}"
