"""The second seal of an item in a shared database: an age payload under the item's own key.

SPEC section 5. A database may keep the bytes of a removed item, but nobody can open them once the
key is destroyed. The contents are still sealed to the recipients.
"""

import secrets
from collections.abc import Callable, Iterator

from dropbox_app.protocol.stream import NONCE, PayloadWriter, payload_chunks

KEY = 32  # bytes


def new_key() -> bytes:
    """Return a random key for one item only."""
    return secrets.token_bytes(KEY)


def writer(write: Callable[[bytes], object], key: bytes) -> PayloadWriter:
    """Return a writer that seals everything passed to its ``update``, until ``finish``."""
    return PayloadWriter(write, key, secrets.token_bytes(NONCE))


def chunks(read: Callable[[int], bytes], key: bytes) -> Iterator[bytes]:
    """Yield the contents in authenticated chunks; raise PayloadFailure at the first invalid one.

    ``read(n)`` returns at most ``n`` bytes, and none at the end. Raises HeaderFailure if the nonce
    is incomplete.
    """
    return payload_chunks(read, key)
