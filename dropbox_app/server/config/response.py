"""The number of working days within which a counsellor answers, and the rules based on that number.

The pages promise an answer within ``response_days`` working days. To keep that promise, a desk must
fetch messages at least that often. The daily mail reminds the counsellor to fetch in time, and
``site check`` and ``doctor`` report a late desk. The pages mention the delay after another GRACE
working days without a fetch.
"""

import datetime

GRACE = 2  # working days after the promised ones before the pages say that nobody has looked


def working_days(after: datetime.date, until: datetime.date) -> int:
    """Return the number of weekdays after ``after``, up to and including ``until``.

    Public holidays count as working days, because the server does not know them. A desk may
    therefore be asked to fetch a day early, and the pages say "weekdays" where they count days.
    Returns 0 if ``until`` is not later than ``after``.
    """
    days = max((until - after).days, 0)
    weeks, rest = divmod(days, 7)
    weekday = after.weekday()
    return weeks * 5 + sum((weekday + day) % 7 < 5 for day in range(1, rest + 1))


def due(last: datetime.date | None, today: datetime.date, promised: int) -> bool:
    """Return whether a desk must fetch today to keep the promise. ``last`` is its last fetch."""
    return last is None or working_days(last, today) >= promised


def late(last: datetime.date | None, today: datetime.date, promised: int) -> bool:
    """Return whether a desk fetches too rarely to keep the promise. ``last`` is its last fetch."""
    return last is None or working_days(last, today) > promised


def quiet_for(promised: int) -> int:
    """Return the number of full working days without a fetch after which pages mention a delay."""
    return promised + GRACE


def quiet(last: datetime.date, today: datetime.date, promised: int) -> bool:
    """Return whether ``quiet_for(promised)`` full working days have passed since ``last``."""
    return working_days(last, today) > quiet_for(promised)
