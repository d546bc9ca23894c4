"""Lists of threads across all sites: filtered, counted and sorted by database columns.

The summary of a thread, which lists show, is stored with the thread. Every change of the thread
deletes the summary in the same transaction. Missing summaries are created before a list is read,
inside the transaction that reads it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dropbox_app.desk.storage.database import Database, Row, Value

Which = Literal[
    "all", "mine", "unsafe", "to_send", "theirs", "counsellor", "reporter", "nobody", "awaited"
]
Order = Literal["newest", "oldest", "urgent"]

_WHICH: Mapping[Which, str] = {
    "all": "1",
    # The groups of Today. The last one omits threads that are in another group.
    "mine": "(turn = 'counsellor' OR unread > 0)",
    "unsafe": "(turn = 'counsellor' OR unread > 0) AND not_safe",
    "to_send": "waiting > 0",
    "theirs": "turn = 'reporter' AND unread = 0 AND waiting = 0",
    # Who should write next.
    "counsellor": "turn = 'counsellor'",
    "reporter": "turn = 'reporter'",
    "nobody": "turn = 'nobody'",
    # A reporter has been waiting for an answer since a certain day.
    "awaited": "since != ''",
}
_ROWS = (
    "SELECT thread.site, thread.mailbox, thread.label, summary.fields FROM summary "
    "JOIN thread ON thread.site = summary.site AND thread.mailbox = summary.mailbox"
)
_OLDEST = "CASE since WHEN '' THEN last_day ELSE since END, mailbox"
_ORDER: Mapping[Order, str] = {
    "newest": "last_day DESC, mailbox DESC",
    "oldest": _OLDEST,
    "urgent": f"not_safe DESC, consent DESC, {_OLDEST}",
}


@dataclass(frozen=True)
class SummaryRow:
    """A stored summary of a thread: the columns that lists use, and the whole summary as JSON.

    ``form`` is the version of the JSON's format. ``since`` is "" if nobody waits for an answer.
    """

    form: int
    turn: str
    since: str
    last_day: str
    unread: int
    waiting: int
    not_safe: bool
    consent: bool
    fields: str


@dataclass(frozen=True)
class ThreadRow:
    """A thread in the form that lists need, with its summary."""

    site: str
    mailbox: str
    label: str
    summary: str


def keep(database: Database, site: str, made: Mapping[str, SummaryRow]) -> None:
    """Store the summaries of threads, by mailbox."""
    database.run_many(
        "INSERT OR REPLACE INTO summary VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                site, mailbox, row.form, row.turn, row.since, row.last_day, row.unread,
                row.waiting, row.not_safe, row.consent, row.fields,
            )
            for mailbox, row in made.items()
        ],
    )  # fmt: skip


def missing(database: Database, form: int) -> list[tuple[str, str]]:
    """Return the site and mailbox of the threads without a summary in this format."""
    found = database.run(
        "SELECT site, mailbox FROM thread EXCEPT SELECT site, mailbox FROM summary WHERE form = ?",
        (form,),
    )
    return [(str(site), str(mailbox)) for site, mailbox in found]


def chosen(
    database: Database, which: Which, order: Order, sites: Sequence[str], most: int | None = None
) -> list[ThreadRow]:
    """Return up to ``most`` threads of some sites, in a given order."""
    where, values = _where(which, sites)
    # This first reads the row ids from the index, then their rows. The SQL is from the constants
    # above.
    places = f"SELECT rowid FROM summary WHERE {where} ORDER BY {_ORDER[order]} LIMIT ?"  # noqa: S608 - constants
    found = database.run(
        f"{_ROWS} WHERE summary.rowid IN ({places}) ORDER BY {_named(order)}",
        (*values, -1 if most is None else most),
    )
    return [_thread(row) for row in found]


def count(database: Database, which: Which, sites: Sequence[str]) -> int:
    """Return how many threads of some sites are in a list."""
    where, values = _where(which, sites)
    (found,) = database.run(f"SELECT count(*) FROM summary WHERE {where}", values)[0]  # noqa: S608 - the constants above
    return found if isinstance(found, int) else 0


def some(database: Database, mailboxes: Sequence[str]) -> list[ThreadRow]:
    """Return the given threads that exist and have a summary."""
    marks = ", ".join("?" * len(mailboxes))
    return [_thread(row) for row in database.run(
        f"{_ROWS} WHERE thread.mailbox IN ({marks})", mailboxes  # only question marks are inserted
    )]  # fmt: skip


def one(database: Database, site: str, mailbox: str) -> ThreadRow:
    """Return one existing thread that has a summary."""
    found = database.run(f"{_ROWS} WHERE thread.site = ? AND thread.mailbox = ?", (site, mailbox))
    return _thread(found[0])


def of_reporters(database: Database) -> list[str]:
    """Return the mailboxes with at least one verified message from the reporter."""
    found = database.run("SELECT mailbox FROM thread WHERE verify != ''")
    return [str(mailbox) for (mailbox,) in found]


def like(database: Database, beginning: str, sites: Iterable[str]) -> list[tuple[str, str]]:
    """Return the site and mailbox of the threads of some sites whose id starts with ``beginning``.

    ``beginning`` is taken literally, not as a pattern. Ids are hex, so all matching ids sort before
    ``beginning`` followed by "g", and an index finds them.
    """
    condition = "site = ? AND mailbox >= ? AND mailbox < ?"
    return [
        (site, str(mailbox))
        for site in sites
        for (mailbox,) in database.run(
            f"SELECT mailbox FROM thread WHERE {condition}",  # noqa: S608 - the constant above
            (site, beginning, f"{beginning}g"),
        )
    ]


def _where(which: Which, sites: Sequence[str]) -> tuple[str, Sequence[Value]]:
    return f"{_WHICH[which]} AND site IN ({', '.join('?' * len(sites))})", sites


def _named(order: Order) -> str:
    """Return a sort order that puts the table's name before columns that exist in both tables."""
    return _ORDER[order].replace("mailbox", "summary.mailbox")


def _thread(row: Row) -> ThreadRow:
    site, mailbox, label, fields = row
    return ThreadRow(str(site), str(mailbox), str(label), str(fields))
