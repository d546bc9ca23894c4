"""Attachments that arrive in parts (SPEC section 6).

After a lost connection, only one part must be sent again. Until the file is joined, each part is
stored like a file whose message has not arrived. No sealed file has the length of a full part (see
``FILE_PART``), so the two cannot be confused.
"""

from collections.abc import Callable, Collection, Sequence

from dropbox_app.protocol.age import header_length
from dropbox_app.protocol.attachment import FILE_PART
from dropbox_app.server.config.settings import Limits
from dropbox_app.server.errors import BadShape, MailboxFull
from dropbox_app.server.mailboxes.validation import MAX_TO, check_form, longest
from dropbox_app.server.store.interface import REPORTER, ItemInfo, Staged, Store

LOOK = 16 * 1024 * 1024  # bytes of a file after which the free space is checked again
_PIECE = 64 * 1024


def is_full_part(info: ItemInfo) -> bool:
    """Return whether an item is a full-length part of a file that is not joined yet."""
    return not info.n and info.size == FILE_PART


def check_part(staged: Staged, part: str, most: int) -> None:
    """Check a part's id and length. ``most``: see ``check_attachment``. Raises BadShape."""
    if staged.digest() != part:
        raise BadShape("the part does not have the id that was given")
    largest = min(FILE_PART, longest(most))
    if not 0 < staged.size <= largest:
        raise BadShape(f"a part has 1 to {largest} bytes")


def is_here(store: Store, mailbox: str, item: str) -> bool:
    """Return whether the reporter of this mailbox has sent this item, a file or a part."""
    known = store.item(item)
    return known is not None and known[0] == mailbox and known[1].author == REPORTER


def missing(store: Store, mailbox: str, parts: Sequence[str]) -> list[str]:
    """Return the given parts that are missing from this mailbox.

    A part in another mailbox counts as missing too, and so does a file that is longer than a part.
    """
    waiting = _waiting(store, mailbox)
    return [part for part in parts if part not in waiting]


def check_sum(store: Store, mailbox: str, parts: Sequence[str], most: int) -> int:
    """Check, before any part is copied, that the parts can form a file; return its length.

    ``most``: see ``check_attachment``. Raises BadShape.
    """
    waiting = _waiting(store, mailbox)
    if any(waiting[part] != FILE_PART for part in parts[:-1]):
        raise BadShape(f"only the last part may be shorter than {FILE_PART} bytes")
    size = sum(waiting[part] for part in parts)
    opened = store.open(parts[0])
    start = b""
    if opened is not None:
        with opened:
            start = opened.read(header_length(MAX_TO + 1))
    check_form(start, size, REPORTER, most)
    return size


def check_waiting(
    store: Store, mailbox: str, by: str, limits: Limits, gone: Collection[str] = ()
) -> None:
    """Check that this author does not have too many files whose message has not arrived.

    ``gone``: the parts that a new file replaces. Full-length parts are not counted as files. Raises
    MailboxFull.
    """
    waiting = [
        i
        for i in store.items(mailbox)
        if not i.n and i.author == by and not is_full_part(i) and i.id not in gone
    ]
    if len(waiting) > 2 * limits.files_per_message:
        raise MailboxFull("too many files wait for their message")


def remove(store: Store, mailbox: str, parts: Sequence[str]) -> None:
    """Remove the given parts that are waiting in this mailbox."""
    store.remove_items(sorted(set(parts) & set(_waiting(store, mailbox))))


def remove_waiting(store: Store, mailbox: str, but: Collection[str]) -> None:
    """Remove the reporter's waiting files and parts, except those in ``but``."""
    waiting = [i.id for i in store.items(mailbox) if not i.n and i.author == REPORTER]
    store.remove_items([item for item in waiting if item not in but])


def waiting_bytes(store: Store, mailbox: str) -> int:
    """Return how many bytes ``remove_waiting`` would free."""
    return sum(i.size for i in store.items(mailbox) if not i.n and i.author == REPORTER)


def join(store: Store, parts: Sequence[str], staged: Staged, look: Callable[[], None]) -> bool:
    """Write the parts to ``staged`` in order; return False if a part has just been removed.

    ``look`` is called after every LOOK bytes, and may stop the copying with an exception.
    """
    looked = 0
    for part in parts:
        opened = store.open(part)
        if opened is None:
            return False
        with opened:
            while piece := opened.read(_PIECE):
                staged.write(piece)
                if staged.size - looked >= LOOK:
                    looked = staged.size
                    look()
    return True


def _waiting(store: Store, mailbox: str) -> dict[str, int]:
    """Return the lengths, by id, of the waiting items in this mailbox that may be parts."""
    return {
        i.id: i.size
        for i in store.items(mailbox)
        if not i.n and i.author == REPORTER and i.size <= FILE_PART
    }
