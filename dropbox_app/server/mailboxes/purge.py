"""Purging: what has lived its term is removed for good (SPEC section 9)."""

import datetime
from dataclasses import dataclass

from dropbox_app.server.config.site import Site
from dropbox_app.server.errors import SiteFull, WrongClock
from dropbox_app.server.mailboxes import retention
from dropbox_app.server.store import Store

FAR = retention.FAR

STEP = 100  # mailboxes


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
    after: str | None = ""
    with store.walking():
        while after is not None:
            gone, fewer, after = step(site, store, today, after)
            mailboxes, items = mailboxes + gone, items + fewer
    until = today - datetime.timedelta(site.settings.retention.withdrawn_ids)
    with store.writing():
        withdrawn_ids = store.drop_withdrawn(until)
    leftovers = store.sweep()
    return Purged(mailboxes, items, withdrawn_ids, leftovers, store.truncate_log())


def step(site: Site, store: Store, today: datetime.date, after: str) -> tuple[int, int, str | None]:
    """Look at the next STEP mailboxes, and remove what is over there.

    Looking holds up nobody; each mailbox with something to remove is a transaction of its own, so
    that a report in between waits for one at most. Gives how many mailboxes went, how many items
    of others, and where to go on: None at the end.
    """
    mailboxes = items = 0
    names = store.mailboxes(after, STEP)
    for mailbox in names:
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
    return mailboxes, items, names[-1] if len(names) == STEP else None


def daily(site: Site, store: Store, today: datetime.date, *, ran: int = 0) -> Purged:
    """Purge, and note the day. ``ran``: days for which this process has run, by its own count.

    A clock that went on by more than FAR days since the last upkeep, while nothing here saw them
    pass, is not believed: it may be wrong, and would end every conversation. Raises as ``purge``.
    """
    said = doubt(store, today, ran)
    if said:
        raise WrongClock(said)
    try:
        purged = purge(site, store, today)
    except SiteFull:
        if not store.make_room():
            raise
        purged = purge(site, store, today)
    if store.served() != today:
        with store.writing():
            store.set_served(today)
    return purged


def doubt(store: Store, today: datetime.date, ran: int = 0) -> str:
    """Why the clock is not believed; nothing if it is."""
    anything = bool(store.mailboxes("", 1))
    return doubted(store.newest_day(), store.served(), anything, today, ran)


def doubted(
    newest: datetime.date | None,
    served: datetime.date | None,
    anything: bool,
    today: datetime.date,
    ran: int = 0,
) -> str:
    """The same by what was seen: the newest day, that of the last upkeep, whether there is a
    mailbox."""
    if newest is not None and today < newest:
        return f"it says {today}, but something here is of {newest}"
    if served is not None and (today - served).days - ran > FAR and anything:
        return f"it says {today}, but the last upkeep was on {served}"
    return ""


def confirm(store: Store, today: datetime.date) -> None:
    """The operator says that this day is right: what is of a later day gets this one."""
    with store.writing():
        store.redate(today)
        store.set_served(today)


def _due(
    site: Site, store: Store, mailbox: str, today: datetime.date
) -> tuple[bool, tuple[str, ...]]:
    """Whether the mailbox goes today, and if not, which of its items."""
    with store.reading():
        info = store.mailbox(mailbox)
        if info is None:
            return False, ()
        if retention.quiet(info, store.items(mailbox), today, site.settings.retention):
            return False, ()
        lifetime = retention.read(store, info, site, today)
    gone = today >= lifetime.expires
    return gone, () if gone else lifetime.due
