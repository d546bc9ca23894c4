"""Threads for files: reporters' files come and go slowly, and never take all of a worker's.

Half of a worker's threads may be with files at once, and half of those with one circuit's. Whose
post with files finds none free gets a page all the same, made from its fields; what it still sends
is read in the loop and dropped, since a browser only looks at an answer when it has sent what it
had to send.
"""

import selectors
import time
from collections import Counter
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]

from dropbox_app.server.circuits import NO_CIRCUIT

DROPPING = 300.0  # seconds for what is read to be dropped
LINGER = 1.0  # seconds of the same for who sends more than was to be read
MOST_DROPPED = 300  # connections of one worker of which that is read


class FileWorker(ThreadWorker):  # type: ignore[misc]  # the base has no types
    """Counts the threads that are with a file; all of it in the loop, so without a lock."""

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - gunicorn's own, untyped
        super().__init__(*given, **named)
        self._with_files: Counter[bytes] = Counter()  # by circuit
        self._dropped: list[Any] = []

    def hand_over(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn's own, untyped
        """To a thread, with what it may take of it; see ``PatientSocket.share``."""
        sock = conn.sock
        sock.share = "whole" if sock.complete else "none"
        if sock.download or (sock.upload and not sock.complete):
            free = self._place_for(sock.circuit)
            sock.share = "transfer" if free else "refused"
            if free:
                self._with_files[sock.circuit] += 1
        self.submit(conn)

    def _place_for(self, circuit: bytes) -> bool:
        places: int = max(1, self.cfg.threads // 2)
        of_one = places if circuit == NO_CIRCUIT else max(1, places // 2)
        return self._with_files.total() < places and self._with_files[circuit] < of_one

    def submit(self, conn: Any) -> None:  # noqa: ANN401
        """To a thread."""
        super().enqueue_req(conn)

    def release(self, conn: Any) -> None:  # noqa: ANN401
        """A thread is done, and its place free: what is left of an answer needs none."""
        if conn.sock.share == "transfer":
            conn.sock.share = "none"
            self._with_files -= Counter([conn.sock.circuit])  # forgets whose are none

    def finish_request(self, conn: Any, fs: Any) -> None:  # noqa: ANN401
        """In the loop again, when a thread is done and the answer is out."""
        share, conn.sock.share = conn.sock.share, "none"
        if conn.sock.given_up or conn.sock.fileno() < 0:
            self.part(conn)
        elif share == "refused" and conn.sock.upload and self.alive:
            self._drop(conn, DROPPING)
        elif not conn.sock.complete and conn.sock.half_close():
            self._drop(conn, LINGER)  # bytes that nobody reads would break off the answer
        else:
            super().finish_request(conn, fs)

    def _drop(self, conn: Any, seconds: float) -> None:  # noqa: ANN401
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + seconds
        dropping = partial(self._on_dropped, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, dropping)
        self._dropped.append(conn)
        if len(self._dropped) > MOST_DROPPED:
            self._end(self._dropped[0])

    def _on_dropped(self, conn: Any, client: Any) -> None:  # noqa: ANN401
        piece = conn.sock.take()
        conn.sock.missing -= len(piece)
        if not piece or conn.sock.missing <= 0:
            self._end(conn)

    def _end(self, conn: Any) -> None:  # noqa: ANN401
        self._dropped.remove(conn)
        self.poller.unregister(conn.sock)
        self.part(conn)

    def part(self, conn: Any) -> None:  # noqa: ANN401
        """Close a connection that the loop waits for no more."""
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Whoever has taken too long goes."""
        super().murder_pending()
        now = time.monotonic()
        for conn in [c for c in self._dropped if c.timeout < now or not self.alive]:
            self._end(conn)
