"""The working days within which a counsellor answers, and everything that follows from them.

The pages promise an answer within ``response_days`` working days. A desk keeps that promise by
fetching at least that often: the daily mail asks for it, ``site check`` and ``doctor`` report a
late desk, and the pages say so after another GRACE working days without a fetch.
"""

import datetime

GRACE = 2  # working days beyond the promise before the pages say that nobody has looked


def working_days(after: datetime.date, until: datetime.date) -> int:
    """Return the number of days from Monday to Friday after one day, up to and including another.

    Public holidays count as working days, since the server does not know them; so a desk may be
    asked to fetch a day early, and the pages say weekdays where they count days. 0 if ``until`` is
    not later.
    """
    days = max((until - after).days, 0)
    weeks, rest = divmod(days, 7)
    weekday = after.weekday()
    return weeks * 5 + sum((weekday + day) % 7 < 5 for day in range(1, rest + 1))


def due(last: datetime.date | None, today: datetime.date, promised: int) -> bool:
    """Return whether a desk has to fetch today to keep the promise. ``last``: its last fetch."""
    return last is None or working_days(last, today) >= promised


def late(last: datetime.date | None, today: datetime.date, promised: int) -> bool:
    """Return whether a desk fetches less often than the site promises an answer."""
    return last is None or working_days(last, today) > promised


def quiet_for(promised: int) -> int:
    """Return the number of full working days without a fetch after which the pages mention it."""
    return promised + GRACE


def quiet(last: datetime.date, today: datetime.date, promised: int) -> bool:
    """Return whether ``quiet_for(promised)`` full working days have passed since ``last``."""
    return working_days(last, today) > quiet_for(promised)
