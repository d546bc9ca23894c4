// Keys: X-Wing recipients as age writes them, and Ed25519 keys that sign (SPEC section 1).

import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { MLKEM768X25519 } from "@noble/post-quantum/hybrid.js";
import { bech32 } from "@scure/base";

import { b64, hex, unb64 } from "./encoding.mjs";
import { FormatError, KeyFormatError } from "./errors.mjs";

const RECIPIENT_SIZE = 1216; // ML-KEM-768 encapsulation key 1,184, then X25519 public key 32
const MLKEM_COEFFICIENTS = 1152; // bytes: 768 numbers of 12 bits; the rest is a seed
const MLKEM_Q = 3329;
const SEED_SIZE = 32;
// Any scalar detects a key of low order; this one is not a secret and opens nothing.
const PROBE = Uint8Array.from({ length: 32 }, (_, at) => at);

/**
 * Read `age1pq1…` in lower case and return its bytes. Throws KeyFormatError for a text that is
 * written otherwise, or a key that cannot be sealed to.
 * @param {string} text
 */
export function parseRecipient(text) {
  if (!text.startsWith("age1pq1")) throw new KeyFormatError("does not begin with age1pq1");
  const raw = unBech32("age1pq", text);
  if (raw.length !== RECIPIENT_SIZE) throw new KeyFormatError(`a recipient has ${RECIPIENT_SIZE} bytes`);
  for (let at = 0; at < MLKEM_COEFFICIENTS; at += 3) {
    const [low, middle, high] = raw.subarray(at, at + 3);
    if (low + 256 * (middle % 16) >= MLKEM_Q || (middle >> 4) + 16 * high >= MLKEM_Q) {
      throw new KeyFormatError("not an X-Wing public key");
    }
  }
  try {
    x25519.getSharedSecret(PROBE, raw.subarray(RECIPIENT_SIZE - 32));
  } catch {
    throw new KeyFormatError("not an X-Wing public key");
  }
  return raw;
}

/** Return the recipient of an X-Wing seed, in age's text form. @param {Uint8Array} seed */
export const recipientOf = (seed) =>
  bech32.encode("age1pq", bech32.toWords(MLKEM768X25519.getPublicKey(seed)), false);

/** Return an X-Wing seed in age's text form; it opens files. @param {Uint8Array} seed */
export function identityText(seed) {
  if (seed.length !== SEED_SIZE) throw new KeyFormatError(`a seed has ${SEED_SIZE} bytes`);
  return bech32.encode("age-secret-key-pq-", bech32.toWords(seed), false).toUpperCase();
}

/**
 * Read a public Ed25519 key: 44 characters of base64. Throws KeyFormatError unless it is the
 * canonical encoding of a point of exactly prime order.
 * @param {string} text
 */
export function parseVerify(text) {
  let raw;
  try {
    raw = unb64(text, 32);
  } catch (error) {
    throw new KeyFormatError(/** @type {FormatError} */ (error).message);
  }
  if (!isPrimeOrder(raw)) throw new KeyFormatError("not an Ed25519 public key of prime order");
  return raw;
}

/** Return the public half of an Ed25519 seed, as base64. @param {Uint8Array} seed */
export const verifyOf = (seed) => b64(ed25519.getPublicKey(seed));

/** Return the 64-byte signature over `data`. @param {Uint8Array} seed @param {Uint8Array} data */
export const sign = (seed, data) => ed25519.sign(data, seed);

/**
 * Return whether `signature` over `data` was made by this key (base64, already checked). Its first
 * half has to be a canonical point of prime order too, else libraries disagree.
 * @param {string} verify @param {Uint8Array} signature @param {Uint8Array} data
 */
export function verified(verify, signature, data) {
  if (signature.length !== 64 || !isPrimeOrder(signature.subarray(0, 32))) return false;
  try {
    return ed25519.verify(signature, data, unb64(verify, 32), { zip215: false });
  } catch {
    return false; // a second half that is no number below the group's order
  }
}

/** Ten groups of four hex digits, to be compared by people (SPEC section 3). @param {string} identity */
export function fingerprint(identity) {
  const digits = hex(sha256(unb64(identity, 32)).subarray(0, 20));
  return /** @type {string[]} */ (digits.match(/.{4}/g)).join(" ");
}

/** @param {Uint8Array} raw */
function isPrimeOrder(raw) {
  try {
    const point = ed25519.Point.fromBytes(raw, false);
    return !point.isSmallOrder() && point.isTorsionFree();
  } catch {
    return false; // no point, or not its canonical encoding
  }
}

/** @param {string} prefix @param {string} text */
function unBech32(prefix, text) {
  if (text !== text.toLowerCase()) throw new KeyFormatError("not in lower case");
  try {
    const read = bech32.decode(/** @type {`${string}1${string}`} */ (text), false);
    if (read.prefix !== prefix) throw new KeyFormatError("another prefix");
    return bech32.fromWords(read.words);
  } catch {
    throw new KeyFormatError("not Bech32, or its checksum is wrong");
  }
}
