"""Verify the minisign signatures of releases. This module does not sign.

Only minisign's current format is accepted (``ED``: Ed25519 over the BLAKE2b-512 hash of the file).
The older format, which signs the file itself, is rejected.

Source: https://jedisct1.github.io/minisign/, "Signature format" and "Public key format".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from dropbox_app.protocol.errors import KlankbordError

_KEY_HEAD, _SIGNATURE_HEAD = b"Ed", b"ED"
_UNTRUSTED, _TRUSTED = "untrusted comment: ", "trusted comment: "
MOST = 4096  # bytes of a key file or a signature file


class BadRelease(KlankbordError):
    """This release must not be installed."""


@dataclass(frozen=True)
class ReleaseKey:
    """A minisign public key. ``number`` is 8 bytes that identify the key, but prove nothing."""

    number: bytes
    key: bytes

    @classmethod
    def read(cls, text: str) -> ReleaseKey:
        """Parse a ``.pub`` file. Raises BadRelease."""
        lines = text.splitlines()
        if len(lines) != 2 or not lines[0].startswith(_UNTRUSTED):
            raise BadRelease("the public key is not a key file of minisign (two lines)")
        data = _decoded(lines[1], 42, "the public key")
        if data[:2] != _KEY_HEAD:
            raise BadRelease("the public key is of a kind that minisign does not make")
        return cls(data[2:10], data[10:])

    def check(self, signed: bytes, signature: str) -> str:
        """Check a signature over a whole file, and return its trusted comment.

        Args:
            signed: the bytes of the file.
            signature: the text of its ``.minisig`` file.

        Raises BadRelease if the signature is invalid, or belongs to another key, file or comment.
        """
        lines = signature.splitlines()
        if (
            len(lines) != 4
            or not lines[0].startswith(_UNTRUSTED)
            or not lines[2].startswith(_TRUSTED)
        ):
            raise BadRelease("the signature is not a signature file of minisign (four lines)")
        data = _decoded(lines[1], 74, "the signature")
        if data[:2] != _SIGNATURE_HEAD:
            raise BadRelease("the signature is of minisign's older form; sign it again without -l")
        if data[2:10] != self.number:
            raise BadRelease("the signature was made with another key than the one trusted here")
        comment = lines[2].removeprefix(_TRUSTED)
        of_both = _decoded(lines[3], 64, "the signature of the comment")
        key = VerifyKey(self.key)
        try:
            key.verify(hashlib.blake2b(signed).digest(), data[10:])
            key.verify(data[10:] + comment.encode("utf-8"), of_both)
        except BadSignatureError:
            raise BadRelease(
                "the signature does not belong to this list of checksums: one of them was altered"
            ) from None
        return comment


def _decoded(line: str, size: int, name: str) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != size or base64.b64encode(data).decode("ascii") != line:
        raise BadRelease(f"{name} is damaged")
    return data
