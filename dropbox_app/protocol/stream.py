"""The payload of an age file: a nonce, then chunks of 64 KiB, each sealed separately.

See C2SP ``age.md``, section "Payload". Only a few chunks are in memory at a time, whatever the
length.
"""

from collections.abc import Callable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dropbox_app.protocol.errors import HeaderFailure, PayloadFailure

CHUNK = 65_536
TAG = 16
NONCE = 16


class PayloadWriter:
    """Seals the data given to ``update``. ``finish`` must be called once, at the end.

    ``nonce`` is 16 fresh random bytes, never used before with this file key.
    """

    def __init__(self, write: Callable[[bytes], object], file_key: bytes, nonce: bytes) -> None:
        self._write = write
        self._aead = _aead(file_key, nonce)
        self._counter = 0
        self._held = bytearray()
        self._finished = False
        write(nonce)

    def update(self, data: bytes) -> None:
        """Add ``data`` of any length."""
        if self._finished:
            raise ValueError("already finished")
        view = memoryview(data)
        while view:
            # A full chunk is sealed only when more data arrives, because the last chunk is marked
            # and must not be empty.
            if len(self._held) == CHUNK:
                self._seal(last=False)
            taken = CHUNK - len(self._held)
            self._held += view[:taken]
            view = view[taken:]

    def finish(self) -> None:
        """Seal the last chunk. The last chunk is empty only if the whole payload is empty."""
        if self._finished:
            raise ValueError("already finished")
        self._seal(last=True)
        self._finished = True

    def _seal(self, *, last: bool) -> None:
        self._write(self._aead.encrypt(_chunk_nonce(self._counter, last=last), self._held, None))
        self._counter += 1
        self._held.clear()


def open_payload(
    read: Callable[[int], bytes],
    write: Callable[[bytes], object],
    file_key: bytes,
    begun: bytes = b"",
) -> int:
    """Open a payload and return the length of its plaintext; see ``payload_chunks``.

    If PayloadFailure is raised, ``write`` has already received the chunks before the fault. The
    caller must not use these chunks before this function returns.
    """
    total = 0
    for chunk in payload_chunks(read, file_key, begun):
        write(chunk)
        total += len(chunk)
    return total


def payload_chunks(
    read: Callable[[int], bytes], file_key: bytes, begun: bytes = b""
) -> Iterator[bytes]:
    """Open a payload chunk by chunk.

    ``begun`` is the part of the payload that was already read. ``read(n)`` returns at most ``n``
    bytes, and b"" at the end. Yields only authenticated chunks, in order. Raises PayloadFailure if
    a chunk is damaged, the end is missing or data follows the end, so the payload is known to be
    complete only after the last chunk. Raises HeaderFailure if even the nonce is missing, as age
    does.
    """
    held = bytearray(begun)
    _fill(held, read, NONCE)
    if len(held) < NONCE:
        raise HeaderFailure("the nonce is missing")
    aead = _aead(file_key, bytes(held[:NONCE]))
    del held[:NONCE]
    counter = 0
    last = False
    while not last:
        _fill(held, read, CHUNK + TAG)
        chunk, last = _open_chunk(aead, counter, bytes(held[: CHUNK + TAG]))
        del held[: CHUNK + TAG]
        if not chunk and counter:
            raise PayloadFailure("an empty chunk at the end")
        yield chunk
        counter += 1
    _fill(held, read, 1)
    if held:
        raise PayloadFailure("something follows the end")


def payload_length(plaintext: int) -> int:
    """Return the length of a payload with this much plaintext, including its nonce and tags."""
    return NONCE + plaintext + TAG * max(1, -(-plaintext // CHUNK))


def _aead(file_key: bytes, nonce: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDF(SHA256(), 32, salt=nonce, info=b"payload").derive(file_key))


def _open_chunk(aead: ChaCha20Poly1305, counter: int, sealed: bytes) -> tuple[bytes, bool]:
    """Return a chunk's plaintext, and whether it is the last one. Raises PayloadFailure."""
    # A short chunk can only be the last. A full chunk is the last if the final nonce opens it.
    for last in (False, True) if len(sealed) == CHUNK + TAG else (True,):
        try:
            return aead.decrypt(_chunk_nonce(counter, last=last), sealed, None), last
        except InvalidTag:
            continue
    raise PayloadFailure("a chunk was altered, or the end is missing")


def _chunk_nonce(counter: int, *, last: bool) -> bytes:
    return counter.to_bytes(11, "big") + bytes([last])


def _fill(held: bytearray, read: Callable[[int], bytes], wanted: int) -> None:
    """Read until ``held`` has ``wanted`` bytes or the input ends."""
    while len(held) < wanted:
        block = read(wanted - len(held))
        if not block:
            return
        held += block
