"""The desk's connections to the network: directly, through SOCKS5, or through HTTP CONNECT.

Any proxy resolves the host name; this computer does not. Each transport uses its own random user
name at the proxy, so that Tor gives it a separate circuit.
"""

import base64
import contextlib
import re
import secrets
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpcore

from dropbox_app.desk.errors import Unfit

TOR_PORTS = (9150, 9050)  # the ports of Tor Browser and of Tor itself
_LOOK_SECONDS = 0.5
_MOMENT = 1.0  # seconds after which a waiting read checks whether it was aborted
_PROXY = re.compile(r"(socks5h|http)://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})/?")
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?")
_MAX_HEAD = 8_192  # bytes of a proxy's response
# Bytes to write at a time. A socket that is reported as writable accepts this many at once, so each
# write waits no longer than the time left when it began.
_MOUTHFUL = 1_024
_SOCKS_REFUSALS = {
    1: "it could not",
    2: "it does not allow that address",
    3: "the network cannot be reached",
    4: "the address cannot be reached",
    5: "the server refused the connection",
    6: "it took too long",
    # Tor's own codes, if it is configured to send them
    0xF4: "this machine's Tor has no key for that address, see 'onion-key'",
    0xF5: "the key that this machine's Tor has for that address is not taken there",
}


@dataclass(frozen=True)
class Proxy:
    """A proxy for connections. ``kind`` is socks5h or http."""

    kind: str
    host: str
    port: int


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port of a server, as dialled."""

    text: str
    scheme: str
    host: str
    port: int

    @property
    def onion(self) -> bool:
        """Return whether only Tor can reach this server."""
        return self.host.endswith(".onion")

    @property
    def loopback(self) -> bool:
        """Return whether the server is this computer."""
        return self.host in ("localhost", "[::1]") or bool(
            re.fullmatch(r"127(\.[0-9]{1,3}){3}", self.host)
        )


def read_proxy(text: str) -> Proxy | None:
    """Parse ``--proxy``; return None if it is empty. Raises Unfit."""
    if not text:
        return None
    match = _PROXY.fullmatch(text)
    if not match or not 1 <= int(match[3]) <= 65_535:
        raise Unfit(
            "A proxy is written as socks5h://127.0.0.1:9050 or http://127.0.0.1:8118; names are "
            "always resolved by the proxy.",
            "proxy",
        )
    return Proxy(match[1], match[2], int(match[3]))


def find_tor() -> str:
    """Return the address of Tor on this computer; "" if it is not running.

    The function only checks whether a program listens at Tor's usual ports. Nothing is sent.
    """
    for port in TOR_PORTS:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), _LOOK_SECONDS).close()
            return f"socks5h://127.0.0.1:{port}"
    return ""


def is_onion(origin: str) -> bool:
    """Return whether an address can only be reached through Tor."""
    match = _ORIGIN.fullmatch(origin)
    return match is not None and match[2].endswith(".onion")


def read_origin(text: str, proxy: Proxy | None) -> Origin:
    """Parse an origin, and check that the desk may connect to it. Raises Unfit.

    http is allowed only for onion and loopback addresses, and onion addresses only through a proxy.
    """
    match = _ORIGIN.fullmatch(text)
    if not match or (match[3] and int(match[3]) > 65_535):
        raise Unfit(f"{text!a} is not an address such as https://dropbox.example.", "address")
    usual = 443 if match[1] == "https" else 80
    if match[3] and int(match[3]) == usual:
        raise Unfit(f"{text!a} names a port that goes without saying.", "address")
    origin = Origin(text, match[1], match[2], int(match[3] or usual))
    if origin.scheme == "http" and not (origin.onion or origin.loopback):
        sentence = f"{text!a} is not encrypted; the desk speaks http to onion addresses only."
        raise Unfit(sentence, "address")
    if origin.onion and proxy is None:
        raise Unfit(
            f"{text!a} is an onion address: start Tor and add --proxy socks5h://127.0.0.1:9050.",
            "needs_tor",
        )
    return origin


class NoProxy(httpcore.ConnectError):
    """The proxy itself does not accept connections."""


class Direct(httpcore.NetworkBackend):
    """Opens connections for httpcore, directly to the server.

    ``end`` (a time of ``time.monotonic``) limits all reads and writes, whatever the other side
    does. The sender of a request sets ``end``. ``broken_off``, which another thread may set, ends
    all reads and writes almost immediately.
    """

    def __init__(self) -> None:
        self.end = float("inf")
        self.broken_off = False
        self._direct = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Open a connection. Raises httpcore.ConnectError and similar errors, or ProxyError."""
        left = self.left(timeout, httpcore.ConnectTimeout)
        stream = self._direct.connect_tcp(host, port, left, local_address, socket_options)
        return _Bounded(stream, self)

    def left(self, timeout: float | None, error: type[httpcore.TimeoutException]) -> float:
        """Return the seconds allowed for the next step, at most ``timeout``.

        Raises ``error`` if no time is left.
        """
        left = min(self.end - time.monotonic(), float("inf") if timeout is None else timeout)
        if left <= 0:
            raise error("it took too long")
        if self.broken_off:
            raise error("it was broken off")
        return left

    def to_proxy(self, proxy: Proxy, timeout: float | None) -> httpcore.NetworkStream:
        """Open a connection to a proxy. Raises NoProxy, or httpcore.ConnectTimeout."""
        try:
            return Direct.connect_tcp(self, proxy.host.strip("[]"), proxy.port, timeout)
        except httpcore.ConnectError as error:
            raise NoProxy(str(error)) from None


