"""Sealed files to open. Sealing is random, so they are made once and kept (SPEC section 10)."""

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from dropbox_app.protocol import age
from dropbox_app.protocol.age_header import Stanza, decode, encode, write_header
from dropbox_app.protocol.encoding import sha256_hex
from dropbox_app.protocol.keys import Recipient, Seed
from dropbox_app.protocol.stream import NONCE, PayloadWriter
from tests.vectors.world import (
    ANNA,
    DAY,
    REPORTER_KEYS,
    Vector,
    counsellor_fields,
    from_reporter,
    reporter_fields,
    sealing_seed,
    secret,
    signed,
    wrap,
)

ANNA_SEED = sealing_seed("anna", DAY.replace(day=1))
BRAM_SEED = sealing_seed("bram", DAY.replace(day=1))
FILE_KEY = secret("file key")[:16]
CLASSIC = X25519PrivateKey.from_private_bytes(secret("classic identity"))


def stanza(recipient: Recipient) -> Stanza:
    """Return the stanza that gives FILE_KEY to this recipient."""
    enc, body = recipient.wrap(FILE_KEY)
    return Stanza(("mlkem768x25519", encode(enc)), body)


def classic_stanza() -> Stanza:
    """Return the stanza of age's older kind that gives FILE_KEY to CLASSIC."""
    share = X25519PrivateKey.from_private_bytes(secret("classic share"))
    public, own = (_public(key.public_key()) for key in (share, CLASSIC))
    info = b"age-encryption.org/v1/X25519"
    key = HKDF(SHA256(), 32, salt=public + own, info=info).derive(
        share.exchange(CLASSIC.public_key())
    )
    body = ChaCha20Poly1305(key).encrypt(bytes(12), FILE_KEY, None)
    return Stanza(("X25519", encode(public)), body)


def sealed_file(stanzas: Sequence[Stanza], plaintext: bytes) -> bytes:
    """Return an age file with only these stanzas, under FILE_KEY."""
    parts = [write_header(stanzas, FILE_KEY)]
    payload = PayloadWriter(parts.append, FILE_KEY, secret("nonce")[:NONCE])
    payload.update(plaintext)
    payload.finish()
    return b"".join(parts)


def under_the_same_header(sealed: bytes, plaintext: bytes, seed: Seed) -> bytes:
    """Return the same header with another payload under its file key, as any recipient can."""
    header = age.parse_header(sealed)
    keys = (
        seed.unwrap(decode(one.args[1].encode("ascii")), one.body)
        for one in header.stanzas
        if one.args[0] == "mlkem768x25519"
    )
    file_key = next(key for key in keys if key)
    parts = [sealed[: header.length]]
    nonce = hashlib.sha256(plaintext).digest()[:NONCE]
    payload = PayloadWriter(parts.append, file_key, nonce)
    payload.update(plaintext)
    payload.finish()
    return b"".join(parts)


