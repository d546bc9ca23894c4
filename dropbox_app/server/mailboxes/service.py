"""The actions of reporters and desks on mailboxes (SPEC sections 6 to 9).

``store`` provides the storage steps. This module decrypts nothing. Each action is one transaction.
"""

import datetime
from collections.abc import Callable, Collection, Sequence

from dropbox_app.protocol import age
from dropbox_app.protocol.card import Card
from dropbox_app.protocol.encoding import new_digest
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.padding import MESSAGE_SIZES
from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import (
    BadShape,
    Gone,
    NotYours,
    OutOfStep,
    SiteFull,
    UnknownCounsellor,
)
from dropbox_app.server.mailboxes import file_parts, retention
from dropbox_app.server.mailboxes.batches import addressed_messages
from dropbox_app.server.mailboxes.replayed_withdrawals import take_withdrawal
from dropbox_app.server.mailboxes.results import Conversation, Listed, OpenFile
from dropbox_app.server.mailboxes.room import ANSWERS, FILES, Room
from dropbox_app.server.mailboxes.validation import (
    MAX_TO,
    check_attachment,
    check_message,
    fits,
    is_repeat,
    stanzas_of,
    texts_of,
)
from dropbox_app.server.store.interface import (
    REPORTER,
    InboxRow,
    ItemInfo,
    MailboxInfo,
    Staged,
    Store,
)

__all__ = ["Conversation", "InboxRow", "ItemInfo", "Listed", "Mailboxes", "OpenFile"]

PAGE = 100  # inbox rows in one page
MAX_SEALED_MESSAGE = age.sealed_length(MESSAGE_SIZES[-1], MAX_TO + 1)


