"""How long a connection may take: nobody holds a thread by saying nothing.

Heads, and the bodies of pages, gather in the worker's loop, where a connection costs a few
kilobytes and no thread; a thread gets what is whole. What is too large for that (a desk's file) is
read by a thread, against two clocks. Deadlines are counted by a clock that nobody can set.
"""

import errno
import io
import os
import re
import socket
import time
from typing import Any

from dropbox_app.server.web.hardening import FORM_BYTES

SILENCE = 20.0  # seconds without a byte
WHOLE = 60.0  # seconds for a head, and for the body of a page
SLOWEST_IN = 2 * 1024  # bytes a second of a desk's file, once the WHOLE is over
SLOWEST_OUT = 16 * 1024  # bytes a second of an answer, once the SILENCE is over
LINGER = 1.0  # seconds for who still sends when the answer is out
HEAD_BYTES = 16 * 1024  # the longest head that is waited for; a browser's has two

_PIECE = 64 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r\n", re.IGNORECASE)


class PatientSocket(socket.socket):
    """A connection whose reads and writes come to an end. In the loop it never blocks."""

    def __init__(self, accepted: socket.socket, silence: float, whole: float) -> None:
        super().__init__(fileno=accepted.detach())
        self._silence = silence
        self._whole = whole
        self._wanted: int | None = None  # bytes of head and body, once the head is there
        self._pace = 0.0  # seconds more for each byte
        self._deadline = 0.0
        self._too_long = False
        self.complete = False  # whether head and body had come before a thread took over
        self.ended = False

    def take(self) -> bytes:
        """What has arrived, in the loop; nothing at the end, or if it broke."""
        try:
            return super().recv(_PIECE)
        except OSError:
            return b""

    def gathered(self, buffer: io.BytesIO) -> bool:
        """Whether a thread should take over, with this in hand."""
        self.complete = False
        size = buffer.seek(0, os.SEEK_END)
        if self._wanted is None:
            head = buffer.getbuffer()[: 2 * HEAD_BYTES].tobytes()
            end = head.find(b"\r\n\r\n")
            if end < 0:
                self._too_long = size > HEAD_BYTES
                return self._too_long
            found = _LENGTH.search(head, 0, end + 2)
            self._wanted = end + 4 + (int(found[1]) if found else 0)
            if self._wanted > end + 4 + FORM_BYTES:
                return True
        self.complete = size >= self._wanted
        return self.complete

    def begin(self, by_size: bool = False) -> None:
        """A thread reads from now on. ``by_size``: a desk's file may take longer, if it comes."""
        self._wanted = None
        self._pace = 1 / SLOWEST_IN if by_size else 0.0
        self._deadline = 0.0 if self._too_long else time.monotonic() + self._whole

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As ever, but it ends; in the one way that gunicorn takes for a connection that broke."""
        if self.ended:
            return b""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ConnectionResetError(errno.ECONNRESET, "too slow")
        self.settimeout(min(self._silence, left))
        try:
            data = super().recv(size, flags)
        except TimeoutError:
            self._deadline = 0.0
            raise ConnectionResetError(errno.ECONNRESET, "too slow") from None
        self._deadline += len(data) * self._pace
        return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # noqa: ANN401 - any buffer, as its base has it
        self.settimeout(self._silence + len(data) / SLOWEST_OUT)
        try:
            super().sendall(data, flags)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "too slow") from None

    def linger(self) -> None:
        """Let go in a thread: gunicorn would wait in the loop, and everybody with it.

        Bytes that nobody reads would make the system break off the answer; so they are read.
        """
        try:
            if not self.complete:
                self.shutdown(socket.SHUT_WR)
                self._deadline = time.monotonic() + LINGER
                while self.recv(_PIECE):
                    pass
        except OSError:
            pass  # it is gone already
        self.ended = True
