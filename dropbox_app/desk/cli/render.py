"""Format threads for people and for programs."""

import json
from collections.abc import Iterable, Iterator, Mapping

from dropbox_app.desk.actions.sites import Site
from dropbox_app.desk.actions.threads import Found, FoundNote, Listed, Opened
from dropbox_app.desk.actions.today import Read, Today
from dropbox_app.desk.cli import labels
from dropbox_app.desk.cli.terminal import block, visible
from dropbox_app.desk.threads import attachments
from dropbox_app.desk.threads.open_thread import LEAST_PREFIX, Case
from dropbox_app.desk.untrusted_files.inspect import Findings, safe_name
from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.errors import FormatError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.messages import REPORTER, Message
from dropbox_app.protocol.thread import Entry

# Maps a problem found by the reader to a sentence for the person.
REASONS: Mapping[str, str] = {
    "": "",
    "other_file": "the file on this disk is not the one that was received",
    "missing": "its file is missing from this disk",
    "no_key": "none of your keys opens it; its key was destroyed, or was not in your backup",
    "header": "the sealed file is damaged",
    "header_mac": "the sealed file was altered",
    "payload": "the sealed file was altered or cut off",
    "form": "it is not in the format of a message",
    "unknown_author": "its author is somebody whom the reporter did not choose",
    "other_site": "it was written for another site",
    "other_mailbox": "it was written for another thread",
    "other_reporter": "its keys are not those of this thread",
    "other_recipient": "its reply key is not the one that the reporter had before",
    "signature": "its signature does not match: somebody else wrote or altered it",
    "not_addressed": "not addressed to you; passed on by somebody",
    "conflict": "two different messages have this number, or it denies the one before",
    "after_restore": "written after the server was restored from a backup",
    "not_sent": "the server did not accept it",
}
_FOUND_LENGTH = 200  # characters of a message in the search results
_STATES = {
    "unverified": "COULD NOT BE VERIFIED",
    "conflict": "CONFLICT",
    "not_addressed": "NOT ADDRESSED TO YOU",
    "newer": "made with a newer version of the program",
}
_GONE = (
    "No longer on the server. Usually it has expired, or the reporter chose another counsellor. "
    "If the server was restored from a backup, it may have been lost then. "
    "The messages that you fetched stay here until you 'forget' them."
)
_WITHDRAWN = (
    "The reporter has withdrawn this report. The messages that you fetched stay here until you "
    "'forget' them."
)


def dumps(value: object) -> str:
    """Return JSON for programs, in ASCII, so that it cannot control a terminal."""
    return json.dumps(value, ensure_ascii=True, indent=2)


def summary(one: Listed) -> dict[str, object]:
    """Return one line of ``list --json``."""
    return {
        "id": one.mailbox,
        "site": one.site,
        "site_name": one.employer,
        "employer": one.employer,
        "label": one.label,
        "unread": one.summary.unread,
        "messages": one.summary.messages,
        "last_day": one.summary.last_day.isoformat(),
        "status": one.summary.status,
        "unverified": one.summary.unverified,
        "turn": one.summary.turn,
        "first_words": one.summary.first_words,
        "waiting": one.summary.waiting,
        "closed": one.summary.closed,
        "not_safe": one.summary.not_safe,
        "consent": one.summary.consent,
        "asked": one.summary.asked,
        "since": one.summary.since.isoformat() if one.summary.since else None,
        "answer_by": one.answer_by.isoformat() if one.answer_by else None,
        "away_until": one.away_until.isoformat() if one.away_until else None,
    }


def read_site(one: Read) -> dict[str, object]:
    """Return one site of ``today --json``, with the day on which it was last read."""
    day = one.day.isoformat() if one.day else None
    return {"site": one.site, "employer": one.employer, "read_to_end": day, "late": one.late}


def hit(one: Found) -> dict[str, object]:
    """Return one message of ``search --json``."""
    return {
        "thread": summary(one.listed),
        "item": one.item,
        "by": one.message.by,
        "day": one.message.day.isoformat(),
        "kind": one.message.kind,
        "text": one.message.text,
        "verified": one.genuine,
    }


def note_hit(one: FoundNote) -> dict[str, object]:
    """Return one private note of ``search --json``."""
    return {"thread": summary(one.listed), "kind": "note", "by": "own", "text": one.text}


