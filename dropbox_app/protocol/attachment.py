"""Attachments: the files of a message, each sealed with its padding (SPEC section 4)."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from dropbox_app.protocol import age
from dropbox_app.protocol.errors import FormatError
from dropbox_app.protocol.keys import Recipient
from dropbox_app.protocol.padding import attachment_size
from dropbox_app.protocol.stream import CHUNK

# Bytes of a part of a sealed file that is sent in parts; the last part may be shorter. No whole
# attachment has this length: Padmé sizes near it are multiples of 65,536, and the header and the
# tags for 1 to 6 recipients never fill the rest (SPEC section 6).
FILE_PART = 4 * 1024 * 1024

_ZEROS = bytes(CHUNK)


class AttachmentSealer:
    """Seals a file as it arrives: call ``update`` any number of times, then ``finish`` once.

    ``write`` receives the sealed bytes; the caller computes their hash. Only a few chunks are in
    memory at a time. Raises ValueError like ``age.Sealer``.
    """

    def __init__(self, write: Callable[[bytes], object], recipients: Sequence[Recipient]) -> None:
        self.size = 0  # bytes of content so far
        self._sealer = age.Sealer(write, recipients)

    def update(self, data: bytes) -> None:
        """Add ``data`` of any length."""
        self._sealer.update(data)
        self.size += len(data)

    def finish(self) -> None:
        """Add the padding of zero bytes, and seal the remaining data."""
        missing = attachment_size(self.size) - self.size
        while missing:
            taken = min(missing, CHUNK)
            self._sealer.update(_ZEROS[:taken])
            missing -= taken
        self._sealer.finish()


def contents(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the first ``size`` bytes of an opened attachment, in pieces.

    Raises FormatError at the end unless the remaining bytes are exactly the zero padding for that
    size.
    """
    total = 0
    for chunk in chunks:
        inside = max(0, size - total)
        total += len(chunk)
        if chunk[inside:].strip(b"\0"):
            raise FormatError("the content is not followed by padding")
        if inside:
            yield chunk[:inside]
    if total != attachment_size(size):
        raise FormatError("the length does not match the size")
