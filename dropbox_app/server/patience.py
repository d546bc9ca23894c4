"""How long a connection may take: nobody holds a thread by saying nothing.

Heads, and the bodies of pages, gather in the worker's loop, where a connection costs a few
kilobytes and no thread; a thread gets what is whole. What is too large for that (a file) is read
by a thread, against two clocks. Deadlines are counted by a clock that nobody can set.

Files of reporters come and go slowly, over Tor. So that they never take all threads, only some of
a worker's may be with them at once; a post with files for which there is none gets its answer from
what has gathered of it: its fields.
"""

import contextlib
import errno
import io
import os
import re
import select
import socket
import time
from typing import Any, Literal

from dropbox_app.server.circuits import NO_CIRCUIT
from dropbox_app.server.threads import Line
from dropbox_app.server.waiting import Sent
from dropbox_app.server.web.uploads import FORM_BYTES

SILENCE = 20.0  # seconds without a byte
WHOLE = 60.0  # seconds for a head, and for the body of a page
SLOWEST_IN = 2 * 1024  # bytes a second of a file, once the WHOLE is over
SLOWEST_OUT = 16 * 1024  # bytes a second of an answer, once the SILENCE is over
UNSENT = 1024 * 1024  # bytes of a file that may lie here unsent; no page of a stranger is larger
HEAD_BYTES = 16 * 1024  # the longest head that is waited for; a browser's has two

_PIECE = 64 * 1024
_LITTLE = 1024
_SENT = 256 * 1024  # at one go, and in the hands of the system
# What may hold a thread for long, where it is written as the pages write it. The views take no
# other for one.
_UPLOAD = re.compile(rb"POST /[a-z]{2}/files[ ?]")
# A desk proves who it is before it gets anything, and stretches no code.
_READS = re.compile(rb"GET |HEAD |[A-Z]+ /api/")
_BODILESS = re.compile(rb"GET |HEAD ")
_EXPECTS = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
_SESSION = re.compile(rb"\r\ncookie:", re.IGNORECASE)
_DOWNLOAD = re.compile(rb"(?:GET|HEAD) /[a-z]{2}/files/")
_FILE = b'name="files"; filename='  # with the first file of a form its fields are over
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*0*([0-9]+)[ \t]*\r\n", re.IGNORECASE)


