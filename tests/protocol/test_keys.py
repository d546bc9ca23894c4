"""Keys: text forms, refusals, and the protection of secrets (SPEC section 1)."""

import copy
import hashlib
import pickle

import nacl.bindings
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from dropbox_app.protocol.errors import HeaderFailure, KeyFormatError
from dropbox_app.protocol.keys import ENC_SIZE, Recipient, Seed, SigningKey, VerifyKey

SEED = Seed(bytes(range(32)))
SIGNING = SigningKey(bytes(range(32)))
ORDER = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19

# Points of order 1, 2, 4, 4, 8, 8, 8, 8 on the Ed25519 curve.
TORSION = [
    (1).to_bytes(32, "little"),
    (P - 1).to_bytes(32, "little"),
    (0).to_bytes(32, "little"),
    (1 << 255).to_bytes(32, "little"),
    *(
        bytes.fromhex(text)
        for text in (
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        )
    ),
]
# X25519 keys of low order (RFC 7748 section 7): 0, 1, p - 1, p, p + 1, and two of order 8.
LOW_ORDER_X25519 = [
    *(value.to_bytes(32, "little") for value in (0, 1, P - 1, P, P + 1)),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


# -- Recipient and Seed


def test_keys_round_trip_through_their_text_form() -> None:
    recipient = SEED.recipient()
    assert str(recipient).startswith("age1pq1")
    assert len(str(recipient)) == 1959
    assert Recipient.parse(str(recipient)) == recipient
    assert SEED.reveal().startswith("AGE-SECRET-KEY-PQ-1")
    assert Seed.parse(SEED.reveal()) == SEED
    assert Seed.parse(SEED.reveal()).recipient() == recipient


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=25)
def test_every_seed_round_trips(raw: bytes) -> None:
    seed = Seed(raw)
    assert Seed.parse(seed.reveal()).raw == raw
    assert Recipient.parse(str(seed.recipient())) == seed.recipient()


def test_generated_seeds_differ() -> None:
    assert Seed.generate() != Seed.generate()


@pytest.mark.parametrize(
    "text",
    [
        "",
        str(SEED.recipient()).upper(),
        str(SEED.recipient())[:-1],
        str(SEED.recipient()) + "q",
        " " + str(SEED.recipient()),
        str(SEED.recipient()) + "\n",
        SEED.reveal(),
        "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj",  # X25519
    ],
)
def test_invalid_recipient_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError):
        Recipient.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        SEED.reveal().lower(),
        SEED.reveal()[:-1],
        SEED.reveal() + " ",
        SEED.reveal().replace("K", "\u212a", 1),  # the Kelvin sign: lower() makes it a k
        str(SEED.recipient()),
        "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX",
    ],
)
def test_invalid_seed_is_refused(text: str) -> None:
    with pytest.raises(KeyFormatError) as caught:
        Seed.parse(text)
    assert text[22:30] not in str(caught.value) or not text


@pytest.mark.parametrize("length", [0, 1, 1215, 1217])
def test_recipient_of_the_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(KeyFormatError):
        Recipient(bytes(length))


def test_recipient_with_coefficient_not_below_q_is_refused() -> None:
    with pytest.raises(KeyFormatError):
        Recipient(b"\xff\xff\xff" + SEED.recipient().raw[3:])


@pytest.mark.parametrize("point", LOW_ORDER_X25519)
def test_recipient_with_low_order_x25519_half_is_refused(point: bytes) -> None:
    with pytest.raises(KeyFormatError):
        Recipient(SEED.recipient().raw[:-32] + point)


def test_recipient_can_be_copied() -> None:
    recipient = SEED.recipient()
    for other in (copy.deepcopy(recipient), pickle.loads(pickle.dumps(recipient))):  # noqa: S301  # our own bytes
        assert other == recipient
        assert SEED.unwrap(*other.wrap(bytes(16))) == bytes(16)


def test_wrapped_file_key_can_be_unwrapped() -> None:
    enc, sealed = SEED.recipient().wrap(b"sixteen byte key")
    assert (len(enc), len(sealed)) == (ENC_SIZE, 32)
    assert SEED.unwrap(enc, sealed) == b"sixteen byte key"
    assert Seed.generate().unwrap(enc, sealed) is None


@pytest.mark.parametrize("point", LOW_ORDER_X25519)
def test_low_order_share_is_distinguished_from_no_match(point: bytes) -> None:
    enc, sealed = SEED.recipient().wrap(b"sixteen byte key")
    with pytest.raises(HeaderFailure):
        SEED.unwrap(enc[:-32] + point, sealed)


# -- Secrets


@pytest.mark.parametrize("secret", [SEED, SIGNING], ids=["Seed", "SigningKey"])
class TestSecrets:
    def test_secrets_are_hidden_in_repr(self, secret: Seed | SigningKey) -> None:
        for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", repr([secret])):
            assert shown.strip("[]") == f"<{type(secret).__name__}>"

    def test_secrets_cannot_be_pickled_or_copied(self, secret: Seed | SigningKey) -> None:
        for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="secret"):
                attempt(secret)

    def test_secrets_have_no_attribute_dictionary(self, secret: Seed | SigningKey) -> None:
        with pytest.raises(TypeError):
            vars(secret)

    def test_secrets_are_unhashable(self, secret: Seed | SigningKey) -> None:
        with pytest.raises(TypeError):
            hash(secret)

    def test_secrets_compare_by_value(self, secret: Seed | SigningKey) -> None:
        assert secret == type(secret)(bytes(range(32)))
        assert secret != type(secret)(bytes(32))
        assert secret != bytes(range(32))

    @pytest.mark.parametrize("length", [0, 31, 33, 64])
    def test_secret_of_the_wrong_length_is_refused(
        self, secret: Seed | SigningKey, length: int
    ) -> None:
        with pytest.raises(KeyFormatError):
            type(secret)(bytes(length))


