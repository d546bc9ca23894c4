"""What a list shows of a thread, so that no list opens every message of every thread.

It is kept in the database beside the thread; any change of the thread drops it there, and the
next list makes it again.
"""

import datetime
import json
from dataclasses import asdict, dataclass
from typing import Literal

from dropbox_app.desk.session import Desk
from dropbox_app.desk.threads import open_thread
from dropbox_app.desk.threads.open_thread import Case
from dropbox_app.protocol.messages import REPORTER

FIRST_WORDS = 80  # characters

Turn = Literal["counsellor", "reporter", "nobody"]


@dataclass(frozen=True)
class Summary:
    """One thread in a list.

    ``messages`` counts what is shown, ``unread`` those of others that were not shown yet,
    ``unverified`` what could not be verified, ``waiting`` own messages that the server does not
    have. ``status`` is open, withdrawn or gone; ``turn`` says who wrote last, and so who is to
    answer: nobody once it is closed, withdrawn or gone. ``first_words`` begin the report.
    ``false``: the items that are not shown as what their author wrote.
    """

    last_day: datetime.date
    unread: int
    messages: int
    unverified: int
    waiting: int
    status: str
    closed: bool
    turn: Turn
    first_words: str
    false: tuple[str, ...]


def of(case: Case) -> Summary:
    """Summarise an opened thread."""
    return Summary(
        last_day=case.last_day,
        unread=case.unread,
        messages=len(case.entries),
        unverified=sum(not entry.genuine for entry in case.thread.entries),
        waiting=sum(sent == "waiting" for sent in case.unsent.values()),
        status=case.status,
        closed=case.closed,
        turn=_turn(case),
        first_words=_first_words(case),
        false=tuple(entry.item for entry in case.entries if not entry.genuine),
    )


def make(desk: Desk, mailbox: str) -> Summary:
    """Open a thread, summarise it, and keep that until the thread changes."""
    made = of(open_thread.open_case(desk, mailbox))
    fields = asdict(made) | {"last_day": made.last_day.isoformat()}
    desk.store.keep_summary(mailbox, json.dumps(fields))
    return made


def read(kept: str) -> Summary:
    """Read what ``make`` kept; the database has authenticated it."""
    fields = json.loads(kept)
    fields["last_day"] = datetime.date.fromisoformat(fields["last_day"])
    fields["false"] = tuple(fields["false"])
    return Summary(**fields)


def _turn(case: Case) -> Turn:
    if case.status != "open" or case.closed:
        return "nobody"
    for message in reversed([*case.thread.genuine()]):
        if message.kind != "notice":
            return "counsellor" if message.by == REPORTER else "reporter"
    return "nobody"


def _first_words(case: Case) -> str:
    for message in case.thread.genuine():
        if message.by == REPORTER and message.text.strip():
            words = " ".join(message.text[: 8 * FIRST_WORDS].split())
            return words if len(words) <= FIRST_WORDS else words[: FIRST_WORDS - 1] + "…"
    return ""