class PatientSocket(socket.socket):
    """A connection whose reads and writes come to an end. In the loop it never blocks.

    ``share``, of its request: "whole" (it was here before a thread began), "transfer" (a file, with
    a thread for as long as it takes), "refused" (none is free: what gathered is all of it), "none".
    """

    share: Literal["whole", "transfer", "refused", "none"] = "none"

    def __init__(self, accepted: socket.socket, silence: float, whole: float) -> None:
        super().__init__(fileno=accepted.detach())
        # Else the system would keep up to four megabytes for each who reads nothing.
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT)
        self._silence = silence
        self._whole = whole
        self._wanted: int | None = None  # bytes of head and body, once the head is there
        self._pace = 0.0  # seconds more for each byte
        self._deadline = 0.0
        self._too_long = False
        self._most = self._looked = 0
        self.missing = 0  # bytes of the request that had not come when a thread took over
        self.upload = self.download = self.post = self.session = False
        self.sent = Sent.NOTHING  # of the request that is waited for
        self.circuit = NO_CIRCUIT
        self.nameless = False  # Tor has yet to say by which circuit this came
        self.line: Line | None = None  # where it has a thread, or waits for one
        self.weight = 0  # bytes of its request, while a thread has it
        self.arrived = 0.0  # when its request was there
        self._by_size = False
        self.complete = False  # whether head and body had come before a thread took over
        self.unsent = b""  # of an answer: the loop sends it on
        self.until = 0.0  # by when that must be out
        self.ended = False
        self.given_up = False

    def setblocking(self, flag: bool, /) -> None:
        """As ever, but never without limit: gunicorn asks for that, and may then send by itself."""
        self.settimeout(self._silence if flag else 0.0)

    def take(self) -> bytes:
        """What has arrived, in the loop; nothing at the end, or if it broke."""
        try:
            return super().recv(_PIECE)
        except OSError:
            return b""

    def gathered(self, buffer: io.BytesIO) -> bool:
        """Whether a thread should take over, with this in hand."""
        self.complete = False
        if self.nameless:
            return False
        size = buffer.seek(0, os.SEEK_END)
        if self._wanted is None:
            head = buffer.getbuffer()[: 2 * HEAD_BYTES].tobytes()
            end = head.find(b"\r\n\r\n")
            self.sent = Sent.HEAD if end >= 0 else Sent.PART if size else Sent.NOTHING
            if end < 0:
                self._too_long = size > HEAD_BYTES
                return self._too_long
            found = _LENGTH.search(head, 0, end + 2)
            self._wanted = end + 4 + (int(found[1][:16]) if found else 0)
            self._most = end + 4 + FORM_BYTES
            self.upload = _UPLOAD.match(head) is not None
            self.session = _SESSION.search(head, 0, end + 2) is not None
            # Without a session there is no file to give.
            self.download = self.session and _DOWNLOAD.match(head) is not None
            self.post = _READS.match(head) is None
            if _BODILESS.match(head) and self._wanted > end + 4 + _LITTLE:
                return True  # what nobody asked for is not gathered
            self._looked = end
            if size < self._wanted and _EXPECTS.search(head, 0, end + 2):
                with contextlib.suppress(OSError):  # else it would wait for this, and we for it
                    self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.complete = size >= self._wanted
        self.missing = max(0, self._wanted - size)
        if self.complete or self._wanted <= self._most:
            return self.complete
        return not self.upload or size >= self._most or self._fields_over(buffer, size)

    def _fields_over(self, buffer: io.BytesIO, size: int) -> bool:
        """Whether a file of a form has begun; each byte is looked at once."""
        start = max(0, self._looked - len(_FILE))
        self._looked = size
        return buffer.getbuffer()[start:size].tobytes().find(_FILE) >= 0

    def begin(self, by_size: bool = False) -> None:
        """A thread reads from now on. ``by_size``: a file may take longer, if it comes."""
        self._wanted = None
        self._by_size = by_size
        self._pace = 1 / SLOWEST_IN if by_size else 0.0
        self._deadline = 0.0 if self._too_long else time.monotonic() + self._whole

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As ever, but it ends; in the one way that gunicorn takes for a connection that broke."""
        if self.ended or self.share == "refused":
            return b""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ConnectionResetError(errno.ECONNRESET, "too slow")
        # Over Tor a circuit may stand still for longer than anybody on this side of it would.
        silence = self._whole if self.share == "transfer" else self._silence
        self.settimeout(min(silence, left))
        try:
            data = super().recv(size, flags)
        except OSError:
            self._deadline = 0.0
            raise ConnectionResetError(errno.ECONNRESET, "too slow, or broken") from None
        self._deadline += len(data) * self._pace
        return data

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # noqa: ANN401 - any buffer, as its base has it
        """As ever, but it ends; and it keeps for the loop what cannot go at once.

        Only of a file, once much of it lies unsent, a thread waits until that is out. After a
        failure nothing more goes out: part of what was to be sent has gone, and nobody knows which.
        """
        if self.given_up:
            raise ConnectionResetError(errno.ECONNRESET, "given up")
        try:
            self._send_all(data)
        except OSError:
            self.give_up()
            raise ConnectionResetError(errno.ECONNRESET, "too slow, or broken") from None

    def _send_all(self, data: Any) -> None:  # noqa: ANN401
        self.unsent += data
        patience = self._silence + len(self.unsent) / SLOWEST_OUT
        self.until = time.monotonic() + patience
        self.setblocking(False)
        self.send_on()
        if not self._by_size or len(self.unsent) <= UNSENT:
            return
        self.settimeout(patience)
        super().sendall(self.unsent)
        self.unsent = b""

    def send_on(self) -> None:
        """Send as much as the system takes now. Raises OSError if the connection broke."""
        sent = 0
        try:
            with contextlib.suppress(BlockingIOError):
                while sent < len(self.unsent):
                    sent += self.send(memoryview(self.unsent)[sent : sent + _SENT])
        except OSError:
            self.give_up()
            raise
        self.unsent = self.unsent[sent:]

    def give_up(self) -> None:
        """Nobody waits for this any more: what is on its way goes nowhere."""
        self.unsent = b""
        self.given_up = True

    def gone(self) -> bool:
        """Whether nobody is there to answer."""
        return self._polled(select.POLLHUP | select.POLLERR)

    def says_no_more(self) -> bool:
        """Whether the other side sends nothing more. It may still read: mostly it is gone."""
        return self._polled(select.POLLRDHUP)

    def _polled(self, events: int) -> bool:
        poller = select.poll()
        poller.register(self, events)
        return any(found & events for _, found in poller.poll(0))

    def shutdown(self, how: int, /) -> None:
        """As ever; and whoever says in a thread that this is all reads nothing more in it: gunicorn
        would, after a fault in the middle of an answer."""
        self.ended = True
        super().shutdown(how)

    def half_close(self) -> bool:
        """Say that the answer is out. Whether anybody is there to hear it."""
        try:
            self.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True
