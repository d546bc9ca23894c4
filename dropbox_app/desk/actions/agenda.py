"""The agenda: items due according to the register, and answers that sites have promised."""

import datetime
from collections.abc import Iterable

from dropbox_app.desk.actions import register, threads
from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.register import due, workdays
from dropbox_app.desk.register.due import Due
from dropbox_app.desk.register.events import Event
from dropbox_app.desk.storage import rows


def agenda(place: Workplace, days: int | None = None) -> list[Due]:
    """Return the items due within ``days`` days, or all if ``days`` is None; overdue ones first.

    An answer is due on the last working day of the response time that the site promises. The
    counsellor's days off do not count as working days here, although the site does not know those
    days.
    """
    register.adopt(place)
    today = place.machine.today()
    off = due.days_off(register.every(place))
    found = sorted([*_due(place, today), *_answers(place, off)], key=due.in_order)
    last = datetime.date.max if days is None else today + datetime.timedelta(days=days)
    return [one for one in found if one.day <= last]


def dated(place: Workplace, days: int) -> list[Due]:
    """Return the register's items that are due within ``days`` days; overdue items come first.

    Answers to reporters are not included; ``today.today`` returns them.
    """
    today = place.machine.today()
    last = today + datetime.timedelta(days=days)
    return _due(place, today, last)


def calendar(found: Iterable[Due], today: datetime.date) -> bytes:
    """Return an iCalendar file that marks the days on which something is due, without details.

    Overdue items appear on ``today``.
    """
    return due.icalendar({max(one.day, today) for one in found}).encode("ascii")


def _due(
    place: Workplace, today: datetime.date, last: datetime.date = datetime.date.max
) -> list[Due]:
    book = place.book()
    if "looked at" not in book.made:
        book.made["looked at"] = [one for one in book.events if isinstance(one, due.LOOKED_AT)]
    given: list[Event] = book.made["looked at"]
    return due.until(last, given, today, book.standings.values(), book.sheets)


def _answers(place: Workplace, off: set[datetime.date]) -> list[Due]:
    promised = rows.response_days(place.database)
    return [
        Due(
            workdays.after(one.summary.since, promised[one.site], off), "answer", one.employer,
            name=one.label or one.mailbox[:8],
        )
        for one in threads.choose(place, promised, "awaited").first
        if one.summary.since and promised[one.site]
    ]  # fmt: skip
