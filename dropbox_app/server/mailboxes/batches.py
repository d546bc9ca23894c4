"""Read several sealed messages of one counsellor for one response (SPEC section 7)."""

from collections.abc import Sequence

from dropbox_app.server.store.interface import Store


def addressed_messages(store: Store, identity: str, items: Sequence[str], most: int) -> list[bytes]:
    """Return the messages among ``items`` that are addressed to ``identity``, in this order.

    For any other item, the list has an empty entry. The list ends before a message that would make
    it longer than ``most`` bytes, but not before the first.
    """
    found: list[bytes] = []
    for item in items:
        known = store.item(item)
        # Ask for the kind first, because opening a file may read all of it.
        mine = known is not None and known[1].what == "message"
        mine = mine and store.is_addressed(identity, item)
        if known is None or not mine:
            found.append(b"")
            continue
        most -= known[1].size
        if most < 0 and any(found):
            break
        found.append(store.read(item) or b"")
    return found
