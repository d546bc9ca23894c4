"""Today's work at all sites: what waits for the counsellor, for reporters, and to be sent."""

import datetime
from dataclasses import dataclass

from dropbox_app.desk.actions import threads
from dropbox_app.desk.actions.threads import Listed
from dropbox_app.desk.folder import Workplace


@dataclass(frozen=True)
class Today:
    """The day's work.

    ``mine``: threads in which the counsellor is to answer, or has something to read; first those
    whose reporter does not feel safe, then those with an answer about consent, then the oldest.
    ``to_send``: threads with a message that the server does not have yet; such a thread may also
    be among ``mine``. ``theirs``: threads in which the reporter is to answer, the oldest first.
    """

    day: datetime.date
    mine: tuple[Listed, ...]
    to_send: tuple[Listed, ...]
    theirs: tuple[Listed, ...]


def today(place: Workplace, site: str = "") -> Today:
    """Return the day's work, of all sites or of the one that ``site`` names. Raises NotFound."""
    found = sorted(threads.list_threads(place, site), key=_oldest)
    mine = [one for one in found if one.summary.turn == "counsellor" or one.summary.unread]
    to_send = [one for one in found if one.summary.waiting]
    known = {(one.site, one.mailbox) for one in (*mine, *to_send)}
    theirs = [one for one in found if one.summary.turn == "reporter"]
    return Today(
        day=place.machine.today(),
        mine=tuple(sorted(mine, key=_urgency)),
        to_send=tuple(to_send),
        theirs=tuple(one for one in theirs if (one.site, one.mailbox) not in known),
    )


def _oldest(one: Listed) -> tuple[datetime.date, str]:
    return one.summary.since or one.summary.last_day, one.mailbox


def _urgency(one: Listed) -> tuple[bool, bool]:
    return not one.summary.not_safe, not one.summary.consent
