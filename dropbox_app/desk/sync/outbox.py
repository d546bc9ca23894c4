"""Send messages. Each message is sealed, stored and retried until the server reports the result.

A message is in the local store before the server gets it. A lost connection therefore neither loses
a message nor sends it twice: the same bytes are the same item (SPEC section 6).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dropbox_app.desk.errors import (
    BadAnswer,
    CannotReach,
    DeskError,
    Kept,
    NotWritable,
    OutOfStep,
    Refused,
    Unknown,
)
from dropbox_app.desk.session import Desk
from dropbox_app.desk.storage.state import Item
from dropbox_app.desk.sync import inbox, own_card
from dropbox_app.desk.threads import attachments, open_thread
from dropbox_app.desk.threads.attachments import Source
from dropbox_app.desk.threads.open_thread import Case
from dropbox_app.protocol import card as cards
from dropbox_app.protocol import messages, withdrawal, writing
from dropbox_app.protocol.encoding import Json, sha256_hex
from dropbox_app.protocol.errors import FormatError, MessageError
from dropbox_app.protocol.messages import REPORTER, Attachment, Message
from dropbox_app.protocol.writing import Draft

TRIES = 3
NOT_THERE = 404

_STOPPED = (
    "Stopped by Ctrl-C before the server said that it has your message. It is kept here, and the "
    "next 'fetch' sends it."
)
_OVER = {
    "withdrawn": (
        "Thread {0} is withdrawn: the reporter has taken the report back, so nothing can be "
        "written to it any more."
    ),
    "gone": (
        "Thread {0} is gone: the server no longer lists it for you. Either the reporter's newest "
        "message was not addressed to you (another counsellor was chosen, or your card had no "
        "valid key that day), or the thread has expired or was removed. You can write again when "
        "the reporter writes to you again."
    ),
    "lost": (
        "Thread {0} is gone: the server was restored from a backup, and does not list it for you. "
        "If the thread began after that backup it does not come back: the reporter's code opens "
        "nothing any more, and nobody can write in it. Only if the reporter had chosen another "
        "counsellor can it still come to you again."
    ),
}


@dataclass(frozen=True)
class _Tip(Message):
    """The position in the chain of a forgotten message of this desk: its number and digest."""

    kept: str = ""

    @property
    def digest(self) -> str:
        """Return the digest that the message had before it was forgotten."""
        return self.kept


def write(
    desk: Desk,
    mailbox: str,
    *,
    lang: str,
    kind: str,
    body: Mapping[str, Json],
    attached: Sequence[Source] = (),
) -> None:
    """Write a thread's next message and send it, its files first.

    The inbox is read first, so that the message is sealed for the counsellors whom the reporter has
    chosen most recently. Raises DeskError or MessageError if the thread cannot be written to.
    Raises Kept if the message stays queued, even if Ctrl-C interrupted the sending. Raises Unfit if
    the site does not accept such files. After any other error, the message is neither sent nor
    queued.
    """
    desk.need_day()
    if attached:
        attachments.check_limits(attached, desk.courier.shown().limits)
    exchange(desk)
    older = _waiting_messages(desk)  # including any new versions that ``exchange`` signed
    try:
        composed = _compose(desk, mailbox, lang, kind, body, attached)
        item = _send(desk, composed, TRIES)
    except (KeyboardInterrupt, CannotReach, BadAnswer, Unknown) as error:
        if _waiting_messages(desk) <= older:
            raise
        stopped = isinstance(error, KeyboardInterrupt)
        raise Kept(_STOPPED if stopped else str(error)) from None
    if item.sent == "refused":
        raise DeskError(
            f"The server did not take your message to thread {mailbox[:8]}; it was kept here and "
            "'read' shows it. 'fetch' may tell what became of the thread."
        )
    if item.sent == "waiting":
        raise Kept(
            "The server cannot take your message now. It is kept here, and the next 'fetch' sends "
            "it."
        )


def _waiting_messages(desk: Desk) -> set[str]:
    """Return the items of the desk's own messages that the server does not have yet."""
    items = desk.state.items.values()
    return {item.id for item in items if item.what == "message" and item.sent == "waiting"}


def exchange(desk: Desk) -> None:
    """Fetch new items, send a restored server the items that it lacks, and send queued messages."""
    listed = inbox.collect(desk)
    if not desk.agreed:
        return
    if desk.state.resend:
        if not desk.state.restored:
            own_card.publish(desk)
        _give_back(desk, listed)
    waiting = [item for item in desk.state.items.values() if item.sent == "waiting"]
    for item in waiting:
        if item.what == "message":  # the files are sent with their message
            _send(desk, item, TRIES)


