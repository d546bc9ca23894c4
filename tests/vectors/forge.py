"""Ed25519 by hand: keys and signatures that only some libraries refuse (SPEC section 1)."""

import hashlib

import nacl.bindings as sodium

ORDER = 2**252 + 27742317777372353535851937790883648493
# A point of order 8, and the neutral point, which has order 1.
EIGHTH = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
NEUTRAL = (1).to_bytes(32, "little")


def mixed_key(seed: bytes) -> bytes:
    """Return the public key of ``seed`` plus a point of order 8; its holder can sign under it."""
    public = sodium.crypto_scalarmult_ed25519_base_noclamp(_scalar(seed))
    return sodium.crypto_core_ed25519_add(public, EIGHTH)


def sign_with(seed: bytes, public: bytes, data: bytes, *, torsion: bytes | None = None) -> bytes:
    """Return a signature that satisfies the cofactored equation, for a given key or first half.

    ``torsion`` is added to the signature's first half; NEUTRAL makes that half the neutral point.
    """
    if torsion == NEUTRAL:
        nonce, first = 0, NEUTRAL
    else:
        nonce = int.from_bytes(hashlib.sha512(b"nonce" + seed + data).digest(), "little") % ORDER
        first = sodium.crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little"))
        if torsion is not None:
            first = sodium.crypto_core_ed25519_add(first, torsion)
    challenge = challenge_of(first, public, data)
    secret = int.from_bytes(_scalar(seed), "little")
    return first + ((nonce + challenge * secret) % ORDER).to_bytes(32, "little")


def challenge_of(first: bytes, public: bytes, data: bytes) -> int:
    """Return Ed25519's challenge hash. A multiple of 8 cancels a component of order 8 in a key."""
    return int.from_bytes(hashlib.sha512(first + public + data).digest(), "little") % ORDER


def _scalar(seed: bytes) -> bytes:
    low = bytearray(hashlib.sha512(seed).digest()[:32])
    low[0] &= 248
    low[31] = low[31] & 127 | 64
    return (int.from_bytes(low, "little") % ORDER).to_bytes(32, "little")
