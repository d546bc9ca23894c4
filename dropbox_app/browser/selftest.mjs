// Test whether this browser computes everything that the client needs correctly and fast enough.
// The answers are known, because an error could cost a person the code. The time of a small hash
// predicts that of a full one.

import { argon2id } from "@noble/hashes/argon2.js";

import { openSealed, seal } from "./protocol/age.mjs";
import { reporterKeys } from "./protocol/code.mjs";
import { hex, same, sha256Hex, utf8 } from "./protocol/encoding.mjs";
import { identityText, sign, verified } from "./protocol/keys.mjs";

const PROBE = { version: 0x13, m: 1_024, t: 1, p: 1, dkLen: 32 };
const WHOLE = 38; // a code takes 19 times the memory, twice
// The first is slow where the code is compiled only then, or where something else is going on.
const MOST_PROBES = 4;
const SOON = 2; // seconds: what is not longer than this needs no second look
const ROOT = Uint8Array.from({ length: 32 }, (_, at) => at);
const HASHED = "bfc43f4aa3a51768bfe7b723f14d46427a645a1d4056931226414449e8e2b2a1";
const MAILBOX = "c4348eddf5d4db2a0ba84ca5019631681257ec90a934a1ec7a1cb7f9d1f5d876";
const RECIPIENT = "ebb088c2e677b7f3819df826ef29dbca5baaa9f5d1b359e9cf4da8093fc71aaf"; // SHA-256 of its text

/**
 * Return how many seconds the hash of a code will take here. Throws if any result is wrong.
 * @param {() => number} clock The milliseconds of a clock that never goes backwards.
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
  let seconds = Infinity;
  for (let probes = 0; probes < MOST_PROBES && seconds > SOON; probes++) {
    const begun = clock();
    const hashed = argon2id(plaintext, ROOT.subarray(0, 16), PROBE);
    seconds = Math.min(seconds, ((clock() - begun) / 1000) * WHOLE);
    right(hex(hashed) === HASHED);
  }
  return { seconds };
}

/** @param {boolean} held */
function right(held) {
  if (!held) throw new Error("a known answer came out otherwise");
}
