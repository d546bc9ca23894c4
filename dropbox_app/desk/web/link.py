"""The one-time link that admits a browser. The link is valid once, for one minute.

The browser gets the link in a file that only this user can read. The link is never on a command
line, which every user of the computer can read.
"""

import contextlib
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

PATH = "/in/"
SECONDS = 60
_PAGE = (
    '<!doctype html><html lang="nl"><meta charset="utf-8"><title>Bericht</title>'
    '<meta http-equiv="refresh" content="0;url={0}"></html>\n'
)


class Link:
    """The token of the link. ``clock`` returns a time in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.token = secrets.token_hex(32)
        self._clock = clock
        self._until = clock() + SECONDS
        self._used = False
        self._lock = threading.Lock()

    def use(self, token: str) -> bool:
        """Return True for the right token, once, within a minute after the link was made."""
        with self._lock:
            fits = secrets.compare_digest(token.encode(), self.token.encode())
            if not fits or self._used or self._clock() > self._until:
                return False
            self._used = True
            return True

    def address(self, origin: str) -> str:
        """Return the link for the server at ``origin``."""
        return f"{origin}{PATH}{self.token}"


@contextlib.contextmanager
def handed_over(address: str) -> Iterator[Path]:
    """Write a file that redirects a browser to ``address``; remove it at the end.

    The file has mode 0600, in a new folder with mode 0700.
    """
    folder = Path(tempfile.mkdtemp(prefix="klankbord-"))
    try:
        file = folder / "open.html"
        file.touch(mode=0o600)
        file.write_text(_PAGE.format(address), encoding="utf-8")
        yield file
    finally:
        shutil.rmtree(folder, ignore_errors=True)
