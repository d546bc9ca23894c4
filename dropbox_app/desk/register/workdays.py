"""Working days: Monday to Friday, except Dutch public holidays and the counsellor's days off."""

import datetime
import functools
from collections.abc import Collection

_WEEKEND = 5  # Saturday, if Monday is 0


def after(day: datetime.date, count: int, off: Collection[datetime.date] = ()) -> datetime.date:
    """Return the day that is ``count`` working days after ``day``. ``off`` are days off."""
    left = count
    while left:
        day += datetime.timedelta(days=1)
        left -= is_one(day, off)
    return day


def is_one(day: datetime.date, off: Collection[datetime.date] = ()) -> bool:
    """Return whether a day is a working day."""
    return day.weekday() < _WEEKEND and day not in _public(day.year) and day not in off


@functools.cache
def _public(year: int) -> frozenset[datetime.date]:
    import holidays  # only where days are counted: each start of the program would wait for it

    return frozenset(holidays.country_holidays("NL", years=year))
