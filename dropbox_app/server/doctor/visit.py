"""``doctor --visit``: open each site as a visitor does, and check the responses.

This is the only part of ``doctor`` that uses a network. The visit connects to the addresses in the
settings and, with ``--socks``, to Tor on this machine. The visit requests public pages, and neither
submits nor stores anything.
"""

import os
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpcore
from socksio.exceptions import SOCKSError

from dropbox_app.server.config.loader import Reading
from dropbox_app.server.doctor.finding import Finding, fine, unseen, wrong
from dropbox_app.server.web.security_headers import HEADERS, HSTS

BOX = "run/klankbord/app.sock"
PATIENCE = 60  # seconds; Tor may be slow
LONGEST = 180  # seconds for an entire page
MOST = 1024 * 1024  # bytes; far more than any page has
PAGES = ("/nl/", "/nl/safety")  # two pages of the same length
EXPIRES = 14  # days before a certificate expires; it is renewed long before that
# Headers that reveal this machine, a visit or a page, or that only a web server adds.
NEVER = ("Via", "Set-Cookie", "ETag", "Last-Modified", "Content-Encoding", "X-Powered-By", "Age")
OF_GUNICORN = ("Server", "Date")  # nginx removes these two
_MEND = "; see Serve in deploy/guide/by-hand.md"

Pool = Callable[[httpcore.NetworkBackend], httpcore.ConnectionPool]
Answer = tuple[int, Message, int]  # status, headers, length of the body in bytes


def visit(
    read: Reading, name: str | None, box: Path, socks: tuple[str, int] | None
) -> Iterator[Finding]:
    """Visit every site, or only the one called ``name``, at all its addresses.

    ``socks`` is a SOCKS port of Tor. ``box`` is the server's own socket file.
    """
    for site in read.sites:
        if name in (None, site.place.name):
            origins = site.settings.origins
            found = [one for origin in origins for one in _origin(origin, origins, box, socks)]
            yield from [replace(one, site=site.place.name) for one in found] or [
                fine("visit", site.place.name)
            ]


def _origin(
    origin: str, origins: tuple[str, ...], box: Path, socks: tuple[str, int] | None
) -> Iterator[Finding]:
    parts = urlsplit(origin)
    if not os.access(box.parent, os.X_OK) and box.parent.exists():
        yield unseen("visit", f"{box} may not be used by this account", "run doctor as root")
    elif box.exists():
        yield from look(f"{origin} at {box}", _to_socket(box), origin, origins, behind=True)
    if not parts.hostname:
        return
    if not parts.hostname.endswith(".onion"):
        yield from look(origin, _straight, origin, origins)
    elif socks is not None:
        yield from look(origin, _through_tor(*socks), origin, origins)
    else:
        yield unseen(
            "visit", f"{origin} was not visited: the Tor that serves it takes no visitors",
            f"open {origin} in Tor Browser on another machine; or, where another Tor takes "
            "visitors at a port: doctor --visit --socks 127.0.0.1:9050",
        )  # fmt: skip


def _straight(backend: httpcore.NetworkBackend) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        network_backend=backend, ssl_context=ssl.create_default_context()
    )


def _to_socket(path: Path) -> Pool:
    return lambda backend: httpcore.ConnectionPool(network_backend=backend, uds=str(path))


def _through_tor(host: str, port: int) -> Pool:
    """Return a proxy for this name. Tor resolves each name over a separate circuit."""
    name = secrets.token_hex(8)
    where = httpcore.URL(scheme="socks5", host=host, port=port, target="/")
    return lambda backend: httpcore.SOCKSProxy(where, (name, name), network_backend=backend)


def look(
    where: str, pool: Pool, origin: str, origins: tuple[str, ...], *, behind: bool = False
) -> Iterator[Finding]:
    """Yield the findings at one address. ``behind``: whether it is the server's own socket."""
    parts = urlsplit(origin)
    try:
        answers = [_asked(pool, parts, page) for page in PAGES]
    except (OSError, httpcore.NetworkError, httpcore.TimeoutException) as error:
        said = _said(error)
    except httpcore.ProxyError as error:
        said = f"Tor cannot reach it ({error})"
    except (httpcore.ProtocolError, SOCKSError, AssertionError, ValueError) as error:
        # The text of this error would come from the other side.
        said = f"what answers is no web server ({type(error).__name__})"
    else:
        yield from _received(where, answers, parts, origins, behind)
        return
    yield wrong(
        "visit", f"{where} cannot be visited: {said}",
        "systemctl status klankbord klankbord-nginx tor; is the name's address this machine's?",
    )  # fmt: skip


def _received(
    where: str, answers: list[Answer], parts: SplitResult, origins: tuple[str, ...], behind: bool
) -> Iterator[Finding]:
    for status, headers, _ in answers:
        if status != HTTPStatus.OK:
            yield wrong(
                "visit", f"{where} answers {status}",
                f"systemctl status klankbord; klankbord-server site check{_MEND}",
            )  # fmt: skip
            return
        yield from _headers(where, headers, parts, origins, behind)
    if len({size for _, _, size in answers}) > 1:
        yield wrong("visit", f"{where}: pages have more than one length", f"no compression{_MEND}")


