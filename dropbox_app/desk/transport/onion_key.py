"""A key for Tor on this computer, for an onion address that only key holders can reach.

The key is for Tor and not for the desk: it gives access to the server but opens no sealed data. The
key is therefore only written to a file for Tor. If the key is lost, a new one can be made.
"""

import base64
import re
from dataclasses import dataclass

from dropbox_app.desk.errors import Unfit
from dropbox_app.protocol.keys import x25519_pair

SUFFIX = ".auth_private"  # the suffix of the files that Tor reads
_ADDRESS = re.compile(r"(?:http://)?([a-z2-7]{56})(?:\.onion)?/?")


@dataclass(frozen=True)
class OnionKey:
    """A key: ``public`` is a line for the operator, ``secret`` a line for Tor on this computer."""

    public: str
    secret: str


def make(address: str) -> OnionKey:
    """Return a new key for an onion address. Raises Unfit."""
    named = _ADDRESS.fullmatch(address.strip())
    if named is None:
        raise Unfit(f"{address!a} is no onion address: 56 letters and digits, and .onion.")
    secret, public = x25519_pair()
    return OnionKey(
        f"descriptor:x25519:{_base32(public)}", f"{named[1]}:descriptor:x25519:{_base32(secret)}\n"
    )


def _base32(key: bytes) -> str:
    """Encode a key in base32 as Tor does, without padding."""
    return base64.b32encode(key).decode("ascii").rstrip("=")
