"""Several sealed items in one body (SPEC section 6)."""

from collections.abc import Sequence

from dropbox_app.protocol.errors import FormatError

LENGTH = 4  # bytes


def pack(items: Sequence[bytes]) -> bytes:
    """Return the items in order, each preceded by its length. A missing item has length 0."""
    return b"".join(len(item).to_bytes(LENGTH, "big") + item for item in items)


def complete(body: bytes, most: int) -> list[bytes]:
    """Return the first items of a body that may be incomplete or too long, at most ``most``."""
    items: list[bytes] = []
    at = 0
    while at + LENGTH <= len(body) and len(items) < most:
        begin = at + LENGTH
        at = begin + int.from_bytes(body[at:begin], "big")
        if at <= len(body):
            items.append(body[begin:at])
    return items


def unpack(body: bytes, most: int) -> list[bytes]:
    """Return the 1 to ``most`` items of a complete body. Raises FormatError."""
    items = []
    at = 0
    while at < len(body):
        begin = at + LENGTH
        end = begin + int.from_bytes(body[at:begin], "big")
        if begin > len(body) or end > len(body):
            raise FormatError("an item is incomplete")
        items.append(body[begin:end])
        at = end
    if not 1 <= len(items) <= most:
        raise FormatError("not the number of items")
    return items
