"""Search over the texts of all opened messages, of all sites at once."""

from collections.abc import Iterator

from dropbox_app.desk.storage.database import Database
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.messages import Message


def find(database: Database, words: str, most: int) -> list[tuple[str, str, str]]:
    """The site, mailbox and item of ``most`` messages at most, the best first.

    In each stand all of ``words``, whole or as the beginning of a word; capitals and accents do
    not count. No words find nothing.
    """
    wanted = " ".join(f'"{word}"*' for word in words.replace('"', " ").split())
    if not wanted:
        return []
    found = database.run(
        "SELECT item.site, item.mailbox, item.id FROM words "
        "JOIN opened ON opened.number = words.rowid "
        "JOIN item ON item.site = opened.site AND item.id = opened.id "
        "WHERE words MATCH ? ORDER BY rank LIMIT ?",
        (wanted, most),
    )
    return [(str(site), str(mailbox), str(item)) for site, mailbox, item in found]


def words_of(message: Message) -> str:
    """All that is text in a message, and the names of its files, as search finds it."""
    names = [file.name for file in message.attachments]
    return "\n".join([*_texts(dict(message.body)), *names])


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