def site(one: Site) -> dict[str, object]:
    """Return one line of ``sites --json``."""
    return {
        "site": one.site,
        "employer": one.employer,
        "fingerprint": one.fingerprint,
        "identity": one.identity,
        "card": one.serial,
        "published": one.published,
        "away_until": one.away.until.isoformat() if one.away else None,
        "read_to_end": one.read_to_end.isoformat() if one.read_to_end else None,
    }


def found(one: Found) -> Iterator[str]:
    """Yield one message of ``search`` for people: its thread, and its beginning."""
    name = f"  {visible(one.listed.label)}" if one.listed.label else ""
    false = "" if one.genuine else "  [COULD NOT BE VERIFIED]"
    yield (
        f"{one.listed.mailbox[:16]}  {one.message.day}  {visible(one.listed.employer)}{name}{false}"
    )
    words = " ".join(one.message.text.split())
    if words:
        yield from block(words[:_FOUND_LENGTH] + ("…" if len(words) > _FOUND_LENGTH else ""))


def whole(opened: Opened) -> dict[str, object]:
    """Return the output of ``read --json``."""
    case = opened.case
    read = case.thread
    return summary(opened.listed) | {
        "verify": case.known.verify,
        "wanted": [str(identity) for identity in read.wanted],
        "gaps": {by: list(numbers) for by, numbers in read.gaps.items()},
        "missing_beginning": dict(read.missing_beginning),
        "withheld": dict(read.withheld),
        "messages": [_message(case, entry) for entry in case.entries],
        "unnamed_files": [
            {"item": file.item, "state": file.state}
            for file in attachments.of_case(case)
            if file.attachment is None
        ],
    }


def _message(case: Case, entry: Entry) -> dict[str, object]:
    message = entry.message
    states = {file.item: file.state for file in attachments.of_case(case)}
    shown: dict[str, object] = {
        "item": entry.item,
        "verified": entry.state in ("verified", "newer"),
        "state": entry.state,
        "reason": entry.reason,
        "passed_on": entry.passed_on,
        "former": case.former(entry),
        "sent": case.unsent.get(entry.item, "sent" if _own(case, message) else ""),
        "by": message.by if message else None,
        "kind": message.kind if message else None,
        "day": message.day.isoformat() if message else None,
        "text": message.text if message else None,
    }
    if message is not None:
        shown |= {
            "n": message.n,
            "lang": message.lang,
            "digest": message.digest,
            "to": [str(identity) for identity in message.to],
            "body": dict(message.body),
            "attachments": [
                {
                    "item": f.sha256,
                    "name": f.name,
                    "type": f.type,
                    "size": f.size,
                    "state": states.get(f.sha256, "unverified"),
                }
                for f in message.attachments
            ],
        }
    return shown


def listing(threads: Iterable[Listed], *, several: bool) -> Iterator[str]:
    """Yield ``list`` for people: one line for each thread."""
    for one in threads:
        told = one.summary
        unread = f"{told.unread} unread" if told.unread else "read"
        parts = [f"{one.mailbox[:16]}  {told.last_day}  {unread:>9}"]
        parts.append(labels.STATUS.get(told.status, "closed" if told.closed else ""))
        parts.append(visible(one.employer) if several else "")
        parts.append(visible(one.label))
        parts.append("does not feel safe" if told.not_safe else "")
        parts.append(_your_turn(one))
        open_request = told.asked and told.turn == "reporter"
        parts.append("your request for consent is still open" if open_request else "")
        if told.waiting:
            parts.append(f"{told.waiting} of yours not sent yet; 'fetch' sends it")
        parts.append(f"\u201c{visible(told.first_words)}\u201d" if told.first_words else "")
        yield "  ".join(part for part in parts if part)


def pages(opened: Opened) -> Iterator[tuple[str, bytes]]:
    """Yield a thread as files (name, contents): one for programs and one for each message."""
    yield "thread.json", (dumps(whole(opened)) + "\n").encode()
    for number, entry in enumerate(opened.case.entries, start=1):
        page = "\n".join(one(opened.case, entry, opened.desk.state.profile.name)) + "\n"
        yield f"{number:03}.txt", page.encode("utf-8", "replace")


