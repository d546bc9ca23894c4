"""Purging: what has lived its term is removed for good (SPEC section 9)."""

import datetime
from dataclasses import dataclass

from dropbox_app.server import lifetimes
from dropbox_app.server.errors import WrongClock
from dropbox_app.server.sites import Site
from dropbox_app.server.store import Store


@dataclass(frozen=True)
class Purged:
    """What a purge removed, as counts, and whether the log could be emptied after it."""

    mailboxes: int
    items: int  # of mailboxes that live on
    withdrawn_ids: int
    leftovers: int  # files that a crash left behind
    log_emptied: bool


def purge(site: Site, store: Store, today: datetime.date) -> Purged:
    """Remove everything whose term is over, mailbox by mailbox, then empty the log.

    Removed rows are overwritten (secure_delete), files unlinked. May run while the site serves,
    and again at any time. Raises WrongClock on a day before one that stands in the store,
    StoreBusy, StoreError.
    """
    newest = store.newest_day()
    if newest is not None and today < newest:
        raise WrongClock(f"it says {today}, but something here is of {newest}")
    mailboxes = items = 0
    for mailbox in store.mailboxes():
        if not any(_due(site, store, mailbox, today)):
            continue
        with store.writing():  # looked at again: something may have been added since
            gone, due = _due(site, store, mailbox, today)
            if gone:
                store.remove_mailbox(mailbox)
                mailboxes += 1
            else:
                store.remove_items(due)
                items += len(due)
    until = today - datetime.timedelta(site.settings.retention.withdrawn_ids)
    with store.writing():
        withdrawn_ids = store.drop_withdrawn(until)
    leftovers = store.sweep()
    return Purged(mailboxes, items, withdrawn_ids, leftovers, store.truncate_log())


def _due(
    site: Site, store: Store, mailbox: str, today: datetime.date
) -> tuple[bool, tuple[str, ...]]:
    """Whether the mailbox goes today, and if not, which of its items."""
    with store.reading():
        info = store.mailbox(mailbox)
        if info is None:
            return False, ()
        lifetime = lifetimes.read(store, info, site, today)
    gone = today >= lifetime.expires
    return gone, () if gone else lifetime.due
