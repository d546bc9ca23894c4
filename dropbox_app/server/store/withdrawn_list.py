"""The list of withdrawn mailboxes, in a file next to the database.

The list is a separate file, so that restoring the database cannot bring a mailbox back.
"""

import bisect
import datetime
import os
from pathlib import Path

from dropbox_app.server.store.files import replace_whole

_ID = 64  # characters of a mailbox id
_LINE = _ID + len(" 2026-11-22\n")  # bytes of a line


class Withdrawn:
    """The ids of withdrawn mailboxes, each with its day: lines ``ID YYYY-MM-DD``, sorted.

    The store's transaction ensures that only one writer at a time replaces the complete file. The
    list is sorted by id, so that it does not reveal the order of a day's withdrawals.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, datetime.date]:
        """Return all entries. Raises ValueError for a damaged list."""
        try:
            text = self._path.read_text("ascii")
        except FileNotFoundError:
            return {}
        pairs = (line.split(" ") for line in text.split("\n")[:-1])
        return {mailbox: datetime.date.fromisoformat(day) for mailbox, day in pairs}

    def holds(self, mailbox: str) -> bool:
        """Return whether an id is in the list, by binary search, which is fast in long lists."""
        wanted = mailbox.encode("ascii")
        try:
            handle = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            lines, rest = divmod(os.fstat(handle).st_size, _LINE)
            if rest == 0 and len(wanted) == _ID:
                at = bisect.bisect_left(
                    range(lines), wanted, key=lambda n: os.pread(handle, _ID, n * _LINE)
                )
                line = os.pread(handle, _LINE, at * _LINE)
                if line[:_ID] == wanted:
                    return True
                if not line or line[_ID : _ID + 1] == b" ":
                    return False
        finally:
            os.close(handle)
        return mailbox in self.read()  # the file does not have the format of ``write``

    def add(self, mailbox: str, day: datetime.date) -> None:
        """Insert an id, or replace its day."""
        line = f"{mailbox} {day}\n".encode("ascii")
        data = self._path.read_bytes() if self._path.exists() else b""
        if len(data) % _LINE or len(line) != _LINE:
            self.write(self.read() | {mailbox: day}, day)
            return
        wanted = line[:_ID]
        at = _LINE * bisect.bisect_left(
            range(len(data) // _LINE), wanted, key=lambda n: data[n * _LINE : n * _LINE + _ID]
        )
        end = at + _LINE if data[at : at + _ID] == wanted else at
        replace_whole(self._path, data[:at] + line + data[end:], day)

    def write(self, days: dict[str, datetime.date], today: datetime.date) -> None:
        """Replace the list, and date the file ``today``."""
        text = "".join(f"{mailbox} {day}\n" for mailbox, day in sorted(days.items()))
        replace_whole(self._path, text.encode("ascii"), today)
