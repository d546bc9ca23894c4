"""The counsellor's private account: the hours agreed with an employer, and the hours spent.

The account is never printed for an employer, because a price or report that depends on hours
reveals the amount of work.
"""

from collections.abc import Iterable

from dropbox_app.desk.register.events import (
    Activity,
    Advice,
    Contact,
    Event,
    Hours,
    OfEmployer,
    Statistic,
)

# The kinds of work in the account's order. Hours have their own words.
WITH_REPORTERS, ADVICE, ACTIVITY = "contact", "advice", "activity"


def minutes(given: Iterable[Event], employer: str, year: int) -> dict[str, int]:
    """Return the minutes of a calendar year at an employer by kind of work, largest first.

    The rows that remain of destroyed cases count as contacts.
    """
    found: dict[str, int] = {}
    for event in given:
        if not isinstance(event, OfEmployer) or event.employer != employer:
            continue
        kind = _kind(event)
        if kind and event.date.year == year:
            found[kind] = found.get(kind, 0) + (getattr(event, "minutes", None) or 0)
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _kind(event: OfEmployer) -> str:
    if isinstance(event, Contact | Statistic):
        return WITH_REPORTERS
    if isinstance(event, Advice):
        return ADVICE
    if isinstance(event, Activity):
        return ACTIVITY
    return (event.work or "other") if isinstance(event, Hours) else ""
