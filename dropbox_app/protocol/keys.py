"""Keys: X-Wing keys for sealing, as in age, and Ed25519 keys for signing (SPEC section 1).

Public and secret keys have different types, so that one cannot be passed in place of the other.
Secret keys reveal nothing when printed, cannot be pickled or copied, and are compared in constant
time.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import NoReturn

import nacl.bindings
import nacl.exceptions
import nacl.signing
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from dropbox_app.protocol import bech32
from dropbox_app.protocol.encoding import b64, check_hex, unb64
from dropbox_app.protocol.errors import FormatError, HeaderFailure, KeyFormatError

RECIPIENT_SIZE = 1216  # ML-KEM-768 encapsulation key 1,184 ‖ X25519 public key 32
ENC_SIZE = 1120  # ML-KEM-768 ciphertext 1,088 ‖ X25519 share 32
SEED_SIZE = 32

_RECIPIENT_HRP = "age1pq"
_SEED_HRP = "age-secret-key-pq-"
_MLKEM_SIZE = 1184
_INFO = b"age-encryption.org/mlkem768x25519"
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
# Any scalar detects a low-order share. This one is not a secret and opens nothing.
_PROBE = X25519PrivateKey.from_private_bytes(bytes(range(32)))


@dataclass(frozen=True)
class Recipient:
    """A public X-Wing key, to which files are sealed. Its text form is ``age1pq1…``.

    Raises KeyFormatError unless ``raw`` is 1,216 bytes of a usable key: ML-KEM-768 coefficients
    below q and an X25519 key that is not of low order.
    """

    raw: bytes
    _key: hpke.MLKEM768X25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.raw) != RECIPIENT_SIZE:
            raise KeyFormatError(f"a recipient has {RECIPIENT_SIZE} bytes")
        try:
            mlkem = MLKEM768PublicKey.from_public_bytes(self.raw[:_MLKEM_SIZE])
            x25519 = X25519PublicKey.from_public_bytes(self.raw[_MLKEM_SIZE:])
            # Otherwise a malicious key would be noticed only during sealing.
            _PROBE.exchange(x25519)
        except ValueError:
            raise KeyFormatError("not an X-Wing public key") from None
        object.__setattr__(self, "_key", hpke.MLKEM768X25519PublicKey(mlkem, x25519))

    def __reduce__(self) -> tuple[type["Recipient"], tuple[bytes]]:
        return Recipient, (self.raw,)  # the library's key objects cannot be copied

    def __str__(self) -> str:
        return bech32.encode(_RECIPIENT_HRP, self.raw)

    @classmethod
    def parse(cls, text: str) -> "Recipient":
        """Parse ``age1pq1…`` in lower case, as age writes it.

        Raises KeyFormatError for other texts.
        """
        return cls(bech32.decode(_RECIPIENT_HRP, text))

    def wrap(self, file_key: bytes) -> tuple[bytes, bytes]:
        """HPKE-seal a file key; return the encapsulated key (1,120 bytes) and the sealed key."""
        sealed = _SUITE.encrypt(file_key, self._key, info=_INFO)
        return sealed[:ENC_SIZE], sealed[ENC_SIZE:]


class _Secret:
    """The base class of every secret type in this module."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        if len(raw) != SEED_SIZE:
            raise KeyFormatError(f"a {type(self).__name__} has {SEED_SIZE} bytes")
        self._raw = bytes(raw)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return hmac.compare_digest(self._raw, other._raw)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is secret and is neither pickled nor copied")


