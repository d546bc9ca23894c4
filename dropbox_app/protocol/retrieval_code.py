"""Retrieval codes: seven words, and the keys derived from them (SPEC section 2)."""

import difflib
import functools
import importlib.resources
import re
import secrets
import string
import unicodedata
from collections.abc import Callable, Sequence

import nacl.pwhash.argon2id
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.errors import UnknownLetter, UnknownWord, WrongWordCount
from dropbox_app.protocol.keys import Recipient, Seed, SigningKey, VerifyKey

WORDS = 7
LIST_SIZE = 7776
LANGUAGES = ("nl", "en")

# Argon2id v1.3, p = 1: 10-16 ms on a server, a quarter of a second in a browser (SPEC section 2).
ARGON2_MEMORY = 19_456 * 1024  # bytes
ARGON2_PASSES = 2

_decomposed = functools.partial(unicodedata.normalize, "NFKD")
# A Turkish keyboard types the dotless i, which occurs in no word of either list.
_LOWER = str.maketrans(string.ascii_uppercase + "\u0131", string.ascii_lowercase + "i")
# Labels that people and password apps write before the words; none is a word of a list.
_LABEL = re.compile("^[^a-z]*(?:(?:mijn|my|je|your|klankbord|code|is)[^a-z]+)+")
_NUMBERED = re.compile("(?:woord|word)[^a-z0-9]*[1-7][^a-z]")
_LONGEST_SUGGESTED_FOR = 16  # letters; searching near longer ones would cost more than it helps


@functools.cache
def word_list(lang: str) -> tuple[str, ...]:
    """Return the 7,776 words of a language of LANGUAGES, in the order of the list."""
    folder = importlib.resources.files("dropbox_app.protocol") / "words"
    return tuple((folder / f"{lang}.txt").read_text("ascii").split())


@functools.cache
def dealt_words(lang: str) -> tuple[str, ...]:
    """Return the words of ``word_list(lang)`` that a new code may hold, in the order of the list.

    Words are left out that could hurt the person who receives them, or tell a finder what the paper
    is for: ``words/not_dealt_{lang}.txt``, see the README there. They remain in the list, so every
    code that was ever dealt still works.
    """
    folder = importlib.resources.files("dropbox_app.protocol") / "words"
    left_out = set((folder / f"not_dealt_{lang}.txt").read_text("ascii").split())
    return tuple(word for word in word_list(lang) if word not in left_out)


def generate(lang: str, below: Callable[[int], int] = secrets.randbelow) -> tuple[str, ...]:
    """Draw a new code: seven words of ``dealt_words(lang)``, each equally likely.

    ``below(n)`` returns a uniform integer in 0 to n - 1 from a CSPRNG. SPEC section 2 gives the
    number of bits.
    """
    words = dealt_words(lang)
    return tuple(words[below(len(words))] for _ in range(WORDS))


def split_typed(text: str) -> tuple[str, ...]:
    """Split what a person typed into seven words, whether they are in the lists or not.

    The words may follow a label ("Code: …"). If there are not seven words, raises UnknownLetter if
    the text holds a letter that no code holds, otherwise WrongWordCount. Use it to compare with a
    known code; use ``read_typed`` to derive keys.
    """
    folded = _folded(text)
    words = _words_of(folded)
    if len(words) == WORDS:
        return words
    unlabelled = _words_of(_NUMBERED.sub(" ", _LABEL.sub("", folded)))
    for found in (unlabelled, _words_of(folded.rpartition(":")[2])):
        if len(found) == WORDS:
            return found
    _refuse_other_letters(folded)
    raise WrongWordCount(len(unlabelled))


def read_typed(text: str) -> tuple[str, ...]:
    """Read what a person typed, and return the seven words as they are in the lists.

    Raises WrongWordCount, UnknownLetter, or UnknownWord with the nearest words of the lists:
    keys are derived only from words of the lists, so Unicode tables cannot change a key.
    """
    words = split_typed(text)
    for position, word in enumerate(words, start=1):
        if word not in _every_word():
            _refuse_other_letters(_folded(text))
            raise UnknownWord(position, _nearest(word))
    return words


