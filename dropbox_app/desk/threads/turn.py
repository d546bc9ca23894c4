"""Whose turn it is in a thread, and since when: pure rules on genuine messages."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dropbox_app.desk.register import workdays
from dropbox_app.protocol.messages import REPORTER, Message

FIRST_WORDS = 80  # characters

_FLUENT = 8 * FIRST_WORDS  # characters that are looked at, spaces included

Turn = Literal["counsellor", "reporter", "nobody"]


@dataclass(frozen=True)
class Standing:
    """The state of a thread. ``turn`` says who is to answer.

    ``turn`` says who is to answer. ``since`` is the day of the reporter's oldest message that is
    not answered; None if there is none. ``first_words`` begin the reporter's newest message that
    has a text. ``not_safe``: the report answers that its writer does not feel safe. ``consent``
    is the newest answer about consent (yes, no, tell-me-more or withdrawn) that the counsellor
    has not answered; empty if there is none. ``closed`` counts the counsellor's own notices.
    """

    turn: Turn
    since: datetime.date | None
    first_words: str
    not_safe: bool
    consent: str
    closed: bool


def standing(messages: Sequence[Message], status: str) -> Standing:
    """Return the state of a thread.

    ``messages`` are those that their authors really wrote, in order; ``status`` is open,
    withdrawn or gone. In a thread that is not open nobody can write any more. In a closed one it
    is nobody's turn until the reporter writes again.
    """
    unanswered = _unanswered(messages)
    answers = [m for m in unanswered if m.kind == "consent-answer"]
    said = next((m.text for m in reversed(messages) if m.by == REPORTER and m.text.strip()), "")
    return Standing(
        turn=_turn(messages, status, unanswered),
        since=unanswered[0].day if unanswered and status == "open" else None,
        first_words=first_words(said),
        not_safe=any(_not_safe(message) for message in messages),
        consent=str(answers[-1].body["answer"]) if answers and status == "open" else "",
        closed=closed(messages),
    )


def closed(messages: Sequence[Message]) -> bool:
    """Return whether the newest notice about closing closed the thread."""
    said = [_status(message) for message in messages]
    return [one for one in said if one in ("closed", "reopened")][-1:] == ["closed"]


def first_words(text: str) -> str:
    """Return the beginning of a text on one line: 80 characters at most, cut after a word."""
    words = " ".join(text[:_FLUENT].split())
    if len(words) <= FIRST_WORDS and len(text) <= _FLUENT:
        return words
    beginning = words[: FIRST_WORDS - 1]
    if not words[FIRST_WORDS - 1 :].startswith(" "):
        beginning = beginning.rpartition(" ")[0] or beginning
    return beginning.rstrip(" ,;:.") + "…"


def answer_by(since: datetime.date, working_days: int) -> datetime.date:
    """Return the last day for an answer within so many working days after ``since``.

    Working days are Monday to Friday without Dutch public holidays.
    """
    return workdays.after(since, working_days)


def _unanswered(messages: Sequence[Message]) -> list[Message]:
    """Return what the reporter wrote since a counsellor last answered or closed the thread.

    A notice that something was received or read is not an answer.
    """
    found: list[Message] = []
    for message in messages:
        if message.by == REPORTER:
            found.append(message)
        elif message.kind != "notice" or _status(message) == "closed":
            found = []
    return found


def _turn(messages: Sequence[Message], status: str, unanswered: Sequence[Message]) -> Turn:
    if status != "open":
        return "nobody"
    if unanswered:
        return "counsellor"
    answered = any(message.kind != "notice" for message in messages)
    return "reporter" if answered and not closed(messages) else "nobody"


def _status(message: Message) -> object:
    return message.body.get("status") if message.kind == "notice" else None


def _not_safe(message: Message) -> bool:
    answers = message.body.get("answers")
    return message.kind == "report" and isinstance(answers, dict) and answers.get("safe") == "no"
