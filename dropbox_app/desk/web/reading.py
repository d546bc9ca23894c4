"""A conversation as the page shows it: authors, texts, and calm sentences about any problem.

Only ``threads/open_thread.py`` decides what is genuine. This module describes the result in words.
"""

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dropbox_app.desk.threads import attachments
from dropbox_app.desk.threads.attachments import CaseFile
from dropbox_app.desk.threads.open_thread import Case
from dropbox_app.desk.web.i18n import MissingWord, Words
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.errors import FormatError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import REPORTER, Message
from dropbox_app.protocol.thread import Entry

# Maps a problem found by the reader to the key of a sentence.
_REASONS: Mapping[str, str] = {
    "other_file": "doubt.changed_here",
    "missing": "doubt.lost_here",
    "no_key": "doubt.no_key",
    "header": "doubt.damaged",
    "header_mac": "doubt.damaged",
    "payload": "doubt.damaged",
    "form": "doubt.form",
    "unknown_author": "doubt.unknown_author",
    "other_site": "doubt.elsewhere",
    "other_mailbox": "doubt.elsewhere",
    "other_reporter": "doubt.other_reporter",
    "other_recipient": "doubt.other_reporter",
    "signature": "doubt.signature",
    "not_addressed": "doubt.not_addressed",
    "conflict": "doubt.conflict",
    "after_restore": "doubt.after_restore",
    "not_sent": "doubt.not_sent",
}
_NO_DOUBT = frozenset({"after_restore", "not_sent"})  # shown, but no reason for caution
_FORMAL = (
    "klacht", "klaag", "aangifte", "melding bij", "officieel", "officiële", "commissie", "politie",
    "arbeidsinspectie", "inspectie", "complaint", "police", "official", "formal", "committee",
    "formele", "formeel", "inspectorate",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """A text of a message, with its heading. ``label`` is "" for the main text."""

    label: str
    text: str


@dataclass(frozen=True)
class Shown:
    """One message. ``doubt``: why not to trust the message. ``remark``: any other comment."""

    own: bool
    who: str
    kind: str
    day: datetime.date | None
    parts: tuple[Part, ...]
    doubt: str
    remark: str
    waiting: bool
    new: bool
    files: tuple[CaseFile, ...]


@dataclass(frozen=True)
class Conversation:
    """A thread for the page. ``findings`` describes missing or false data, each as a sentence."""

    messages: tuple[Shown, ...]
    findings: tuple[str, ...]
    loose_files: tuple[CaseFile, ...]
    status: str
    can_write: bool


def conversation(case: Case, told: Words) -> Conversation:
    """Return an opened thread in the form in which the page shows it."""
    files = {file.item: file for file in attachments.of_case(case)}
    unseen = set(case.unseen)
    return Conversation(
        messages=tuple(_shown(case, one, told, files, one.item in unseen) for one in case.entries),
        findings=tuple(_findings(case, told)),
        loose_files=tuple(file for file in files.values() if file.attachment is None),
        status=case.status,
        can_write=case.status == "open" and REPORTER in case.thread.newest,
    )


def is_formal(*texts: str) -> bool:
    """Return whether a step sounds formal: after a formal step, the organisation decides."""
    plain = " ".join(texts).casefold()
    return any(word in plain for word in _FORMAL)


def _shown(
    case: Case, entry: Entry, told: Words, files: Mapping[str, CaseFile], new: bool
) -> Shown:
    message = entry.message
    own = message is not None and message.by == case.own and entry.genuine
    refused = entry.reason == "not_sent"
    reason = told.say(_REASONS[entry.reason]) if entry.reason in _REASONS else ""
    if entry.state == "newer":
        reason = told.say("doubt.newer")
    doubtful = (not entry.genuine or entry.state == "conflict") and entry.reason not in _NO_DOUBT
    return Shown(
        own=own or refused,
        who=_who(case, entry, told) if not refused else told.say("who.you"),
        kind=_kind(message, told),
        day=message.day if message else None,
        parts=tuple(_parts(case, message, told)) if message else (),
        doubt=(reason or told.say("doubt.unknown")) if doubtful else "",
        remark=" ".join(_remarks(case, entry, reason if not doubtful else "", told)),
        waiting=case.unsent.get(entry.item) == "waiting",
        new=new,
        files=tuple(_files(entry, files)),
    )


def _remarks(case: Case, entry: Entry, reason: str, told: Words) -> Iterator[str]:
    if reason:
        yield reason
    if entry.passed_on:
        yield told.say("remark.passed_on")
    if case.former(entry):
        yield told.say("remark.former")


def _files(entry: Entry, files: Mapping[str, CaseFile]) -> Iterator[CaseFile]:
    """Yield the files that a message names. Files of a false message are not trusted."""
    if entry.message is not None and (entry.genuine or entry.reason == "not_sent"):
        for file in entry.message.attachments:
            yield files[file.sha256]


def _who(case: Case, entry: Entry, told: Words) -> str:
    message = entry.message
    if message is None:
        return told.say("who.unknown")
    if message.by == REPORTER:
        name = told.say("who.reporter")
    elif message.by == case.own:
        name = told.say("who.you")
    else:
        called = case.names.get(message.by, "")
        name = told.say("who.named", name=called) if called else told.say("who.other")
    return name if entry.genuine else told.say("who.claims", name=name)


def _kind(message: Message | None, told: Words) -> str:
    if message is None:
        return told.say("kind.unreadable")
    if not message.known_kind:
        return told.say("kind.newer")
    if message.kind == "notice":
        return told.say(f"notice.{message.body.get('status')}")
    return told.say(f"kind.{message.kind}")


def _parts(case: Case, message: Message, told: Words) -> Iterator[Part]:
    body = message.body
    if message.text and "answer" not in body:
        yield Part("", message.text)
    answers = body.get("answers")
    if isinstance(answers, dict):
        for field, answer in answers.items():
            given = answer if isinstance(answer, list) else [answer]
            words = [_word(told, f"{field}.{one}", str(one)) for one in given]
            yield Part(_word(told, f"answer.{field}", field), told.listed(words))
    options = body.get("options")
    if isinstance(options, list):
        for number, option in enumerate(options, start=1):
            if isinstance(option, dict):
                yield Part(told.say("option.title", number=number), _text(option.get("title")))
                yield Part(told.say("option.pro"), _text(option.get("pro")))
                yield Part(told.say("option.con"), _text(option.get("con")))
    for field in ("step", "with", "scope"):
        if field in body:
            yield Part(told.say(f"consent.{field}"), _text(body[field]))
    if "request" in body:
        yield Part(told.say("consent.asked"), _asked(case, body["request"], told))
    if "answer" in body:
        answer = _text(body["answer"])
        yield Part(told.say("consent.answer"), _word(told, f"consent.{answer}", answer))
        if message.text:
            yield Part(told.say("consent.added"), message.text)
    if "successor" in body:
        yield Part(told.say("consent.successor"), _named(case, _text(body["successor"]), told))


def _word(told: Words, key: str, given: str) -> str:
    """Return a fixed word in the person's language.

    An unknown word from a newer version is returned unchanged.
    """
    try:
        return told.say(key)
    except MissingWord:
        return given.replace("_", " ")


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _asked(case: Case, request: Json, told: Words) -> str:
    for message in case.thread.genuine():
        if message.digest == request and "step" in message.body:
            return _text(message.body["step"])
    return told.say("consent.gone")


def _named(case: Case, identity: str, told: Words) -> str:
    """Return the site's name with the ten groups, because the name alone proves nothing."""
    try:
        groups = VerifyKey.parse(identity).fingerprint()
    except FormatError:
        groups = ""
    name = case.names.get(identity, told.say("who.other"))
    return f"{name} ({groups})" if groups else name


def _findings(case: Case, told: Words) -> Iterator[str]:
    """Yield sentences about missing or withheld messages of the whole thread."""
    read = case.thread
    for by in read.missing_beginning:
        yield told.say("finding.no_beginning", who=_whose(case, by, told))
    for by, numbers in read.gaps.items():
        yield told.count("finding.gap", len(numbers), who=_whose(case, by, told))
    for by, n in read.withheld.items():
        claims = [m for m in case.thread.genuine() if (by, n) in m.seen]
        if not claims:
            yield told.say("finding.was_here", who=_whose(case, by, told))
        elif by not in (REPORTER, case.own) and not _together(case, by):
            yield told.say("finding.apart", who=_whose(case, by, told))
        else:
            yield told.say("finding.withheld", who=_whose(case, by, told))
    if case.not_read:
        yield told.count("finding.not_read", case.not_read)
    if any(not one.genuine and one.reason not in _NO_DOUBT for one in case.entries):
        yield told.say("finding.false")


def _together(case: Case, by: str) -> bool:
    """Return whether a message of the reporter was addressed to both this author and this desk."""
    chosen = [{str(one) for one in m.wanted} for m in case.thread.genuine() if m.by == REPORTER]
    return any({by, case.own} <= those for those in chosen)


def _whose(case: Case, by: str, told: Words) -> str:
    if by == case.own:
        return told.say("whose.yours")
    if by == REPORTER:
        return told.say("whose.reporter")
    return told.say("whose.named", name=case.names.get(by) or told.say("who.other"))
