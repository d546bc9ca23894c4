// Retrieval codes: seven words, and the keys derived from them (SPEC section 2).

import { argon2id } from "@noble/hashes/argon2.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { randomBytes } from "@noble/hashes/utils.js";

import { hex, sha256Hex, unb64, utf8 } from "./encoding.mjs";
import { CodeError } from "./errors.mjs";
import { recipientOf, verifyOf } from "./keys.mjs";

export const WORDS = 7;

const ARGON2ID = { version: 0x13, m: 19_456, t: 2, p: 1, dkLen: 32 };
// Labels that people and password apps write before the words; none is a word of a list.
const LABEL = /^[^a-z]*(?:(?:mijn|my|je|your|klankbord|code|is)[^a-z]+)+/;
const NUMBERED = /(?:woord|word)[^a-z0-9]*[1-7][^a-z]/g;
const LONGEST_SUGGESTED_FOR = 16; // letters
const FARTHEST_SUGGESTED = 3; // slips
const LETTERS = "abcdefghijklmnopqrstuvwxyz";

/**
 * The words of the lists. `known`: all that a code may hold; `dealt`: those of one list that a new
 * code may hold.
 * @typedef {{known: ReadonlySet<string>, dealt: readonly string[]}} WordLists
 */

/**
 * All keys of a reporter. Secret, except for `verify`, `recipient`, `mailbox` and `access`; the
 * access token is shown to the server with each request, the seeds and the root to nobody.
 * @typedef {{token: Uint8Array, reply: Uint8Array, signing: Uint8Array,
 *   verify: string, recipient: string, mailbox: string, access: string}} ReporterKeys
 */

/** Draw a new code: seven dealt words, each equally likely. @param {readonly string[]} dealt */
export const drawCode = (dealt) => Array.from({ length: WORDS }, () => dealt[below(dealt.length)]);

/**
 * Read what a person typed, and return the seven words as they are in the lists. Throws CodeError.
 * @param {string} text @param {ReadonlySet<string>} known
 */
export function readTyped(text, known) {
  const folded = fold(text);
  const words = split(folded);
  const at = words.findIndex((word) => !known.has(word));
  if (at < 0) return words;
  refuseOtherLetters(folded);
  throw new CodeError("unknown_word", { position: at + 1, suggestions: nearest(words[at], known) });
}

/**
 * Hash seven words of the lists to the root, 32 bytes. Takes 19 MiB, and a second of a phone.
 * @param {readonly string[]} words @param {string} site The site id in hex, hashed as written.
 */
export function deriveRoot(words, site) {
  if (words.length !== WORDS) throw new CodeError("word_count", { count: words.length });
  const salt = sha256(utf8(`klankbord/v1/code\n${site}`)).subarray(0, 16);
  return argon2id(utf8(words.join(" ")), salt, ARGON2ID);
}

/** Derive the reporter's keys from the root, with one label each. @param {Uint8Array} root @returns {ReporterKeys} */
export function reporterKeys(root) {
  const part = (/** @type {string} */ name) =>
    hkdf(sha256, root, new Uint8Array(0), utf8(`klankbord/v1/${name}`), 32);
  const token = part("access");
  const reply = part("reply");
  const signing = part("sign");
  const verify = verifyOf(signing);
  return {
    token,
    reply,
    signing,
    verify,
    recipient: recipientOf(reply),
    mailbox: mailboxId(verify),
    access: sha256Hex(utf8("klankbord/v1/access\n"), token),
  };
}

/** Overwrite the secret keys. @param {ReporterKeys} keys */
export function wipe(keys) {
  for (const secret of [keys.token, keys.reply, keys.signing]) secret.fill(0);
}

/** Return the public name of a mailbox, which is bound to one signing key. @param {string} verify */
export const mailboxId = (verify) => sha256Hex(utf8("klankbord/v1/mailbox\n"), unb64(verify, 32));

/** Return a uniform integer in 0 to limit - 1, of a CSPRNG. @param {number} limit */
function below(limit) {
  const even = 2 ** 32 - (2 ** 32 % limit); // numbers from here on would favour the first words
  for (;;) {
    const number = new DataView(randomBytes(4).buffer).getUint32(0);
    if (number < even) return number % limit;
  }
}

/** Return the text without accents, in the letters a to z where possible. @param {string} text */
function fold(text) {
  // Letter by letter: normalising the whole would also sort the marks, which changes no word.
  const plain = Array.from(text, (letter) => letter.normalize("NFKD")).join("");
  return plain
    .replace(/[\u0300-\u036f]|\p{Cf}/gu, "")
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase())
    .replaceAll("\u0131", "i");
}

/** @param {string} folded @returns {string[]} */
const wordsOf = (folded) => folded.match(/[a-z]+/g) ?? [];

/** @param {string} folded */
function split(folded) {
  const words = wordsOf(folded);
  if (words.length === WORDS) return words;
  const unlabelled = wordsOf(folded.replace(LABEL, "").replace(NUMBERED, " "));
  for (const found of [unlabelled, wordsOf(folded.slice(folded.lastIndexOf(":") + 1))]) {
    if (found.length === WORDS) return found;
  }
  refuseOtherLetters(folded);
  throw new CodeError("word_count", { count: unlabelled.length });
}

/** @param {string} folded */
function refuseOtherLetters(folded) {
  const letter = folded.match(/(?![a-zA-Z])\p{L}/u)?.[0];
  if (letter) throw new CodeError("unknown_letter", { letter });
}

/** Return at most three words that may have been meant. @param {string} word @param {ReadonlySet<string>} known */
function nearest(word, known) {
  if (word.length > LONGEST_SUGGESTED_FOR) return [];
  const near = [...oneSlipAway(word)].filter((slip) => known.has(slip)).sort();
  if (near.length) return near.slice(0, 3);
  return [...known]
    .filter((one) => one[0] === word[0] && Math.abs(one.length - word.length) <= 2)
    .map((one) => ({ one, slips: slips(word, one) }))
    .filter(({ slips }) => slips <= FARTHEST_SUGGESTED)
    .sort((a, b) => a.slips - b.slips || (a.one < b.one ? -1 : 1))
    .slice(0, 3)
    .map(({ one }) => one);
}

/** Every form of the word with one letter omitted, added, swapped or replaced. @param {string} word */
function oneSlipAway(word) {
  const found = new Set();
  for (let at = 0; at <= word.length; at++) {
    const before = word.slice(0, at);
    const after = word.slice(at);
    if (after) found.add(before + after.slice(1));
    if (after.length > 1) found.add(before + after[1] + after[0] + after.slice(2));
    for (const letter of LETTERS) {
      if (after) found.add(before + letter + after.slice(1));
      found.add(before + letter + after);
    }
  }
  return found;
}

/** Return how many letters one has to add, omit or replace. @param {string} one @param {string} other */
function slips(one, other) {
  let row = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let i = 1; i <= one.length; i++) {
    const next = [i];
    for (let j = 1; j <= other.length; j++) {
      const replaced = row[j - 1] + (one[i - 1] === other[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[other.length];
}

/** Return the access token as it is shown to the server. @param {ReporterKeys} keys */
export const bearer = (keys) => hex(keys.token);

