"""The published age vectors: their expectations, and every byte released before a failure.

How each is run (SPEC section 10):

- with a hybrid identity or a passphrase: the file is opened completely with it;
- with an X25519 identity: with its published file key, through header, MAC and stream;
- with a fault in the X25519 wrapping itself: the file is well-formed for us, but its stanza is of
  an unknown kind, so none of our keys fits;
- armored: skipped. Klankbord has no armor, so all 33 are out of scope.
"""

import hashlib
import io
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from dropbox_app.protocol import age, age_header
from dropbox_app.protocol.errors import (
    AgeError,
    HeaderFailure,
    HmacFailure,
    NoMatch,
    PayloadFailure,
)
from dropbox_app.protocol.keys import Seed
from dropbox_app.protocol.stream import PayloadWriter

TESTDATA = Path(__file__).parent.parent / "vectors" / "age" / "testdata"
CLASSES = {
    "header failure": HeaderFailure,
    "no match": NoMatch,
    "HMAC failure": HmacFailure,
    "payload failure": PayloadFailure,
}


@dataclass(frozen=True)
class Vector:
    name: str
    expect: str
    sealed: bytes
    payload: str | None
    file_key: bytes | None
    seeds: tuple[str, ...]
    passphrases: tuple[str, ...]
    armored: bool

    @property
    def way(self) -> str:
        if self.armored:
            return "armored"
        if self.name.startswith(("x25519_", "hybrid_x25519")) and self.expect in (
            "no match",
            "header failure",
        ):
            # Non-canonical base64 in a body is a fault of the header, whatever the stanza's type.
            return "file key" if self.name == "x25519_not_canonical_body" else "unknown type"
        if any(seed.startswith("AGE-SECRET-KEY-PQ-") for seed in self.seeds):
            return "hybrid"
        return "passphrase" if self.passphrases else "file key"


def load(path: Path) -> Vector:
    head, _, sealed = path.read_bytes().partition(b"\n\n")
    lines = [line.partition(": ") for line in head.decode().split("\n")]
    fields = {key: value for key, _, value in lines}
    if fields.get("compressed") == "zlib":
        sealed = zlib.decompress(sealed)
    return Vector(
        name=path.name,
        expect=fields["expect"],
        sealed=sealed,
        payload=fields.get("payload"),
        file_key=bytes.fromhex(fields["file key"]) if "file key" in fields else None,
        seeds=tuple(value for key, _, value in lines if key == "identity"),
        passphrases=tuple(value for key, _, value in lines if key == "passphrase"),
        armored="armored" in fields,
    )


VECTORS = [load(path) for path in sorted(TESTDATA.iterdir()) if not path.name.startswith(".")]
BARE = [vector for vector in VECTORS if not vector.armored]


def opened(vector: Vector) -> tuple[str, bytes]:
    """Return the result of opening it, in the vectors' terms, and everything released."""
    out = io.BytesIO()
    read = io.BytesIO(vector.sealed).read
    try:
        if vector.way == "hybrid":
            seeds = [Seed.parse(s) for s in vector.seeds if s.startswith("AGE-SECRET-KEY-PQ-")]
            age.open_stream(read, out.write, seeds)
        elif vector.way == "passphrase":
            out.write(age.open_with_passphrase(vector.sealed, vector.passphrases[0]))
        else:
            age.open_with_file_key(read, out.write, vector.file_key or bytes(16))
    except AgeError as error:
        return next(name for name, kind in CLASSES.items() if isinstance(error, kind)), (
            out.getvalue()
        )
    return "success", out.getvalue()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: v.name)
def test_vector_gives_the_published_result(vector: Vector) -> None:
    if vector.armored:
        pytest.skip("armored: out of scope, Klankbord has no armor")
    if vector.way == "unknown type":
        # The parts that we read are valid: it parses, and an X25519 key may open it.
        assert age.parse_header(vector.sealed).stanzas[0].args[0].upper() == "X25519"
        with pytest.raises(NoMatch):
            age.open_sealed(vector.sealed, [Seed.generate()])
        return
    outcome, released = opened(vector)
    assert outcome == vector.expect
    if vector.payload is not None:
        assert hashlib.sha256(released).hexdigest() == vector.payload
    else:
        assert released == b""


def test_every_vector_is_used() -> None:
    assert Counter(vector.way for vector in VECTORS) == {
        "file key": 57,
        "hybrid": 17,
        "passphrase": 25,
        "unknown type": 11,
        "armored": 33,
    }


@pytest.mark.parametrize("vector", BARE, ids=lambda v: v.name)
def test_header_is_rewritten_identically(vector: Vector) -> None:
    try:
        header = age.parse_header(vector.sealed)
    except HeaderFailure:
        assert vector.expect == "header failure"
        return
    written = age_header.write_header(header.stanzas, vector.file_key or bytes(16))
    read = vector.sealed[: header.length]
    mac = slice(None) if vector.expect in ("success", "payload failure") else slice(0, -45)
    assert written[mac] == read[mac]


@pytest.mark.parametrize("vector", [v for v in BARE if v.expect == "success"], ids=lambda v: v.name)
def test_payload_is_resealed_identically(vector: Vector) -> None:
    assert vector.file_key is not None
    _, plaintext = opened(vector)
    payload = vector.sealed[age.parse_header(vector.sealed).length :]
    out = io.BytesIO()
    writer = PayloadWriter(out.write, vector.file_key, payload[:16])
    writer.update(plaintext)
    writer.finish()
    assert out.getvalue() == payload


def test_passphrase_vector_above_the_cost_limit_is_refused() -> None:
    vector = next(v for v in BARE if v.name == "scrypt_work_factor_23")
    with pytest.raises(HeaderFailure, match="a cost of 23; at most 20 is tried"):
        age.open_with_passphrase(vector.sealed, vector.passphrases[0])
