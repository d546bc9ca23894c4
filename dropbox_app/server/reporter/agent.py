"""Performs the protocol's steps for a browser without JavaScript (SPEC section 8).

This is the only module of the server that sees a text or a code. This module keeps nothing between
requests; the caller keeps the root in the cookie. All files that this module writes are sealed.
"""

import contextlib
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dropbox_app.protocol import age, writing
from dropbox_app.protocol import thread as threads
from dropbox_app.protocol.attachment import AttachmentSealer, contents
from dropbox_app.protocol.encoding import Json, clean_text, new_digest
from dropbox_app.protocol.errors import NobodyToWriteTo, PayloadFailure, TooLong
from dropbox_app.protocol.keys import Recipient, VerifyKey
from dropbox_app.protocol.messages import Attachment, Message, ReporterPublic
from dropbox_app.protocol.retrieval_code import (
    ReporterKeys,
    derive_root,
    generate,
    reporter_keys,
)
from dropbox_app.protocol.stream import CHUNK
from dropbox_app.protocol.thread import Arrived, Thread
from dropbox_app.server.config.languages import in_dutch_or_english
from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import Gone, Moved, NobodyToTell, OutOfStep, StoreBusy
from dropbox_app.server.mailboxes.service import Conversation, Mailboxes
from dropbox_app.server.reporter.kdf_limiter import Gate
from dropbox_app.server.reporter.thread_rules import agreed_handover, just_said
from dropbox_app.server.store.interface import ItemInfo, Staged

# A failed attempt means that another message of this reporter was stored. If nobody can open that
# message, no attempt makes progress.
TRIES = 30


@dataclass(frozen=True, repr=False)
class NewReport:
    """A sealed report that is not stored yet, and the code that will open it."""

    words: tuple[str, ...]
    root: bytes
    mailbox: str
    access: str
    to: tuple[VerifyKey, ...]
    sealed: bytes


@dataclass(frozen=True)
class ReporterView:
    """The verified conversation, as shown to the reporter.

    ``expires`` is the day on which the conversation expires if nobody writes, and ``last_added``
    the day of the last addition. ``next_wanted`` lists the addressees of the next message: those of
    the newest message, or the successor if the reporter agreed to a handover.
    """

    thread: Thread
    expires: datetime.date
    last_added: datetime.date
    next_wanted: tuple[VerifyKey, ...]
    items: tuple[ItemInfo, ...]  # the items that the server lists

    def chosen(self, kind: str) -> tuple[VerifyKey, ...]:
        """Return the current addressees for a consent answer, and ``next_wanted`` otherwise."""
        return self.thread.wanted if kind == "consent-answer" else self.next_wanted

    def file(self, item: str) -> tuple[Message, Attachment] | None:
        """Return the first genuine message that names this file, and the file's entry in it."""
        for message in self.thread.genuine():
            for attachment in message.attachments:
                if attachment.sha256 == item:
                    return message, attachment
        return None


@dataclass(frozen=True)
class Addressing:
    """The recipients of the files of the next message, without the reporter."""

    access: str
    to: tuple[VerifyKey, ...]
    recipients: tuple[Recipient, ...]


@dataclass(frozen=True)
class Enclosed:
    """Sealed and staged files that are sent with one message.

    ``after`` is the number of the reporter's newest message when the form was generated. This
    number lets the server recognise a form that is sent twice.
    """

    to: tuple[VerifyKey, ...]
    attachments: tuple[Attachment, ...]
    staged: tuple[Staged, ...]
    after: int


@dataclass(frozen=True)
class Sent:
    """A sent message. ``left_out`` lists the chosen counsellors without a valid key today."""

    left_out: tuple[VerifyKey, ...]


