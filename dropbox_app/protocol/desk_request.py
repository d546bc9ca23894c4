"""Sign a desk's request, and check the signature on the server (SPEC section 7)."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from dropbox_app.protocol.encoding import b64, check_hex, unb64
from dropbox_app.protocol.errors import FormatError, RequestError
from dropbox_app.protocol.keys import SigningKey, VerifyKey

SCHEME = "Klankbord"
TOKEN_SECONDS = 120
_LABEL = "klankbord/v1/desk"
# As browsers write it: lower case, no default port, no path, and no character that ends a line.
_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
_TARGET = re.compile(r"/[A-Za-z0-9/._?=&-]*")
_TOKEN = re.compile(r"[A-Za-z0-9_.=-]{1,200}")


@dataclass(frozen=True)
class Claim:
    """The contents of an Authorization header, which are untrusted until ``check`` passes."""

    origin: str
    identity: VerifyKey
    token: str
    body_hash: str
    signature: bytes


def header(
    signing: SigningKey,
    *,
    origin: str,
    site: str,
    token: str,
    method: str,
    target: str,
    body_hash: str,
) -> str:
    """Return the value of the Authorization header for one request.

    ``origin`` is the scheme, host and port to which the desk connects, and ``target`` the path and
    query as sent. ``body_hash`` is the hex SHA-256 of the body, even if it is empty. Raises
    RequestError if ``parse_header`` would reject the value: the token and the origin come from
    outside this program, and a newline in either would make the signed text ambiguous.
    """
    check_target(target)
    signature = signing.sign(_signed(origin, site, token, method, target, body_hash))
    value = " ".join((SCHEME, origin, str(signing.verify_key), token, body_hash, b64(signature)))
    parse_header(value)
    return value


def parse_header(value: str) -> Claim:
    """Parse an Authorization header. Raises RequestError for a malformed header."""
    parts = value.split(" ")
    if len(parts) != 6 or parts[0] != SCHEME:
        raise RequestError("not a desk's authorization")
    _, origin, identity, token, body_hash, signature = parts
    if not _TOKEN.fullmatch(token):
        raise RequestError("not a challenge token")
    if not _ORIGIN.fullmatch(origin):
        raise RequestError("not an origin")
    try:
        return Claim(
            origin,
            VerifyKey.parse(identity),
            token,
            check_hex(body_hash, 32),
            unb64(signature, 64),
        )
    except FormatError as error:
        raise RequestError(str(error)) from None


def check(claim: Claim, *, origins: Collection[str], site: str, method: str, target: str) -> None:
    """Check origin, target and signature. Raises RequestError.

    The caller must check the age of the token, whether the identity is known to this server, and
    the hash of the body. ``origins`` come from the server's own settings, never from the Host
    header. If the origins came from the Host header, one server could give the desk another
    server's challenge, and use the signed request there.
    """
    check_target(target)
    if claim.origin not in origins:
        raise RequestError("the request was made for another server")
    signed = _signed(claim.origin, site, claim.token, method, target, claim.body_hash)
    if not claim.identity.verify(claim.signature, signed):
        raise RequestError("the signature does not fit the request")


def check_target(target: str) -> None:
    """Reject a path and query that two programs might read differently. Raises RequestError."""
    if not _TARGET.fullmatch(target) or "//" in target or ".." in target:
        raise RequestError("the address of the request has a form that is not accepted here")


def _signed(origin: str, site: str, token: str, method: str, target: str, body_hash: str) -> bytes:
    lines = (_LABEL, origin, site, token, method, target, body_hash)
    return "".join(line + "\n" for line in lines).encode("utf-8")
