// Encodings: strict JSON lines, base64, days, hex, text (SPEC section 1). Every decoder accepts
// exactly one encoding of a value and throws FormatError for any other.

import { sha256 } from "@noble/hashes/sha2.js";
import { base64 } from "@scure/base";

import { FormatError } from "./errors.mjs";

/** @typedef {{[key: string]: any}} Fields The members of a JSON object, before their types are checked. */

const MAX_DEPTH = 4;
const DAY_MILLISECONDS = 86_400_000;
// A letter first: numeric keys would come before the others, and `__proto__` is not copied.
const KEY = /^[a-z][a-z0-9_]*$/;
const DAY = /^2[0-9]{3}-[0-9]{2}-[0-9]{2}$/;
const HEX = /^[0-9a-f]*$/;
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const LONE_SURROGATE = /\p{Surrogate}/u;
const LONE_SURROGATES = /\p{Surrogate}/gu;

const encoder = new TextEncoder();
// Without ignoreBOM a decoder drops a U+FEFF at the beginning, and two texts would read as one.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Return the UTF-8 bytes of a text. @param {string} text */
export const utf8 = (text) => encoder.encode(text);

/** Return the bytes joined. @param {...Uint8Array} parts */
export function join(...parts) {
  const joined = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Return whether two arrays hold the same bytes; not for secrets. @param {Uint8Array} one @param {Uint8Array} other */
export const same = (one, other) =>
  one.length === other.length && one.every((byte, at) => byte === other[at]);

/** Write an object as a JSON line, without its LF (SPEC section 1). @param {Fields} value */
export function toLine(value) {
  check(value, 1);
  return utf8(dump(value));
}

/**
 * Parse a JSON line (without its LF), and refuse every other encoding of the same value: a doubled
 * key, a fraction, white space, an escape that need not be.
 * @param {Uint8Array} line
 * @returns {Fields}
 */
export function fromLine(line) {
  const text = decoded(line);
  if (deepest(text) > MAX_DEPTH) throw new FormatError(`nested deeper than ${MAX_DEPTH}`);
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    throw new FormatError("not a JSON line");
  }
  if (!isObject(value)) throw new FormatError("not a JSON object");
  check(value, 1);
  if (dump(value) !== text) throw new FormatError("not the one way of writing this JSON line");
  return value;
}

/** Return the text of UTF-8 bytes. @param {Uint8Array} bytes */
export function decoded(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new FormatError("not UTF-8");
  }
}

/** Encode bytes as base64, RFC 4648 section 4, with padding. @param {Uint8Array} raw */
export const b64 = (raw) => base64.encode(raw);

/** Decode base64 of exactly `length` bytes. @param {string} text @param {number} length */
export function unb64(text, length) {
  let raw;
  try {
    raw = base64.decode(text);
  } catch {
    throw new FormatError("not base64");
  }
  if (raw.length !== length || base64.encode(raw) !== text) {
    throw new FormatError(`not ${length} bytes in base64`);
  }
  return raw;
}

/** Encode bytes as lower-case hex. @param {Uint8Array} raw */
export const hex = (raw) => Array.from(raw, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Return `text` if it is lower-case hex of exactly `length` bytes. @param {string} text @param {number} length */
export function checkHex(text, length) {
  if (text.length !== 2 * length || !HEX.test(text)) {
    throw new FormatError(`not ${length} bytes in lower-case hex`);
  }
  return text;
}

/** Return a SHA-256 in lower-case hex, of the given parts joined. @param {...Uint8Array} parts */
export function sha256Hex(...parts) {
  const digest = sha256.create();
  for (const part of parts) digest.update(part);
  return hex(digest.digest());
}

/** Return a UTC day, `YYYY-MM-DD` of the years 2000 to 2999, as days since 1970. @param {string} text */
export function dayNumber(text) {
  if (!DAY.test(text)) throw new FormatError("not a day (YYYY-MM-DD)");
  const number = Date.parse(`${text}T00:00:00Z`) / DAY_MILLISECONDS;
  // Engines differ about the 31st of a short month: what comes back has to be the same.
  if (!Number.isInteger(number) || dayText(number) !== text) throw new FormatError("no such day");
  return number;
}

/** Return the day of a number of days since 1970. @param {number} number */
export const dayText = (number) => new Date(number * DAY_MILLISECONDS).toISOString().slice(0, 10);

/** Return a person's text as it is signed: LF line ends, no control characters. @param {string} text */
export const cleanText = (text) =>
  text.replace(/\r\n?/g, "\n").replace(CONTROLS, "").replace(LONE_SURROGATES, "\ufffd");

/** @param {unknown} value @returns {value is Fields} */
export const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** @param {any} value @returns {string} */
function dump(value) {
  if (Array.isArray(value)) return `[${value.map(dump).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const members = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${dump(value[key])}`);
  return `{${members.join(",")}}`;
}

/** Return the deepest nesting of brackets outside strings, without parsing. @param {string} text */
function deepest(text) {
  let depth = 0;
  let most = 0;
  let quoted = false;
  for (let at = 0; at < text.length && most <= MAX_DEPTH; at++) {
    const letter = text[at];
    if (quoted && letter === "\\") at++;
    else if (letter === '"') quoted = !quoted;
    else if (quoted) continue;
    else if (letter === "{" || letter === "[") most = Math.max(most, ++depth);
    else if (letter === "}" || letter === "]") depth--;
  }
  return most;
}

/** Throw FormatError for a value that a JSON line may not hold. @param {unknown} value @param {number} depth */
function check(value, depth) {
  if (depth > MAX_DEPTH && typeof value === "object" && value !== null) {
    throw new FormatError(`nested deeper than ${MAX_DEPTH}`);
  }
  if (Array.isArray(value)) {
    for (const member of value) check(member, depth + 1);
  } else if (isObject(value)) {
    for (const [key, member] of Object.entries(value)) {
      if (!KEY.test(key)) throw new FormatError("a key that is not a letter followed by a-z, 0-9 and _");
      check(member, depth + 1);
    }
  } else if (typeof value === "string") {
    if (LONE_SURROGATE.test(value)) throw new FormatError("a lone surrogate");
  } else if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new FormatError("a number that is not whole, or outside 0 to 2^53 - 1");
    }
  } else if (typeof value !== "boolean" && value !== null) {
    throw new FormatError("a value that JSON does not have");
  }
}
