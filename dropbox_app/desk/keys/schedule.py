"""Determine which sealing keys must exist and which must be destroyed (SPEC section 3).

Pure functions. A key is for one UTC month. Keys exist from the month of the second day before the
card is issued until three months after the month of issue, or longer if an announced absence
requires it.
"""

import datetime
from collections.abc import Sequence

from dropbox_app.desk.errors import Unfit
from dropbox_app.desk.storage.vault import HeldSeed
from dropbox_app.protocol.card import (
    MAX_WINDOWS,
    MONTHS_AHEAD,
    Away,
    Card,
    Window,
    month_window,
)
from dropbox_app.protocol.keys import Seed

AGREE_DAYS = 2  # maximum difference between the desk's day and the server's
KEEP_DAYS = 30  # after the end of a window, if the inbox was read to its end after it
KEEP_AT_MOST = 210  # after the end of a window, in any case
_ONE_DAY = datetime.timedelta(days=1)


def agree(here: datetime.date, there: datetime.date) -> bool:
    """Return whether the days of two clocks are close enough to confirm each other."""
    return abs((here - there).days) <= AGREE_DAYS


def months(day: datetime.date, away: Away | None) -> list[tuple[datetime.date, datetime.date]]:
    """Return the windows that a card issued on ``day`` must have, the oldest first.

    Raises Unfit if the absence ends too far ahead for one card.
    """
    windows = [month_window(day - AGREE_DAYS * _ONE_DAY)]
    last = day
    for _ in range(MONTHS_AHEAD):
        last = month_window(last)[1] + _ONE_DAY
    if away is not None:
        # Add a month after the absence, because the counsellor may return late.
        last = max(last, month_window(away.until)[1] + _ONE_DAY)
    while windows[-1][1] < last:
        windows.append(month_window(windows[-1][1] + _ONE_DAY))
        if len(windows) > MAX_WINDOWS:
            raise Unfit(
                "An absence can be announced for some ten months ahead; choose an earlier day, "
                "and announce the rest later.",
                "far_ahead",
            )
    return windows


def fill(
    held: Sequence[HeldSeed], wanted: Sequence[tuple[datetime.date, datetime.date]]
) -> tuple[list[HeldSeed], list[HeldSeed]]:
    """Return a seed for each wanted window, and a list of the new ones.

    A window that has a seed keeps it, so that a published window keeps its recipient.
    """
    there = {(one.first, one.until): one for one in held}
    made = [
        HeldSeed(Seed.generate(), first, until)
        for first, until in wanted
        if (first, until) not in there
    ]
    there |= {(one.first, one.until): one for one in made}
    return [there[window] for window in wanted], made


def windows(seeds: Sequence[HeldSeed]) -> list[Window]:
    """Return the entries of a card for the seeds."""
    return [Window(one.seed.recipient(), one.first, one.until) for one in seeds]


def stale(card: Card, wanted: Sequence[tuple[datetime.date, datetime.date]]) -> bool:
    """Return whether a card lacks a window that it should have by now."""
    there = {(window.first, window.until) for window in card.sealing}
    return not there.issuperset(wanted)


def destroy_on(held: HeldSeed) -> tuple[datetime.date, datetime.date]:
    """Return the earliest and the latest day for the destruction of a seed."""
    return (
        held.until + KEEP_DAYS * _ONE_DAY,
        held.until + KEEP_AT_MOST * _ONE_DAY,
    )


def overdue(held: Sequence[HeldSeed], day: datetime.date) -> list[HeldSeed]:
    """Return the seeds that must no longer exist on ``day``."""
    return doomed(held, day, None)


def doomed(
    held: Sequence[HeldSeed], day: datetime.date, read_to_end: datetime.date | None
) -> list[HeldSeed]:
    """Return the seeds to destroy on ``day``.

    ``read_to_end`` is the last day on which the inbox was read completely. If ``read_to_end`` is
    None, each seed is kept as long as allowed.
    """
    gone = []
    for one in held:
        early, late = destroy_on(one)
        read = read_to_end is not None and read_to_end > one.until + _ONE_DAY
        if day >= late or (day >= early and read):
            gone.append(one)
    return gone
