"""Send one request to a server over one connection, through the proxy if there is one.

No redirect is followed, and no cookie or cache is used.
"""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import httpcore

from dropbox_app.desk.errors import CannotReach
from dropbox_app.desk.transport import responses
from dropbox_app.desk.transport.proxy import Connect, Direct, NoProxy, Proxy, Socks, read_origin

CONNECT_SECONDS = 50.0  # an onion service may be that slow; all sites end within a minute
SILENCE_SECONDS = 50.0


@dataclass(frozen=True)
class Answer:
    """A server's response: the status, the body as it arrives, and the headers in their order."""

    status: int
    pieces: Iterator[bytes]
    headers: tuple[tuple[str, str], ...] = ()


class Transport(Protocol):
    """A connection to a server. Tests have their own implementation."""

    def send(
        self,
        method: str,
        origin: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
        seconds: float,
    ) -> AbstractContextManager[Answer]:
        """Send one request. The response is valid inside the context. Raises CannotReach.

        A body in pieces needs its Content-Length in ``headers``.
        """

    def apart(self) -> "Transport":
        """Return a transport with its own connection and circuit, which this one does not share."""

    def break_off(self) -> None:
        """Make a ``send`` that waits in another thread raise CannotReach within a minute."""

    def close(self) -> None:
        """Close the connection."""


class HttpTransport:
    """HTTP/1.1 with httpcore: through the proxy, or directly to this computer."""

    def __init__(self, proxy: Proxy | None) -> None:
        self._proxy = proxy
        near = Direct()
        self._near = near, httpcore.ConnectionPool(network_backend=near, max_connections=1)
        self._far: tuple[Direct, httpcore.ConnectionPool] = self._near
        if proxy and proxy.kind == "http":
            connect = Connect(proxy)
            self._far = connect, httpcore.ConnectionPool(network_backend=connect, max_connections=1)
        elif proxy:
            socks = Socks(proxy)
            self._far = socks, socks.pool()

    @contextlib.contextmanager
    def send(
        self,
        method: str,
        origin: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes],
        seconds: float,
    ) -> Iterator[Answer]:
        """Implement ``Transport.send``. ``seconds`` limits the whole exchange.

        The system's name lookup does not count towards this limit. Several addresses are tried one
        after the other.
        """
        where = read_origin(origin, self._proxy)
        url = httpcore.URL(scheme=where.scheme, host=where.host, port=where.port, target=target)
        limits = dict.fromkeys(("read", "write", "pool"), SILENCE_SECONDS)
        sent = body if isinstance(body, bytes) else iter(body)
        way, pool = self._near if where.loopback else self._far
        way.end = time.monotonic() + seconds
        try:
            with pool.stream(
                method,
                url,
                headers=[*headers.items()],
                content=None if method == "GET" else sent,
                extensions={"timeout": limits | {"connect": CONNECT_SECONDS}},
            ) as response:
                written = responses.headers(response.headers)
                yield Answer(response.status, response.iter_stream(), written)
        except httpcore.ProxyError as error:
            raise CannotReach(
                f"The proxy did not reach {origin}: {error}. Is Tor running and connected?"
            ) from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            said = str(error) or type(error).__name__
            if isinstance(error, NoProxy) and self._proxy:
                raise CannotReach(_no_proxy(self._proxy)) from None
            raise CannotReach(
                f"{origin} could not be reached ({said!a}); look at the connection, then try again."
            ) from None

    def apart(self) -> "HttpTransport":
        """Implement ``Transport.apart``."""
        return HttpTransport(self._proxy)

    def break_off(self) -> None:
        """Implement ``Transport.break_off``: within a second, except while connecting."""
        for way in (self._near[0], self._far[0]):
            way.broken_off = True

    def close(self) -> None:
        """Implement ``Transport.close``."""
        for _, pool in (self._near, self._far):
            pool.close()


def _no_proxy(proxy: Proxy) -> str:
    said = f"{{}} does not answer at {proxy.host}:{proxy.port}; is it running?"
    tor = said.format("Tor") + " (Tor Browser's is at 9150.)"
    return said.format("The proxy") if proxy.kind == "http" else tor
