"""The daily status of each counsellor for the mail: open the desk, or nothing new.

Two programs share one small file. ``status`` reads the database, has no network access and writes
the statuses. ``run`` has network access and sends them; this file is the only data of the server
that it can read. The file contains no number, id or time, and always has the same size.
"""

import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from dropbox_app.server.errors import MailError
from dropbox_app.server.store.files import replace_whole

PLACE = Path("/var/lib/klankbord-words")
FILE = "words"
OWN = "."  # the site in the server's own folder

Word = Literal["open", "rest"]

_LINE = re.compile(r"(?P<card>(\.|[a-z0-9-]{1,40})/[a-z0-9-]{1,40}) (?P<word>open|rest)")


def write(place: Path, words: Mapping[str, Word], today: datetime.date) -> None:
    """Write today's statuses to a file that the mailer, in the folder's group, can read."""
    lines = [today.isoformat(), *(f"{card} {said}" for card, said in sorted(words.items()))]
    data = "".join(f"{line}\n" for line in lines).encode("ascii")
    replace_whole(place / FILE, data, today, 0o640)


def read(place: Path, today: datetime.date) -> Mapping[str, Word] | None:
    """Return each card's status, by SITE/CARD; None if today's status does not exist yet.

    Raises MailError if the file was not written by ``write``.
    """
    try:
        lines = (place / FILE).read_text("ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if lines[:1] != [today.isoformat()]:
        return None
    found = [_LINE.fullmatch(line) for line in lines[1:]]
    words: dict[str, Word] = {
        match["card"]: "open" if match["word"] == "open" else "rest" for match in found if match
    }
    if len(words) != len(found):
        raise MailError(f"{place / FILE} is damaged; remove it, and start klankbord-word.service")
    return words


def full_name(card: str) -> str:
    """Return a card's name as used in the file (SITE/CARD), from CARD or SITE/CARD."""
    return card if "/" in card else f"{OWN}/{card}"
