"""Proof, for a restored server, that a reporter withdrew the conversation (SPEC section 7).

A desk sends the signed lines of the opened ``withdrawal``, followed by the sealed file. Only the
reporter can sign these lines, and they are valid for only one mailbox, so a server can act on them
regardless of who sends them. The server need not know the reporter's key, since the mailbox id is
the hash of that key.
"""

from dropbox_app.protocol import age
from dropbox_app.protocol.encoding import b64, unb64
from dropbox_app.protocol.errors import FormatError, MessageError
from dropbox_app.protocol.messages import MAX_TO, SIGNED_LABEL, Message, pad_lines, parse
from dropbox_app.protocol.padding import MESSAGE_SIZES
from dropbox_app.protocol.retrieval_code import mailbox_id

KIND = "withdrawal"
MAX_BYTES = MESSAGE_SIZES[-1] + age.sealed_length(MESSAGE_SIZES[-1], MAX_TO + 1)


def write(message: Message, sealed: bytes) -> bytes:
    """Return both lines of a withdrawal, each ending with LF, followed by its sealed file."""
    signature = b64(message.signature).encode("ascii")
    return message.line + b"\n" + signature + b"\n" + sealed


def read(given: bytes, *, site: str, mailbox: str) -> tuple[Message, bytes]:
    """Return the withdrawal and its sealed file. Raises FormatError or MessageError.

    Only the recipients can check that the file contains the same message, and they do.
    """
    line, _, rest = given.partition(b"\n")
    signature, _, sealed = rest.partition(b"\n")
    unb64(signature.decode("ascii", "replace"), 64)  # before padding hides a wrong length
    message = parse(pad_lines(line, signature))
    if message.kind != KIND or message.reporter is None:
        raise MessageError("this is not a withdrawal")
    if message.site != site or message.mailbox != mailbox:
        raise MessageError("a withdrawal of another mailbox")
    verify = message.reporter.verify
    if mailbox_id(verify) != mailbox:
        raise MessageError("the key does not belong to the mailbox")
    if not verify.verify(message.signature, SIGNED_LABEL + message.line):
        raise MessageError("the reporter did not sign this")
    if not sealed:
        raise FormatError("the sealed file is missing")
    return message, sealed