def _headers(
    where: str,
    headers: Message,
    parts: SplitResult,
    origins: tuple[str, ...],
    behind: bool,
) -> Iterator[Finding]:
    expected = HEADERS | ({"Strict-Transport-Security": HSTS} if parts.scheme == "https" else {})
    lost = [name for name, value in expected.items() if headers.get_all(name) != [value]]
    if lost:
        yield wrong(
            "visit", f"{where}: other than the server sends it: {', '.join(lost)}",
            f"let the web server pass every header on{_MEND}",
        )  # fmt: skip
    told = [name for name in (*NEVER, *(() if behind else OF_GUNICORN)) if name in headers]
    if told:
        yield wrong("visit", f"{where}: tells {', '.join(told)}", f"take it out{_MEND}")
    onions = [one for one in origins if one.endswith(".onion")]
    if onions and not behind and parts.scheme == "https":
        offered = headers.get("Onion-Location", "")
        if not offered.startswith(tuple(f"{one}/" for one in onions)):
            yield wrong(
                "visit", f"{where}: does not offer the onion address (Onion-Location)",
                f"Onion-Location in the web server's settings{_MEND}",
            )  # fmt: skip


class _Bounded(httpcore.NetworkBackend):
    """Opens connections, and closes all of them when the time for a page runs out.

    The connections are closed even if data arrives very slowly. httpcore limits only the time of
    each single step, and sets no limit at all on its exchange with a SOCKS proxy.
    """

    def __init__(self) -> None:
        self._direct = httpcore.SyncBackend()
        self._sockets: list[socket.socket] = []
        self.late = False

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        return self._known(
            self._direct.connect_tcp(host, port, timeout, local_address, socket_options)
        )

    def connect_unix_socket(
        self, path: str, timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        with socket.socket(socket.AF_UNIX) as tried:
            tried.settimeout(timeout)
            tried.connect(path)  # if this fails, httpcore would leave a socket open
        return self._known(self._direct.connect_unix_socket(path, timeout, socket_options))

    def _known(self, stream: httpcore.NetworkStream) -> httpcore.NetworkStream:
        self._sockets.append(stream.get_extra_info("socket"))
        return stream

    def give_up(self) -> None:
        self.late = True
        for one in self._sockets:
            with suppress(OSError):  # it has just ended
                socket.socket.shutdown(one, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connections that httpcore leaves open when a proxy fails."""
        for one in self._sockets:
            one.close()


def _asked(pool: Pool, parts: SplitResult, page: str) -> Answer:
    """Request a page. Raises OSError, and the errors of httpcore and its SOCKS library."""
    backend = _Bounded()
    url = httpcore.URL(scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=page)
    limits = dict.fromkeys(("connect", "read", "write", "pool"), PATIENCE)
    # The server's own socket file expects the headers that nginx would set.
    way = "onion" if (parts.hostname or "").endswith(".onion") else "domain"
    headers = {"Host": parts.netloc, "Connection": "close", "X-Klankbord-Way": way}
    end = threading.Timer(LONGEST, backend.give_up)
    end.start()
    size = 0
    try:
        with (
            pool(backend) as opened,
            opened.stream(
                "GET", url, headers=[*headers.items()], extensions={"timeout": limits}
            ) as answer,
        ):
            _expiring(answer.extensions.get("network_stream"))
            said = Message()
            for name, value in answer.headers:
                said[name.decode("latin-1")] = value.decode("latin-1")
            for piece in answer.iter_stream():
                size += len(piece)
                if size > MOST:
                    raise OSError("its answer has no end")
    except (httpcore.NetworkError, httpcore.ProtocolError, SOCKSError, AssertionError):
        if backend.late:
            raise OSError("its answer has no end") from None
        raise
    finally:
        end.cancel()
        backend.close()
    return answer.status, said, size


def _expiring(stream: Any) -> None:  # noqa: ANN401 - httpcore's own type
    """Raise OSError if the certificate expires soon."""
    tls = stream.get_extra_info("ssl_object") if stream else None
    if tls is not None:
        end = str(tls.getpeercert()["notAfter"])
        if ssl.cert_time_to_seconds(end) - time.time() < EXPIRES * 86_400:
            raise OSError(f"its certificate ends on {end}")


def _said(error: Exception) -> str:
    # httpcore's exception wraps the system's own error, which explains it.
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {cause.verify_message}"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return str(cause) or type(error).__name__


def address_of(text: str) -> tuple[str, int]:
    """Parse the ``HOST:PORT`` of ``--socks``. Raises ValueError."""
    found = re.fullmatch(r"([^\s:]+):([0-9]{1,5})", text)
    if not found or not 1 <= int(found[2]) <= 65_535:
        raise ValueError(f"{text!r} is no HOST:PORT")
    return found[1], int(found[2])
