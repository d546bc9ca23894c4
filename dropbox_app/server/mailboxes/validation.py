"""The required form of a sealed file and of the list of its addressees (SPEC section 6)."""

from collections.abc import Iterable
from typing import BinaryIO, Literal

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.errors import HeaderFailure
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.server.errors import BadShape
from dropbox_app.server.store.interface import REPORTER, ItemInfo, Staged, What

MAX_TO = 5


def stanzas_of(what: Literal["message", "attachment"], by: str, identities: int) -> int:
    """Return how many recipients a file has. Reporters cannot open attachments that they sent."""
    return identities + (what == "message" or by != REPORTER)


def check_message(sealed: bytes, identities: int) -> str:
    """Return the item id of a sealed message. Raises BadShape if the message is malformed."""
    try:
        age.check_shape(sealed, len(sealed), identities + 1, "messages")
    except HeaderFailure as error:
        raise BadShape(str(error)) from None
    return sha256_hex(sealed)


def check_attachment(staged: Staged, item: str, by: str, most: int) -> None:
    """Check the hash, form and size of a complete attachment that ``by`` sealed.

    ``item``: the id that the sender gave. ``most``: the size of the largest file before sealing, in
    bytes. Raises BadShape. The store is not locked during the check, so no other request has to
    wait.
    """
    if staged.digest() != item:
        raise BadShape("the file does not have the id that was given")
    check_form(staged.start, staged.size, by, most)


def check_form(start: bytes, size: int, by: str, most: int) -> None:
    """Check the form and size of an attachment by its ``start``, which contains the whole header.

    Raises BadShape.
    """
    try:
        stanzas = len(age.parse_header(start).stanzas)
        age.check_shape(start, size, stanzas, "files")
    except HeaderFailure as error:
        raise BadShape(str(error)) from None
    if not stanzas_of("attachment", by, 1) <= stanzas <= stanzas_of("attachment", by, MAX_TO):
        raise BadShape("sealed to too few or too many")
    if size > age.sealed_length(attachment_size(most), stanzas):
        raise BadShape(f"a file may be {most} bytes")


def longest(most: int) -> int:
    """Return the length of the longest sealed file that a reporter may send."""
    return age.sealed_length(attachment_size(most), stanzas_of("attachment", REPORTER, MAX_TO))


def fits(opened: BinaryIO | None, size: int, stanzas: int) -> bool:
    """Return whether a stored attachment has the form that this many recipients require."""
    if opened is None:
        return False
    with opened:
        start = opened.read(age.header_length(stanzas + 1))
    try:
        age.check_shape(start, size, stanzas, "files")
    except HeaderFailure:
        return False
    return True


def texts_of(to: Iterable[VerifyKey]) -> list[str]:
    """Return the identities of a message's addressees as strings.

    Raises BadShape unless there are 1 to MAX_TO different identities.
    """
    identities = [str(identity) for identity in to]
    if not 1 <= len(identities) <= MAX_TO or len(set(identities)) != len(identities):
        raise BadShape(f"a message must go to 1 to {MAX_TO} different counsellors")
    return identities


def is_repeat(
    known: tuple[str, ItemInfo] | None, mailbox: str, author: str, what: What = "message"
) -> bool:
    """Return whether an item is already stored. Raises BadShape if it is stored as another item."""
    if known is None:
        return False
    if known[0] != mailbox or known[1].author != author or known[1].what != what:
        raise BadShape("this sealed file is another item already")
    return True
