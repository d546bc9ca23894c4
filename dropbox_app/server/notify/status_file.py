"""The word of the day for each counsellor, for the daily mail: open the desk, or nothing new.

Two programs share one small file. ``todays_word`` reads the database, has no network and puts the
words; ``notify`` has a network and sends them, and of all that is stored here it can read this
file alone. It holds no number, no id and no time, and has the same size whatever it says.
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
OWN = "."  # the site in the server's folder itself

Word = Literal["open", "rest"]

_LINE = re.compile(r"(?P<card>(\.|[a-z0-9-]{1,40})/[a-z0-9-]{1,40}) (?P<word>open|rest)")


def write(place: Path, words: Mapping[str, Word], today: datetime.date) -> None:
    """Put the words of today where the mailer, which is in the folder's group, can read them."""
    lines = [today.isoformat(), *(f"{card} {said}" for card, said in sorted(words.items()))]
    data = "".join(f"{line}\n" for line in lines).encode("ascii")
    replace_whole(place / FILE, data, today, 0o640)


def read(place: Path, today: datetime.date) -> Mapping[str, Word] | None:
    """The word for each card, named SITE/CARD; None if those of today are not there yet.

    Raises MailError if the file is not one of ours.
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
    """A card as the file names it, for a name as the operator writes it: CARD, or SITE/CARD."""
    return card if "/" in card else f"{OWN}/{card}"
