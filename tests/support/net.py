"""The network of a browser in a test: a few names, and no traffic leaves this machine.

``Net`` replaces Tor, or a resolver and a proxy that terminates TLS, in front of the server.
``Strangers`` are the other sites of that network.
"""

import asyncio
import contextlib
import datetime
import http.server
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.processes import until


@dataclass
class Post:
    """A POST as sent on the wire, and the header of its response."""

    path: str
    headers: dict[str, str]
    answer: bytes = b""

    @classmethod
    def read(cls, data: bytes) -> "Post":
        lines = data.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        named = (line.partition(":") for line in lines[1:])
        return cls(lines[0].split(" ")[1], {name.lower(): v.strip() for name, _, v in named})

    @property
    def host(self) -> str:
        return self.headers.get("host", "")

    @property
    def status(self) -> int:
        return int(self.answer.split(b" ", 2)[1]) if self.answer else 0


@dataclass
class Net:
    """A SOCKS5 proxy that knows a few names, and terminates TLS at port 443 of some.

    ``places``: a name and port -> the loopback port that serves it. Everything else is refused.
    Bytes are passed on unchanged; ``posts`` lists the POSTs that passed.
    """

    folder: Path
    places: dict[tuple[str, int], int]
    posts: list[Post] = field(default_factory=list)
    port: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator["Net"]:
        """Serve in a separate thread until the block ends."""
        self._tls = _certified(self.folder, [n for n, port in self.places if port == 443])
        self._open: set[asyncio.Task[None]] = set()
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

        def do(work: Coroutine[Any, Any, None]) -> None:
            asyncio.run_coroutine_threadsafe(work, loop).result(20)

        try:
            do(self._start())
            yield self
        finally:
            do(self._stop())
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def wait_for_posts(self, number: int, seconds: float = 60) -> list[Post]:
        """Return the given number of answered POSTs since the last call."""
        until(
            lambda: sum(post.status > 0 for post in self.posts) >= number,
            f"fewer than {number} posts passed",
            seconds,
        )
        seen, self.posts = self.posts, []
        return seen

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        self._server.close()
        ended = [task for task in self._open if task.cancel()]
        await asyncio.gather(*ended, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self._lead(reader, writer)
        finally:
            writer.transport.abort()
            self._open.discard(task)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Implement RFC 1928 without a password, then forward data in both directions."""
        await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(b"\x05\x00")
        asked_by_name = (await reader.readexactly(4))[3] == 3
        name = b""
        if asked_by_name:
            name = await reader.readexactly((await reader.readexactly(1))[0])
        place = (name.decode("latin-1"), int.from_bytes(await reader.readexactly(2), "big"))
        port = self.places.get(place) if asked_by_name else None
        writer.write(bytes((5, 4 if port is None else 0, 0, 1, 0, 0, 0, 0, 0, 0)))
        await writer.drain()
        if port is None:
            return
        if place[1] == 443:
            await writer.start_tls(self._tls)
        there, onward = await asyncio.open_connection("127.0.0.1", port)
        waiting: list[Post] = []

        def ask(data: bytes) -> None:
            # A browser sends a request's header in one piece, after the previous response.
            if data.startswith(b"POST "):
                waiting.append(Post.read(data))
                self.posts.append(waiting[-1])

        def answer(data: bytes) -> None:
            if waiting:
                waiting.pop().answer = data

        back = asyncio.create_task(_pump(there, writer, answer))
        try:
            await _pump(reader, onward, ask)
            await back
        finally:
            back.cancel()
            onward.transport.abort()


async def _pump(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, look: Callable[[bytes], None]
) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            look(data)
            sink.write(data)
            await sink.drain()
    sink.close()


def _certified(folder: Path, names: Sequence[str]) -> ssl.SSLContext:
    """Return a key and a self-signed certificate for these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    own = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "throw-away")])
    now = datetime.datetime.now(datetime.UTC)
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    certificate = (
        x509.CertificateBuilder(own, own, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(alternatives, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file = folder / "throw-away.pem"
    file.write_bytes(
        key.private_bytes(pem, plain, serialization.NoEncryption()) + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


@dataclass
class Strangers:
    """Other people's sites, all on one port: pages by path, and the received request headers."""

    pages: dict[str, tuple[int, dict[str, str], str]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    def put(self, path: str, html: str, status: int = 200, **headers: str) -> None:
        self.pages[path] = (status, {k.replace("_", "-"): v for k, v in headers.items()}, html)

    @contextlib.contextmanager
    def running(self) -> Iterator["Strangers"]:
        """Serve until the block ends."""
        strangers = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                told = {name.lower(): value for name, value in self.headers.items()}
                strangers.asked.append((self.path, told))
                gone: tuple[int, dict[str, str], str] = (404, {}, "nothing here")
                status, headers, html = strangers.pages.get(self.path, gone)
                body = html.encode()
                self.send_response(status)
                own = {"Content-Type": "text/html; charset=utf-8", "Content-Length": len(body)}
                for name, value in {**own, **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - as the library names it

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()
