"""What a list shows of a thread, so that no list opens every message of every thread.

It is kept in the database beside the thread; any change of the thread drops it there, and the
next list makes it again.
"""

import datetime
from dataclasses import asdict, dataclass
from typing import Literal, cast, get_args

from dropbox_app.desk.session import Desk
from dropbox_app.desk.threads import open_thread
from dropbox_app.desk.threads.open_thread import Case
from dropbox_app.protocol.encoding import Json, check_day, from_line, to_line
from dropbox_app.protocol.fields import flag_of, number_of, one_of, text_of
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
    )


def get(desk: Desk, mailbox: str) -> Summary:
    """The summary that is kept, else a new one, which is kept from now on."""
    kept = desk.store.summary(mailbox)
    if kept is not None:
        return _read(from_line(kept))
    made = of(open_thread.open_case(desk, mailbox))
    desk.store.keep_summary(mailbox, _write(made))
    return made


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


def _write(summary: Summary) -> bytes:
    fields: dict[str, Json] = asdict(summary)
    return to_line(fields | {"last_day": summary.last_day.isoformat()})


def _read(fields: dict[str, Json]) -> Summary:
    return Summary(
        last_day=_day(text_of(fields, "last_day")),
        unread=number_of(fields, "unread"),
        messages=number_of(fields, "messages"),
        unverified=number_of(fields, "unverified"),
        waiting=number_of(fields, "waiting"),
        status=text_of(fields, "status"),
        closed=flag_of(fields, "closed"),
        turn=cast(Turn, one_of(fields, "turn", get_args(Turn))),
        first_words=text_of(fields, "first_words"),
    )


def _day(text: str) -> datetime.date:
    """A day of a message, or the least of all where a thread has none."""
    least = datetime.date.min
    return least if text == least.isoformat() else check_day(text)
