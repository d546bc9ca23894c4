"""Re-apply withdrawals that a desk reports after the server was restored from an old backup.

A desk sends its own messages again in the usual way. A withdrawal is signed by the reporter, so it
is accepted on that signature, whichever desk sends it (SPEC section 7).
"""

import datetime

from dropbox_app.protocol import withdrawal
from dropbox_app.protocol.errors import FormatError, MessageError
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import BadShape, Gone, SiteFull
from dropbox_app.server.mailboxes.validation import check_message, texts_of
from dropbox_app.server.store.interface import REPORTER, ItemInfo, Store


def take_withdrawal(
    site: Site, store: Store, day: datetime.date, by: VerifyKey, mailbox: str, given: bytes
) -> None:
    """Withdraw a conversation that a restore brought back. A repeated call succeeds.

    As in an ordinary withdrawal, the access and the items are removed, and the ``withdrawal`` waits
    for the desks. The message number is not checked. Anything that the reporter has written in this
    mailbox since the withdrawal is removed too, because it should not exist. Raises BadShape, Gone
    (the mailbox does not exist), StoreBusy; never SiteFull.
    """
    try:
        message, sealed = withdrawal.read(given, site=site.settings.site, mailbox=mailbox)
    except (FormatError, MessageError) as error:
        raise BadShape(str(error)) from None
    to = texts_of(message.to)
    item = check_message(sealed, len(to))
    known = {str(named.card.identity) for named in site.cards()}
    info = ItemInfo(item, "message", REPORTER, message.n, day, len(sealed))
    readers = [identity for identity in to if identity in known]
    try:
        _take_back(store, mailbox, info, sealed, readers, str(by))
    except SiteFull:  # the disk is full, and overwriting also needs some space
        if not store.make_room():
            raise
        _take_back(store, mailbox, info, sealed, readers, str(by))
    store.truncate_log()


def _take_back(
    store: Store, mailbox: str, info: ItemInfo, sealed: bytes, readers: list[str], by: str
) -> None:
    with store.writing():
        there = store.mailbox(mailbox)
        if there is None:
            raise Gone("no such conversation")
        if there.access is None:
            return
        known = store.item(info.id)
        if known is not None and known[0] != mailbox:
            raise BadShape("this sealed file is another item already")
        store.remove_items([old.id for old in store.items(mailbox)])
        store.close_access(mailbox)
        if readers:
            store.add_item(mailbox, info, sealed)
            store.touch(mailbox, info.day)
            store.address(info.id, readers)
            if by in readers:
                store.set_fetched(by, info.id, info.day)
        else:
            store.remove_mailbox(mailbox)
        store.add_withdrawn(mailbox, info.day)
