"""Permanently remove expired data (SPEC section 9)."""

import datetime
from dataclasses import dataclass

from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import SiteFull, WrongClock
from dropbox_app.server.mailboxes import retention
from dropbox_app.server.store.interface import Store

FAR = retention.FAR

STEP = 100  # mailboxes in each step


@dataclass(frozen=True)
class Purged:
    """The number of removals in a purge, and whether the write-ahead log was emptied afterwards."""

    mailboxes: int
    items: int  # removed from mailboxes that remain
    withdrawn_ids: int
    leftovers: int  # files that a crash left behind
    log_emptied: bool


def purge(site: Site, store: Store, today: datetime.date) -> Purged:
    """Remove all expired data, one mailbox at a time; record the day and empty the log.

    Removed rows are overwritten (secure_delete) and files are unlinked. A purge may run while the
    site is in use, and may be repeated at any time. Raises WrongClock if the date is doubted,
    StoreBusy, StoreError, SiteFull.
    """
    said = doubt(store, today)
    if said:
        raise WrongClock(said)
    try:
        return _purge(site, store, today)
    except SiteFull:
        if not store.make_room():
            raise
        return _purge(site, store, today)


def _purge(site: Site, store: Store, today: datetime.date) -> Purged:
    mailboxes = items = 0
    after: str | None = ""
    with store.walking():
        while after is not None:
            gone, fewer, after = step(site, store, today, after)
            mailboxes, items = mailboxes + gone, items + fewer
    until = today - datetime.timedelta(site.settings.retention.withdrawn_ids)
    with store.writing():
        withdrawn_ids = store.drop_withdrawn(until)
    leftovers = store.sweep()
    if store.served() != today:
        with store.writing():
            store.set_served(today)
    return Purged(mailboxes, items, withdrawn_ids, leftovers, store.truncate_log())


def expired(site: Site, store: Store, today: datetime.date) -> tuple[int, int]:
    """Count the expired mailboxes, and the expired items in other mailboxes."""
    mailboxes = items = 0
    with store.walking():
        for mailbox in store.mailboxes():
            gone, due = _due(site, store, mailbox, today)
            mailboxes, items = mailboxes + gone, items + len(due)
    return mailboxes, items


def step(site: Site, store: Store, today: datetime.date, after: str) -> tuple[int, int, str | None]:
    """Check the next STEP mailboxes and remove expired data from them.

    The check itself does not lock the store. Each mailbox with expired data gets its own
    transaction, so a report that arrives meanwhile waits for at most one transaction. Returns the
    number of mailboxes removed, the number of items removed from other mailboxes, and where to
    continue (None at the end).
    """
    mailboxes = items = 0
    names = store.mailboxes(after, STEP)
    for mailbox in names:
        if not any(_due(site, store, mailbox, today)):
            continue
        with store.writing():  # check again, because something may have been added since
            gone, due = _due(site, store, mailbox, today)
            if gone:
                store.remove_mailbox(mailbox)
                mailboxes += 1
            else:
                store.remove_items(due)
                items += len(due)
    return mailboxes, items, names[-1] if len(names) == STEP else None


def doubt(store: Store, today: datetime.date) -> str:
    """Return the reason to doubt the date, which prevents a purge; "" if the date is plausible."""
    anything = bool(store.mailboxes("", 1))
    return doubted(store.newest_day(), store.served(), anything, today)


def doubted(
    newest: datetime.date | None,
    served: datetime.date | None,
    anything: bool,
    today: datetime.date,
) -> str:
    """Like ``doubt``, but for values that the caller has already read.

    ``newest`` is the newest day stored, ``served`` the day of the last maintenance, and
    ``anything`` whether a mailbox exists. A date is doubted if it is before ``newest`` or more than
    FAR days after ``served``: with a wrong clock, a purge would end every conversation.
    """
    if newest is not None and today < newest:
        return f"it says {today}, but something here is dated {newest}"
    if served is not None and (today - served).days > FAR and anything:
        return f"it says {today}, but the last purge was on {served}"
    return ""


def confirm(store: Store, today: datetime.date) -> None:
    """Accept ``today`` as the right date, and replace every later stored date with it."""
    with store.writing():
        store.redate(today)
        store.set_served(today)


def _due(
    site: Site, store: Store, mailbox: str, today: datetime.date
) -> tuple[bool, tuple[str, ...]]:
    """Return whether the mailbox expires today; if it does not, also return its expired items."""
    with store.reading():
        info = store.mailbox(mailbox)
        if info is None:
            return False, ()
        if retention.quiet(info, store.items(mailbox), today, site.settings.retention):
            return False, ()
        lifetime = retention.read(store, info, site, today)
    gone = today >= lifetime.expires
    return gone, () if gone else lifetime.due
