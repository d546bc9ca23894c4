"""The day's work at all sites: threads that need action, and messages still to be sent."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dropbox_app.desk.actions import register, threads
from dropbox_app.desk.actions.threads import Listed
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import cases
from dropbox_app.desk.storage import rows
from dropbox_app.desk.storage.lists import Order, Which
from dropbox_app.desk.storage.rows import Promise
from dropbox_app.desk.threads import turn

MOST_UNSAFE = 500
_GROUPS: Mapping[Which, Order] = {"mine": "urgent", "to_send": "oldest", "theirs": "oldest"}


@dataclass(frozen=True)
class Read:
    """The day on which a site's inbox was last read completely, or None.

    ``late``: since then, more working days have passed than the site's promised response time.
    """

    site: str
    employer: str
    day: datetime.date | None
    response_days: int
    late: bool


@dataclass(frozen=True)
class Today:
    """The day's work.

    ``mine``: threads that the counsellor should answer or read. Threads whose reporter does not
    feel safe come first, then those with an answer about consent, then the oldest. ``to_send``:
    threads with a message that the server does not have yet; they may also be in ``mine``.
    ``theirs``: threads that wait for the reporter's answer, oldest first. ``all``: the total number
    of threads in each group, including those left out. ``unsafe``: the number of threads in
    ``mine`` whose reporter does not feel safe. ``read``: each site by its employer's name, late
    sites first.
    """

    day: datetime.date
    mine: tuple[Listed, ...]
    to_send: tuple[Listed, ...]
    theirs: tuple[Listed, ...]
    all: Mapping[str, int]
    unsafe: int
    read: tuple[Read, ...]


def today(place: Workplace, site: str = "", most: int | None = None) -> Today:
    """Return the day's work for all sites, or only for ``site``. Raises NotFound.

    ``most`` limits the threads in each group. Up to 500 further threads whose reporter does not
    feel safe are also returned, so that a flood of such reports cannot hide a real one.
    """
    at = place.names(site)
    unsafe = threads.choose(place, at, "unsafe", most=0).all
    groups = {}
    for name, order in _GROUPS.items():
        least = min(unsafe, MOST_UNSAFE) if name == "mine" else 0
        up_to = None if most is None else max(most, least)
        groups[name] = threads.choose(place, at, name, order, up_to)
    return Today(
        day=place.machine.today(),
        mine=groups["mine"].first,
        to_send=groups["to_send"].first,
        theirs=groups["theirs"].first,
        all={name: group.all for name, group in groups.items()},
        unsafe=unsafe,
        read=tuple(_read(place, site)),
    )


def phases(place: Workplace, listed: Iterable[Listed]) -> dict[str, str]:
    """Return the phase of each thread's case, by mailbox, as the list of cases shows it.

    A thread without a case counts as new. A thread is left out if its employer's level of recording
    keeps no phase, because its case would be shown as new until it is closed.
    """
    book, found = place.book(), {}
    for one in listed:
        case = book.standings.get(book.case_of_thread.get(one.mailbox, ""))
        employer = case.employer if case else register.employer_of(place, one)
        phase = case.phase if case else "new"
        if phase == "closed" or cases.level(book.sheets.get(employer)) != "none":
            found[one.mailbox] = phase
    return found


def _read(place: Workplace, site: str) -> list[Read]:
    known, day = rows.promises(place.database), place.machine.today()
    found = [
        Read(
            one, employer, known[one].read_to_end, known[one].response_days, _late(known[one], day)
        )
        for one, employer in place.names(site).items()
    ]
    return sorted(found, key=lambda one: (not one.late, one.employer.casefold()))


def _late(known: Promise, day: datetime.date) -> bool:
    if known.read_to_end is None:
        return True
    days = known.response_days
    return bool(days) and day > turn.answer_by(known.read_to_end, days)
