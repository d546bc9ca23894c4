"""Which files of a server's folder go into a backup, and under which names: those in the folder.

So ``age -d FILE | tar x`` gives a folder back; but the restore also checks, gives each site a new
store id and honours what was withdrawn.
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
FORMER = "last-good"  # in backups of earlier builds; nothing reads it any more
# What may be at the top of a server's folder and come out of a backup.
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
# Every name that there may be, of the site in the folder itself; of others sites/NAME/ is before.
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
    """Yield the small files of a site that exist: without database, files, withdrawn list."""
    cards = sorted((place.folder / sites.CARDS).glob("*.card"))
    pages = sorted((place.folder / custom_pages.FOLDER).glob("*/*.md"))
    for path in (*(place.folder / name for name in (*_FILES, REFERRALS)), *cards, *pages):
        if path.is_file() and _NAMES.fullmatch(path.relative_to(place.folder).as_posix()):
            yield path


def prefix(place: Place) -> str:
    """Return the prefix of the names of a site's files in a backup."""
    return "" if place.name == paths.OWN else f"{paths.SITES}/{place.name}/"


def parted(name: str) -> tuple[str, str] | None:
    """Split a name in a backup into its site and the name there; None for any other name.

    What belongs to the server as a whole has no site.
    """
    if name == KEY:
        return "", name
    site = paths.OWN
    if named := _OF_A_SITE.fullmatch(name):
        site, name = named[1], named[2]
    return (site, name) if _NAMES.fullmatch(name) else None
