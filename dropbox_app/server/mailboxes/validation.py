"""The required form of a sealed file and of the list of its addressees (SPEC section 6)."""

from collections.abc import Iterable
from typing import Literal

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.errors import HeaderFailure
from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.server.errors import BadShape
from dropbox_app.server.store.interface import REPORTER

MAX_TO = 5


def stanzas_of(what: Literal["message", "attachment"], by: str, identities: int) -> int:
    """Return how many recipients a file has. A reporter's own attachment is not sealed to them."""
    return identities + (what == "message" or by != REPORTER)


def check_message(sealed: bytes, identities: int) -> str:
    """Return the item id of a sealed message. Raises BadShape if the message is malformed."""
    try:
        age.check_shape(sealed, len(sealed), identities + 1, "messages")
    except HeaderFailure as error:
        raise BadShape(str(error)) from None
    return sha256_hex(sealed)


def texts_of(to: Iterable[VerifyKey]) -> list[str]:
    """Return the identities of a message's addressees as strings.

    Raises BadShape unless there are 1 to MAX_TO different identities.
    """
    identities = [str(identity) for identity in to]
    if not 1 <= len(identities) <= MAX_TO or len(set(identities)) != len(identities):
        raise BadShape(f"a message must go to 1 to {MAX_TO} different counsellors")
    return identities
