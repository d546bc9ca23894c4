"""Search in the messages of all sites at once; it loads no site."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dropbox_app.desk.storage.database import Database
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.messages import Message

MOST_TERMS = 200  # complete words that are looked for in place of a beginning
_JOINERS = "\u200b\u200c\u200d"


@dataclass(frozen=True)
class Hit:
    """A message that was found, with the contents that the desk opened."""

    site: str
    mailbox: str
    item: str
    contents: bytes


def find(
    database: Database, words: str, most: int, sites: Sequence[str] | None = None
) -> list[Hit]:
    """Return at most ``most`` messages that contain all of ``words``, the latest first.

    ``sites`` are the sites that are searched, None is all.
    A word may also be the beginning of one; capitals and accents do not count. Without words
    nothing is found.
    """
    wanted = " AND ".join(_wanted(database, word) for word in words_in(words))
    if not wanted:
        return []
    found = database.run(
        "SELECT item.site, item.mailbox, item.id, opened.contents, opened.length "
        # The limit stands inside: what is beyond it is not read.
        "FROM (SELECT rowid AS place FROM words WHERE words MATCH ?1 AND (?2 IS NULL "
        # With the plus sign the index is read once, without it anew for each message of a site.
        "OR +rowid IN (SELECT number FROM opened WHERE site IN (SELECT value FROM json_each(?2)))) "
        "ORDER BY rowid DESC LIMIT ?3) "
        "JOIN opened ON opened.number = place "
        "JOIN item ON item.site = opened.site AND item.id = opened.id ORDER BY place DESC",
        (wanted, None if sites is None else json.dumps(sites), most),
    )
    return [
        Hit(str(site), str(mailbox), str(item), contents.ljust(length, b" "))
        for site, mailbox, item, contents, length in found
        if isinstance(contents, bytes) and isinstance(length, int)
    ]


def words_in(text: str) -> list[str]:
    """Return the words that a search looks for, without the signs that stand alone.

    The index has only letters and digits. With a word of which it has none, nothing is found.
    """
    apart = "".join(" " if _apart(sign) else sign for sign in seen(text)).split()
    return [word for word in apart if any(sign.isalnum() for sign in word)]


def seen(text: str) -> str:
    """Return a text without what nobody sees in a word, such as a soft hyphen from a web page.

    The joiners and the space without width stay: scripts that use them part words there.
    """
    if text.isascii():
        return text
    return "".join(sign for sign in text if sign in _JOINERS or unicodedata.category(sign) != "Cf")


def _apart(sign: str) -> bool:
    """Return whether a sign is between words: a quote of the query, a control, half a character."""
    return sign == '"' or unicodedata.category(sign) in ("Cc", "Cs")


def _wanted(database: Database, word: str) -> str:
    """Return the part of a query that finds a word or its beginning.

    A few complete words are read from the newest message on, and no further than needed. For a
    beginning the database first puts together all places of all its words, in memory that it
    wipes: for a word of 60,000 messages that takes a second or more.
    """
    plain = "".join(
        sign
        for sign in unicodedata.normalize("NFD", word.lower())
        if not unicodedata.combining(sign)
    )
    # Of other signs it is not certain that the index folds them in the same way.
    found = (
        database.run(
            "SELECT term FROM temp.terms WHERE term >= ? AND term < ? LIMIT ?",
            (plain, f"{plain}\U0010ffff", MOST_TERMS + 1),
        )
        if plain.isascii() and plain.isalnum()
        else []
    )
    if not 0 < len(found) <= MOST_TERMS:
        return f'"{word}"*'
    terms = [str(term) for (term,) in found]
    return "(" + " OR ".join(f'"{term}"' for term in terms) + ")"


def words_of(message: Message) -> str:
    """Return all text of a message, and its file names, for search."""
    names = [file.name for file in message.attachments]
    return seen("\n".join([*_texts(dict(message.body)), *names]))


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
