"""The second seal of a file in a shared database: an age payload under a key of the item's own.

SPEC section 5. A database that keeps removed bytes then keeps nothing that can be opened once the
key is gone. What is inside stays sealed to others.
"""

import secrets
from collections.abc import Callable, Iterator

from dropbox_app.protocol.stream import NONCE, PayloadWriter, payload_chunks

KEY = 32  # bytes


def new_key() -> bytes:
    """Return a random key, for one item only."""
    return secrets.token_bytes(KEY)


def writer(write: Callable[[bytes], object], key: bytes) -> PayloadWriter:
    """Return a writer that seals what is given to its ``update``, until ``finish``."""
    return PayloadWriter(write, key, secrets.token_bytes(NONCE))


def chunks(read: Callable[[int], bytes], key: bytes) -> Iterator[bytes]:
    """Yield the contents in authenticated chunks; raise PayloadFailure at the first wrong one.

    ``read(n)`` returns at most ``n`` bytes, and none at the end. Raises HeaderFailure if even the
    nonce is missing.
    """
    return payload_chunks(read, key)
