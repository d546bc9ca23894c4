"""Search the messages of all sites at once, without loading a site."""

import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dropbox_app.desk.storage.database import Database
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.messages import Message

MOST_TERMS = 200  # complete words that replace a prefix in a query
_JOINERS = "\u200b\u200c\u200d"


@dataclass(frozen=True)
class Hit:
    """A message that a search found, with its decrypted contents."""

    site: str
    mailbox: str
    item: str
    contents: bytes


def find(
    database: Database, words: str, most: int, sites: Sequence[str] | None = None
) -> list[Hit]:
    """Return at most ``most`` messages that contain all of ``words``, the latest first.

    ``sites`` are the sites to search; None means all. A word also matches longer words that begin
    with it. Case and accents are ignored. Without words, the result is empty.
    """
    wanted = " AND ".join(_wanted(database, word) for word in words_in(words))
    if not wanted:
        return []
    found = database.run(
        "SELECT item.site, item.mailbox, item.id, opened.contents, opened.length "
        # The limit is in the inner query, so that no row beyond it is read.
        "FROM (SELECT rowid AS place FROM words WHERE words MATCH ?1 AND (?2 IS NULL "
        # With the plus sign, the index is read once. Without it, it is read for each message of a
        # site.
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
    """Return the words that a search looks for, without separate punctuation.

    Words without any letter or digit are left out, because the index contains no other characters.
    """
    apart = "".join(" " if _apart(sign) else sign for sign in seen(text)).split()
    return [word for word in apart if any(sign.isalnum() for sign in word)]


def seen(text: str) -> str:
    """Return a text without invisible characters, such as a soft hyphen from a web page.

    Joiners and zero-width spaces remain, because they separate words in the scripts that use them.
    """
    if text.isascii():
        return text
    return "".join(sign for sign in text if sign in _JOINERS or unicodedata.category(sign) != "Cf")


def _apart(sign: str) -> bool:
    """Return whether a character of a query separates words: a quote, control or lone surrogate."""
    return sign == '"' or unicodedata.category(sign) in ("Cc", "Cs")


def _wanted(database: Database, word: str) -> str:
    """Return the part of a query that finds a word, or words with that beginning.

    For a few complete words, the index is read from the newest message backwards, and no further
    than needed. For a prefix, the database first merges all occurrences of all matching words, in
    memory that the database then wipes. For a word in 60,000 messages, merging takes a second or
    more.
    """
    plain = "".join(
        sign
        for sign in unicodedata.normalize("NFD", word.lower())
        if not unicodedata.combining(sign)
    )
    # The index may fold other characters differently.
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
    """Return all text and file names in a message, for search."""
    names = [file.name for file in message.attachments]
    return seen("\n".join([*_texts(dict(message.body)), *names]))


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
