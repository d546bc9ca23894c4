"""The rules on how long data is kept (SPEC section 9), as pure arithmetic on days."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dropbox_app.server.config.settings import Retention
from dropbox_app.server.config.site import Site
from dropbox_app.server.mailboxes.file_parts import is_full_part
from dropbox_app.server.store.interface import REPORTER, Addressed, ItemInfo, MailboxInfo, Store

FAR = 31  # days without upkeep after which the clock is doubted until somebody confirms it
HALF_SENT = 2  # days that a mailbox without messages, or a file without its message, is kept
PART_SENT = 1  # the same for a part of a file, which its sender can send again


@dataclass(frozen=True)
class Addressees:
    """The facts about the addressees of the reporter's newest message that the rules need."""

    silent: bool  # True if none of their desks has fetched for the set number of days
    absences: tuple[datetime.date, ...] = ()  # the last day of each announced absence


@dataclass(frozen=True)
class Lifetime:
    """A mailbox's items, the day on which it expires, and the items that expire before it."""

    items: tuple[ItemInfo, ...]
    expires: datetime.date
    due: tuple[str, ...]


def silent(last_fetch: datetime.date | None, today: datetime.date, retention: Retention) -> bool:
    """Return whether a desk has never fetched, or not for the set number of days."""
    return last_fetch is None or (today - last_fetch).days >= retention.silent_desk


def quiet(
    info: MailboxInfo, items: Sequence[ItemInfo], today: datetime.date, retention: Retention
) -> bool:
    """Return True if nothing in the mailbox can have expired, regardless of fetch state.

    The check uses the shortest possible terms, so it needs only the items.
    """
    shown = any(item.n for item in items)
    idle = info.last_added + datetime.timedelta(retention.idle)
    if info.access is None or not shown or idle <= today:
        return False
    messages = sorted((item for item in items if item.what == "message"), key=lambda i: i.n)
    newest = {item.author: item.id for item in messages}
    for item in items:
        if item.id == newest.get(item.author):
            continue  # this item stays as long as the mailbox exists
        by_reporter = item.author == REPORTER
        term = retention.reporter_items if by_reporter else retention.counsellor_items
        least = min(term, retention.unfetched) if item.n else _unsent(item)
        if item.day + datetime.timedelta(least) <= today:
            return False
    return True


def shown(store: Store, info: MailboxInfo, site: Site, today: datetime.date) -> Lifetime:
    """Return a mailbox's lifetime for a visitor. Nothing expires while the date is in doubt.

    The clock may be wrong (see ``purge.doubted``), so nothing is removed until the operator
    confirms the date.
    """
    lifetime = read(store, info, site, today)
    served = store.served()
    if served is not None and (today - served).days > FAR:
        tomorrow = today + datetime.timedelta(1)
        return replace(lifetime, expires=max(lifetime.expires, tomorrow), due=())
    return lifetime


def read(store: Store, info: MailboxInfo, site: Site, today: datetime.date) -> Lifetime:
    """Return the lifetime of a mailbox on the assumption that ``today`` is right."""
    retention = site.settings.retention
    to = store.addressed_last(info.id)
    cards = {str(named.card.identity): named.card for named in site.cards()}
    addressees = Addressees(
        all(silent(store.last_fetch(identity), today, retention) for identity in to),
        tuple(card.away.until for i in to if (card := cards.get(i)) and card.away),
    )
    items = store.items(info.id)
    return plan(info, items, store.addressed(info.id), addressees, today, retention)


def plan(
    info: MailboxInfo,
    items: Sequence[ItemInfo],
    addressed: Sequence[Addressed],
    addressees: Addressees,
    today: datetime.date,
    retention: Retention,
) -> Lifetime:
    """Apply the rules. Items that another rule still needs are not listed as expired."""
    fetches: dict[str, list[datetime.date | None]] = {}
    for row in addressed:
        fetches.setdefault(row.item, []).append(row.fetched)
    ends = {item.id: _end(item, fetches.get(item.id, []), retention) for item in items}
    unfetched = {item.id for item in items if None in fetches.get(item.id, [])}
    expires = _expires(info, items, ends, unfetched, addressees, retention)
    due = []
    for author in {item.author for item in items}:
        if author == REPORTER and addressees.silent and info.access is not None:
            # The items may be needed again if the reporter chooses another counsellor.
            due += [i.id for i in items if i.author == author and not i.n and ends[i.id] <= today]
            continue
        own = [item for item in items if item.author == author]
        due += [i.id for i in own if i.what == "attachment" and ends[i.id] <= today]
        messages = sorted((i for i in own if i.what == "message"), key=lambda i: i.n)
        for message in messages[:-1]:  # the newest message stays as long as the mailbox exists
            if ends[message.id] > today:
                break  # remove the oldest first: a gap would look like a withheld message
            due.append(message.id)
    return Lifetime(tuple(items), expires, tuple(sorted(due)))


def _end(
    item: ItemInfo, fetches: Sequence[datetime.date | None], retention: Retention
) -> datetime.date:
    """Return the day on which an item expires, regardless of other items."""
    if not item.n:
        return item.day + datetime.timedelta(_unsent(item))
    known = [day for day in fetches if day is not None]
    if len(known) < len(fetches):
        return item.day + datetime.timedelta(retention.unfetched)
    by_reporter = item.author == REPORTER
    term = retention.reporter_items if by_reporter else retention.counsellor_items
    return max([item.day, *known]) + datetime.timedelta(term)


def _unsent(item: ItemInfo) -> int:
    """Return how many days an item is kept if its message does not arrive."""
    return PART_SENT if is_full_part(item) else HALF_SENT


def _expires(
    info: MailboxInfo,
    items: Sequence[ItemInfo],
    ends: dict[str, datetime.date],
    unfetched: set[str],
    addressees: Addressees,
    retention: Retention,
) -> datetime.date:
    shown = [item for item in items if item.n]
    if not shown:
        return info.created + datetime.timedelta(HALF_SENT)
    if info.access is None:  # only the withdrawal remains, waiting for the desks
        fetched = not any(item.id in unfetched for item in shown)
        return max(i.day if fetched else ends[i.id] for i in shown)
    days = [info.last_added + datetime.timedelta(retention.idle)]
    days += [ends[i.id] for i in shown if i.id in unfetched]
    # Reporters' messages that a counsellor has just fetched can still be answered. Without this
    # line, a counsellor who returns from a long absence would lose the conversation the next day.
    days += [ends[i.id] for i in shown if i.author == REPORTER]
    if addressees.silent:
        days.append(info.last_added + datetime.timedelta(retention.unfetched))
    expires = max(days)
    for until in sorted(addressees.absences):
        if until >= expires:
            expires = until + datetime.timedelta(retention.absence)
    return expires
