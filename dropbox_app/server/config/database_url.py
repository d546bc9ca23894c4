"""``store``: where a site's conversations are stored, as a PostgreSQL address without a password.

A password is rejected, because the address appears in a settings file and in messages.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from dropbox_app.server.config.toml_fields import Wrong, one_line

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PATHS = ("passfile", "sslrootcert", "sslcert", "sslkey")
_KNOWN = {"host", "port", "sslmode", "target_session_attrs", *_PATHS}
_SOCKETS = "/run/postgresql"  # Debian's folder
_HERE = {"127.0.0.1", "::1", "localhost"}

FORM = '"postgresql://ROLE@HOST/DATABASE", or "postgresql://ROLE@/DATABASE" for this machine'


def read(value: object) -> Mapping[str, str]:
    """Return the connection parameters, named as in libpq; an empty text has none.

    Raises Wrong for a password, an unknown parameter, or a network connection without verified TLS.
    """
    text = one_line(value, "store", most=1_000)  # two hosts and four paths are long
    if not text:
        return {}
    try:
        url = urlsplit(text)
        port = url.port
        given = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    except ValueError:
        raise Wrong("store", f"store must be an address such as {FORM}") from None
    _refuse_password(text, given)
    found = dict(given)
    unknown = sorted(set(found) - _KNOWN)
    if unknown or len(found) < len(given) or url.fragment:
        raise Wrong("store", f"store may only have, each once: {', '.join(sorted(_KNOWN))}")
    user, database = url.username or "", url.path.removeprefix("/")
    if url.scheme != "postgresql" or not _NAME.fullmatch(user) or not _NAME.fullmatch(database):
        raise Wrong("store", f"store must be {FORM}, with names of a-z, 0-9 and _")
    if url.hostname:
        found["host"] = url.hostname
    if port is not None:
        found["port"] = str(port)
    found.setdefault("host", _SOCKETS)
    for key in _PATHS:
        if key in found and not found[key].startswith("/"):
            raise Wrong("store", f"store: {key} must be a path from /")
    _refuse_open_network(found)
    if "," in found["host"]:  # the server that accepts writes
        found.setdefault("target_session_attrs", "read-write")
    return {"user": user, "dbname": database, **found}


def _refuse_password(text: str, given: list[tuple[str, str]]) -> None:
    before_host = text.partition("//")[2].partition("/")[0].rpartition("@")[0]
    if ":" in before_host or any("password" in key for key, _ in given):
        raise Wrong(
            "store",
            "store must not contain a password: put it into a file of mode 600 as "
            "*:*:*:ROLE:PASSWORD, and name the file with ?passfile=/PATH",
        )


def _refuse_open_network(found: Mapping[str, str]) -> None:
    hosts = found["host"].split(",")
    if all(host.startswith("/") or host in _HERE for host in hosts):
        return
    if found.get("sslmode") != "verify-full":
        raise Wrong("store", "store: over a network, sslmode must be verify-full")
