"""gunicorn's worker: one loop in which everybody waits, and threads for what is there whole.

Whatever the loop does it does for all at once, so nothing in it waits, and no fault of one
connection may end it.
"""

import errno
import os
import selectors
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from gunicorn import util  # type: ignore[import-untyped]  # gunicorn ships no types
from gunicorn.http.errors import UnsupportedTransferCoding  # type: ignore[import-untyped]

from dropbox_app.server import circuits
from dropbox_app.server.circuits import NoCircuit
from dropbox_app.server.outgoing import Outgoing
from dropbox_app.server.patience import SILENCE, WHOLE, PatientSocket
from dropbox_app.server.reporter import kdf_limiter
from dropbox_app.server.threads import Line
from dropbox_app.server.transfers import FileWorker
from dropbox_app.server.waiting import Sent, WaitingRoom
from dropbox_app.server.web.fault_log import fault_location, logger
from dropbox_app.server.web.hosts import AT_DESKS
from dropbox_app.server.web.rendering import HTML
from dropbox_app.server.web.security_headers import HEADERS

SIGN_OF_LIFE = 1.0  # seconds between those that a worker gives
WAITING = 500  # connections of one worker that wait for a request; one more, and one goes
KEPT = 200  # connections of one worker that are kept after an answer; one more is closed
PARTING = 1.0  # seconds that a page waits for a thread for one who says no more
NAP = 0.01  # seconds without new connections when the system has no room for one
EACH = 60.0  # seconds between two lines of one kind in the log
_SMALL = 64 * 1024  # bytes of a request that may gather whatever others do
_GATHERED = 16 * 1024 * 1024  # bytes of all requests that gather in one worker
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_REFUSED = b"""<!doctype html>
<html lang="en">
<title>Information</title>
<p>This request has a form that is not understood here.</p>
<p lang="nl">Deze aanvraag heeft een vorm die hier niet wordt begrepen.</p>
</html>
"""


