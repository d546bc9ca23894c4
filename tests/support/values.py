"""Hostile values, each marked: none of them may ever appear in a log or a file."""

import base64
import codecs
import functools
import random
from collections.abc import Iterator

# Marks for text that a form of the site may show again, and text that no response may repeat.
TYPED = "zqTypedXkv"
SENT = "zqSentXkvw"
LIMIT = 60_000  # bytes of text
FILE = 4_000  # bytes of a file, in tests that set that limit


def encodings(marker: str) -> Iterator[bytes]:
    """Yield the encodings of the marker that a log, a database or a dump might use."""
    raw = marker.encode()
    yield raw
    yield raw.hex().encode()
    yield "".join(f"%{byte:02X}" for byte in raw).encode()
    yield marker.encode("utf-16-le")
    yield marker.encode("utf-16-be")
    for before in range(3):  # base64 has three forms of it, depending on the alignment
        whole = base64.b64encode(bytes(before) + raw + bytes(3))
        yield whole[4 if before else 0 : (before + len(raw)) // 3 * 4]


def found(data: bytes, marker: str) -> list[bytes]:
    """Return the encodings of the marker found in these bytes, ignoring case."""
    lower = data.lower()
    return [one for one in encodings(marker) if one in data or one.lower() in lower]


def _to_bytes(error: UnicodeError) -> tuple[bytes, int]:
    """Return U+DC80 to U+DCFF as invalid UTF-8 bytes, other surrogates as UTF-8 would."""
    assert isinstance(error, UnicodeEncodeError)
    made = b""
    for letter in error.object[error.start : error.end]:
        byte = ord(letter) - 0xDC00
        made += bytes([byte]) if 0x7F < byte <= 0xFF else letter.encode("utf-8", "surrogatepass")
    return made, error.end


BYTES = "klankbord-hostile"  # the name of this error handler
codecs.register_error(BYTES, _to_bytes)


@functools.cache
def strange(marker: str) -> list[str]:
    """Return values for a field, header or query; encode them with BYTES, as some are not UTF-8."""
    m = marker
    return [
        "",
        " ",
        " \t\r\n\u3000",
        m,
        f"{m}\0{m}",
        "\0",
        "\x1b[2J\x07" + m,
        f"{m}\r\nSet-Cookie: {m}=1\r\n\r\n{m}",
        "\r\n" * 10_000 + m,
        "\n".join([m] * 10_000),
        m + "a" * (LIMIT + 1 - len(m)),
        m + "é" * (LIMIT // 2),
        f"{m}\udcff\udcfe\udcc0\udcaf",
        f"{m}\ud800 {m}\udfff",
        f"\u202e{m}\u2028\u2029\ufeff\u200b",
        "\ufdfa" * 2000 + m,
        f'"></textarea><script>{m}</script>',
        "{{ " + m + " }}{% raw %}{0}{lang}{name.__class__}%s%n" + m,
        f"' OR 1=1;-- {m}",
        f"../../../{m}",
        "%00%ff%zz%" + m,
        "9" * 5000 + m,
        "-1",
        "1e309",
        "NaN",
        "18446744073709551616",
        "²",
        "٣",
        "[" * 5000 + m,
        '{"a":' * 2000 + f'"{m}"',
        f'{{"a":1,"a":"{m}"}}',
        "\U0001f641" * 1000 + m,
        "+ = & ; # ? /" + m,
        f"=?utf-8?q?{m}?=",
        "a" * 20_000 + m,
    ]


@functools.cache
def long_words(marker: str) -> list[str]:
    """Return text that may be typed where a code is requested."""
    return [
        f"{marker} " * 7,
        f"{marker} " * 6,
        ("a" * 14 + " ") * 7,
        "q" * 100_000,
        "aap " * 50_000,
        "\ufdfa " * 7,
        "ﬂes vlieg boom water koffie appel " + marker,
    ]


def mangled(rng: random.Random, data: bytes) -> bytes:
    """Return the same bytes with a few removed, doubled, altered or inserted."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(made) + 1)
        kind = rng.randrange(5)
        if kind == 0:
            del made[at : at + rng.randint(1, 20)]
        elif kind == 1 and made:
            made[at % len(made)] ^= 1 << rng.randrange(8)
        elif kind == 2:
            made[at:at] = made[at : at + rng.randint(1, 60)]
        elif kind == 3:
            made[at:at] = rng.choice(
                [b"\0", b"\r\n", b"\n", b" ", b"\t", b"\xff", b":", b"%", b"//"]
            )
        else:
            del made[at:]
            break
    return bytes(made)
