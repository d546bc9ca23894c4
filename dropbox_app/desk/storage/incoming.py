"""Check an item while it arrives from the server."""

from collections.abc import Callable

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import new_digest
from dropbox_app.protocol.errors import AgeError

_STANZA = "mlkem768x25519"
_START = 16_384  # bytes within which an item's header must end; one for six recipients has 9,412


class WrongFile(Exception):
    """The server sent a different item from the requested one."""


class Incoming:
    """Passes the pieces of an item to ``write`` while they arrive, and checks them.

    ``recipients`` is the number of recipients in the header of a complete item; 0 if the header has
    others than those of SPEC section 6.
    """

    def __init__(self, item: str, size: int, write: Callable[[bytes], object]) -> None:
        self.recipients = 0
        self._item = item
        self._size = size
        self._write = write
        self._digest = new_digest()
        self._length = 0
        self._start = bytearray()
        self._begun = False

    def take(self, piece: bytes) -> None:
        """Take the next piece. Raises WrongFile if there is no header within 16 KiB."""
        self._length += len(piece)
        if self._length > self._size:
            raise WrongFile("longer than was listed")
        self._digest.update(piece)
        if not self._begun:
            self._start += piece[: _START - len(self._start)]
            if len(self._start) == _START:
                self._read_header()
        self._write(piece)

    def finish(self) -> None:
        """Check the whole item. Raises WrongFile if it is a different one."""
        if not self._begun:
            self._read_header()
        if self._length != self._size or self._digest.hexdigest() != self._item:
            raise WrongFile("another file than was listed")

    def _read_header(self) -> None:
        try:
            stanzas = age.parse_header(bytes(self._start)).stanzas
        except AgeError as error:
            raise WrongFile(f"no sealed file ({error})") from None
        if all(one.args[0] == _STANZA for one in stanzas):
            self.recipients = len(stanzas)
        self._begun = True
