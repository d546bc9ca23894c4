"""Padding for responses, so that a length reveals next to nothing about the content.

Anyone who observes the encrypted connection sees the length of a response. There are two forms.
Each form has its own fixed lengths, which do not depend on the site, the content or the visitor:

The packed form is for the pages that are the same for everybody. These pages are compressed and
then padded to PACKED bytes, a number that is doubled until the page fits. The padding is in the
header of the gzip file (its "extra" field, which readers ignore). No other pages are compressed: if
a page repeats typed text next to a secret, the compressed length reveals something about the secret
(BREACH).

The plain form is for every other page, including errors and responses to a code, and the pages
above for a client that does not accept gzip. These pages are padded with spaces to PLAIN bytes, a
number that is doubled until the page fits.
"""

import struct
import zlib

PLAIN = 16 * 1024  # bytes
WITH_CLIENT = 128 * 1024  # bytes, for the two pages that load the client, so that these are equal
PACKED = 8 * 1024
COARSE = 1024 * 1024  # bytes; above this, plain lengths grow in equal steps instead of doubling
PACKED_COARSE = 32 * 1024  # likewise for packed pages, as "extra" holds less than 64 KiB

_HEAD = b"\x1f\x8b\x08\x04" + bytes(4) + b"\x02\xff"  # gzip, "extra", no time or system
_FIXED = len(_HEAD) + 2 + 4 + 8


def step_of(length: int, step: int, coarse: int) -> int:
    """Double ``step`` until ``length`` fits; above ``coarse``, return a multiple of ``step``."""
    while step < min(length, coarse):
        step *= 2
    return -(-length // step) * step


def filled(page: bytes) -> bytes:
    """Return a padded page for a client that does not accept gzip."""
    return page.ljust(step_of(len(page), PLAIN, COARSE))


def filled_with_client(page: bytes) -> bytes:
    """Return a padded page that loads the client, for a client that does not accept gzip."""
    return page.ljust(step_of(len(page), WITH_CLIENT, COARSE))


def packed(page: bytes, step: int = PACKED) -> bytes:
    """Return a compressed and padded page, always with the same bytes. ``step`` 1 adds no padding.

    Raises struct.error for padding of 64 KiB, which no step of this module needs.
    """
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9)
    squeezed = squeezer.compress(page) + squeezer.flush()
    length = len(squeezed) + _FIXED
    filling = (step_of(length, step, PACKED_COARSE) if step > 1 else length) - length
    extra = b"fl" + struct.pack("<H", filling) + bytes(filling)
    end = struct.pack("<II", zlib.crc32(page), len(page) & 0xFFFFFFFF)
    return _HEAD + struct.pack("<H", len(extra)) + extra + squeezed + end