class Mailboxes:
    """The thread-safe actions on one site's mailboxes."""

    def __init__(self, site: Site, store: Store, today: Callable[[], datetime.date]) -> None:
        self._site = site
        self._store = store
        self._room = Room(site, store)
        self.today = today

    # Actions of the reporter.

    def open_mailbox(self, *, mailbox: str, access: str, to: Sequence[VerifyKey]) -> None:
        """Create a mailbox, which no desk sees until its report is added.

        A repeated call with the same ids succeeds, even after the report is stored. Raises BadShape
        (an id is taken), UnknownCounsellor, Gone (withdrawn or expired), SiteFull, StoreBusy.
        """
        self._known(to)
        with self._store.writing():
            self._open(mailbox, access, MESSAGE_SIZES[0])

    def submit(self, *, mailbox: str, access: str, to: Sequence[VerifyKey], sealed: bytes) -> None:
        """Store a report: message 1 of a mailbox that is new or has no message yet.

        The report is on disk when this method returns. Submitting the same bytes again succeeds.
        Raises the errors of ``open_mailbox`` and OutOfStep (the mailbox already has a report).
        """
        identities = self._known(to)
        item = check_message(sealed, len(identities))
        with self._store.writing():
            if is_repeat(self._store.item(item), mailbox, REPORTER):
                return
            if not self._open(mailbox, access, len(sealed)):
                self._check_beginning(1)
                self._room.check(len(sealed), mailbox)
                self._check_step(mailbox, REPORTER, 1)
            self._message(mailbox, item, REPORTER, 1, identities, sealed)

    def conversation(self, access: str) -> Conversation | None:
        """Return the mailbox of an access id; None if it is unknown, expired or withdrawn."""
        with self._store.reading():
            info = self._store.mailbox_of(access)
            if info is None:
                return None
            lifetime = retention.shown(self._store, info, self._site, self.today())
        if self.today() >= lifetime.expires:
            return None
        items = tuple(item for item in lifetime.items if item.n)
        return Conversation(info.id, items, info.created, info.last_added, lifetime.expires)

    def item(self, mailbox: str, item: str) -> bytes | None:
        """Return a sealed file of this mailbox; None if it does not exist."""
        known = self._store.item(item)
        return self._store.read(item) if known and known[0] == mailbox and known[1].n else None

    def opened(self, mailbox: str, item: str) -> OpenFile | None:
        """Like ``item``, but return a file to read in pieces."""
        known = self._store.item(item)
        if known is None or known[0] != mailbox or not known[1].n:
            return None
        file = self._store.open(item)
        return OpenFile(known[1], file) if file is not None else None

    def room_for_files(self, access: str, size: int, *, whole: bool = False) -> None:
        """Check that a reporter's message may add this many bytes. Raises the errors of ``add``.

        ``whole``: the message is sent with all its files, so ``add`` removes the waiting ones.
        """
        with self._store.reading():
            mailbox = self._of_access(access).id
            freed = file_parts.waiting_bytes(self._store, mailbox) if whole else 0
            self._room.check(size, mailbox, kind=FILES, freed=freed)
            self._room.check_messages(mailbox, REPORTER, MESSAGE_SIZES[0])

    def attach(self, *, access: str, item: str, staged: Staged, parts: Sequence[str] = ()) -> None:
        """Store a reporter's attachment, which becomes visible with the next message.

        ``parts``: the ids of the parts from which the attachment was joined; the parts are removed.
        Raises BadShape, Gone, MailboxFull, SiteFull, StoreBusy.
        """
        check_attachment(staged, item, REPORTER, self._site.settings.limits.file)
        with self._store.writing():
            mailbox = self._of_access(access).id
            file_parts.remove(self._store, mailbox, [part for part in parts if part != item])
            self._put(mailbox, REPORTER, item, staged)

    def attach_part(self, *, access: str, part: str, staged: Staged) -> None:
        """Store a part of a reporter's attachment. Raises like ``attach``."""
        file_parts.check_part(staged, part, self._site.settings.limits.file)
        with self._store.writing():
            self._put(self._of_access(access).id, REPORTER, part, staged)

    def join(self, *, access: str, item: str, parts: Sequence[str]) -> list[str]:
        """Store a reporter's attachment that arrived in parts; return the missing parts, if any.

        A repeated call succeeds. If the parts do not form this file, they are removed, so that no
        upload is copied twice. Raises like ``attach``.
        """
        limits = self._site.settings.limits
        with self._store.reading():
            mailbox = self._of_access(access).id
            if file_parts.is_here(self._store, mailbox, item):
                return []
            if left := file_parts.missing(self._store, mailbox, parts):
                return left
            size = file_parts.check_sum(self._store, mailbox, parts, limits.file)
            file_parts.check_waiting(self._store, mailbox, REPORTER, limits, parts)
            self._room.check(size, kind=FILES)  # for a moment the file is here twice
        with self.stage() as staged:
            if not file_parts.join(self._store, parts, staged, self._room.check_again):
                return file_parts.missing(self._store, mailbox, parts) or list(parts)
            try:
                self.attach(access=access, item=item, staged=staged, parts=parts)
            except BadShape:
                with self._store.writing():
                    file_parts.remove(self._store, mailbox, parts)
                raise
        return []

    def add(
        self,
        *,
        access: str,
        n: int,
        to: Sequence[VerifyKey],
        sealed: bytes,
        files: Sequence[Staged] = (),
        named: Sequence[str] = (),
    ) -> None:
        """Store the reporter's message ``n``, and show it and its files to ``to``.

        The message and ``files`` are stored together or not at all. The files in ``named`` were
        sent before. Any other file without a message is removed. A repeated call succeeds. Raises
        OutOfStep with the newest n unless ``n`` is next, BadShape, UnknownCounsellor, Gone,
        MailboxFull, SiteFull, StoreBusy. After OutOfStep, ``files`` can be reused.
        """
        identities = self._known(to)
        item = check_message(sealed, len(identities))
        for staged in files:
            check_attachment(staged, staged.digest(), REPORTER, self._site.settings.limits.file)
        with self._store.writing():
            info = self._of_access(access)
            if is_repeat(self._store.item(item), info.id, REPORTER):
                return
            self._check_beginning(n)
            own = {*named, *(staged.digest() for staged in files)}
            file_parts.remove_waiting(self._store, info.id, own)  # it makes room
            self._room.check(len(sealed), info.id)
            self._room.check_messages(info.id, REPORTER, len(sealed))
            self._check_step(info.id, REPORTER, n)
            for staged in files:
                self._put(info.id, REPORTER, staged.digest(), staged)
            self._message(info.id, item, REPORTER, n, identities, sealed, own)

    def withdraw(
        self, *, access: str, n: int, to: Sequence[VerifyKey], sealed: bytes | None
    ) -> None:
        """Withdraw the report: remove the access and all other items at once.

        The ``withdrawal`` itself is kept for the desks. Without a ``withdrawal`` (because nobody
        has a valid key), or if the mailbox has expired, everything is removed. Raises OutOfStep,
        BadShape, UnknownCounsellor, Gone, StoreBusy; never SiteFull.
        """
        identities = self._known(to) if sealed is not None else []
        item = check_message(sealed, len(identities)) if sealed is not None else ""
        try:
            self._take_back(access, n, identities, item, sealed)
        except SiteFull:  # the disk is full, and overwriting also needs some space
            if not self._store.make_room():
                raise
            self._take_back(access, n, identities, item, sealed)
        self._store.truncate_log()

    def _take_back(
        self, access: str, n: int, identities: Sequence[str], item: str, sealed: bytes | None
    ) -> None:
        with self._store.writing():
            info = self._store.mailbox_of(access)
            if info is None:
                raise Gone("no such conversation")
            day = self.today()
            if sealed is None or day >= self._expires(info):
                self._store.remove_mailbox(info.id)
            else:
                self._check_step(info.id, REPORTER, n)
                self._store.remove_items([old.id for old in self._store.items(info.id)])
                self._store.close_access(info.id)
                posted = ItemInfo(item, "message", REPORTER, n, day, len(sealed))
                self._post(info.id, posted, sealed)
                self._store.address(item, identities)
            self._store.add_withdrawn(info.id, day)

    # Actions of desks. A signature has already proved every identity here.

    def inbox(self, identity: VerifyKey, after: int) -> tuple[list[InboxRow], bool]:
        """Return the items after this counsellor's number ``after``, and whether more follow.

        The call counts as a fetch, and its day is stored for the rules on silent desks.
        """
        by, day = str(identity), self.today()
        if self._store.last_fetch(by) != day:
            with self._store.writing():
                self._store.set_last_fetch(by, day)
        rows = self._store.inbox(by, after, PAGE + 1)
        return rows[:PAGE], len(rows) > PAGE

    def listed(self, identity: VerifyKey, after: str = "", most: int = -1) -> tuple[Listed, ...]:
        """Return mailboxes whose newest reporter message is addressed to this counsellor, by id.

        The first id follows ``after``. There are at most ``most`` of them, unless it is negative.
        """
        with self._store.reading():
            return tuple(
                Listed(mailbox, tuple(sorted(self._store.newest(mailbox).items())))
                for mailbox in self._store.listed(str(identity), after, most)
            )

    def item_for(self, identity: VerifyKey, item: str) -> OpenFile | None:
        """Return a sealed file addressed to this counsellor; None if it does not exist."""
        with self._store.reading():
            known = self._store.item(item)
            if known is None or not self._store.is_addressed(str(identity), item):
                return None
            file = self._store.open(item)
        return OpenFile(known[1], file) if file is not None else None

    def messages_for(self, identity: VerifyKey, items: Sequence[str], most: int) -> list[bytes]:
        """Return sealed messages addressed to this counsellor; see ``addressed_messages``."""
        with self._store.reading():
            return addressed_messages(self._store, str(identity), items, most)

    def fetched(self, identity: VerifyKey, items: Sequence[str]) -> None:
        """Record that this counsellor's desk has these items. Unknown items are ignored."""
        with self._store.writing():
            for item in items:
                self._store.set_fetched(str(identity), item, self.today())

    def reply(
        self, *, identity: VerifyKey, mailbox: str, n: int, to: Sequence[VerifyKey], sealed: bytes
    ) -> None:
        """Store this counsellor's message ``n``. Storing the same bytes again succeeds.

        Raises Gone (also if the mailbox is not addressed to this counsellor), NotYours (``to``
        includes somebody whom the reporter's newest message does not address), OutOfStep, BadShape,
        MailboxFull, SiteFull, StoreBusy.
        """
        identities = texts_of(to)
        item = check_message(sealed, len(identities))
        by = str(identity)
        with self._store.writing():
            addressed = self._addressed_mailbox(by, mailbox)
            if is_repeat(self._store.item(item), mailbox, by):
                return
            if not set(identities) <= set(addressed):
                raise NotYours("the reporter's newest message does not address all of them")
            self._room.check(len(sealed), mailbox, kind=ANSWERS)
            self._room.check_messages(mailbox, by, len(sealed))
            self._check_step(mailbox, by, n, hole=True)
            self._message(mailbox, item, by, n, identities, sealed)

    def file_allowed(self, identity: VerifyKey, mailbox: str, size: int) -> None:
        """Check that ``put_file`` would accept this many bytes. Raises the same errors."""
        with self._store.reading():
            self._addressed_mailbox(str(identity), mailbox)
            self._room.check(size, mailbox, kind=FILES)

    def put_file(self, *, identity: VerifyKey, mailbox: str, item: str, staged: Staged) -> None:
        """Store this counsellor's attachment; the next message makes it visible.

        Raises Gone, BadShape, MailboxFull, SiteFull, StoreBusy.
        """
        check_attachment(staged, item, str(identity), self._site.settings.limits.file)
        with self._store.writing():
            self._addressed_mailbox(str(identity), mailbox)
            self._put(mailbox, str(identity), item, staged)

    def given_back(self, identity: VerifyKey, mailbox: str, given: bytes) -> None:
        """Accept a withdrawal that a desk sends again; see ``take_withdrawal``."""
        take_withdrawal(self._site, self._store, self.today(), identity, mailbox, given)

    def stage(self) -> Staged:
        """Return temporary storage for a sealed file that arrives in pieces."""
        return self._store.stage(new_digest())

    def take_card(self, identity: VerifyKey, raw: bytes) -> Card:
        """Replace this counsellor's card with a newer one. Raises CardError with the reason."""
        return self._site.update(identity, raw, self.today())

    def store_id(self) -> str:
        """Return the store id, which a restore changes so that desks notice the restore."""
        return self._store.store_id()

    def last_fetch(self, identity: VerifyKey) -> datetime.date | None:
        """Return the last day on which this counsellor's desk fetched."""
        return self._store.last_fetch(str(identity))

    def silent(self, identity: VerifyKey) -> bool:
        """Return whether this counsellor's desk has not fetched for the set number of days."""
        last = self.last_fetch(identity)
        return retention.silent(last, self.today(), self._site.settings.retention)

    # The rules.

    def _expires(self, info: MailboxInfo) -> datetime.date:
        return retention.shown(self._store, info, self._site, self.today()).expires

    def _known(self, to: Sequence[VerifyKey]) -> list[str]:
        """Return ``to`` as strings. Each needs a card on this site; the sealer checks its keys."""
        identities = texts_of(to)
        if not set(identities) <= {str(named.card.identity) for named in self._site.cards()}:
            raise UnknownCounsellor("no card of that identity")
        return identities

    def _check_beginning(self, n: int) -> None:
        """Check that message ``n`` may be stored if it would begin a conversation."""
        if n == 1 and self._site.ended():
            raise UnknownCounsellor("the site takes no new report")

    def _open(self, mailbox: str, access: str, size: int) -> bool:
        """Create a mailbox; return False if these two ids already have one."""
        known = self._store.mailbox(mailbox)
        if self._store.is_withdrawn(mailbox):
            raise Gone("no such conversation")
        if known is not None and known.access == access:
            self._of_access(access)
            return False
        if known is not None or self._store.mailbox_of(access) is not None:
            raise BadShape("the mailbox or the access id is taken")
        self._check_beginning(1)
        self._room.check(size)
        self._store.add_mailbox(mailbox, access, self.today())
        return True

    def _of_access(self, access: str) -> MailboxInfo:
        info = self._store.mailbox_of(access)
        if info is None or self.today() >= self._expires(info):
            raise Gone("no such conversation")
        return info

    def _addressed_mailbox(self, by: str, mailbox: str) -> tuple[str, ...]:
        """Return the newest addressees. Raises Gone unless ``by`` is one of the addressees."""
        info = self._store.mailbox(mailbox)
        addressed = self._store.addressed_last(mailbox) if info and info.access else ()
        if info is None or by not in addressed or self.today() >= self._expires(info):
            raise Gone("no such conversation")
        return addressed

    def _check_step(self, mailbox: str, author: str, n: int, *, hole: bool = False) -> None:
        """Check that ``n`` is the next number. ``hole``: allow gaps, as on a restored server."""
        newest = self._store.newest(mailbox).get(author, 0)
        if n <= newest or (n > newest + 1 and not hole):
            raise OutOfStep(newest)

    def _post(self, mailbox: str, info: ItemInfo, sealed: bytes | Staged) -> None:
        self._store.add_item(mailbox, info, sealed)
        self._store.touch(mailbox, info.day)

    def _message(
        self, mailbox: str, item: str, by: str, n: int, identities: Sequence[str], sealed: bytes,
        own: Collection[str] | None = None,
    ) -> None:  # fmt: skip
        """Store a message, and show it with its files. ``own``: the files that must be present."""
        day = self.today()
        # Authors also see their own items in their inbox, even if they cannot open them.
        readers = dict.fromkeys((*identities, *(() if by == REPORTER else (by,))))
        shown = [f for f in self._store.items(mailbox) if not f.n and f.author == by]
        stanzas = stanzas_of("attachment", by, len(identities))
        here: set[str] = set()
        for file in shown:
            if not fits(self._store.open(file.id), file.size, stanzas):
                self._store.remove_items([file.id])
                continue
            here.add(file.id)
            self._store.show(file.id, n, day)
            self._store.address(file.id, readers)
            self._mark_own(by, file.id, day)
        if own is not None and not here.issuperset(own):
            raise BadShape("a file of the message is not here, or is sealed to others")
        self._post(mailbox, ItemInfo(item, "message", by, n, day, len(sealed)), sealed)
        self._store.address(item, readers)
        self._mark_own(by, item, day)

    def _mark_own(self, by: str, item: str, day: datetime.date) -> None:
        if by != REPORTER:
            self._store.set_fetched(by, item, day)

    def _put(self, mailbox: str, by: str, item: str, staged: Staged) -> None:
        """Store a checked file, which stays invisible until a message that names it is stored."""
        if is_repeat(self._store.item(item), mailbox, by, "attachment"):
            return
        self._room.check(staged.size, mailbox, kind=FILES)
        file_parts.check_waiting(self._store, mailbox, by, self._site.settings.limits)
        info = ItemInfo(item, "attachment", by, 0, self.today(), staged.size)
        self._store.add_item(mailbox, info, staged)
