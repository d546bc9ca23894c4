"""Files that the browser's client seals and opens, against Python (SPEC sections 4 and 6)."""

import base64
import io
import unicodedata
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings

from dropbox_app.protocol import age
from dropbox_app.protocol.attachment import FILE_PART, AttachmentSealer, contents
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.keys import Recipient, Seed
from dropbox_app.server.web.filenames import clean_name, clean_type, disposition
from tests.browser.conftest import Ask
from tests.support.file_names import names

ANNA, BRAM, NOBODY = (Seed(bytes([n]) * 32) for n in (1, 2, 3))
SIZES = (0, 1, 16_384, 65_535, 65_536, 65_537, FILE_PART, FILE_PART + 300_000)
# In pieces of fewer and of more bytes than a chunk has; by default the two long ones once each.
ONLY_LONG = (FILE_PART, 50_000), (FILE_PART + 300_000, 1_000_000)
SIZES_AND_STEPS = [
    pytest.param(size, step, marks=pytest.mark.long if (size, step) in ONLY_LONG else ())
    for size in SIZES
    for step in (50_000, 1_000_000)
]


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def content_of(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


def sealed_attachment(content: bytes, *recipients: Recipient) -> bytes:
    sealed = bytearray()
    sealer = AttachmentSealer(sealed.extend, recipients)
    sealer.update(content)
    sealer.finish()
    return bytes(sealed)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", SIZES)
def test_file_sealed_by_client_opens_in_python(client: Ask, size: int) -> None:
    content = content_of(size)
    recipients = [str(seed.recipient()) for seed in (ANNA, BRAM)]
    made = client("sealFile", content=b64(content), recipients=recipients)
    parts = [base64.b64decode(part) for part in made["parts"]]
    sealed = b"".join(parts)
    assert sha256_hex(sealed) == made["item"]
    assert len(sealed) == made["length"]
    assert {len(part) for part in parts[:-1]} <= {FILE_PART}
    age.check_shape(sealed, len(sealed), 2, "files")
    for seed in (ANNA, BRAM):
        chunks = age.open_chunks(io.BytesIO(sealed).read, (seed,))
        assert b"".join(contents(chunks, size)) == content


def test_parts_are_made_in_order_and_equal_with_and_without_the_browsers_own_hash(
    client: Ask,
) -> None:
    """The page asks for the next part while one is sent. An onion address may have no WebCrypto."""
    content = content_of(2 * FILE_PART + 100)
    said = client("sealAtOnce", content=b64(content), recipients=[str(ANNA.recipient())])
    assert said["same"]
    parts = [(base64.b64decode(part), digest) for part, digest in said["parts"]]
    assert [digest for _, digest in parts] == [sha256_hex(part) for part, _ in parts]
    sealed = b"".join(part for part, _ in parts)
    assert sha256_hex(sealed) == said["item"]
    opened = age.open_chunks(io.BytesIO(sealed).read, (ANNA,))
    assert b"".join(contents(opened, len(content))) == content


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("size", "step"), SIZES_AND_STEPS)
def test_file_sealed_by_python_opens_in_client(client: Ask, size: int, step: int) -> None:
    content = content_of(size)
    sealed = sealed_attachment(content, ANNA.recipient(), BRAM.recipient())
    item = sha256_hex(sealed)
    opened = client(
        "openFile", sealed=b64(sealed), seed=BRAM.raw.hex(), item=item, size=size, step=step
    )
    assert base64.b64decode(opened["content"]) == content


def test_file_does_not_open_if_it_is_altered_truncated_misnamed_or_sealed_to_others(
    peer: Ask,
) -> None:
    sealed = sealed_attachment(content_of(200_000), ANNA.recipient(), BRAM.recipient())

    def fault(data: bytes, seed: Seed = ANNA, size: int = 200_000, item: str = "") -> str:
        opened = peer(
            "openFile", sealed=b64(data), seed=seed.raw.hex(), item=item or sha256_hex(data),
            size=size, step=30_000,
        )  # fmt: skip
        return str(opened.get("fault", ""))

    assert fault(sealed) == ""
    assert fault(sealed, NOBODY) == "no_key"
    assert fault(sealed, item="0" * 64) == "payload", "another file than the signed one"
    assert fault(sealed, size=190_000) == "payload", "content where padding should be"
    assert fault(sealed, size=300_000) == "payload", "another length"
    assert fault(sealed[:-1]) == "payload"
    assert fault(sealed + b"\0") == "payload"
    assert fault(sealed + sealed[-65_552:]) == "payload", "endless"
    for at in (5_000, 100_000, len(sealed) - 1):
        altered = bytearray(sealed)
        altered[at] ^= 1
        assert fault(bytes(altered)) == "payload", at
    assert fault(b"") == "header"
    assert fault(bytes(200_000)) == "header"


def test_file_that_changes_during_sealing_is_never_sealed_twice_with_one_key(peer: Ask) -> None:
    """Two contents under one key and nonce would give both away."""
    content = content_of(100_000)
    recipients = [str(ANNA.recipient())]
    for other in (content[:-1], content[:-1] + b"!", content + b"!"):
        said = peer("changingFile", content=b64(content), other=b64(other), recipients=recipients)
        assert said == "changed"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=names())
def test_client_cleans_file_names_in_the_same_way_as_the_pages(peer: Ask, name: str) -> None:
    whole = name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    # A newer list of characters may know more of them than Python's.
    sendable = "".join(one for one in whole if unicodedata.category(one) != "Cn")
    ((cleaned, saved),) = peer("fileNames", names=[sendable], fallback="bestand")
    assert cleaned == clean_name(sendable, "bestand")
    assert saved == unquote(disposition(sendable, "bestand").rpartition("''")[2])


def test_client_cleans_file_types_in_the_same_way_as_the_pages(peer: Ask) -> None:
    types = ["", "text/plain", "Text/Plain; charset=utf-8", "x", "a/b/c", "é/x", " image/png "]
    assert peer("fileTypes", types=types) == [clean_type(one) for one in types]
