// The other side of the interop tests: one request a line on stdin, one answer a line on stdout,
// both JSON; contents go through files. Started by conftest.py.

import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { Decrypter, Encrypter, generateHybridIdentity, identityToRecipient } from "age-encryption";
import * as vectors from "cctv-age";

import { derive } from "./derive.mjs";

const requests = {
  derive: ({ words, site }) => derive(words, site),

  identity: async () => ({ seed: await generateHybridIdentity() }),

  recipient: async ({ seed }) => ({ recipient: await identityToRecipient(seed) }),

  seal: async ({ from, to, recipients, passphrase, cost }) => {
    const encrypter = new Encrypter();
    for (const recipient of recipients ?? []) encrypter.addRecipient(recipient);
    if (passphrase) {
      encrypter.setPassphrase(passphrase);
      encrypter.setScryptWorkFactor(cost);
    }
    writeFileSync(to, await encrypter.encrypt(readFileSync(from)));
    return {};
  },

  open: async ({ from, to, seed, passphrase }) => {
    const decrypter = new Decrypter();
    if (seed) decrypter.addIdentity(seed);
    if (passphrase) decrypter.addPassphrase(passphrase);
    writeFileSync(to, await decrypter.decrypt(readFileSync(from)));
    return {};
  },

  vectors: ({ to }) => {
    const named = Object.entries(vectors).filter(([, bytes]) => bytes instanceof Uint8Array);
    for (const [name, bytes] of named) writeFileSync(`${to}/${name}`, bytes);
    return { names: named.map(([name]) => name) };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = await requests[request.do](request);
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
