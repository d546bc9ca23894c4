"""Sealed files: age version 1 with post-quantum recipients, or with a passphrase (SPEC section 1).

All sealed data in Klankbord is stored in such files. This module can also open files that stock age
tools make for the same recipients. age hides the contents, but does not prove who wrote them (SPEC
section 0).
"""

import hashlib
import io
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from dropbox_app.protocol.age_header import (
    FILE_KEY_SIZE,
    MAX_HEADER,
    Header,
    Stanza,
    check_mac,
    decode,
    encode,
    parse_header,
    write_header,
)
from dropbox_app.protocol.errors import HeaderFailure, NoMatch, WrongPassphrase
from dropbox_app.protocol.keys import ENC_SIZE, Recipient, Seed
from dropbox_app.protocol.padding import MESSAGE_SIZES, attachment_size
from dropbox_app.protocol.stream import (
    CHUNK,
    NONCE,
    TAG,
    PayloadWriter,
    payload_chunks,
    payload_length,
)

__all__ = [
    "MAX_LOG_N",
    "MAX_RECIPIENTS",
    "Header",
    "PassphraseSealer",
    "Sealer",
    "Stanza",
    "check_shape",
    "header_length",
    "open_chunks",
    "open_chunks_with_passphrase",
    "open_sealed",
    "open_stream",
    "open_with_file_key",
    "open_with_passphrase",
    "parse_header",
    "seal",
    "seal_with_passphrase",
    "sealed_length",
    "unwrap",
]

MAX_RECIPIENTS = 80  # this many fit in MAX_HEADER
MAX_LOG_N = 20  # for scrypt: 1 GiB of memory

_HYBRID = "mlkem768x25519"
_SCRYPT = "scrypt"
_SCRYPT_LABEL = b"age-encryption.org/v1/scrypt"
_SALT_SIZE = 16
_WRAPPED_SIZE = FILE_KEY_SIZE + TAG
_WORK_FACTOR = re.compile(r"[1-9][0-9]?")
# age uses a nonce of zeros to wrap a file key, because each wrapping key is used only once.
_ZERO_NONCE = bytes(12)
_BLOCK = 4_096


class _Sealer:
    """Seals a stream: call ``update`` any number of times, then ``finish`` once.

    ``write`` receives the header immediately and then one chunk at a time, so memory use is
    bounded. A file cannot be opened if ``finish`` was not called for it. ``wrap`` returns the
    stanzas for the file key. ``file_key`` decrypts the written file so that it can be verified.
    Discard the key when the sealer is discarded.
    """

    def __init__(
        self, write: Callable[[bytes], object], wrap: Callable[[bytes], Sequence[Stanza]]
    ) -> None:
        self.file_key = secrets.token_bytes(FILE_KEY_SIZE)
        write(write_header(wrap(self.file_key), self.file_key))
        self._payload = PayloadWriter(write, self.file_key, secrets.token_bytes(NONCE))

    def update(self, data: bytes) -> None:
        """Add ``data`` of any length."""
        self._payload.update(data)

    def finish(self) -> None:
        """Seal the remaining data. Raises ValueError if called a second time."""
        self._payload.finish()


class Sealer(_Sealer):
    """Seals a file for 1 to MAX_RECIPIENTS ``recipients``.

    Raises ValueError for any other number.
    """

    def __init__(self, write: Callable[[bytes], object], recipients: Sequence[Recipient]) -> None:
        if not 1 <= len(recipients) <= MAX_RECIPIENTS:
            raise ValueError(f"a file is sealed for 1 to {MAX_RECIPIENTS} recipients")
        super().__init__(write, lambda key: [_wrap(recipient, key) for recipient in recipients])


class PassphraseSealer(_Sealer):
    """Seals a file with a passphrase.

    ``log_n`` (1 to MAX_LOG_N) is scrypt's cost; 18 takes 256 MiB.

    Raises ValueError for an empty passphrase or a cost outside that range. The passphrase is used
    exactly as given, encoded in UTF-8, without normalisation.
    """

    def __init__(self, write: Callable[[bytes], object], passphrase: str, log_n: int = 18) -> None:
        if not passphrase or not 1 <= log_n <= MAX_LOG_N:
            raise ValueError(f"a passphrase, and a cost of 1 to {MAX_LOG_N}")
        super().__init__(write, lambda key: [_wrap_scrypt(passphrase, log_n, key)])


def seal(plaintext: bytes, recipients: Sequence[Recipient]) -> bytes:
    """Seal ``plaintext`` for 1 to MAX_RECIPIENTS recipients, under a fresh file key."""
    parts: list[bytes] = []
    sealer = Sealer(parts.append, recipients)
    sealer.update(plaintext)
    sealer.finish()
    return b"".join(parts)


