// Sealed files: age version 1 with post-quantum recipients, by the package age-encryption (SPEC
// section 1). The header is also read here, because the package does not tell which check failed,
// and accepts other kinds of recipients, which nobody sees.

import { Decrypter, Encrypter } from "age-encryption";
import { base64nopad } from "@scure/base";

import { OpenError } from "./errors.mjs";

const HYBRID = "mlkem768x25519";
const ENC_SIZE = 1120; // ML-KEM-768 ciphertext 1,088, then X25519 share 32
const WRAPPED_SIZE = 32; // the file key and its tag
const MAX_HEADER = 131_072; // bytes
const NONCE_SIZE = 16;
const COLUMNS = 64;
const VERSION = "age-encryption.org/v1";
const LF = 10;
const MAX_LINE = 8_192; // letters; on some systems String.fromCharCode accepts no more at once
const WRONG_MAC = "invalid header HMAC"; // the message of the locked version of the package

/** @typedef {{args: string[], body: Uint8Array}} Stanza */

/**
 * Seal for every recipient, with a new file key.
 * @param {Uint8Array} plaintext @param {readonly string[]} recipients `age1pq1…`, checked by parseRecipient.
 * @returns {Promise<Uint8Array>}
 */
export async function seal(plaintext, recipients) {
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  return encrypter.encrypt(plaintext);
}

/**
 * Open a file; return its contents and the number of recipients in its header. Throws OpenError.
 * @param {Uint8Array} sealed @param {string} identity `AGE-SECRET-KEY-PQ-1…`
 */
export async function openSealed(sealed, identity) {
  const { recipients } = await openHeader(sealed, identity);
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  try {
    return { plaintext: await decrypter.decrypt(sealed), recipients };
  } catch {
    throw new OpenError("payload");
  }
}

/**
 * Open the header at the beginning of a file; return the file key, the header's length and the
 * number of its recipients. Throws OpenError.
 * @param {Uint8Array} sealed @param {string} identity `AGE-SECRET-KEY-PQ-1…`
 */
export async function openHeader(sealed, identity) {
  const { stanzas, length } = parseHeader(sealed);
  for (const stanza of stanzas) {
    if (stanza.args[0] === HYBRID && !isWhole(stanza)) throw new OpenError("header");
  }
  if (sealed.length < length + NONCE_SIZE) throw new OpenError("header");
  const decrypter = new Decrypter();
  let strange = false;
  decrypter.addIdentity(identity);
  decrypter.addIdentity({
    // Only called if the reporter's own stanza did not open.
    unwrapFileKey: () => {
      strange = true;
      return null;
    },
  });
  try {
    const fileKey = await decrypter.decryptHeader(sealed.slice(0, length));
    return { fileKey, length, recipients: stanzas.length };
  } catch (error) {
    if (strange) throw new OpenError("no_key");
    // The other error is a key share of low order, which no honest sender creates.
    throw new OpenError(/** @type {Error} */ (error).message === WRONG_MAC ? "header_mac" : "header");
  }
}

/** Return whether all recipients in the header are of the only allowed kind. @param {Uint8Array} sealed */
export const onlyHybrid = (sealed) =>
  parseHeader(sealed).stanzas.every((stanza) => stanza.args[0] === HYBRID);

/** @param {Stanza} stanza */
function isWhole(stanza) {
  if (stanza.args.length !== 2 || stanza.body.length !== WRAPPED_SIZE) return false;
  try {
    return base64nopad.decode(stanza.args[1]).length === ENC_SIZE;
  } catch {
    return false;
  }
}

/**
 * Read the header of a sealed file: its stanzas, and its length including the MAC line. Throws
 * OpenError for anything except one well-formed header of at most 128 KiB.
 * @param {Uint8Array} sealed
 */
function parseHeader(sealed) {
  const lines = new Lines(sealed.subarray(0, MAX_HEADER));
  if (lines.next() !== VERSION) throw new OpenError("header");
  /** @type {Stanza[]} */
  const stanzas = [];
  let line = lines.next();
  for (; line.startsWith("-> "); line = lines.next()) {
    const args = line.slice(3).split(" ");
    if (!args.every((arg) => /^[\x21-\x7e]+$/.test(arg))) throw new OpenError("header");
    stanzas.push({ args, body: readBody(lines) });
  }
  if (!stanzas.length || !line.startsWith("--- ") || decode(line.slice(4)).length !== 32) {
    throw new OpenError("header");
  }
  if (stanzas.length > 1 && stanzas.some((stanza) => stanza.args[0] === "scrypt")) {
    throw new OpenError("header");
  }
  return { stanzas, length: lines.at };
}

/** @param {Lines} lines */
function readBody(lines) {
  let text = "";
  for (;;) {
    const line = lines.next();
    if (line.length > COLUMNS) throw new OpenError("header");
    decode(line); // check each line by itself; only the last may have any length
    text += line;
    if (line.length < COLUMNS) return decode(text);
  }
}

/** Decode age's base64, without padding. @param {string} text */
function decode(text) {
  try {
    return base64nopad.decode(text);
  } catch {
    throw new OpenError("header");
  }
}

/** The lines of a header, which are ASCII. */
class Lines {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  /** Return the next line without its LF. */
  next() {
    const end = this.bytes.indexOf(LF, this.at);
    if (end < 0) throw new OpenError("header");
    const line = this.bytes.subarray(this.at, end);
    this.at = end + 1;
    return String.fromCharCode(...line.subarray(0, MAX_LINE)) + (line.length > MAX_LINE ? " " : "");
  }
}