def derive_root(words: Sequence[str], site: str) -> bytes:
    """Hash the seven words of ``read_typed`` or ``generate`` to 32 bytes with Argon2id.

    Takes 19 MiB and about 14 ms of one core: the caller limits how many run at once. Raises
    WrongWordCount or UnknownWord, so that only words of the lists are ever hashed.
    """
    if len(words) != WORDS:
        raise WrongWordCount(len(words))
    for position, word in enumerate(words, start=1):
        if word not in _every_word():
            raise UnknownWord(position, ())
    salt = bytes.fromhex(sha256_hex(b"klankbord/v1/code\n" + site.encode("ascii")))[:16]
    return nacl.pwhash.argon2id.kdf(
        32,
        " ".join(words).encode("ascii"),
        salt,
        opslimit=ARGON2_PASSES,
        memlimit=ARGON2_MEMORY,
    )


class ReporterKeys:
    """All keys of a reporter, derived from the root. Secret, except for the two ids.

    Each key is derived when it is first used: looking up a code needs only the access id.
    """

    def __init__(self, root: bytes) -> None:
        self._root = root

    def __repr__(self) -> str:
        return "<ReporterKeys>"

    @property
    def access_token(self) -> bytes:
        """Return the access token, which opens the mailbox at the server."""
        return self._part(b"klankbord/v1/access")

    @functools.cached_property
    def reply(self) -> Seed:
        """Return the key that opens the messages."""
        return Seed(self._part(b"klankbord/v1/reply"))

    @functools.cached_property
    def signing(self) -> SigningKey:
        """Return the key that signs the reporter's messages."""
        return SigningKey(self._part(b"klankbord/v1/sign"))

    @property
    def verify(self) -> VerifyKey:
        """The public half of ``signing``."""
        return self.signing.verify_key

    @property
    def recipient(self) -> Recipient:
        """The public half of ``reply``."""
        return self.reply.recipient()

    @property
    def mailbox(self) -> str:
        """The mailbox id."""
        return mailbox_id(self.verify)

    @property
    def access(self) -> str:
        """The access id."""
        return access_id(self.access_token)

    def _part(self, info: bytes) -> bytes:
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(self._root)


def reporter_keys(root: bytes) -> ReporterKeys:
    """Derive the reporter's keys from the root, with one label each (SPEC section 2)."""
    return ReporterKeys(root)


def mailbox_id(verify: VerifyKey) -> str:
    """Return the public name of a mailbox, which is bound to one signing key."""
    return sha256_hex(b"klankbord/v1/mailbox\n" + verify.raw)


def access_id(token: bytes) -> str:
    """Return the hash of an access token; the server keeps only this hash."""
    return sha256_hex(b"klankbord/v1/access\n" + token)


def _folded(text: str) -> str:
    """Return the text without accents, in the lower-case letters a to z where possible."""
    if text.isascii():
        return text.translate(_LOWER)
    # Letter by letter: normalising the whole text would also sort the marks, which changes no word
    # and takes minutes for a text of nothing but marks.
    plain = "".join(map(_decomposed, text))
    return "".join(letter for letter in plain if not _unseen(letter)).translate(_LOWER)


def _unseen(letter: str) -> bool:
    """Return whether a character is an accent, or invisible (category Cf)."""
    return "\u0300" <= letter <= "\u036f" or unicodedata.category(letter) == "Cf"


def _words_of(folded: str) -> tuple[str, ...]:
    return tuple(re.findall("[a-z]+", folded))


def _refuse_other_letters(folded: str) -> None:
    """Raise UnknownLetter for the first letter outside a to z, if there is one."""
    for letter in folded:
        if not letter.isascii() and unicodedata.category(letter).startswith("L"):
            raise UnknownLetter(letter)


@functools.cache
def _every_word() -> frozenset[str]:
    return frozenset().union(*(word_list(lang) for lang in LANGUAGES))


def _nearest(word: str) -> tuple[str, ...]:
    """Return at most three words of the lists that may have been meant, the most likely first."""
    if len(word) > _LONGEST_SUGGESTED_FOR:
        return ()
    near = sorted(_one_slip_away(word) & _every_word())
    if not near:
        alike = [w for w in _every_word() if w[0] == word[0] and abs(len(w) - len(word)) <= 2]
        near = difflib.get_close_matches(word, sorted(alike), n=3, cutoff=0.6)
    return tuple(near[:3])


def _one_slip_away(word: str) -> set[str]:
    """Return every form of ``word`` with one letter omitted, doubled, swapped or replaced."""
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    letters = string.ascii_lowercase
    return (
        {a + b[1:] for a, b in cuts if b}
        | {a + b[1] + b[0] + b[2:] for a, b in cuts if len(b) > 1}
        | {a + c + b[1:] for a, b in cuts if b for c in letters}
        | {a + c + b for a, b in cuts for c in letters}
    )
