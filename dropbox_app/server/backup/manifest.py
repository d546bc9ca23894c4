"""The files of a server's folder that a backup contains, with their names in that folder.

``age -d FILE | tar x`` restores a folder. The restore command also checks the folder, gives each
site a new store id and applies later withdrawals.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from dropbox_app.protocol.retrieval_code import LANGUAGES
from dropbox_app.server.backup.directory import KEY
from dropbox_app.server.config import custom_pages, paths, referrals, settings
from dropbox_app.server.config import site as sites
from dropbox_app.server.config.paths import Place
from dropbox_app.server.store.sqlite import DATABASE, FILES, WITHDRAWN

REFERRALS = f"{custom_pages.FOLDER}/{referrals.FILE_NAME}"
_FILES = (settings.FILE_NAME, sites.RETIRED, sites.ENDED)
FORMER = "last-good"  # present in backups of earlier versions, and no longer read
# Names at the top of a server's folder that a backup may restore.
TOP = {
    *_FILES,
    KEY,
    WITHDRAWN,
    DATABASE,
    FILES,
    sites.CARDS,
    custom_pages.FOLDER,
    paths.SITES,
}
# All allowed names for the site in the server's own folder. Other sites have the prefix
# sites/NAME/.
_NAMES = re.compile(
    "|".join(
        (
            *map(re.escape, (*_FILES, FORMER, WITHDRAWN, DATABASE)),
            rf"{sites.CARDS}/[a-z0-9-]{{1,40}}\.card",
            rf"{custom_pages.FOLDER}/({'|'.join(LANGUAGES)})/({'|'.join(custom_pages.PAGES)})\.md",
            re.escape(REFERRALS),
            rf"{FILES}/[0-9a-f]{{64}}",
        )
    )
)
_OF_A_SITE = re.compile(rf"{paths.SITES}/([a-z0-9-]{{1,40}})/(.+)")


def of(place: Place) -> Iterator[Path]:
    """Yield a site's small files, without its database, sealed files and withdrawn list."""
    cards = sorted((place.folder / sites.CARDS).glob("*.card"))
    pages = sorted((place.folder / custom_pages.FOLDER).glob("*/*.md"))
    for path in (*(place.folder / name for name in (*_FILES, REFERRALS)), *cards, *pages):
        if path.is_file() and _NAMES.fullmatch(path.relative_to(place.folder).as_posix()):
            yield path


def prefix(place: Place) -> str:
    """Return the prefix of a site's file names in a backup."""
    return "" if place.name == paths.OWN else f"{paths.SITES}/{place.name}/"


def parted(name: str) -> tuple[str, str] | None:
    """Split a name in a backup into the site and the file; return None for an unknown name.

    A file that belongs to the whole server has no site.
    """
    if name == KEY:
        return "", name
    site = paths.OWN
    if named := _OF_A_SITE.fullmatch(name):
        site, name = named[1], named[2]
    return (site, name) if _NAMES.fullmatch(name) else None
