"""``doctor --visit``: comes to each site as a visitor does, and looks at what is received.

The only part of ``doctor`` that uses a network: it dials the addresses that are in the settings,
and with ``--socks`` Tor on this machine. It asks for public pages, sends nothing, keeps nothing.
"""

import http.client
import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dropbox_app.server.config.loader import Reading
from dropbox_app.server.doctor.finding import Finding, fine, note, wrong
from dropbox_app.server.web.security_headers import HEADERS, HSTS

BOX = "run/klankbord/box.sock"
PATIENCE = 60  # seconds; through Tor it may take long
LONGEST = 180  # seconds, for all of a page
MOST = 1024 * 1024  # bytes: far more than a page has
PAGES = ("/nl/", "/nl/safety")  # of one length
EXPIRES = 14  # days before the end of a certificate, which renews itself long before that
# What tells of this machine, of a visit, or of a page; and what none but a web server adds.
NEVER = ("Via", "Set-Cookie", "ETag", "Last-Modified", "Content-Encoding", "X-Powered-By", "Age")
NOT_OF_THE_APP = ("Server", "Date")
_MEND = "; see Serve in deploy/README.md"

Dial = Callable[[], socket.socket]
Answer = tuple[int, http.client.HTTPMessage, bytes]


def visit(
    read: Reading, name: str | None, box: Path, socks: tuple[str, int] | None
) -> Iterator[Finding]:
    """Visit every site, or the one of this name, at all its addresses.

    ``socks``: a port where Tor takes visitors. ``box``: the server's own socket file.
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
        yield note("visit", f"{box} may not be used by this account", "run doctor as root")
    elif box.exists():
        yield from _seen(f"{origin} at {box}", lambda: _to_socket(box), parts, origins, app=True)
    if not parts.hostname:
        return
    if not parts.hostname.endswith(".onion"):
        yield from _seen(origin, lambda: _to_host(parts), parts, origins, parts.scheme == "http")
    elif socks is not None:
        yield from _seen(origin, lambda: _to_onion(parts, socks), parts, origins, app=True)
    else:
        yield note(
            "visit", f"{origin} was not visited: the Tor that serves it takes no visitors",
            f"open {origin} in Tor Browser on another machine; or, where another Tor takes "
            "visitors at a port: doctor --visit --socks 127.0.0.1:9050",
        )  # fmt: skip


def _seen(
    where: str, dial: Dial, parts: SplitResult, origins: tuple[str, ...], app: bool
) -> Iterator[Finding]:
    """What a visitor receives there. ``app``: no web server stands in between."""
    try:
        answers = [_asked(dial, parts, page) for page in PAGES]
    except (OSError, http.client.HTTPException, ValueError) as error:
        yield wrong(
            "visit", f"{where} cannot be visited: {_said(error)}",
            "systemctl status klankbord tor caddy; is the name's address this machine's?",
        )  # fmt: skip
        return
    for status, headers, _ in answers:
        if status != http.client.OK:
            yield wrong("visit", f"{where} answers {status}", f"see site check{_MEND}")
            return
        yield from _headers(where, headers, parts, origins, app)
    if len({len(body) for _, _, body in answers}) > 1:
        yield wrong("visit", f"{where}: pages have more than one length", f"no compression{_MEND}")


def _headers(
    where: str,
    headers: http.client.HTTPMessage,
    parts: SplitResult,
    origins: tuple[str, ...],
    app: bool,
) -> Iterator[Finding]:
    expected = HEADERS | ({"Strict-Transport-Security": HSTS} if parts.scheme == "https" else {})
    lost = [name for name, value in expected.items() if headers.get_all(name) != [value]]
    if lost:
        yield wrong(
            "visit", f"{where}: other than the server sends it: {', '.join(lost)}",
            f"let the web server pass every header on{_MEND}",
        )  # fmt: skip
    told = [name for name in (*NEVER, *(NOT_OF_THE_APP if app else ())) if name in headers]
    if told:
        yield wrong("visit", f"{where}: tells {', '.join(told)}", f"take it out{_MEND}")
    onions = [one for one in origins if one.endswith(".onion")]
    if onions and not app and parts.scheme == "https":
        offered = headers.get("Onion-Location", "")
        if not offered.startswith(tuple(f"{one}/" for one in onions)):
            yield wrong(
                "visit", f"{where}: does not offer the onion address (Onion-Location)",
                f"Onion-Location in the web server's settings{_MEND}",
            )  # fmt: skip


class _Endless(OSError):
    """An answer that is longer than any page."""


class _Expiring(ssl.SSLError):
    """A certificate that holds for a few days more only."""


def _asked(dial: Dial, parts: SplitResult, page: str) -> Answer:
    connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
    connection.sock = dialled = dial()
    late = threading.Event()

    def give_up() -> None:
        late.set()
        with suppress(OSError):  # it ended this moment
            socket.socket.shutdown(dialled, socket.SHUT_RDWR)

    end = threading.Timer(LONGEST, give_up)  # however little comes at a time
    with closing(connection):
        end.start()
        try:
            connection.request("GET", page, headers={"Host": parts.netloc, "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read(MOST + 1)
        finally:
            end.cancel()
    if late.is_set() or len(body) > MOST:
        raise _Endless("its answer has no end")
    return answer.status, answer.headers, body


def _to_socket(path: Path) -> socket.socket:
    with ExitStack() as held:
        made = held.enter_context(socket.socket(socket.AF_UNIX))
        made.settimeout(PATIENCE)
        made.connect(str(path))
        held.pop_all()
        return made


def _to_host(parts: SplitResult) -> socket.socket:
    secure = parts.scheme == "https"
    made = socket.create_connection(
        (parts.hostname or "", parts.port or (443 if secure else 80)), PATIENCE
    )
    if not secure:
        return made
    wrapped = ssl.create_default_context().wrap_socket(made, server_hostname=parts.hostname)
    shown = wrapped.getpeercert() or {}
    end = ssl.cert_time_to_seconds(str(shown["notAfter"]))
    if end - time.time() < EXPIRES * 86_400:
        wrapped.close()
        raise _Expiring(f"its certificate ends on {shown['notAfter']}")
    return wrapped


def _to_onion(parts: SplitResult, socks: tuple[str, int]) -> socket.socket:
    """Through Tor, which looks the name up itself (RFC 1928)."""
    name = (parts.hostname or "").encode("ascii")
    port = (parts.port or 80).to_bytes(2, "big")
    with ExitStack() as held:
        made = held.enter_context(socket.create_connection(socks, PATIENCE))
        made.sendall(b"\x05\x01\x00")
        _exactly(made, 2)
        made.sendall(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port)
        told = _exactly(made, 4)
        if told[1]:
            raise OSError(f"Tor cannot reach it (SOCKS answer {told[1]:#04x})")
        _exactly(made, {1: 4, 4: 16}.get(told[3], 0) + 2)
        held.pop_all()
        return made


def _exactly(made: socket.socket, count: int) -> bytes:
    got = b""
    while len(got) < count:
        more = made.recv(count - len(got))
        if not more:
            raise OSError("that is no SOCKS port")
        got += more
    return got


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message}"
    if isinstance(error, _Expiring):
        return str(error.args[0])
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, http.client.HTTPException | ValueError):
        # Whose text would be the other side's.
        return f"what answers is no web server ({type(error).__name__})"
    return str(error) or type(error).__name__


def address_of(text: str) -> tuple[str, int]:
    """``HOST:PORT`` of ``--socks``. Raises ValueError."""
    found = re.fullmatch(r"([^\s:]+):([0-9]{1,5})", text)
    if not found or not 1 <= int(found[2]) <= 65_535:
        raise ValueError(f"{text!r} is no HOST:PORT")
    return found[1], int(found[2])
