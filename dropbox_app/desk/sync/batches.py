"""Request several messages of the inbox at once (SPEC section 7, "A batch")."""

from collections.abc import Iterable

from dropbox_app.desk.session import Desk
from dropbox_app.desk.transport.api_client import MOST_IDS, Row

MOST_BYTES = 1024 * 1024  # bytes of the messages in one response, as the server limits them


class Batches:
    """The messages of one page of the inbox. A batch is requested when its first message is needed.

    Batches only save requests. The caller requests any other item alone, and then gets the server's
    reason.
    """

    def __init__(self, desk: Desk, rows: Iterable[Row]) -> None:
        self._desk = desk
        self._sizes = {row.id: row.size for row in rows}  # messages not requested yet
        self._here: dict[str, bytes] = {}

    def take(self, item: str) -> bytes | None:
        """Return a message and remove it from this object; None if it has to be requested alone.

        The caller checks the message against its id. Raises CannotReach.
        """
        if item in self._sizes:
            self._request()
        return self._here.pop(item, None)

    def _request(self) -> None:
        """Request the next messages. A message that would be the only one is left to the caller."""
        wanted: dict[str, int] = {}
        left = MOST_BYTES
        for item, size in self._sizes.items():
            left -= size
            if len(wanted) == MOST_IDS or left < 0:
                break
            wanted[item] = size
        for item in wanted or list(self._sizes)[:1]:
            del self._sizes[item]
        if len(wanted) > 1:
            self._here = self._desk.courier.messages(wanted, self._count)

    def _count(self, piece: bytes) -> None:
        self._desk.brought += len(piece)