class QuietWorker(FileWorker):
    """Threads, so that one slow connection over Tor holds up nobody else.

    A connection goes to a thread when its request is there, see ``patience``.
    """

    silence = SILENCE
    whole = WHOLE
    onion = ""  # the socket file to which Tor comes
    desks = ""  # the same, for the onions of desks alone

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - gunicorn's own, untyped
        super().__init__(*given, **named)
        self.max_keepalived = min(KEPT, self.cfg.worker_connections - self.cfg.threads)
        self._seen_alive = 0.0
        self._waiting = WaitingRoom()  # gunicorn's own ``pending_conns`` stays empty
        self._handed = 0  # bytes of requests that have a thread, or wait for one
        self._told: dict[str, float] = {}

    def get_thread_pool(self) -> Any:  # noqa: ANN401
        """Posts have threads of their own, and so have pages of sessions."""
        half = max(1, self.cfg.threads // 2)
        self._posts, self._sessions = (Line(ThreadPoolExecutor(half), half) for _ in range(2))
        pool = super().get_thread_pool()
        self._others = Line(pool, self.cfg.threads, places=None)
        return pool

    def run(self) -> None:
        self._outgoing = Outgoing(self.poller)
        try:
            super().run()
        except (OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
            # gunicorn would print what the exception says.
            logger.error("a worker ends and is replaced: %s", fault_location(error))
            raise SystemExit(1) from None
        finally:
            for line in (self._posts, self._sessions):
                line.pool.shutdown(wait=False)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """As ever, but who was let go of in this turn is not called in it any more."""
        registered = self.poller.get_map()
        for key, _ in self.poller.select(timeout):
            if registered.get(key.fd) is key:
                key.data(key.fileobj)

    def accept(self, listener: Any) -> None:  # noqa: ANN401
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            if len(self._waiting):
                self._let_go(self._waiting.first_to_go())
            time.sleep(NAP)  # whoever wants to come in stays at the door

    def submit(self, conn: Any) -> None:  # noqa: ANN401
        """To a thread, or in a line for one. In some only so many wait; one more is told at once
        that it is busy."""
        sock = conn.sock
        sock.arrived = time.monotonic()
        sock.weight = conn.parser.unreader.buf.seek(0, os.SEEK_END)
        self._handed += sock.weight
        if sock.share == "transfer":  # it has its place, see ``transfers``
            self._begin(conn, None)
            return
        line = self._line(sock)
        if not line.enter(sock.circuit, partial(self._begin, conn, line)):
            sock.arrived = kdf_limiter.TURNED_AWAY
            self._others.enter(sock.circuit, partial(self._begin, conn, self._others))

    def _line(self, sock: PatientSocket) -> Line:
        """Where it must stand."""
        if sock.post and sock.complete:
            return self._posts
        return self._sessions if sock.session else self._others

    def _begin(self, conn: Any, line: Line | None) -> None:  # noqa: ANN401
        conn.sock.line = line
        done = (line.pool if line else self.tpool).submit(self.handle, conn)
        done.add_done_callback(partial(self.method_queue.defer, self.finish_request, conn))

    def finish_request(self, conn: Any, fs: Any) -> None:  # noqa: ANN401
        """A thread is done; what is still to be sent of the answer, the loop sends."""
        self.release(conn)
        if conn.sock.fileno() < 0:  # gunicorn closed it, after a fault in the middle of an answer
            conn.sock.give_up()
        if conn.sock.unsent:
            self._outgoing.add(conn.sock, partial(self.finish_request, conn, fs))
        else:
            super().finish_request(conn, fs)

    def release(self, conn: Any) -> None:  # noqa: ANN401
        super().release(conn)
        if conn.sock.line:
            conn.sock.line.leave(conn.sock.circuit)
        self._handed -= conn.sock.weight
        conn.sock.line, conn.sock.weight = None, 0

    def murder_pending(self) -> None:
        """After each turn of the loop, whoever is too many or too slow goes."""
        while len(self._waiting) > WAITING:
            self._let_go(self._waiting.first_to_go())
        for conn in self._waiting.overdue():
            self._let_go(conn)
        super().murder_pending()
        self._outgoing.look()

    def _let_go(self, conn: Any) -> None:  # noqa: ANN401
        self._stop_waiting(conn)
        self.part(conn)

    def _stop_waiting(self, conn: Any) -> None:  # noqa: ANN401
        self._waiting.remove(conn)
        self.poller.unregister(conn.sock)

    def notify(self) -> None:
        """A sign of life: one a second is enough."""
        if time.monotonic() - self._seen_alive >= SIGN_OF_LIFE:
            self._seen_alive = time.monotonic()
            super().notify()

    def enqueue_req(self, conn: Any) -> None:  # noqa: ANN401 - gunicorn's own, untyped
        """A new connection, or one that begins its next request."""
        if not conn.initialized:
            conn.sock = PatientSocket(conn.sock, self.silence, self.whole)
            conn.sock.nameless = conn.server in (self.onion, self.desks)
            conn.init()
            conn.sock.setblocking(False)
            # Mostly the request is there already: one turn of the loop less.
            conn.parser.unreader.buf.write(conn.sock.take())
            if not self._named(conn):
                self.part(conn)
                return
        self._go_on(conn)

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:  # noqa: ANN401
        """A kept connection asks again; mostly it ends."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        if self._read(conn):
            self._go_on(conn)
        else:
            self.part(conn)

    def on_pending_socket_readable(self, conn: Any, client: Any) -> None:  # noqa: ANN401
        more = self._read(conn)
        if more and not self._gathered(conn):
            self._waiting.put(conn, conn.sock.sent)
            return
        self._stop_waiting(conn)
        if more:
            self.hand_over(conn)
        else:
            self.part(conn)

    def _read(self, conn: Any) -> bool:  # noqa: ANN401
        """Whether more came. If not, there is no more to come, and nobody to answer."""
        piece = conn.sock.take()
        conn.parser.unreader.buf.seek(0, os.SEEK_END)
        conn.parser.unreader.buf.write(piece)
        return bool(piece) and self._named(conn)

    def _named(self, conn: Any) -> bool:  # noqa: ANN401
        """Take what Tor says first from what has come; False if it is not that."""
        sock = conn.sock
        if sock.nameless:
            try:
                circuit = circuits.take(conn.parser.unreader.buf)
            except NoCircuit:
                return False
            if circuit is not None:
                sock.circuit, sock.nameless = circuit, False
        return True

    def _go_on(self, conn: Any) -> None:  # noqa: ANN401
        """To a thread, or to wait in the loop until the request is there."""
        conn.sock.setblocking(False)  # a thread may have left it otherwise, and we may send
        if self._gathered(conn):
            self.hand_over(conn)
            return
        conn.timeout = time.monotonic() + self.whole
        self._waiting.put(conn, conn.sock.sent)
        waiting = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, waiting)

    def _gathered(self, conn: Any) -> bool:  # noqa: ANN401
        """Whether it is for a thread: its request is there."""
        buffer = conn.parser.unreader.buf
        if conn.sock.gathered(buffer):
            return True
        if buffer.tell() > _SMALL:
            self._bound()
        return False

    def _bound(self) -> None:
        """Of what gathers, and of what waits for a thread, so much and no more: beyond it, of the
        circuit that holds most, who has waited longest is let go after this turn."""
        sizes = {c: c.parser.unreader.buf.tell() for c in self._waiting}
        large = {c: size for c, size in sizes.items() if size > _SMALL}
        held = self._handed + sum(large.values())
        while large and held > _GATHERED:
            conn = circuits.first_to_go(large, lambda conn: conn.sock.circuit)
            held -= large.pop(conn)
            conn.timeout = 0.0
            self._waiting.look_now()

    def _cap_keepalive(self, deadline: float) -> None:
        """At the end nobody is waited for who has asked nothing yet."""
        super()._cap_keepalive(deadline)
        for conn in self._waiting:
            if conn.sock.sent is Sent.NOTHING:  # else a report may be on its way
                conn.timeout = min(conn.timeout, deadline)

    def handle(self, conn: Any) -> Any:  # noqa: ANN401
        if not conn.sock.post and self._nobody_waits(conn.sock):
            conn.sock.give_up()
            return False
        kdf_limiter.ARRIVED.set(conn.sock.arrived)
        AT_DESKS.set(conn.server == self.desks if self.desks else None)
        conn.sock.begin()
        kept = super().handle(conn)
        conn.sock.ended = not kept  # gunicorn would wait in the loop, and everybody with it
        return kept

    def _nobody_waits(self, sock: PatientSocket) -> bool:
        """Whether nobody is there to read what would be made. What was posted is done all the same.

        Who only says no more may still read; but mostly it is one that hung up, and when others
        wait too, it gets the short answer.
        """
        if time.monotonic() - sock.arrived > PARTING and sock.says_no_more():
            sock.arrived = kdf_limiter.TURNED_AWAY
        return sock.gone()

    def handle_request(self, req: Any, conn: Any) -> Any:  # noqa: ANN401
        if any(name == "TRANSFER-ENCODING" for name, _ in req.headers):
            raise UnsupportedTransferCoding("a body must say its length")
        if not conn.sock.complete:
            req.force_close()  # else a thread would wait for what nobody wants to read
        # The loop has answered this. gunicorn would do so from a thread, and wait there.
        req._expected_100_continue = False
        file = conn.sock.share == "transfer" or req.path.startswith("/api/desk/")
        conn.sock.begin(by_size=file)
        return super().handle_request(req, conn)

    def handle_error(self, req: object, client: Any, addr: object, exc: BaseException) -> None:  # noqa: ANN401
        """A request that is no HTTP, or a fault below the app: one answer for all."""
        said, now = fault_location(exc), time.monotonic()
        if now - self._told.get(said, -EACH) >= EACH:  # strangers must not fill the log
            self._told[said] = now
            self.log.error_log.warning("%s", said)
        fields = {"Connection": "close", "Content-Type": HTML}  # in the order of all answers
        fields |= {"Content-Length": str(len(_REFUSED)), **HEADERS}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        try:
            util.write(client, f"HTTP/1.1 400 Bad Request\r\n{head}\r\n".encode() + _REFUSED)
        except OSError:
            return  # whoever asked is gone