def _send(desk: Desk, item: Item, tries: int) -> Item:
    """Send a stored message; return the item that was sent, with its result."""
    sealed = desk.store.original(item.id)
    message = _opened(desk, item)
    if sealed is None or message is None:
        item.sent = "refused"
        desk.save()
        return item
    taken = desk.state.thread(item.mailbox).listed.get(desk.own, 0) >= message.n
    if message.attachments and taken and tries > 1:
        return _again(desk, item, message, tries - 1)  # before any files that no message would name
    try:
        if not attachments.put(desk, item.mailbox, message):
            raise Refused("A file of it is no longer on this disk.", 0)
        desk.courier.post(item.mailbox, message.n, message.to, sealed)
    except OutOfStep:
        if tries > 1:
            return _again(desk, item, message, tries - 1)
        item.sent = "refused"
    except CannotReach:
        raise CannotReach(
            "The connection was lost while your message was on its way. It is kept here, and the "
            "next 'fetch' sends it if the server does not have it."
        ) from None
    except Refused as error:
        if error.status >= 500:
            desk.report.note(str(error), "server_busy", item.mailbox)
            return item  # the server may accept it later
        item.sent = "refused"
        desk.report.note(
            f"Your message to thread {item.mailbox[:8]} was not taken by the server.",
            "not_taken",
            item.mailbox,
        )
        if message.attachments:
            desk.report.note(f"It had files. {error}", "had_files", item.mailbox)
    else:
        item.sent, item.fetched = "sent", True
    attachments.mark(desk, message, item.sent)
    desk.save()
    if item.sent == "sent":
        open_thread.keep_pins(desk, item.mailbox)
        desk.save()
    return item


def _again(desk: Desk, item: Item, message: Message, tries: int) -> Item:
    """Handle a message number that is already used: fetch, sign with the next number, and send."""
    inbox.collect(desk)
    if item.sent == "sent":
        return item
    # This message leaves the chain, because another message has its number. This is saved only
    # together with the new version, so that after a crash one of the two can still be sent.
    item.sent = "refused"
    others = _waiting_messages(desk)
    try:
        anew = _compose(
            desk, item.mailbox, message.lang, message.kind, message.body, before=message
        )
    except (NotWritable, MessageError) as error:
        desk.save()
        desk.report.note(
            f"Your message to thread {item.mailbox[:8]} was not sent: {error}",
            "not_sent",
            item.mailbox,
        )
        return item
    except BaseException:
        if _waiting_messages(desk) <= others:
            item.sent = "waiting"
            desk.save()
        raise
    kept = _opened(desk, anew)
    still = {file.sha256 for file in kept.attachments} if kept else set()
    over = [item.id, *(f.sha256 for f in message.attachments if f.sha256 not in still)]
    for gone in over:
        desk.state.items.pop(gone, None)
    desk.save()
    desk.store.drop(over)
    return _send(desk, anew, tries)


def _compose(
    desk: Desk,
    mailbox: str,
    lang: str,
    kind: str,
    body: Mapping[str, Json],
    attached: Sequence[Source] = (),
    before: Message | None = None,
) -> Item:
    """Sign, seal and store the next message and its files, ready to be sent.

    ``before`` is the earlier version, whose number was taken, with the files sealed for it.
    """
    case = open_thread.open_case(desk, mailbox)
    if case.status != "open":
        lost = case.status == "gone" and case.before_restore
        raise NotWritable(_OVER["lost" if lost else case.status].format(mailbox[:8]))
    if REPORTER not in case.thread.newest:
        raise NotWritable(
            f"Nothing in thread {mailbox[:8]} could be verified as the reporter's, so there is "
            "nobody to answer."
        )
    if desk.identity not in case.thread.to:
        raise NotWritable(_OVER["gone"].format(mailbox[:8]))
    writer = _with_tip(desk, case).thread
    shown = _cards(desk)

    def draft_with(named: Sequence[Attachment]) -> Draft:
        return writing.from_counsellor(
            desk.signing,
            site=desk.state.site,
            day=desk.today,
            lang=lang,
            kind=kind,
            body=body,
            thread=writer,
            cards=shown,
            attachments=named,
        )

    named = _attach(desk, mailbox, draft_with, attached, before)
    draft = draft_with(named)
    sealed = draft.seal()
    item = _waiting(desk, mailbox, "message", sha256_hex(sealed), draft, len(sealed))
    desk.store.put(item.id, sealed)
    desk.state.items[item.id] = item
    desk.save()  # after a crash before this, the files are unknown to the state, and are removed
    desk.take_in(one for one in desk.state.of(mailbox) if one.sent == "waiting")
    for identity in draft.left_out:
        desk.report.note(
            f"The counsellor {identity.fingerprint()} does not get this message: there is no valid "
            "key today, or there was none when the reporter last wrote.",
            "left_out",
            mailbox,
        )
    return item


def _attach(
    desk: Desk,
    mailbox: str,
    draft_with: Callable[[Sequence[Attachment]], Draft],
    attached: Sequence[Source],
    before: Message | None,
) -> list[Attachment]:
    """Seal a message's files for its recipients; keep those of ``before`` if unchanged."""
    if before is not None:
        if draft_with(before.attachments).to == before.to:
            return [*before.attachments]
        attached = attachments.again(desk, before)
    if not attached:
        return []
    draft = draft_with(attachments.placeholders(attached))  # raises early if it is too long
    made = attachments.seal(desk, attached, draft.recipients)
    for attachment, length in made:
        item = _waiting(desk, mailbox, "attachment", attachment.sha256, draft, length)
        desk.state.items[item.id] = item
    return [attachment for attachment, _ in made]