def open_sealed(sealed: bytes, seeds: Sequence[Seed]) -> bytes:
    """Open a file with the first of ``seeds`` that fits.

    Raises the same errors as ``open_stream``.
    """
    parts: list[bytes] = []
    open_stream(io.BytesIO(sealed).read, parts.append, seeds)
    return b"".join(parts)


def open_stream(
    read: Callable[[int], bytes], write: Callable[[bytes], object], seeds: Sequence[Seed]
) -> int:
    """Decrypt from ``read`` to ``write`` in bounded memory; return the length of the plaintext.

    ``read(n)`` returns at most ``n`` bytes, and an empty result only at the end. ``write`` receives
    only authenticated chunks. If PayloadFailure is raised, ``write`` has already received the
    chunks before the fault. The caller must not use any chunk before this function returns. Raises
    HeaderFailure, NoMatch, HmacFailure or PayloadFailure, each an AgeError.
    """
    return _open(read, write, lambda header: _unwrap(header, seeds))


def open_chunks(read: Callable[[int], bytes], seeds: Sequence[Seed]) -> Iterator[bytes]:
    """Like ``open_stream``, but yield one authenticated chunk at a time.

    PayloadFailure may be raised at any chunk, so the file is known to be complete only at the end.
    """
    return _chunks(read, lambda header: _unwrap(header, seeds))


def open_with_file_key(
    read: Callable[[int], bytes], write: Callable[[bytes], object], file_key: bytes
) -> int:
    """Like ``open_stream``, but use a known file key and ignore the stanzas."""
    return _open(read, write, lambda header: file_key)


def unwrap(read: Callable[[int], bytes], seeds: Sequence[Seed]) -> tuple[bytes, bytes]:
    """Return the header of a file exactly as written, and the file key.

    The payload is not decrypted; ``payload_chunks`` does that with the file key. Raises
    HeaderFailure, NoMatch or HmacFailure.
    """
    head = _read_head(read)
    header = parse_header(head)
    file_key = _unwrap(header, seeds)
    check_mac(head, header, file_key)
    return head[: header.length], file_key


def seal_with_passphrase(plaintext: bytes, passphrase: str, log_n: int = 18) -> bytes:
    """Seal ``plaintext`` in one call; see ``PassphraseSealer``."""
    parts: list[bytes] = []
    sealer = PassphraseSealer(parts.append, passphrase, log_n)
    sealer.update(plaintext)
    sealer.finish()
    return b"".join(parts)


def open_with_passphrase(sealed: bytes, passphrase: str) -> bytes:
    """Open a file in one call; see ``open_chunks_with_passphrase``."""
    return b"".join(open_chunks_with_passphrase(io.BytesIO(sealed).read, passphrase))


def open_chunks_with_passphrase(read: Callable[[int], bytes], passphrase: str) -> Iterator[bytes]:
    """Like ``open_chunks``, for a file sealed with a passphrase, at a cost of at most MAX_LOG_N.

    Raises WrongPassphrase, NoMatch (the file was sealed to keys, not with a passphrase),
    HeaderFailure (also for a higher cost), HmacFailure or PayloadFailure.
    """
    return _chunks(read, lambda header: _unwrap_scrypt(header, passphrase))


def header_length(recipients: int) -> int:
    """Return the length of a header with this many ``mlkem768x25519`` recipients and no others."""
    return 70 + 1_557 * recipients


def sealed_length(payload: int, recipients: int) -> int:
    """Return the length of an age file: 70 + 1,557·R + 16 + P + 16·⌈P ÷ 65,536⌉, P at least 1."""
    return header_length(recipients) + payload_length(payload)