class Connect(Direct):
    """Connects through an HTTP proxy, with CONNECT."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy
        self._name = secrets.token_hex(8)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Open a connection. Raises httpcore.ConnectError and similar errors, or ProxyError."""
        stream = self.to_proxy(self._proxy, timeout)
        try:
            self._connect(stream, host, port, timeout)
        except BaseException:
            stream.close()
            raise
        return stream

    def _connect(
        self, stream: httpcore.NetworkStream, host: str, port: int, timeout: float | None
    ) -> None:
        name = base64.b64encode(f"{self._name}:{self._name}".encode()).decode()
        lines = (
            f"CONNECT {host}:{port} HTTP/1.1",
            f"Host: {host}:{port}",
            f"Proxy-Authorization: Basic {name}",
        )
        stream.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii"), timeout)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            # Read one byte at a time, because data after the head belongs to the server.
            head += _exactly(stream, 1, timeout)
            if len(head) > _MAX_HEAD:
                raise httpcore.ProxyError("its answer has no end")
        if not re.match(rb"HTTP/1\.[01] 2[0-9]{2}[ \r]", head):
            status = re.match(rb"HTTP/1\.[01] ([0-9]{3})[ \r]", head)
            raise httpcore.ProxyError(
                f"it answered {status[1].decode()}" if status else "it is no HTTP proxy"
            )


class Socks(Direct):
    """Connects to a SOCKS5 proxy, for httpcore's own SOCKSProxy."""

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy
        self._name = secrets.token_hex(8)

    def pool(self) -> httpcore.SOCKSProxy:
        """Return a pool that sends all its requests through the proxy, with one user name."""
        where = httpcore.URL(
            scheme="socks5", host=self._proxy.host, port=self._proxy.port, target="/"
        )
        return httpcore.SOCKSProxy(
            where, (self._name, self._name), max_connections=1, network_backend=self
        )

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Open the connection to the proxy. Raises NoProxy, or httpcore.ConnectTimeout."""
        return _Answers(self.to_proxy(self._proxy, timeout), self, timeout)


class _Bounded(httpcore.NetworkStream):
    """A stream in which no step takes longer than the remaining time."""

    def __init__(self, stream: httpcore.NetworkStream, way: Direct) -> None:
        self._stream = stream
        self._way = way

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        began = time.monotonic()
        while True:
            waited = time.monotonic() - began
            left = self._way.left(
                None if timeout is None else timeout - waited, httpcore.ReadTimeout
            )
            try:
                return self._stream.read(max_bytes, min(left, _MOMENT))
            except httpcore.ReadTimeout:
                if left <= _MOMENT:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), _MOUTHFUL):
            left = self._way.left(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[at : at + _MOUTHFUL], left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._way.left(timeout, httpcore.ConnectTimeout)
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, left), self._way)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's own signature
        return self._stream.get_extra_info(info)


class _Answers(_Bounded):
    """A stream that delivers each of the proxy's three replies in one piece.

    httpcore reads each reply with a single call and without a timeout, however the network splits
    it, and does not know Tor's own error codes.
    """

    def __init__(self, stream: httpcore.NetworkStream, way: Direct, timeout: float | None) -> None:
        super().__init__(stream, way)
        self._timeout = timeout
        self._awaited = [self._method, self._login, self._reply]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self._awaited:
            return super().read(max_bytes, timeout)
        try:
            return self._awaited.pop(0)()
        except BaseException:
            self.close()  # httpcore leaves it open
            raise

    def _method(self) -> bytes:
        said = _exactly(self._stream, 2, self._timeout)
        if said != b"\x05\x02":
            raise httpcore.ProxyError("it is no SOCKS5 proxy that asks for a name, as Tor does")
        return said

    def _login(self) -> bytes:
        said = _exactly(self._stream, 2, self._timeout)
        if said != b"\x01\x00":
            raise httpcore.ProxyError("it refused this desk")
        return said

    def _reply(self) -> bytes:
        version, reply, _, kind = _exactly(self._stream, 4, self._timeout)
        if version != 5 or reply != 0:
            raise httpcore.ProxyError(_SOCKS_REFUSALS.get(reply, "it refused"))
        sizes = {1: 4, 4: 16}
        length = sizes[kind] if kind in sizes else _exactly(self._stream, 1, self._timeout)[0]
        _exactly(self._stream, length + 2, self._timeout)
        return b"\x05\x00\x00\x01" + bytes(6)  # the address in the reply is not needed


def _exactly(stream: httpcore.NetworkStream, size: int, timeout: float | None) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.read(size - len(data), timeout)
        if not piece:
            raise httpcore.ProxyError("it hung up")
        data += piece
    return data
