"""The row of a thread in a list, so that a list need not open every message.

The summary is stored in the database alongside the thread, with the columns by which lists filter
and sort. Any change of the thread deletes the summary, and the next list creates it again.
"""

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass

from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage.lists import SummaryRow
from dropbox_app.desk.threads import open_thread, turn
from dropbox_app.desk.threads.open_thread import Case
from dropbox_app.desk.threads.turn import Turn
from dropbox_app.protocol.messages import REPORTER

# Summaries with another number are created again. Increase it when the form of a summary changes,
# and with each change of a rule in ``turn.py``.
FORM = 5
_DAYS = ("last_day", "since", "began")


@dataclass(frozen=True)
class Summary:
    """One thread in a list.

    ``messages`` counts all shown messages, ``unread`` other people's messages that were not shown
    yet, ``unverified`` those that could not be verified, and ``waiting`` the desk's own messages
    that the server does not have. ``status`` is open, withdrawn or gone. ``turn``, ``since``,
    ``first_words``, ``not_safe``, ``consent``, ``asked`` and ``closed`` come from
    ``threads/turn.py``. ``false`` lists the items that are not shown as genuine. ``began`` is the
    signed day of the reporter's first message that the desk has, or None.
    """

    last_day: datetime.date
    unread: int
    messages: int
    unverified: int
    waiting: int
    status: str
    closed: bool
    turn: Turn
    since: datetime.date | None
    first_words: str
    not_safe: bool
    consent: str
    asked: bool
    false: tuple[str, ...]
    began: datetime.date | None


def of(case: Case) -> Summary:
    """Summarise an opened thread."""
    standing = turn.standing([*case.thread.genuine()], case.status, case.own)
    return Summary(
        last_day=case.last_day,
        unread=case.unread,
        messages=len(case.entries),
        unverified=sum(not entry.genuine for entry in case.thread.entries),
        waiting=sum(sent == "waiting" for sent in case.unsent.values()),
        status=case.status,
        closed=standing.closed,
        turn=standing.turn,
        since=standing.since,
        first_words=standing.first_words,
        not_safe=standing.not_safe,
        consent=standing.consent,
        asked=standing.asked,
        false=tuple(entry.item for entry in case.entries if not entry.genuine),
        began=next((m.day for m in case.thread.genuine() if m.by == REPORTER), None),
    )


def make(desk: Desk, mailbox: str) -> Summary:
    """Open a thread, summarise it, and store the summary until the thread changes."""
    made = of(open_thread.open_case(desk, mailbox))
    keep(desk, {mailbox: made})
    return made


def keep(desk: Desk, made: Mapping[str, Summary]) -> None:
    """Store summaries by mailbox, until the threads change. The state must be saved first."""
    desk.store.keep_summaries({mailbox: row(one) for mailbox, one in made.items()})


def row(made: Summary) -> SummaryRow:
    """Return a summary as a database row."""
    days = {name: day.isoformat() if (day := getattr(made, name)) else "" for name in _DAYS}
    return SummaryRow(
        form=FORM, turn=made.turn, since=days["since"], last_day=days["last_day"],
        unread=made.unread, waiting=made.waiting, not_safe=made.not_safe,
        consent=bool(made.consent), fields=json.dumps(vars(made) | days),
    )  # fmt: skip


def read(kept: str) -> Summary:
    """Read a row that ``row`` wrote in this form. The database has authenticated the row."""
    fields = json.loads(kept)
    for name in _DAYS:
        fields[name] = datetime.date.fromisoformat(fields[name]) if fields[name] else None
    fields["false"] = tuple(fields["false"])
    return Summary(**fields)
