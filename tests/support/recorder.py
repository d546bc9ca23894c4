"""An upstream server that records every byte that nginx forwards, and responds."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SESSION = "s=opens-a-session"
TOKEN = "Bearer opens-a-conversation"
# nginx's questions before it accepts a file: the request header used, and its required content.
QUESTIONS = {
    "/internal/session": ("Cookie", SESSION),
    "/internal/conversation": ("Authorization", TOKEN),
}


@dataclass
class Passed:
    """One request as it arrived."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass
class Recorder:
    """Listens at ``path``. A request in ``QUESTIONS`` is accepted if its header has the content."""

    path: Path
    seen: list[Passed] = field(default_factory=list)

    def take(self) -> list[Passed]:
        """Return the requests since the last call, without the questions."""
        seen, self.seen = self.seen, []
        return [one for one in seen if one.target not in QUESTIONS]

    @contextlib.contextmanager
    def running(self) -> Iterator["Recorder"]:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.path))
            listener.listen(128)
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join(60)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with (
            contextlib.suppress(OSError, ValueError, IndexError),
            connection,
            connection.makefile("rb") as stream,
        ):
            while line := stream.readline():
                method, target, _ = line.decode("latin-1").split(" ")
                headers = []
                while (text := stream.readline().decode("latin-1").rstrip("\r\n")) != "":
                    name, _, value = text.partition(":")
                    headers.append((name, value.strip()))
                passed = Passed(method, target, headers, b"")
                length = passed.header("Content-Length")
                passed.body = stream.read(int(length[0])) if length else b""
                self.seen.append(passed)
                connection.sendall(self._answer(passed))

    def _answer(self, passed: Passed) -> bytes:
        if passed.target not in QUESTIONS:
            return b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
        name, wanted = QUESTIONS[passed.target]
        if wanted in "".join(passed.header(name)):
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        return b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
