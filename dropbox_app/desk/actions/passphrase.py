"""The passphrase of a desk: draw a new one, or check one that a person chose."""

import secrets
from typing import Literal

from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.storage import vault
from dropbox_app.protocol.errors import WrongPassphrase
from dropbox_app.protocol.retrieval_code import dealt_words

LEAST = vault.MIN_PASSPHRASE  # characters
WORDS = 5  # from lists of more than 7,000 words each: about 2^64 possibilities
_LEAST_SIGNS = 7  # different characters; a passphrase with fewer is a pattern

Verdict = Literal["short", "pattern", "unknown"]


def draw(language: str) -> str:
    """Return a new passphrase: five words drawn at random from a language's list."""
    words = dealt_words(language)
    return " ".join(words[secrets.randbelow(len(words))] for _ in range(WORDS))


def judge(passphrase: str) -> Verdict:
    """Return a verdict on a passphrase that a person chose.

    "short": the passphrase is refused. "pattern": the passphrase repeats a few characters or one
    part, a pattern that attackers try first. "unknown": the passphrase is long enough, but no
    program can tell whether somebody could guess it.
    """
    tidy = vault.tidy(passphrase)
    if len(tidy) < LEAST:
        return "short"
    plain = tidy.casefold()
    repeats = plain in (plain + plain)[1:-1]
    words = plain.split()
    if repeats or len(set(plain)) < _LEAST_SIGNS or (len(words) > 1 and len(set(words)) == 1):
        return "pattern"
    return "unknown"


def confirm(place: Workplace, passphrase: str) -> None:
    """Raise WrongPassphrase unless this is the open desk's passphrase."""
    if not place.vault.fits(passphrase):
        raise WrongPassphrase("The passphrase does not fit this desk; try again.")
