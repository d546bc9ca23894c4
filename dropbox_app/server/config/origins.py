"""The origins at which a site is reached, in the canonical form that a desk signs."""

import ipaddress
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal
from urllib.parse import urlsplit

from dropbox_app.server.errors import SettingsError

HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
# These find the lists of origins, and each string in them, in a faulty settings file.
_LISTS = re.compile(r"^\s*(origins|desk_origins)\s*=\s*\[([^\]]*)", re.MULTILINE)
_TEXTS = re.compile(r"""["']([^"'\n]{1,300})["']""")
_NO_ORIGIN = "is not an origin such as https://drop.example.org"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def read(value: object) -> tuple[str, ...]:
    """Return the origins in a list from a settings file.

    Raises SettingsError with a message that is meant to follow the name of the setting.
    """
    if not isinstance(value, list) or not all(isinstance(o, str) for o in value):
        raise SettingsError(" must be a list of origins in quotes")
    try:
        read = tuple(check_origin(origin) for origin in value)
    except SettingsError as error:
        raise SettingsError(f": {error}") from None
    if len(set(read)) != len(read):
        raise SettingsError(": one of them is listed twice")
    return read


def hosts(origins: Sequence[str]) -> set[str]:
    """Return the host names of these origins, without ports."""
    return {urlsplit(origin).hostname or "" for origin in origins}


def found_in(text: str, key: Literal["origins", "desk_origins"]) -> tuple[str, ...]:
    """Return the origins that can be recognised in a faulty settings file."""
    found = []
    for named, listed in _LISTS.findall(text):
        for origin in _TEXTS.findall(listed) if named == key else ():
            with suppress(SettingsError):
                found.append(check_origin(origin))
    return tuple(found)


def check_origin(origin: str) -> str:
    """Return an origin in the canonical form that a desk signs.

    The form is scheme://host[:port], in lower case, without a default port. Plain http is allowed
    only for onion services, which Tor encrypts, and for this machine itself. Over plain http
    elsewhere, anyone on the network path could read the traffic. Raises SettingsError with the
    reason.
    """
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        raise SettingsError(f"{origin!r} {_NO_ORIGIN}") from None
    host = parts.hostname or ""
    address = _address(host)
    if parts.scheme not in _DEFAULT_PORTS or not (address or HOST.fullmatch(host)):
        raise SettingsError(f"{origin!r} {_NO_ORIGIN}")
    shown = f"[{host}]" if ":" in host else host
    default = port in (None, _DEFAULT_PORTS[parts.scheme])
    wanted = f"{parts.scheme}://{shown}" + ("" if default else f":{port}")
    if origin != wanted:
        raise SettingsError(
            f"{origin!r} must be written {wanted!r}: lower-case, nothing after host and port, "
            "no default port"
        )
    local = host == "localhost" or (address is not None and address.is_loopback)
    if parts.scheme == "http" and not host.endswith(".onion") and not local:
        raise SettingsError(
            f"{origin!r}: over plain http everybody on the way reads what a reporter writes; "
            "use https, or an onion address"
        )
    return origin


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
