"""Record the state of each of today's emails (begun, sent), so that none is sent twice.

Every change replaces the file atomically and is on disk before the work continues.
"""

import datetime
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dropbox_app.server.errors import MailError
from dropbox_app.server.store.files import read_small, replace_whole

PLACE = Path("/var/lib/klankbord-notify")
FILE = "today"
LAST = "last"  # the last day on which every mail was sent; the account of ``doctor`` may read it


class State:
    """The record of one day, by card name. On a new day, the record is empty."""

    def __init__(self, folder: Path, today: datetime.date) -> None:
        """Read the record. Raises MailError."""
        self._folder = folder
        self._today = today
        self.begun: set[str] = set()
        self.sent: set[str] = set()
        path = folder / FILE
        try:
            values = json.loads(path.read_text("ascii"))
            if values["day"] == today.isoformat():
                self.begun, self.sent = set(values["begun"]), set(values["sent"])
        except FileNotFoundError:
            pass
        except (ValueError, LookupError, TypeError):
            # Only complete files are ever written here, so no content is guessed.
            raise MailError(f"{path} is damaged; remove it after today's mails arrived") from None

    def begin(self, cards: Iterable[str]) -> None:
        """Record that the email about these cards is about to be sent."""
        self.begun |= set(cards)
        self._write()

    def not_taken(self, cards: Iterable[str]) -> None:
        """Record that the provider did not accept the email about these cards."""
        if self.begun & set(cards):
            self.begun -= set(cards)
            self._write()

    def taken(self, cards: Iterable[str]) -> None:
        """Record that the provider accepted the email about these cards."""
        self.sent |= set(cards)
        self._write()

    def all_went(self) -> None:
        """Record that every email was sent today."""
        if last(self._folder) != self._today:
            self._replace(LAST, f"{self._today}\n", 0o644)

    def _write(self) -> None:
        values = {"day": self._today.isoformat()}
        sets = {"begun": sorted(self.begun), "sent": sorted(self.sent)}
        self._replace(FILE, json.dumps(values | sets) + "\n", 0o600)

    def _replace(self, name: str, text: str, mode: int) -> None:
        try:
            replace_whole(self._folder / name, text.encode("ascii"), self._today, mode)
        except OSError as error:
            raise MailError(f"{self._folder}: cannot be written: {error.strerror}") from None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a lock so that no second mailer runs. Raises MailError, OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MailError("another run is sending right now") from None
        yield
    finally:
        os.close(handle)


def last(folder: Path) -> datetime.date | None:
    """Return the last day on which every email was sent; None if there is none. Raises OSError."""
    try:
        said = read_small(folder / LAST, 100).decode("ascii")
        return datetime.date.fromisoformat(said.strip())
    except (FileNotFoundError, ValueError):
        return None


def late(folder: Path, today: datetime.date) -> str:
    """Return a message for ``doctor``, or "" if every email was sent recently enough."""
    try:
        day = last(folder)
    except OSError as error:
        return f"{folder / LAST} cannot be read: {error.strerror}"
    if day is None:
        return "none has gone out yet"
    return f"the last day on which every one went out is {day}" if (today - day).days > 1 else ""
