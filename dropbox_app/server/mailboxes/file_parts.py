"""Attachments that arrive in parts (SPEC section 6): a lost connection costs only one part.

Until the file is joined, each part is stored like a file whose message has not arrived. No sealed
file has the length of a full part (see ``FILE_PART``), so the two cannot be confused.
"""

from collections.abc import Sequence

from dropbox_app.protocol.attachment import FILE_PART
from dropbox_app.server.errors import BadShape
from dropbox_app.server.store.interface import REPORTER, ItemInfo, Staged, Store

_PIECE = 64 * 1024


def is_full_part(info: ItemInfo) -> bool:
    """Return whether an item is a full-length part of a file that is not joined yet."""
    return not info.n and info.size == FILE_PART


def check_part(staged: Staged, part: str) -> None:
    """Check a part's id and length. Raises BadShape."""
    if staged.digest() != part:
        raise BadShape("the part does not have the id that was given")
    if not 0 < staged.size <= FILE_PART:
        raise BadShape(f"a part has 1 to {FILE_PART} bytes")


def is_here(store: Store, mailbox: str, item: str) -> bool:
    """Return whether the reporter of this mailbox has sent this item, a file or a part."""
    known = store.item(item)
    return known is not None and known[0] == mailbox and known[1].author == REPORTER


def missing(store: Store, mailbox: str, parts: Sequence[str]) -> list[str]:
    """Return those of these parts that are missing from this mailbox.

    A part in another mailbox counts as missing too.
    """
    waiting = {i.id for i in store.items(mailbox) if not i.n and i.author == REPORTER}
    return [part for part in parts if part not in waiting]


def join(store: Store, parts: Sequence[str], staged: Staged) -> bool:
    """Write the parts to ``staged`` in order; return False if a part has just been removed."""
    for part in parts:
        opened = store.open(part)
        if opened is None:
            return False
        with opened:
            while piece := opened.read(_PIECE):
                staged.write(piece)
    return True
