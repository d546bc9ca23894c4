"""Names of threads in addresses, random in every run, so that a browser history reveals nothing."""

import secrets
import threading

SIZE = 6  # bytes


class Handles:
    """Gives each thread a random handle, which stays the same during a run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._handles: dict[tuple[str, str], str] = {}
        self._threads: dict[str, tuple[str, str]] = {}

    def of(self, site: str, mailbox: str) -> str:
        """Return the handle of a thread, which is created if it does not exist yet."""
        with self._lock:
            handle = self._handles.get((site, mailbox))
            if handle is None:
                handle = secrets.token_urlsafe(SIZE)
                self._handles[site, mailbox] = handle
                self._threads[handle] = (site, mailbox)
            return handle

    def thread(self, handle: str) -> tuple[str, str] | None:
        """Return the site and mailbox of a handle; None if it is unknown."""
        return self._threads.get(handle)