def today(found: Today, *, several: bool, phases: Mapping[str, str]) -> Iterator[str]:
    """Yield ``today`` for people: each group under its heading, without empty groups.

    ``phases``: the phase of each thread's case, by mailbox.
    """
    groups = (
        ("Waiting for you", found.mine),
        ("Waiting to be sent; 'fetch' sends it", found.to_send),
        ("Waiting for the reporter", found.theirs),
    )
    for heading, threads in groups:
        if threads:
            yield f"{heading}:"
            for one, line in zip(threads, listing(threads, several=several), strict=True):
                phase = phases.get(one.mailbox, "").replace("_", " ")
                yield f"  {line}" + (f"  phase: {phase}" if phase else "")
    for site in found.read:
        if site.late:
            said = f"not fetched since {site.day}" if site.day else "never fetched"
            yield f"{site.employer}: {said}; 'fetch' looks for new messages."


def _your_turn(one: Listed) -> str:
    """Return the status of a thread that the counsellor should answer, or ""."""
    if one.summary.turn != "counsellor":
        return ""
    answer = one.summary.consent
    said = f", consent: {labels.answer('answer', answer)}" if answer else ""
    if one.answer_by is None:
        return f"your turn{said}"
    away = f" (you are away until {one.away_until})" if one.away_until else ""
    return f"your turn{said}, answer promised by {one.answer_by}{away}"


def reading(case: Case) -> Iterator[str]:
    """Yield ``read`` for people: the desk's own lines at the margin, texts behind a bar."""
    yield f"Thread {case.mailbox}"
    if case.status == "withdrawn":
        yield _WITHDRAWN
    elif case.status == "gone":
        yield _GONE
    read = case.thread
    for by in read.missing_beginning:
        yield (
            f"Earlier messages from {_who(case, by)} are not here: they were written to somebody "
            "else, or have been removed."
        )
    for by, numbers in read.gaps.items():
        which = f"number {numbers[0]}" if len(numbers) == 1 else f"numbers {_joined([*numbers])}"
        verb = "is" if len(numbers) == 1 else "are"
        yield (
            f"MISSING: {which} from {_who(case, by)} {verb} not here: not addressed to you, or "
            "withheld."
        )
    yield from _withheld(case)
    if case.not_read:
        yield (
            f"NOT READ: {case.not_read} earlier conversations that were passed on with this one. "
            "Together they are more than 64 MiB or 1,000 messages; the newest were read."
        )
    for entry in case.entries:
        yield ""
        yield from one(case, entry)
    for file in attachments.of_case(case):
        if file.attachment is None:
            yield ""
            yield f"File {file.short}: {attachments.SAID[file.state]}."


def _withheld(case: Case) -> Iterator[str]:
    """Yield the missing messages that an author claims to have seen, or that this desk once had."""
    for by, n in case.thread.withheld.items():
        claim = {message.by for message in case.thread.genuine() if (by, n) in message.seen}
        if not claim:
            yield f"MISSING: number {n} from {_who(case, by)} was here before, but is not here now."
        elif _apart(case, by):
            who = _called(case, by)
            yield f"Messages from {who} are not here: the reporter then wrote with them, not you."
            continue
        for author in sorted(claim):
            verb = "refer" if author == case.own else "refers"
            yield (
                f"MISSING: {_who(case, author)} {verb} to a newer message from {_who(case, by)}, "
                f"number {n}, that is not here."
            )


def _apart(case: Case, by: str) -> bool:
    """Return whether no message of the reporter was addressed to both this author and this desk."""
    if by in (REPORTER, case.own):
        return False
    chosen = [{str(i) for i in m.wanted} for m in case.thread.genuine() if m.by == REPORTER]
    return not any({by, case.own} <= those for those in chosen)


def one(case: Case, entry: Entry, me: str = "you") -> Iterator[str]:
    """Yield one message for people. ``me`` is the counsellor's name."""
    message = entry.message
    if message is None:
        yield f"[{_STATES['unverified']}: {REASONS.get(entry.reason, 'it cannot be read')}]"
        yield f"  item {entry.item[:16]}"
        return
    who = visible(me) if message.by == case.own else _who(case, message.by)
    if not entry.genuine:
        who = f"somebody who claims to be {who}"
    kind = labels.KIND.get(message.kind, message.kind)
    if not message.known_kind:
        kind = "a kind that this version does not know"
    yield f"{message.day}  {who}  ({kind}, number {message.n})"
    wrong = _STATES.get(entry.state)
    reason = REASONS.get(entry.reason, "")
    if wrong and entry.reason != "not_sent":
        yield f"[{wrong}{': ' + reason if reason else ''}]"
    elif reason:
        yield f"[{reason}]"
    if entry.passed_on:
        yield "[passed on by the reporter from the thread with an earlier counsellor]"
    if case.former(entry):
        yield "[the reporter no longer writes to this counsellor]"
    if case.unsent.get(entry.item) == "waiting":
        yield "[waiting: the server has not confirmed it yet; 'fetch' sends it]"
    yield from contents(case, message)


