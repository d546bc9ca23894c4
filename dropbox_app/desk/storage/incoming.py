"""Check an item while it arrives from the server."""

import contextlib
from collections.abc import Callable, Iterator

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import new_digest
from dropbox_app.protocol.errors import AgeError

_STANZA = "mlkem768x25519"
_START = 16_384  # bytes within which an item's header must end; one for six recipients has 9,412


class WrongFile(Exception):
    """The server sent a different item from the requested one."""


@contextlib.contextmanager
def checked(
    item: str, size: int, write: Callable[[bytes], object]
) -> Iterator[Callable[[bytes], object]]:
    """Pass the pieces of an item to ``write``; raise WrongFile if a different item arrives.

    Data that does not begin with the header of a sealed file is rejected after 16 KiB.
    """
    digest, length, start, begun = new_digest(), 0, bytearray(), False

    def take(piece: bytes) -> None:
        nonlocal length, begun
        length += len(piece)
        if length > size:
            raise WrongFile("longer than was listed")
        digest.update(piece)
        if not begun:
            start.extend(piece[: _START - len(start)])
            if len(start) == _START:
                _check_start(bytes(start))
                begun = True
        write(piece)

    yield take
    if not begun:
        _check_start(bytes(start))
    if length != size or digest.hexdigest() != item:
        raise WrongFile("another file than was listed")


def count_recipients(start: bytes) -> int:
    """Return the number of recipients in a header; 0 if the format is unknown."""
    try:
        stanzas = age.parse_header(start).stanzas
    except AgeError:
        return 0
    return len(stanzas) if all(one.args[0] == _STANZA for one in stanzas) else 0


def _check_start(start: bytes) -> None:
    try:
        age.parse_header(start)
    except AgeError as error:
        raise WrongFile(f"no sealed file ({error})") from None
