"""Actions that write to a reporter: reply, notice, options, consent request."""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dropbox_app.desk.errors import (
    AlreadyWaiting,
    BadAnswer,
    CannotReach,
    Kept,
    Unfit,
    Unknown,
)
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.session import Desk
from dropbox_app.desk.sync import colleagues, outbox
from dropbox_app.desk.threads import open_thread
from dropbox_app.desk.threads.attachments import Source
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.encoding import Json, with_line_ends
from dropbox_app.protocol.messages import REPORTER
from dropbox_app.protocol.retrieval_code import LANGUAGES

_PARTS = ("title", "pro", "con")
_EXTENDED = {
    "nl": "Dit gesprek blijft langer staan, omdat het nog niet klaar is. Op deze pagina staat tot "
    "wanneer in elk geval.",
    "en": "This conversation is kept longer, because it is not finished yet. This page says until "
    "when at least.",
}


@dataclass(frozen=True)
class Message:
    """A message to send: its kind and body (SPEC section 4), and its files."""

    kind: str
    body: Mapping[str, Json]
    files: Sequence[Source] = ()
    language: str = ""  # "" stands for the reporter's language


@dataclass(frozen=True)
class Sent:
    """A message that the server has accepted. ``closed``: the thread is closed and stays closed."""

    mailbox: str
    closed: bool


def reply(text: str, files: Sequence[Source] = (), language: str = "") -> Message:
    """Return a reply as a message to send."""
    return Message("reply", {"text": with_line_ends(text)}, files, language)


def notice(status: str, text: str = "", language: str = "") -> Message:
    """Return a notice about the thread's status: received, read, closed or reopened."""
    body: dict[str, Json] = {"status": status}
    given = {"text": with_line_ends(text)} if text else {}
    return Message("notice", body | given, language=language)


def question(step: str, with_whom: str, scope: str, language: str = "") -> Message:
    """Return a request for consent to a step."""
    return Message(
        "consent-request", {"step": step, "with": with_whom, "scope": scope}, language=language
    )


def options(raw: bytes, language: str = "") -> Message:
    """Return a message that offers 2 to 6 options, read from JSON or TOML. Raises Unfit."""
    try:
        text = raw.decode("utf-8-sig")
        value: object = json.loads(text) if text.lstrip()[:1] in "[{" else tomllib.loads(text)
    except UnicodeDecodeError:
        raise Unfit("That file is not text in UTF-8. Save it as UTF-8 and try again.") from None
    except (ValueError, RecursionError):
        raise Unfit("The file is neither JSON nor TOML; see 'options --help'.") from None
    fields = {"text": "", "options": value} if isinstance(value, list) else value
    if not isinstance(fields, dict):
        raise Unfit("The file needs 2 to 6 'options', and may have a 'text'.")
    given, told = fields.get("options"), fields.get("text", "")
    if not isinstance(told, str) or not isinstance(given, list) or not 2 <= len(given) <= 6:
        raise Unfit("The file needs 2 to 6 'options', and may have a 'text'.")
    found: list[Json] = []
    for one in given:
        parts = {key: one.get(key) if isinstance(one, dict) else None for key in _PARTS}
        if not all(isinstance(part, str) for part in parts.values()):
            raise Unfit("Each option needs a 'title', a 'pro' and a 'con', all texts.")
        found.append({key: str(part) for key, part in parts.items()})
    return Message("options", {"text": told, "options": found}, language=language)


def send(
    place: Workplace,
    desk: Desk,
    mailbox: str,
    message: Message,
    *,
    successor: str = "",
    confirmed: Callable[[Card], bool] = lambda _: False,
    again: bool = False,
) -> Sent:
    """Fetch, then sign, seal and send a message. ``desk`` and ``mailbox`` come from ``find``.

    ``successor`` names a colleague for a handover. ``confirmed`` returns whether the ten groups of
    a card are the colleague's. Raises AlreadyWaiting if the same message is waiting and ``again``
    is False. Raises Kept if the message is stored and the next fetch will send it. Any other error
    means that the message is neither sent nor stored. The desk's report contains the results of the
    fetch, even after an error.
    """
    if not again:
        _refuse_double(desk, mailbox, message)
    body = dict(message.body)
    try:
        with place.connected(desk):
            desk.need_day()
            if successor:
                body["successor"] = str(colleagues.counsellor(desk, successor, confirmed).identity)
            outbox.write(
                desk, mailbox, lang=message.language or language(desk, mailbox),
                kind=message.kind, body=body, attached=message.files,
            )  # fmt: skip
    except Kept:
        raise
    except (CannotReach, BadAnswer, Unknown) as error:
        raise type(error)(
            f"{error} What you give now was not sent and not kept; give the same command again "
            "later."
        ) from None
    closed = message.kind != "notice" and open_thread.open_case(desk, mailbox).closed
    return Sent(mailbox, closed)


def extend(place: Workplace, desk: Desk, mailbox: str) -> Sent:
    """Keep a thread on the server longer, by sending the reporter a notice about it.

    The server restarts the thread's idle term after any addition (SPEC section 9). The server does
    not learn that this notice is meant to extend the term. Raises Unfit if the thread is closed,
    and the errors of ``send``.
    """
    if open_thread.open_case(desk, mailbox).closed:
        sentence = "This thread is closed, so it is not kept longer. Reopen it first."
        raise Unfit(sentence, "closed_longer")
    spoken = language(desk, mailbox)
    text = _EXTENDED.get(spoken, _EXTENDED["en"])
    return send(place, desk, mailbox, notice("read", text, spoken))


def language(desk: Desk, mailbox: str) -> str:
    """Return the language in which the desk writes to the reporter.

    If the desk does not support the reporter's language, the counsellor's first language is used.
    """
    spoken = pages_language(desk, mailbox)
    return spoken if spoken in LANGUAGES else desk.state.profile.languages[0]


def pages_language(desk: Desk, mailbox: str) -> str:
    """Return the language of the pages on which the reporter last wrote; "" if not known.

    The desk may have no texts in that language, for example Polish.
    """
    last = open_thread.open_case(desk, mailbox).thread.newest.get(REPORTER)
    return last.lang if last else ""


def _refuse_double(desk: Desk, mailbox: str, message: Message) -> None:
    """Raise AlreadyWaiting if the same message is already waiting for the next fetch."""
    case = open_thread.open_case(desk, mailbox)
    for entry in case.thread.entries:
        waits = case.unsent.get(entry.item) == "waiting"
        if waits and entry.message and entry.message.kind == message.kind:
            body = {key: value for key, value in entry.message.body.items() if key in message.body}
            if body == dict(message.body):
                raise AlreadyWaiting(
                    "The same message already waits to be sent to this thread; nothing was added. "
                    "'fetch' sends it. If it is to be sent twice, say so with --again."
                )