def contents(case: Case, message: Message) -> Iterator[str]:
    """Yield the lines of a message, behind the bar, and of its files, at the margin."""
    states = (
        {file.item: file.state for file in attachments.of_case(case)} if message.attachments else {}
    )
    for label, value in _fields(case, message.body):
        text = f"{label}: {value}" if label else value
        yield from block(text)
    for file in message.attachments:
        yield from block(f"file: {file.name} ({file.type}, {file.size} bytes)")
        state = states.get(file.sha256)
        said = attachments.SAID[state] if state else "its message could not be verified"
        yield f"  file {file.sha256[:LEAST_PREFIX]}: {said}"


def named(one: attachments.CaseFile) -> str:
    """Return a file's short id and, if a message names the file, the name for saving it."""
    return one.short + (f"  {visible(safe_name(one.attachment.name))}" if one.attachment else "")


def file(
    case: Case, one: attachments.CaseFile, findings: Findings | None, holds: str
) -> Iterator[str]:
    """Yield one file of a thread for people: its name, its kind, its contents."""
    if one.attachment is None:
        yield f"{one.short}  {attachments.SAID[one.state]}."
        return
    given, safe = one.attachment.name, safe_name(one.attachment.name)
    said = attachments.SAID[one.state]
    yield f"{one.short}  {visible(safe)}  {one.attachment.size:,} bytes  {said}"
    if one.message is not None:
        number = f"number {one.message.n}"
        yield f"  from {_who(case, one.message.by)}, {one.message.day}, {number}"
    if given != safe:
        yield f"  sent under the name {visible(given)}" if given else "  sent without a name"
    yield f"  its sender's program called it {visible(one.attachment.type)}"
    if findings is not None:
        yield f"  {findings.sentence}"
    if holds:
        yield f"  {holds}"


def _fields(case: Case, body: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    text = body.get("text")
    if isinstance(text, str) and text:
        yield "", text
    for key, value in body.items():
        if key == "text":
            continue
        if key == "answers" and isinstance(value, dict):
            for question, answer in value.items():
                given = answer if isinstance(answer, list) else [answer]
                said = ", ".join(labels.answer(question, str(part)) for part in given)
                yield labels.LABEL.get(question, question), said
        elif key == "options" and isinstance(value, list):
            for number, option in enumerate(value, start=1):
                if isinstance(option, dict):
                    yield f"option {number}", _joined(option.get("title"))
                    yield "  for", _joined(option.get("pro"))
                    yield "  against", _joined(option.get("con"))
        elif key == "request":
            yield "to the question", _step(case, value)
        elif key == "answer":
            yield key, labels.answer(key, _joined(value))
        elif key == "successor":
            yield "handed over to", _groups(_joined(value))
        else:
            yield labels.LABEL.get(key, key), _joined(value)


def _groups(identity: str) -> str:
    """Return the ten groups instead of a name, because only the site vouches for a name."""
    try:
        return VerifyKey.parse(identity).fingerprint()
    except FormatError:
        return identity  # from an unknown kind of a newer version


def _step(case: Case, request: Json) -> str:
    """Return the question of the request to which an answer refers."""
    asked = (message for message in case.thread.genuine() if message.digest == request)
    return next((_joined(m.body["step"]) for m in asked if "step" in m.body), "no longer here")


def _joined(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return str(value)


def _own(case: Case, message: Message | None) -> bool:
    return message is not None and message.by == case.own


def _who(case: Case, by: str) -> str:
    if by == REPORTER:
        return "the reporter"
    return "you" if by == case.own else f"counsellor {by[:12]}"


def _called(case: Case, by: str) -> str:
    """Return a counsellor's name as given by the site, with the verified identity."""
    name = case.names.get(by)
    return f"{visible(name)} ({_who(case, by)})" if name else _who(case, by)