class ReporterAgent:
    """The reporter's agent on one site. ``today`` returns the UTC day. Thread-safe."""

    def __init__(
        self,
        site: Site,
        mailboxes: Mailboxes,
        gate: Gate,
        today: Callable[[], datetime.date],
    ) -> None:
        self._site = site
        self._id = site.settings.site
        self._mailboxes = mailboxes
        self._gate = gate
        self._today = today

    def prepare(
        self,
        *,
        lang: str,
        text: str,
        answers: Mapping[str, Json],
        wanted: Sequence[VerifyKey],
    ) -> NewReport:
        """Draw a code and seal a report.

        Once this method has returned, only storing the report can fail.

        Raises Busy, TooLong (by the site's limit) or NobodyToWriteTo.
        """
        self._check_size(text)
        day = self._today()
        words = generate(in_dutch_or_english(lang))
        root = self._stretch(words)
        keys = reporter_keys(root)
        draft = writing.from_reporter(
            keys,
            site=self._id,
            day=day,
            lang=lang,
            kind="report",
            body={"text": text, "answers": dict(answers)},
            thread=None,
            wanted=wanted,
            cards=self._site.open_cards(day),
        )
        return NewReport(words, root, keys.mailbox, keys.access, draft.to, draft.seal())

    def send(self, report: NewReport) -> None:
        """Store a prepared report completely or not at all. Raises SiteFull or StoreBusy."""
        self._mailboxes.submit(
            mailbox=report.mailbox, access=report.access, to=report.to, sealed=report.sealed
        )

    def report(
        self,
        *,
        lang: str,
        text: str,
        answers: Mapping[str, Json],
        wanted: Sequence[VerifyKey],
    ) -> tuple[tuple[str, ...], bytes]:
        """Prepare and store a report; return the seven words and the root."""
        prepared = self.prepare(lang=lang, text=text, answers=answers, wanted=wanted)
        self.send(prepared)
        return prepared.words, prepared.root

    def enter(self, words: Sequence[str]) -> bytes | None:
        """Return the root of a code if its conversation exists. Raises Busy.

        Unknown, expired and withdrawn codes give the same result, and cost the same work up to the
        lookup.
        """
        root = self._stretch(words)
        keys = reporter_keys(root)
        return root if self._mailboxes.conversation(keys.access) is not None else None

    def view(self, root: bytes) -> ReporterView | None:
        """Open, verify and order the conversation; return None if it no longer exists."""
        return self._view(reporter_keys(root))

    def addressing(self, root: bytes, lang: str, text: str) -> Addressing:
        """Return the recipients of files that are sent with a message of this text.

        Raises Gone, TooLong or NobodyToWriteTo in the same cases as sending that message.
        """
        self._check_size(text)
        keys = reporter_keys(root)
        view = self._view(keys)
        if view is None:
            raise Gone("there is no such conversation")
        body: dict[str, Json] = {"text": text}
        draft = self._draft(keys, view.thread, lang, "message", body, view.next_wanted)
        return Addressing(keys.access, draft.to, draft.recipients[1:])

    def check_file(self, root: bytes, attachment: Attachment) -> bool | None:
        """Return whether a file of the conversation still matches the signed hash.

        Returns None if the file does not exist. Reads the whole file in bounded memory.
        """
        opened = self._mailboxes.opened(reporter_keys(root).mailbox, attachment.sha256)
        if opened is None:
            return None
        digest = new_digest()
        with opened.file as file:
            while piece := file.read(CHUNK):
                digest.update(piece)
        return digest.hexdigest() == attachment.sha256

    def open_file(self, root: bytes, attachment: Attachment) -> Iterator[bytes]:
        """Yield the content of a counsellor's file in authenticated pieces.

        The whole file is checked before this function returns: its hash, every chunk, its size and
        its padding. Raises Gone (the file is missing), PayloadFailure (it does not match the
        signature), AgeError or FormatError.
        """
        pieces = self._checked(reporter_keys(root), attachment)
        next(pieces)
        return pieces

    def _checked(self, keys: ReporterKeys, attachment: Attachment) -> Iterator[bytes]:
        """Check the whole file first, and then yield its content.

        Both passes use one handle, because the name may refer to another file by the second pass.
        """
        opened = self._mailboxes.opened(keys.mailbox, attachment.sha256)
        if opened is None:
            raise Gone("the file is not here")
        digest = new_digest()
        with opened.file as file:

            def read(size: int) -> bytes:
                data = file.read(size)
                digest.update(data)
                return data

            for _ in contents(age.open_chunks(read, (keys.reply,)), attachment.size):
                pass
            if digest.hexdigest() != attachment.sha256:
                raise PayloadFailure("not the file that was signed")
            yield b""
            file.seek(0)
            yield from contents(age.open_chunks(file.read, (keys.reply,)), attachment.size)

    def write(
        self,
        root: bytes,
        *,
        lang: str,
        kind: str,
        body: Mapping[str, Json],
        wanted: Sequence[VerifyKey] | None = None,
        files: Enclosed | None = None,
        pass_on: bool = False,
    ) -> Sent:
        """Send another message; read the thread, and retry if a message arrives meanwhile.

        If ``wanted`` is None, ``next_wanted`` applies. With ``pass_on``, the recipients also get
        the thread so far (SPEC section 4, "Changing counsellor"), unless the previous message went
        to the same people. ``pass_on`` cannot be combined with files. A message that repeats the
        newest one is not sent again: without a script, nothing else prevents a double click from
        sending it twice. ``files`` are stored with the message or not at all, and only once,
        however often sending is retried. Raises Gone, TooLong, NobodyToWriteTo, MailboxFull,
        SiteFull, StoreBusy, or Moved if the recipients differ from those of the files.
        """
        for key in ("text", "step", "with", "scope"):
            value = body.get(key)
            self._check_size(value if isinstance(value, str) else "")
        keys = reporter_keys(root)
        for _ in range(TRIES):
            view = self._view(keys)
            if view is None:
                raise Gone("there is no such conversation")
            chosen = view.chosen(kind) if wanted is None else tuple(wanted)
            attachments, staged = (files.attachments, files.staged) if files else ((), ())
            # Current addressees already have the thread, and their desks would waste time reading
            # it again.
            passes = pass_on and chosen != view.thread.wanted
            if any(
                just_said(
                    view.thread,
                    kind,
                    body,
                    chosen,
                    attachments=attachments,
                    after=files.after if files else None,
                    pass_on=along,
                )
                for along in {pass_on, passes}
            ):
                return Sent(())
            draft = self._draft(keys, view.thread, lang, kind, body, chosen, attachments)
            if files is not None and files.to != draft.to:
                raise Moved("the files are sealed for others")
            with contextlib.ExitStack() as kept:
                if passes:
                    passed = kept.enter_context(self._mailboxes.stage())
                    sealer = AttachmentSealer(passed.write, draft.recipients[1:])
                    sealer.update(threads.write_passed_on(view.thread))
                    sealer.finish()
                    staged = (passed,)
                    item = passed.digest()
                    draft = self._draft(keys, view.thread, lang, kind, body, chosen, (), item)
                try:
                    self._mailboxes.add(
                        access=keys.access,
                        n=draft.n,
                        to=draft.to,
                        sealed=draft.seal(),
                        files=staged,
                    )
                except OutOfStep:
                    continue
            return Sent(draft.left_out)
        raise StoreBusy("another session of the same code kept writing")

    def withdraw(self, root: bytes, *, lang: str, untold: bool) -> None:
        """Withdraw everything. ``untold``: even if no counsellor can be told now.

        None can be told if none has a card, or if an item that nobody can open has the number of
        the withdrawal. An expired conversation that is still stored is removed in any case. Raises
        Gone, NobodyToTell (if not ``untold``).
        """
        keys = reporter_keys(root)
        for _ in range(TRIES):
            view = self._view(keys)
            if view is None:
                self._mailboxes.withdraw(access=keys.access, n=0, to=(), sealed=None)
                return
            try:
                draft = self._draft(keys, view.thread, lang, "withdrawal", {}, None)
            except NobodyToWriteTo:
                break
            try:
                self._mailboxes.withdraw(
                    access=keys.access, n=draft.n, to=draft.to, sealed=draft.seal()
                )
            except OutOfStep:
                continue
            return
        if not untold:
            raise NobodyToTell
        self._mailboxes.withdraw(access=keys.access, n=0, to=(), sealed=None)

    def _stretch(self, words: Sequence[str]) -> bytes:
        with self._gate.passing():
            return derive_root(words, self._id)

    def _check_size(self, text: str) -> None:
        """Check the site's limit, which may be lower than the protocol's."""
        limit = self._site.settings.limits.text
        size = len(clean_text(text).encode())
        if size > limit:
            raise TooLong(size, limit)

    def _view(self, keys: ReporterKeys) -> ReporterView | None:
        conversation, arrived = self._read(keys)
        if conversation is None:
            return None
        thread = threads.read(
            arrived,
            site=self._id,
            mailbox=keys.mailbox,
            viewer=None,
            reporter=ReporterPublic(str(keys.recipient), keys.verify),
        )
        return ReporterView(
            thread,
            conversation.expires,
            conversation.last_added,
            self._next_wanted(thread),
            conversation.items,
        )

    def _read(self, keys: ReporterKeys) -> tuple[Conversation | None, list[Arrived]]:
        """Return the conversation with its messages; None if it no longer exists.

        If a listed message is missing, it may have been removed meanwhile, so the list is read
        again. A message that is missing both times is considered lost.
        """
        before = None
        while True:
            conversation = self._mailboxes.conversation(keys.access)
            arrived: list[Arrived] = []
            whole = True
            for item in conversation.items if conversation else ():
                if item.what == "message":
                    sealed = self._mailboxes.item(keys.mailbox, item.id)
                    whole = whole and sealed is not None
                    if sealed is not None:
                        arrived.append(threads.open_item(item.id, sealed, (keys.reply,)))
            if whole or conversation == before:
                return conversation, arrived
            before = conversation

    def _draft(
        self,
        keys: ReporterKeys,
        thread: Thread,
        lang: str,
        kind: str,
        body: Mapping[str, Json],
        wanted: Sequence[VerifyKey] | None,
        attachments: Sequence[Attachment] = (),
        passed_on: str | None = None,
    ) -> writing.Draft:
        day = self._today()
        return writing.from_reporter(
            keys,
            site=self._id,
            day=day,
            lang=lang,
            kind=kind,
            body=body,
            thread=thread,
            wanted=wanted,
            cards=self._site.open_cards(day),
            attachments=attachments,
            passed_on=passed_on,
        )

    def _next_wanted(self, thread: Thread) -> tuple[VerifyKey, ...]:
        """Return the newest message's addressees, after any agreed handover."""
        wanted = thread.wanted
        agreed = agreed_handover(thread)
        if agreed is None:
            return wanted
        asker, successor = agreed
        open_now = {card.identity for card in self._site.open_cards(self._today())}
        if successor not in open_now or asker not in wanted:
            return wanted
        return tuple(dict.fromkeys(successor if who == asker else who for who in wanted))
