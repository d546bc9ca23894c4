"""A connection to a name and a port: straight, or through a SOCKS5 proxy such as Tor's.

Through a proxy the name is resolved there and never here, and each connection has a random name
towards it: Tor then gives it a circuit of its own (RFC 1928 and 1929).
"""

import re
import secrets
import socket

from dropbox_app.server.errors import MailError

PROXY = re.compile(r"socks5h://(?P<host>[A-Za-z0-9.-]+):(?P<port>[0-9]{1,5})")


def dial(host: str, port: int, proxy: str, timeout: float) -> socket.socket:
    """Connect. Raises OSError, or MailError in words about the proxy."""
    where = PROXY.fullmatch(proxy)
    if where is None:
        return socket.create_connection((host, port), timeout)
    try:
        made = socket.create_connection((where["host"], int(where["port"])), timeout)
    except OSError:
        raise MailError(f"nothing answers at {proxy}; is that Tor running?") from None
    try:
        _ask(made, host.encode("ascii"), port)
    except MailError:
        made.close()
        raise
    except OSError:
        made.close()
        raise MailError("the proxy hung up, or it took too long") from None
    return made


def _ask(made: socket.socket, host: bytes, port: int) -> None:
    made.sendall(b"\x05\x01\x02")
    if _exactly(made, 2) != b"\x05\x02":
        raise MailError("the proxy is no SOCKS5 proxy that parts its users, as Tor does")
    name = secrets.token_hex(8).encode("ascii")
    field = bytes([len(name)]) + name
    made.sendall(b"\x01" + field + field)
    if _exactly(made, 2)[1] != 0:
        raise MailError("the proxy refused this machine")
    address = bytes([len(host)]) + host + port.to_bytes(2, "big")
    made.sendall(b"\x05\x01\x00\x03" + address)
    version, reply, _, kind = _exactly(made, 4)
    if version != 5 or reply != 0:
        raise MailError(f"the proxy cannot reach the mail server ({reply})")
    sizes = {1: 4, 4: 16}
    length = sizes[kind] if kind in sizes else _exactly(made, 1)[0]
    _exactly(made, length + 2)


def _exactly(made: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = made.recv(size - len(data))
        if not piece:
            raise ConnectionError
        data += piece
    return data
