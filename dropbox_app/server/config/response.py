"""How many working days a counsellor has to answer, and everything that follows from that number.

The pages promise an answer within ``response_days`` working days. A desk keeps that promise by
fetching at least that often: the daily mail asks for it, ``site check`` and ``doctor`` name a desk
that is late, and the pages say so once nobody has looked for GRACE working days more.
"""

import datetime

GRACE = 2  # working days beyond the promise until the pages say that nobody has looked


def working_days(after: datetime.date, until: datetime.date) -> int:
    """Return the number of days from Monday to Friday after one day, up to and with another.

    Public holidays count as working days, since the server does not know them; a desk is so
    asked to fetch a day early, and the pages speak of weekdays where they count. 0 if ``until``
    is not later.
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
    """Return the whole working days without a fetch after which the pages mention it."""
    return promised + GRACE


def quiet(last: datetime.date, today: datetime.date, promised: int) -> bool:
    """Return whether ``quiet_for(promised)`` whole working days have passed since ``last``."""
    return working_days(last, today) > quiet_for(promised)
