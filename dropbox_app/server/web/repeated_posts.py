"""Recognise a report that was posted twice by a double click, and repeat the response.

A second click replaces the first request in the browser, so nobody sees the first response with the
code, and its cookie is never sent. For three minutes the server remembers a keyed hash of the post,
and the response, sealed under a key derived from that post (SPEC section 8). The hash covers the
body, all headers and the circuit or address of the client. Anyone who only knows the text, or posts
the text first, cannot get the response. The data is kept only in memory, shared by all workers.

The response is forgotten as soon as the browser sends the session's cookie, because the code page
has then arrived.
"""

import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

from dropbox_app.server.reporter import kdf_limiter
from dropbox_app.server.web.shared_table import SharedTable

REMEMBERED = 180.0  # seconds
ANSWER = 261  # bytes of a sealed response
BUCKETS, SLOTS = 256, 16
_WAIT = 0.05  # seconds between two checks of a post that another request is handling

# The circuit or address of this thread's request; "" if unknown, or if it is no report.
VISITOR: ContextVar[str] = ContextVar("visitor", default="")

# The process that handles the post (0 for none), whether a response exists, and the response.
_VALUE = struct.Struct(f"=I?{ANSWER}s")


@dataclass
class Turn:
    """The state of one post. ``answer`` is the sealed response to an identical earlier post."""

    answer: bytes
    keep: Callable[[bytes], None]  # stores a response; called before the report is stored


class RepeatedPosts:
    """The posts of the last three minutes.

    ``clock`` returns monotonic time in seconds, shared by all processes.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        buckets: int = BUCKETS,
        slots: int = SLOTS,
    ) -> None:
        self._clock = clock
        self._table = SharedTable(buckets, slots, _VALUE.size)

    @contextmanager
    def turn(self, post: bytes) -> Iterator[Turn]:
        """Hold a post, so that an identical one waits. ``post`` is 16 bytes, or empty.

        The call waits for an identical post in any worker that is still alive. Raises Busy if the
        wait is longer than a request may wait to hash a code. An empty post is never remembered,
        and neither is any post if the table is full.
        """
        answer = self._begin(post) if post else None
        if answer is None:
            yield Turn(b"", lambda _answer: None)
            return
        try:
            yield Turn(answer, partial(self._keep, post))
        finally:
            self._end(post)

    def forget(self, post: bytes) -> None:
        """Forget a response, because its page has arrived or the reporter has left that page."""
        with self._table.locked() as rows:
            rows.drop(post)

    def forget_old(self) -> None:
        """Overwrite everything older than three minutes."""
        with self._table.locked() as rows:
            rows.drop_expired(self._clock())

    def _begin(self, post: bytes) -> bytes | None:
        arrived = kdf_limiter.ARRIVED.get()
        since = time.monotonic() if arrived is None else arrived
        while True:
            now = self._clock()
            with self._table.locked() as rows:
                known = rows.get(post, now)
                worker, answered, answer = _VALUE.unpack(known) if known else (0, False, b"")
                if not (worker and _is_alive(worker)):
                    held = _VALUE.pack(os.getpid(), answered, answer)
                    until = now + REMEMBERED
                    if not known:
                        return b"" if rows.put(post, until, now, held) else None
                    rows.change(post, held)
                    return answer if answered else b""
            if time.monotonic() - since > kdf_limiter.PATIENCE:
                raise kdf_limiter.Busy("an equal post is under way")
            time.sleep(_WAIT)

    def _keep(self, post: bytes, sealed: bytes) -> None:
        """Store the response, unless the post was forgotten meanwhile."""
        if len(sealed) != ANSWER:
            raise ValueError(f"an answer has {ANSWER} bytes, not {len(sealed)}")
        with self._table.locked() as rows:
            rows.change(post, _VALUE.pack(os.getpid(), True, sealed))

    def _end(self, post: bytes) -> None:
        """Release the post, so that an identical one can continue with the response, if any."""
        with self._table.locked() as rows:
            known = rows.get(post, self._clock())
            _, answered, answer = _VALUE.unpack(known) if known else (0, False, b"")
            if answered:
                rows.change(post, _VALUE.pack(0, True, answer))
            else:
                rows.drop(post)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):  # PermissionError: the process id was reused
        return False
    return True
