"""Threads of their own, and a bounded queue, for requests that could take all of a worker's.

Posts stretch codes and wait for their turn; a page of a session can be as long as its conversation.
Beside them the pages that everybody reads stay as quick as ever.
"""

from concurrent import futures

from dropbox_app.server.gate import PLACES


class Line:
    """Of one worker, used in its loop and so without a lock."""

    def __init__(self, threads: int) -> None:
        self.pool = futures.ThreadPoolExecutor(max_workers=threads)
        self._room = threads + PLACES

    def enter(self) -> bool:
        """Take a thread or a place in the queue, if there is one."""
        if not self._room:
            return False
        self._room -= 1
        return True

    def leave(self) -> None:
        self._room += 1