def check_shape(
    sealed_start: bytes, total: int, recipients: int, sizes: Literal["messages", "files"]
) -> None:
    """Check the form of a sealed file without opening it (SPEC section 6). Raises HeaderFailure.

    ``sealed_start`` is the file or at least its first ``header_length(recipients)`` bytes.
    ``total`` is the length of the whole file. The header must contain exactly ``recipients``
    stanzas of type ``mlkem768x25519`` with the right lengths. The total must be the length of a
    sealed padded message or attachment. Only a recipient can verify the chunks.
    """
    header = parse_header(sealed_start)
    if len(header.stanzas) != recipients:
        raise HeaderFailure(f"{len(header.stanzas)} stanzas, not {recipients}")
    if any(stanza.args[0] != _HYBRID for stanza in header.stanzas):
        raise HeaderFailure("a stanza of the wrong type")
    for stanza in header.stanzas:
        _hybrid_enc(stanza)
    payload = total - header.length - NONCE
    plaintext = payload - TAG * -(-payload // (CHUNK + TAG))
    if plaintext < 1 or sealed_length(plaintext, recipients) != total:
        raise HeaderFailure("no sealed file has this length")
    if sizes == "messages" and plaintext not in MESSAGE_SIZES:
        raise HeaderFailure("not the length of a message")
    if sizes == "files" and plaintext != attachment_size(plaintext):
        raise HeaderFailure("not the length of an attachment")


def _open(
    read: Callable[[int], bytes],
    write: Callable[[bytes], object],
    unwrap: Callable[[Header], bytes],
) -> int:
    total = 0
    for chunk in _chunks(read, unwrap):
        write(chunk)
        total += len(chunk)
    return total


def _chunks(read: Callable[[int], bytes], unwrap: Callable[[Header], bytes]) -> Iterator[bytes]:
    head = _read_head(read)
    header = parse_header(head)
    file_key = unwrap(header)
    check_mac(head, header, file_key)
    yield from payload_chunks(read, file_key, head[header.length :])


def _read_head(read: Callable[[int], bytes]) -> bytes:
    """Read up to the MAC line, which ends the header; no stanza line begins with the same mark."""
    head = bytearray()
    mark = -1
    while len(head) < MAX_HEADER:
        block = read(_BLOCK)
        before = len(head)
        head += block
        if mark < 0:
            mark = head.find(b"\n--- ", max(0, before - 4))  # the mark may extend over two blocks
        if not block or (mark >= 0 and head.find(b"\n", mark + 1) >= 0):
            break
    return bytes(head)


def _wrap(recipient: Recipient, file_key: bytes) -> Stanza:
    enc, body = recipient.wrap(file_key)
    return Stanza((_HYBRID, encode(enc)), body)


def _wrap_scrypt(passphrase: str, log_n: int, file_key: bytes) -> Stanza:
    salt = secrets.token_bytes(_SALT_SIZE)
    body = _passphrase_key(passphrase, salt, log_n).encrypt(_ZERO_NONCE, file_key, None)
    return Stanza((_SCRYPT, encode(salt), str(log_n)), body)


def _hybrid_enc(stanza: Stanza) -> bytes:
    """Return the encapsulated key of an ``mlkem768x25519`` stanza. Raises HeaderFailure."""
    if len(stanza.args) != 2:
        raise HeaderFailure("a recipient stanza must have one argument besides its type")
    enc = decode(stanza.args[1].encode("ascii"))
    if len(enc) != ENC_SIZE or len(stanza.body) != _WRAPPED_SIZE:
        raise HeaderFailure("a recipient stanza has the wrong length")
    return enc


def _unwrap(header: Header, seeds: Sequence[Seed]) -> bytes:
    # All stanzas are parsed before any is tried, so that an error does not depend on their order.
    wrapped = [(_hybrid_enc(s), s.body) for s in header.stanzas if s.args[0] == _HYBRID]
    for enc, body in wrapped:
        for seed in seeds:
            file_key = seed.unwrap(enc, body)
            if file_key is not None:
                return file_key
    raise NoMatch("none of the keys fits")


def _unwrap_scrypt(header: Header, passphrase: str) -> bytes:
    stanza = header.stanzas[0]  # an scrypt stanza is the only one, or parsing has failed
    if stanza.args[0] != _SCRYPT:
        raise NoMatch("sealed for keys, not for a passphrase")
    if len(stanza.args) != 3 or not _WORK_FACTOR.fullmatch(stanza.args[2]):
        raise HeaderFailure("a passphrase stanza must have a salt and a cost")
    salt = decode(stanza.args[1].encode("ascii"))
    if len(salt) != _SALT_SIZE or len(stanza.body) != _WRAPPED_SIZE:
        raise HeaderFailure("a passphrase stanza has the wrong length")
    log_n = int(stanza.args[2])
    if log_n > MAX_LOG_N:
        raise HeaderFailure(f"a cost of {log_n}; at most {MAX_LOG_N} is tried")
    try:
        return _passphrase_key(passphrase, salt, log_n).decrypt(_ZERO_NONCE, stanza.body, None)
    except InvalidTag:
        raise WrongPassphrase("the passphrase does not fit") from None


def _passphrase_key(passphrase: str, salt: bytes, log_n: int) -> ChaCha20Poly1305:
    n = 1 << log_n
    key = hashlib.scrypt(
        passphrase.encode("utf-8"),
        salt=_SCRYPT_LABEL + salt,
        n=n,
        r=8,
        p=1,
        maxmem=128 * 8 * n + (1 << 20),  # the default limit is too low for a log_n of 18
        dklen=32,
    )
    return ChaCha20Poly1305(key)
