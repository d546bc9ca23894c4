"""What a view works with: the running page, and the desk that this request may use."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from flask import abort, current_app, g
from flask.typing import ResponseReturnValue

from dropbox_app.desk.folder import Workplace
from dropbox_app.desk.web.desk_lock import DeskLock
from dropbox_app.desk.web.fetching import Fetching
from dropbox_app.desk.web.handles import Handles
from dropbox_app.desk.web.i18n import Words, words

EXTENSION = "klankbord"
FIRST_LANGUAGE = "nl"
WINDOW_GONE = 60  # seconds without a sign of a window that say that it was closed

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])
_free: set[object] = set()


@dataclass
class Page:
    """One run of the page. ``private_window``: it is a window of its own, which keeps nothing."""

    lock: DeskLock
    fetching: Fetching
    handles: Handles = field(default_factory=Handles)
    files: Handles = field(default_factory=Handles)  # of files: by thread and id
    language: str = FIRST_LANGUAGE
    private_window: bool = False
    clock: Callable[[], float] = time.monotonic
    last_ping: float | None = None  # None: no window has said anything yet

    def note_window(self) -> None:
        """Note that a window of the page is open."""
        self.last_ping = self.clock()

    def window_is_gone(self) -> bool:
        """Whether there was a window, and has not been one for a minute."""
        return self.last_ping is not None and self.clock() - self.last_ping > WINDOW_GONE


def page() -> Page:
    """The running page."""
    return cast(Page, current_app.extensions[EXTENSION])


def place() -> Workplace:
    """The opened desk of this request."""
    return cast(Workplace, g.place)


def told() -> Words:
    """The words of the person's language."""
    return words(page().language)


def thread_of(handle: str) -> tuple[str, str]:
    """The site and mailbox of a handle in an address; answers 404 if it stands for none."""
    found = page().handles.thread(handle)
    if found is None:
        abort(404)
    return found


def file_of(handle: str) -> str:
    """The id of a file by its handle in an address; answers 404 if it stands for none."""
    found = page().files.thread(handle)
    if found is None:
        abort(404)
    return found[1]


def without_desk(view: View) -> View:
    """Mark a view that works while the desk is locked, or without one."""
    _free.add(view)
    return view


def needs_desk(endpoint: str | None) -> bool:
    """Whether what answers at an endpoint works with the opened desk."""
    return endpoint is not None and current_app.view_functions[endpoint] not in _free