class Seed(_Secret):
    """SECRET: the 32 bytes of an X-Wing key pair. The text form is ``AGE-SECRET-KEY-PQ-1…``.

    Raises KeyFormatError for other lengths.
    """

    __slots__ = ("_key", "_recipient", "_x25519")

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw)
        expanded = hashlib.shake_256(self._raw).digest(96)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self._x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
        self._key = hpke.MLKEM768X25519PrivateKey(mlkem, self._x25519)
        self._recipient = Recipient(
            mlkem.public_key().public_bytes_raw() + self._x25519.public_key().public_bytes_raw()
        )

    @property
    def raw(self) -> bytes:
        """Return the 32 bytes. Keep them out of logs, errors and all plaintext files."""
        return self._raw

    def recipient(self) -> Recipient:
        """Return the public key."""
        return self._recipient

    @classmethod
    def generate(cls) -> "Seed":
        """Return a new seed from the operating system's random number generator."""
        return cls(secrets.token_bytes(SEED_SIZE))

    @classmethod
    def parse(cls, text: str) -> "Seed":
        """Parse ``AGE-SECRET-KEY-PQ-1…``, in upper case as age writes it."""
        # lower() could turn a non-ASCII letter into an ASCII one, so the case is checked first.
        if not text.isascii() or text != text.upper():
            raise KeyFormatError("a secret key must be in upper case")
        return cls(bech32.decode(_SEED_HRP, text.lower()))

    def reveal(self) -> str:
        """Return the text form, which contains the secret."""
        return bech32.encode(_SEED_HRP, self._raw).upper()

    def unwrap(self, enc: bytes, sealed: bytes) -> bytes | None:
        """Undo ``Recipient.wrap``; return None if the file key was wrapped for another recipient.

        Raises HeaderFailure if the X25519 share in ``enc`` is of low order, which no honest sender
        produces.
        """
        try:
            return _SUITE.decrypt(enc + sealed, self._key, info=_INFO)
        except InvalidTag:
            # OpenSSL also reports a low-order share as InvalidTag.
            try:
                self._x25519.exchange(X25519PublicKey.from_public_bytes(enc[-32:]))
            except ValueError:
                raise HeaderFailure("a key share of low order") from None
            return None


@dataclass(frozen=True)
class VerifyKey:
    """A public Ed25519 key: a counsellor's identity, or a reporter's ``verify``.

    Raises KeyFormatError unless ``raw`` is the canonical encoding of a point of exactly prime
    order. With any other encoding, one library could accept a signature that another rejects.
    """

    raw: bytes

    def __post_init__(self) -> None:
        if len(self.raw) != 32 or not nacl.bindings.crypto_core_ed25519_is_valid_point(self.raw):
            raise KeyFormatError("not an Ed25519 public key of prime order")

    def __str__(self) -> str:
        return b64(self.raw)

    @property
    def hex(self) -> str:
        """Return the 32 bytes in lower-case hex, as used in addresses."""
        return self.raw.hex()

    @classmethod
    def parse(cls, text: str) -> "VerifyKey":
        """Parse 44 characters of base64. Raises KeyFormatError for other texts."""
        try:
            return cls(unb64(text, 32))
        except FormatError as error:
            raise KeyFormatError(str(error)) from None

    @classmethod
    def from_hex(cls, text: str) -> "VerifyKey":
        """Parse 64 characters of lower-case hex. Raises KeyFormatError for other texts."""
        try:
            return cls(bytes.fromhex(check_hex(text, 32)))
        except FormatError as error:
            raise KeyFormatError(str(error)) from None

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Return whether this key made ``signature`` (64 bytes) over ``data``. Never raises.

        The signature's first half must also be a canonical point of prime order, like the key.
        """
        if len(signature) != 64:
            return False
        if not nacl.bindings.crypto_core_ed25519_is_valid_point(signature[:32]):
            return False
        try:
            nacl.signing.VerifyKey(self.raw).verify(data, signature)
        except nacl.exceptions.BadSignatureError:
            return False
        return True

    def fingerprint(self) -> str:
        """Return ten groups of four hex digits, to read out over the telephone (SPEC section 3)."""
        digits = hashlib.sha256(self.raw).hexdigest()[:40]
        return " ".join(digits[at : at + 4] for at in range(0, 40, 4))


class SigningKey(_Secret):
    """SECRET: the 32-byte seed of an Ed25519 key pair. Raises KeyFormatError for other lengths."""

    __slots__ = ("_key", "_verify_key")

    def __init__(self, seed: bytes) -> None:
        super().__init__(seed)
        self._key = nacl.signing.SigningKey(self._raw)
        self._verify_key = VerifyKey(bytes(self._key.verify_key))

    @property
    def seed(self) -> bytes:
        """Return the 32 bytes. Keep them out of logs, errors and all plaintext files."""
        return self._raw

    @property
    def verify_key(self) -> VerifyKey:
        """Return the public key."""
        return self._verify_key

    @classmethod
    def generate(cls) -> "SigningKey":
        """Return a new signing key from the operating system's random number generator."""
        return cls(secrets.token_bytes(SEED_SIZE))

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature over ``data``."""
        return bytes(self._key.sign(data).signature)


def x25519_pair() -> tuple[bytes, bytes]:
    """Return a new secret and public key for use by another program.

    This package seals nothing to the new key.
    """
    made = X25519PrivateKey.generate()
    return made.private_bytes_raw(), made.public_key().public_bytes_raw()
