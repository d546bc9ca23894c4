"""Pure rules on genuine messages: who should write next in a thread, and since when."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dropbox_app.desk.register import workdays
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import REPORTER, Message, parse_identity

FIRST_WORDS = 80  # characters

_FLUENT = 8 * FIRST_WORDS  # characters that are read, including spaces

Turn = Literal["counsellor", "reporter", "nobody"]


@dataclass(frozen=True)
class Standing:
    """The state of a thread. ``turn`` tells who should answer.

    ``since`` is the day of the reporter's oldest unanswered message, or None. ``first_words`` are
    from the reporter's newest message with text, but not from a remark on an earlier answer about
    consent, which may no longer be true. ``not_safe``: the report states that its author
    does not feel safe. ``consent`` is the newest unanswered answer about consent (yes, no,
    tell-me-more or withdrawn), or "". ``asked``: a request for consent by this desk's counsellor
    has no yes or no yet. ``closed`` depends only on the notices of this desk's counsellor.
    """

    turn: Turn
    since: datetime.date | None
    first_words: str
    not_safe: bool
    consent: str
    asked: bool
    closed: bool


def standing(messages: Sequence[Message], status: str, own: str) -> Standing:
    """Return the state of a thread.

    ``messages`` are the genuine messages, in order. ``status`` is open, withdrawn or gone. ``own``
    is the identity of this desk's counsellor. Nobody can write in a thread that is not open. In a
    closed thread, nobody needs to answer until the reporter writes again.
    """
    unanswered = _unanswered(messages, own)
    answers = [m for m in unanswered if m.kind == "consent-answer"]
    own_words = [m for m in messages if m.by == REPORTER]
    told = [m.text for m in own_words if m.kind != "consent-answer" or m is own_words[-1]]
    said = next((text for text in reversed(told) if text.strip()), "")
    return Standing(
        turn=_turn(messages, status, unanswered, own),
        since=unanswered[0].day if unanswered and status == "open" else None,
        first_words=first_words(said),
        not_safe=any(_not_safe(message) for message in messages),
        consent=str(answers[-1].body["answer"]) if answers and status == "open" else "",
        asked=_asked(messages, own),
        closed=closed(messages, own),
    )


def closed(messages: Sequence[Message], own: str) -> bool:
    """Return whether the newest notice of ``own`` about closing or reopening closes the thread."""
    said = [_status(message) for message in messages if message.by == own]
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
    """Return the last day for an answer within the given number of working days after ``since``.

    Working days are Monday to Friday, except Dutch public holidays.
    """
    return workdays.after(since, working_days)


def _unanswered(messages: Sequence[Message], own: str) -> list[Message]:
    """Return the reporter's messages since the last answer or closing.

    A colleague's message counts as an answer only if the reporter had already chosen that
    colleague. A notice of receipt or reading is not an answer.
    """
    found: list[Message] = []
    chosen: Sequence[VerifyKey] = ()
    for message in messages:
        if message.by == REPORTER:
            found.append(message)
            chosen = message.wanted
        elif message.by == own:
            if message.kind != "notice" or _status(message) == "closed":
                found = []
        elif message.kind != "notice" and parse_identity(message.by) in chosen:
            found = []
    return found


def _asked(messages: Sequence[Message], own: str) -> bool:
    """Return whether a consent request by ``own`` has not been answered yes or no yet."""
    answers = [one.body for one in messages if one.kind == "consent-answer"]
    given = {one.get("request"): one.get("answer") for one in answers}  # the newest of each
    return any(
        given.get(one.digest, "tell-me-more") == "tell-me-more"
        for one in messages
        if one.kind == "consent-request" and one.by == own
    )


def _turn(
    messages: Sequence[Message], status: str, unanswered: Sequence[Message], own: str
) -> Turn:
    if status != "open":
        return "nobody"
    if unanswered:
        return "counsellor"
    written = any(message.kind != "notice" for message in messages)
    return "reporter" if written and not closed(messages, own) else "nobody"


def _status(message: Message) -> object:
    return message.body.get("status") if message.kind == "notice" else None


def _not_safe(message: Message) -> bool:
    answers = message.body.get("answers")
    return message.kind == "report" and isinstance(answers, dict) and answers.get("safe") == "no"
