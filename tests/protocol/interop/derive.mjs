// The keys behind a retrieval code, written from SPEC.md section 2 alone and without a look at
// the Python: when both agree, the page says enough to write a third.

import { ed25519 } from "@noble/curves/ed25519.js";
import { argon2id } from "@noble/hashes/argon2.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { ml_kem768_x25519 as xwing } from "@noble/post-quantum/hybrid.js";
import { bech32 } from "@scure/base";

const labelled = (label, bytes) => sha256(concatBytes(utf8ToBytes(`${label}\n`), bytes));
const part = (root, label) => hkdf(sha256, root, new Uint8Array(0), utf8ToBytes(label), 32);

// words: seven words of a list; site: the site id, 32 hex characters, hashed as written.
export function derive(words, site) {
  const salt = labelled("klankbord/v1/code", utf8ToBytes(site)).subarray(0, 16);
  const root = argon2id(utf8ToBytes(words.join(" ")), salt, {
    version: 0x13,
    m: 19456,
    t: 2,
    p: 1,
    dkLen: 32,
  });
  const token = part(root, "klankbord/v1/access");
  const reply = part(root, "klankbord/v1/reply");
  const signing = part(root, "klankbord/v1/sign");
  const verify = ed25519.getPublicKey(signing);
  const { publicKey } = xwing.keygen(reply);
  return {
    token: bytesToHex(token),
    reply: bytesToHex(reply),
    recipient: bech32.encode("age1pq", bech32.toWords(publicKey), false),
    signing: bytesToHex(signing),
    verify: bytesToHex(verify),
    mailbox: bytesToHex(labelled("klankbord/v1/mailbox", verify)),
    access: bytesToHex(labelled("klankbord/v1/access", token)),
  };
}
