"""Pure rules on a thread: who receives the next message, and whether a message was just sent.

All functions take opened threads and change nothing.
"""

from collections.abc import Mapping, Sequence

from dropbox_app.protocol.encoding import Json, clean_text
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import REPORTER, Attachment, Message
from dropbox_app.protocol.thread import Thread


def just_said(
    thread: Thread,
    kind: str,
    body: Mapping[str, Json],
    wanted: Sequence[VerifyKey],
    *,
    attachments: Sequence[Attachment] = (),
    after: int | None = None,
    pass_on: bool = False,
) -> bool:
    """Return whether the newest message in the thread is this message, sent earlier.

    Two files with the same name and size need not be the same file. The two messages can be from
    the same form only if the form was generated before the earlier one was sent. ``after`` is the
    number of the reporter's newest message when the form was generated.
    """
    last = None
    for message in thread.genuine():
        last = message
    cleaned = {k: clean_text(v) if isinstance(v, str) else v for k, v in body.items()}
    return (
        last is not None
        and (last.by, last.kind, last.wanted) == (REPORTER, kind, tuple(wanted))
        and dict(last.body) == cleaned
        and _described(last.attachments) == _described(attachments)
        and (after is None or last.n > after)
        and (last.thread is not None) == pass_on
    )


def _described(attachments: Sequence[Attachment]) -> list[tuple[str, str, int]]:
    return [(file.name, file.type, file.size) for file in attachments]


def agreed_handover(thread: Thread) -> tuple[VerifyKey, VerifyKey] | None:
    """Return the old and new counsellor of an agreed handover that has not taken effect yet."""
    requests = {m.digest: m for m in thread.genuine() if m.kind == "consent-request"}
    agreed: Message | None = None
    answer: Message | None = None
    for message in thread.genuine():
        if message.by != REPORTER:
            continue
        if answer is not None and message.wanted != answer.wanted:
            agreed = answer = None  # the reporter's later choice counts
        if message.kind != "consent-answer":
            continue
        request = requests.get(str(message.body["request"]))
        if request is None or "successor" not in request.body:
            continue
        if message.body["answer"] == "yes":
            agreed, answer = request, message
        elif agreed is not None and agreed.digest == request.digest:
            agreed = answer = None
    if agreed is None:
        return None
    return VerifyKey.parse(agreed.by), VerifyKey.parse(str(agreed.body["successor"]))