def _waiting(desk: Desk, mailbox: str, what: str, item: str, draft: Draft, size: int) -> Item:
    """Return one of the desk's own items that is sealed but not sent yet."""
    return Item(
        id=item,
        mailbox=mailbox,
        what=what,
        server_says=desk.own,
        n=draft.n,
        day=desk.today,
        size=size,
        store=desk.state.store,
        sealed_for=len(draft.recipients),
        sent="waiting",
        seen=True,
    )


def _with_tip(desk: Desk, case: Case) -> Case:
    """Continue the chain after the desk's newest message, even one that was forgotten."""
    n, digest = open_thread.own_tip(desk, case)
    listed = case.known.listed.get(desk.own, 0)
    if listed > n:
        raise NotWritable(
            f"Your own newest message in thread {case.mailbox[:8]} cannot be opened by this desk, "
            "so it cannot write on there. Call, or ask the reporter to begin a new report."
        )
    last = case.thread.newest.get(desk.own)
    if not n or (last is not None and last.digest == digest):
        return case
    newest = dict(case.thread.newest)
    newest[desk.own] = _tip(desk, case, n, digest)
    return replace(case, thread=replace(case.thread, newest=newest))


def _tip(desk: Desk, case: Case, n: int, digest: str) -> _Tip:
    return _Tip(
        site=desk.state.site,
        mailbox=case.mailbox,
        by=desk.own,
        to=(desk.identity,),
        n=n,
        prev=None,
        seen=(),
        day=desk.today,
        lang="en",
        kind="reply",
        body={},
        attachments=(),
        reporter=None,
        wanted=(),
        former=(),
        thread=None,
        line=b"",
        signature=b"",
        kept=digest,
    )


def _cards(desk: Desk) -> list[cards.Card]:
    """Return the desk's own card as issued, and the colleagues' cards as published by the site."""
    shown = own_card.readable(desk, desk.courier.shown())
    own = cards.parse(desk.state.card)
    return [own, *(card for card in shown if card.identity != desk.identity)]


def _opened(desk: Desk, item: Item) -> Message | None:
    contents = desk.store.open(item, desk.vault.openers(desk.state.site)).plaintext
    if contents is None:
        return None
    try:
        return messages.parse(contents)
    except (FormatError, MessageError):
        return None


def _give_back(desk: Desk, listed: dict[str, dict[str, int]]) -> None:
    """After a new store id, send the desk's own items, and withdrawals, that the server lacks."""
    given = _give_withdrawals(desk, listed)
    for mailbox, newest in listed.items():
        if mailbox not in desk.state.threads or desk.state.threads[mailbox].withdrawn:
            continue
        case = open_thread.open_case(desk, mailbox)
        have = newest.get(desk.own, 0)
        own = [
            (case.items[entry.item], entry.message)
            for entry in case.thread.entries
            if entry.genuine and entry.message and entry.message.by == desk.own
            if entry.item in case.items and case.items[entry.item].sent != "waiting"
        ]
        lacking = [(item, message) for item, message in own if message.n > have]
        for item, message in sorted(lacking, key=lambda one: one[1].n):
            sealed = desk.store.original(item.id)
            if sealed is None:
                continue
            try:
                attachments.put(desk, mailbox, message)  # the text is sent even if a file is lost
                desk.courier.post(mailbox, message.n, message.to, sealed)
                given += 1
            except Refused:
                desk.report.note(
                    f"The restored server did not accept all of thread {mailbox[:8]}; the "
                    "reporter may not see your newest messages.",
                    "not_taken_back",
                    mailbox,
                )
                break
    if given:
        desk.report.note(
            f"The restored server got back {given} messages that it had lost.", "given_back"
        )
    desk.state.resend = False
    desk.save()


def _give_withdrawals(desk: Desk, listed: dict[str, dict[str, int]]) -> int:
    """Send the server a proof of each withdrawal; return how many of them the server lacked."""
    given = 0
    for mailbox, known in desk.state.threads.items():
        if not known.withdrawn:
            continue
        case = open_thread.open_case(desk, mailbox)
        for item, message in open_thread.withdrawals(desk, case):
            sealed = desk.store.original(item.id)
            if sealed is None:
                continue
            try:
                desk.courier.give_withdrawal(mailbox, withdrawal.write(message, sealed))
                given += mailbox in listed
            except Refused as error:
                if error.status != NOT_THERE:  # otherwise the server no longer has the mailbox
                    desk.report.alarm(
                        f"ALARM: the reporter of thread {mailbox[:8]} took the report back, and "
                        "the restored server does not take that. Tell the operator.",
                        "withdrawal_not_taken",
                        mailbox,
                    )
    return given
