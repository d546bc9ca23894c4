"""Questions to the whole database, of all sites at once, that load no site: lists and search."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dropbox_app.desk.storage.database import Database, Row
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.messages import Message


@dataclass(frozen=True)
class ThreadRow:
    """A thread as lists need it; ``summary`` is None if the thread changed since it was made."""

    site: str
    mailbox: str
    label: str
    summary: str | None


@dataclass(frozen=True)
class Hit:
    """A message that was found, with the contents that the desk opened."""

    site: str
    mailbox: str
    item: str
    contents: bytes


_THREADS = (
    "SELECT thread.site, thread.mailbox, thread.label, summary.fields FROM thread "
    "LEFT JOIN summary ON summary.site = thread.site AND summary.mailbox = thread.mailbox "
)


def threads(database: Database) -> list[ThreadRow]:
    """Every thread of every site."""
    return [_thread(row) for row in database.run(_THREADS)]


def of_reporters(database: Database) -> list[str]:
    """The mailboxes in which something was verified to be a reporter's."""
    found = database.run("SELECT mailbox FROM thread WHERE verify != ''")
    return [str(mailbox) for (mailbox,) in found]


def thread(database: Database, site: str, mailbox: str) -> ThreadRow:
    """One thread that is there."""
    condition = "WHERE thread.site = ? AND thread.mailbox = ?"
    return _thread(database.run(_THREADS + condition, (site, mailbox))[0])


def threads_like(database: Database, beginning: str, sites: Iterable[str]) -> list[ThreadRow]:
    """The threads of some sites whose id begins like that; it is taken as it is, not as a pattern.

    An id is hex, so all that begin like that lie before the same with a "g": an index finds them.
    """
    condition = "WHERE thread.site = ? AND thread.mailbox >= ? AND thread.mailbox < ?"
    return [
        _thread(row)
        for site in sites
        for row in database.run(_THREADS + condition, (site, beginning, f"{beginning}g"))
    ]


def find(database: Database, words: str, most: int) -> list[Hit]:
    """``most`` messages at most, those that came last first.

    In each stand all of ``words``, whole or as the beginning of a word; capitals and accents do
    not count. No words find nothing.
    """
    wanted = " ".join(f'"{word}"*' for word in words.replace('"', " ").split())
    if not wanted:
        return []
    found = database.run(
        "SELECT item.site, item.mailbox, item.id, opened.contents, opened.length "
        # The limit stands inside: what is beyond it is not read.
        "FROM (SELECT rowid AS place FROM words WHERE words MATCH ? ORDER BY rowid DESC LIMIT ?) "
        "JOIN opened ON opened.number = place "
        "JOIN item ON item.site = opened.site AND item.id = opened.id ORDER BY place DESC",
        (wanted, most),
    )
    return [
        Hit(str(site), str(mailbox), str(item), contents.ljust(length, b" "))
        for site, mailbox, item, contents, length in found
        if isinstance(contents, bytes) and isinstance(length, int)
    ]


def _thread(row: Row) -> ThreadRow:
    site, mailbox, label, fields = row
    return ThreadRow(str(site), str(mailbox), str(label), None if fields is None else str(fields))


def words_of(message: Message) -> str:
    """Return all text of a message, and the names of its files, as search finds them."""
    names = [file.name for file in message.attachments]
    return "\n".join([*_texts(dict(message.body)), *names])


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)
