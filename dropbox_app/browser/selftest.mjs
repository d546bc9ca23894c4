// Whether this browser can do what the client needs, correctly and in time. Known answers, since a
// wrong one would cost somebody the code; and a small hash, whose time tells that of a whole one.

import { argon2id } from "@noble/hashes/argon2.js";

import { openSealed, seal } from "./protocol/age.mjs";
import { reporterKeys } from "./protocol/code.mjs";
import { hex, same, sha256Hex, utf8 } from "./protocol/encoding.mjs";
import { identityText, sign, verified } from "./protocol/keys.mjs";

const PROBE = { version: 0x13, m: 1_024, t: 1, p: 1, dkLen: 32 };
const WHOLE = 38; // a code takes 19 times the memory, twice
const ROOT = Uint8Array.from({ length: 32 }, (_, at) => at);
const HASHED = "bfc43f4aa3a51768bfe7b723f14d46427a645a1d4056931226414449e8e2b2a1";
const MAILBOX = "c4348eddf5d4db2a0ba84ca5019631681257ec90a934a1ec7a1cb7f9d1f5d876";
const RECIPIENT = "ebb088c2e677b7f3819df826ef29dbca5baaa9f5d1b359e9cf4da8093fc71aaf"; // SHA-256 of its text

/**
 * Return how many seconds a code will take to be hashed here. Throws if anything comes out wrong.
 * @param {() => number} clock Milliseconds of a clock that only goes forward.
 */
export async function selfTest(clock) {
  const plaintext = utf8("klankbord");
  const keys = reporterKeys(ROOT);
  right(keys.mailbox === MAILBOX && sha256Hex(utf8(keys.recipient)) === RECIPIENT);
  const signature = sign(keys.signing, plaintext);
  right(verified(keys.verify, signature, plaintext));
  signature[0] ^= 1;
  right(!verified(keys.verify, signature, plaintext));
  const opened = await openSealed(await seal(plaintext, [keys.recipient]), identityText(keys.reply));
  right(same(opened.plaintext, plaintext));
  const begun = clock();
  const hashed = argon2id(plaintext, ROOT.subarray(0, 16), PROBE);
  const seconds = ((clock() - begun) / 1000) * WHOLE;
  right(hex(hashed) === HASHED);
  return { seconds };
}

/** @param {boolean} held */
function right(held) {
  if (!held) throw new Error("a known answer came out otherwise");
}