def sealed_vectors() -> list[Vector]:
    """Return files for Anna with the results of age, the server's shape check and a reader."""
    report = from_reporter(reporter_fields(1))
    mine, anna, bram = REPORTER_KEYS.recipient, ANNA_SEED.recipient(), BRAM_SEED.recipient()
    good = age.seal(report, [mine, anna])
    to_both = [stanza(mine), stanza(anna)]
    # A co-recipient lacks the reporter's signing key, so lines 1 and 2 no longer match.
    altered = report.replace(b"Het begon in maart.", b"Het is mijn schuld.")
    forged = under_the_same_header(good, altered, ANNA_SEED)
    answer = signed(counsellor_fields(1), ANNA)
    in_a_header = good.index(b"mlkem768x25519 ") + 40
    grease = Stanza(("d(<-grease", "L"), b"anything at all")
    long_body = Stanza(to_both[1].args, to_both[1].body + bytes(16))
    short_enc = Stanza((to_both[1].args[0], to_both[1].args[1][:-4]), to_both[1].body)
    third_argument = Stanza((*to_both[1].args, "x"), to_both[1].body)
    return [
        _case("a report to Anna", good, age_says="opens", shape=True, reader="verified"),
        _case(
            "a co-recipient's forgery: another text under the same header",
            forged,
            age_says="opens",
            shape=True,
            reader="signature",
        ),
        _case(
            "a co-recipient's own message under the reporter's header",
            under_the_same_header(good, answer, ANNA_SEED),
            age_says="opens",
            shape=True,
            reader="unknown_author",
        ),
        _case(
            "sealed to somebody more than it says",
            age.seal(report, [mine, anna, bram]),
            age_says="opens",
            shape=False,
            reader="header",
        ),
        _case(
            "sealed to Anna only",
            age.seal(report, [anna]),
            age_says="opens",
            shape=False,
            reader="header",
        ),
        _case(
            "sealed to somebody else",
            age.seal(report, [mine, bram]),
            age_says="NoMatch",
            shape=True,
            reader="no_key",
        ),
        _case(
            "a bit of a stanza flipped",
            _flip(good, in_a_header),
            age_says="HmacFailure",
            shape=True,
            reader="header_mac",
        ),
        _case(
            "a bit of the MAC flipped",
            _flip(good, good.index(b"\n--- ") + 5),
            age_says="HmacFailure",
            shape=True,
            reader="header_mac",
        ),
        _case(
            "a bit of the payload flipped",
            _flip(good, len(good) - 20),
            age_says="PayloadFailure",
            shape=True,
            reader="payload",
        ),
        _case("cut off", good[:-1], age_says="PayloadFailure", shape=False, reader="payload"),
        _case(
            "a byte after the end",
            good + b" ",
            age_says="PayloadFailure",
            shape=False,
            reader="payload",
        ),
        _case(
            "a message of another size",
            age.seal(report[:-1], [mine, anna]),
            age_says="opens",
            shape=False,
            reader="form",
        ),
        _case(
            "a classic X25519 stanza beside",
            sealed_file([*to_both, classic_stanza()], report),
            age_says="opens",
            shape=False,
            reader="header",
        ),
        _case(
            "nothing but a classic X25519 stanza",
            sealed_file([classic_stanza()], report),
            age_says="NoMatch",
            shape=False,
            reader="header",
        ),
        _case(
            "a grease stanza beside",
            sealed_file([*to_both, grease], report),
            age_says="opens",
            shape=False,
            reader="header",
        ),
        _case(
            "a grease stanza instead of the reporter's: the count fits",
            sealed_file([grease, to_both[1]], report),
            age_says="opens",
            shape=False,
            reader="header",
        ),
        *(
            _case(
                f"a stanza {name}",
                sealed_file([to_both[0], wrong], report),
                age_says="HeaderFailure",
                shape=False,
                reader="header",
            )
            for name, wrong in (
                ("with a longer body", long_body),
                ("with a shorter share", short_enc),
                ("with a third argument", third_argument),
            )
        ),
        _case(
            "sealed for a passphrase",
            age.seal_with_passphrase(report, "een twee drie", log_n=2),
            age_says="NoMatch",
            shape=False,
            reader="header",
        ),
        _case("not age at all", report, age_says="HeaderFailure", shape=False, reader="header"),
        _case("nothing", b"", age_says="HeaderFailure", shape=False, reader="header"),
    ]


def _case(comment: str, sealed: bytes, *, age_says: str, shape: bool, reader: str) -> Vector:
    return {
        "comment": comment,
        "item": sha256_hex(sealed),
        "sealed": wrap(sealed),
        "expect": {"age": age_says, "shape_of_two": shape, "reader": reader},
    }


def _flip(data: bytes, at: int) -> bytes:
    """Return the bytes with one of them changed; a base64 letter becomes another one."""
    return data[:at] + (b"A" if data[at : at + 1] != b"A" else b"B") + data[at + 1 :]


def _public(key: X25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
