"""How the desk's connections leave the machine: direct, by SOCKS5, or by HTTP CONNECT.

Through a proxy the name is resolved by the proxy, never here, and each ``Tunnel`` has its own
random name towards it: Tor then gives it a circuit of its own. An HTTP proxy would forward plain
http for an onion address and see it; CONNECT carries it as it is.
"""

import base64
import re
import secrets
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpcore

from dropbox_app.desk.errors import Unfit

_PROXY = re.compile(r"(socks5h|http)://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):([0-9]{1,5})/?")
_ORIGIN = re.compile(r"(https?)://([a-z0-9.-]+|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?")
_MAX_HEAD = 8_192  # bytes of a proxy's answer
# Bytes to write at a time. A socket that says it can be written to takes as many at once, so that
# each waits no longer than was left when it began.
_MOUTHFUL = 1_024
_SOCKS_REFUSALS = {
    1: "it could not",
    2: "it does not allow that address",
    3: "the network cannot be reached",
    4: "the address cannot be reached",
    5: "the server refused the connection",
    6: "it took too long",
    # Tor's own, where it is set to say them
    0xF4: "this machine's Tor has no key for that address, see 'onion-key'",
    0xF5: "the key that this machine's Tor has for that address is not taken there",
}


@dataclass(frozen=True)
class Proxy:
    """Where to leave: ``kind`` is socks5h or http."""

    kind: str
    host: str
    port: int


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port of a server, as they are dialled."""

    text: str
    scheme: str
    host: str
    port: int

    @property
    def onion(self) -> bool:
        """Whether only Tor can reach it."""
        return self.host.endswith(".onion")

    @property
    def loopback(self) -> bool:
        """Whether it is this machine."""
        return self.host in ("localhost", "[::1]") or bool(
            re.fullmatch(r"127(\.[0-9]{1,3}){3}", self.host)
        )


def read_proxy(text: str) -> Proxy | None:
    """Read ``--proxy``; None for an empty one. Raises Unfit."""
    if not text:
        return None
    match = _PROXY.fullmatch(text)
    if not match or not 1 <= int(match[3]) <= 65_535:
        raise Unfit(
            "A proxy is written as socks5h://127.0.0.1:9050 or http://127.0.0.1:8118; names are "
            "always resolved by the proxy."
        )
    return Proxy(match[1], match[2], int(match[3]))


def read_origin(text: str, proxy: Proxy | None) -> Origin:
    """Read an origin and whether the desk may dial it. Raises Unfit.

    http only to onion and loopback addresses, onion addresses only through a proxy.
    """
    match = _ORIGIN.fullmatch(text)
    if not match or (match[3] and int(match[3]) > 65_535):
        raise Unfit(f"{text!a} is not an address such as https://dropbox.example.")
    usual = 443 if match[1] == "https" else 80
    if match[3] and int(match[3]) == usual:
        raise Unfit(f"{text!a} names a port that goes without saying.")
    origin = Origin(text, match[1], match[2], int(match[3] or usual))
    if origin.scheme == "http" and not (origin.onion or origin.loopback):
        raise Unfit(f"{text!a} is not encrypted; the desk speaks http to onion addresses only.")
    if origin.onion and proxy is None:
        raise Unfit(
            f"{text!a} is an onion address: start Tor and add --proxy socks5h://127.0.0.1:9050."
        )
    return origin


class NoProxy(httpcore.ConnectError):
    """The proxy itself takes no connection."""


class Tunnel(httpcore.NetworkBackend):
    """Opens connections for httpcore; one Tunnel is one circuit.

    ``end`` (of ``time.monotonic``) bounds all that is read and written, whatever the other side
    says in the meantime; who sends a request sets it.
    """

    def __init__(self, proxy: Proxy | None) -> None:
        self.end = float("inf")
        self._proxy = proxy
        self._direct = httpcore.SyncBackend()
        self._name = secrets.token_hex(8)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Open a connection. Raises httpcore.ConnectError and the like, or ProxyError."""
        proxy = self._proxy
        left = self.left(timeout, httpcore.ConnectTimeout)
        if proxy is None or Origin("", "", host, port).loopback:
            direct = self._direct.connect_tcp(host, port, left, local_address, socket_options)
            return _Bounded(direct, self)
        try:
            onward = self._direct.connect_tcp(proxy.host.strip("[]"), proxy.port, left)
        except httpcore.ConnectError as error:
            raise NoProxy(str(error)) from None
        stream = _Bounded(onward, self)
        try:
            if proxy.kind == "http":
                self._connect(stream, host, port, timeout)
            else:
                self._socks5(stream, host, port, timeout)
        except BaseException:
            stream.close()
            raise
        return stream

    def left(self, timeout: float | None, error: type[httpcore.TimeoutException]) -> float:
        """How long the next step may take: at most ``timeout``. Raises ``error`` if no time is."""
        left = min(self.end - time.monotonic(), float("inf") if timeout is None else timeout)
        if left <= 0:
            raise error("it took too long")
        return left

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
            # A byte at a time: what comes after the head belongs to the server.
            head += _exactly(stream, 1, timeout)
            if len(head) > _MAX_HEAD:
                raise httpcore.ProxyError("its answer has no end")
        if not re.match(rb"HTTP/1\.[01] 2[0-9]{2}[ \r]", head):
            status = re.match(rb"HTTP/1\.[01] ([0-9]{3})[ \r]", head)
            raise httpcore.ProxyError(
                f"it answered {status[1].decode()}" if status else "it is no HTTP proxy"
            )

    def _socks5(
        self, stream: httpcore.NetworkStream, host: str, port: int, timeout: float | None
    ) -> None:
        """RFC 1928 and 1929: name and password (what Tor parts circuits by), then the address."""
        name = host.encode("ascii")
        if len(name) > 255:
            raise httpcore.ProxyError("the name of the server is too long for it")
        stream.write(b"\x05\x01\x02", timeout)
        if _exactly(stream, 2, timeout) != b"\x05\x02":
            raise httpcore.ProxyError("it is no SOCKS5 proxy that parts its users, as Tor does")
        user = self._name.encode("ascii")
        field = bytes([len(user)]) + user
        stream.write(b"\x01" + field + field, timeout)
        if _exactly(stream, 2, timeout)[1] != 0:
            raise httpcore.ProxyError("it refused this desk")
        address = b"\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big")
        stream.write(b"\x05\x01\x00" + address, timeout)
        version, reply, _, kind = _exactly(stream, 4, timeout)
        if version != 5 or reply != 0:
            raise httpcore.ProxyError(_SOCKS_REFUSALS.get(reply, "it refused"))
        sizes = {1: 4, 4: 16}
        length = sizes[kind] if kind in sizes else _exactly(stream, 1, timeout)[0]
        _exactly(stream, length + 2, timeout)


class _Bounded(httpcore.NetworkStream):
    """A stream of which no step takes longer than its tunnel has left."""

    def __init__(self, stream: httpcore.NetworkStream, tunnel: Tunnel) -> None:
        self._stream = stream
        self._tunnel = tunnel

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._tunnel.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), _MOUTHFUL):
            left = self._tunnel.left(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[at : at + _MOUTHFUL], left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = self._tunnel.left(timeout, httpcore.ConnectTimeout)
        return _Bounded(self._stream.start_tls(ssl_context, server_hostname, left), self._tunnel)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - httpcore's own signature
        return self._stream.get_extra_info(info)


def _exactly(stream: httpcore.NetworkStream, size: int, timeout: float | None) -> bytes:
    data = b""
    while len(data) < size:
        piece = stream.read(size - len(data), timeout)
        if not piece:
            raise httpcore.ProxyError("it hung up")
        data += piece
    return data