def test_secrets_of_different_types_are_never_equal() -> None:
    assert SEED != SIGNING
    assert SIGNING != SEED


# -- VerifyKey and SigningKey


def test_signature_verifies() -> None:
    signature = SIGNING.sign(b"text")
    assert len(signature) == 64
    assert SIGNING.verify_key.verify(signature, b"text")
    assert not SIGNING.verify_key.verify(signature, b"other")
    assert not SigningKey.generate().verify_key.verify(signature, b"text")


def test_rfc_8032_vector_verifies() -> None:
    """RFC 8032 section 7.1, test 2."""
    key = SigningKey(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    )
    assert key.verify_key.hex == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert key.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_verify_key_text_forms_round_trip() -> None:
    key = SIGNING.verify_key
    assert len(str(key)) == 44
    assert VerifyKey.parse(str(key)) == key
    assert VerifyKey.from_hex(key.hex) == key
    assert {key: 1}[VerifyKey(key.raw)] == 1
    for text in ("", str(key)[:-1], str(key) + "=", key.hex, " " + str(key)):
        with pytest.raises(KeyFormatError):
            VerifyKey.parse(text)
    for text in ("", key.hex.upper(), key.hex[:-2], str(key)):
        with pytest.raises(KeyFormatError):
            VerifyKey.from_hex(text)


def test_fingerprint_has_ten_groups() -> None:
    key = SIGNING.verify_key
    digits = hashlib.sha256(key.raw).hexdigest()
    fingerprint = key.fingerprint()
    assert fingerprint.replace(" ", "") == digits[:40]
    assert [len(group) for group in fingerprint.split(" ")] == [4] * 10


@pytest.mark.parametrize("point", TORSION)
def test_small_order_key_is_refused(point: bytes) -> None:
    with pytest.raises(KeyFormatError):
        VerifyKey(point)


@pytest.mark.parametrize("point", TORSION[1:])
def test_mixed_order_key_is_refused(point: bytes) -> None:
    mixed = nacl.bindings.crypto_core_ed25519_add(SIGNING.verify_key.raw, point)
    assert mixed != SIGNING.verify_key.raw
    with pytest.raises(KeyFormatError):
        VerifyKey(mixed)


def test_noncanonical_key_encoding_is_refused() -> None:
    """A y below 19 can also be encoded as y + p; every such encoding is refused."""
    for y in range(19):
        for sign in (0, 1 << 255):
            for written in (y, y + P):
                with pytest.raises(KeyFormatError):
                    VerifyKey((written | sign).to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_verify_key_of_the_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(KeyFormatError):
        VerifyKey(bytes(length))


@pytest.mark.parametrize("length", [0, 32, 63, 65])
def test_signature_of_the_wrong_length_is_refused(length: int) -> None:
    assert not SIGNING.verify_key.verify(bytes(length), b"text")


def forged(first: bytes, nonce: int) -> bytes:
    """Return a signature over b"text" by SIGNING whose first half is ``first``."""
    digest = hashlib.sha512(SIGNING.seed).digest()
    clamped = bytearray(digest[:32])
    clamped[0] &= 248
    clamped[31] = clamped[31] & 63 | 64
    secret = int.from_bytes(clamped, "little")
    challenge = hashlib.sha512(first + SIGNING.verify_key.raw + b"text").digest()
    last = (nonce + int.from_bytes(challenge, "little") * secret) % ORDER
    return first + last.to_bytes(32, "little")


def base_times(nonce: int) -> bytes:
    return nacl.bindings.crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))


def test_forging_helper_makes_a_valid_signature_from_valid_input() -> None:
    assert SIGNING.verify_key.verify(forged(base_times(5), 5), b"text")


def test_signature_starting_with_the_neutral_point_is_refused() -> None:
    """The signer can make one and OpenSSL accepts it, so the rule is needed."""
    signature = forged(TORSION[0], 0)
    Ed25519PublicKey.from_public_bytes(SIGNING.verify_key.raw).verify(signature, b"text")
    assert not SIGNING.verify_key.verify(signature, b"text")


@pytest.mark.parametrize("point", TORSION[1:])
def test_signature_starting_with_a_mixed_order_point_is_refused(point: bytes) -> None:
    mixed = nacl.bindings.crypto_core_ed25519_add(base_times(5), point)
    assert not SIGNING.verify_key.verify(forged(mixed, 5), b"text")


def test_signature_with_unreduced_second_half_is_refused() -> None:
    signature = SIGNING.sign(b"text")
    more = int.from_bytes(signature[32:], "little") + ORDER
    assert not SIGNING.verify_key.verify(signature[:32] + more.to_bytes(32, "little"), b"text")


@given(st.binary(max_size=80), st.binary(max_size=20))
def test_verify_never_raises(signature: bytes, data: bytes) -> None:
    assert not SIGNING.verify_key.verify(signature, data)
