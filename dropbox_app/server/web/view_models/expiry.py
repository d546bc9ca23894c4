"""Sentences on when a conversation ends: already closed, deleted soon, or deleted on a later day.

Closing is only a notice from a counsellor (SPEC section 7). The server deletes conversations under
its own rules, and may change a promised day only to a later one.
"""

import datetime

from dropbox_app.protocol.messages import REPORTER, Message
from dropbox_app.protocol.thread import Thread
from dropbox_app.server.config.settings import Retention
from dropbox_app.server.reporter.agent import ReporterView
from dropbox_app.server.web.i18n import Words


class Ending:
    """The end of one conversation, as far as it is known today."""

    def __init__(
        self, view: ReporterView, told: Words, today: datetime.date, retention: Retention
    ) -> None:
        days = (view.expires - today).days
        self._soon = ""
        if days <= retention.notice:
            # The sentence names the last full day. In the Netherlands the UTC day of the deletion
            # begins after midnight, so "in one day" could be within the hour.
            last = told.date(view.expires - datetime.timedelta(days=1), today)
            self._soon = told.say("conversation.expires_soon", date=last)
        # A fetch can bring ``expires`` forward, so the sentence promises only the earlier day.
        idle = view.last_added + datetime.timedelta(days=retention.idle)
        earliest = told.date(min(view.expires, max(idle, today)), today)
        self._some_day = told.say("conversation.expires", date=earliest)
        closed = _closed(view.thread)
        self._closed = ""
        if closed is not None:
            self._closed = told.say("conversation.closed", date=told.date(closed.day, today))

    def notes(self) -> list[str]:
        """Return the sentences for the top of the page."""
        if self._closed:
            return [f"{self._closed} {self._soon or self._some_day}"]
        return [self._soon] if self._soon else []

    def some_day(self) -> str:
        """Return the sentence for the bottom of the page; "" if ``notes`` contains it."""
        return "" if self.notes() else self._some_day


def _closed(thread: Thread) -> Message | None:
    """Return the closing notice; None after a reopening or another message from the reporter."""
    closed = None
    for message in thread.genuine():
        status = message.body.get("status") if message.kind == "notice" else None
        if status == "closed":
            closed = message
        elif status == "reopened" or message.by == REPORTER:
            closed = None
    return closed
