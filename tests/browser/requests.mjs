// What the tests ask of the client's library, in Node and in browsers alike.

import { openSealed, seal } from "../../dropbox_app/browser/protocol/age.mjs";
import { parseCard } from "../../dropbox_app/browser/protocol/card.mjs";
import * as code from "../../dropbox_app/browser/protocol/code.mjs";
import { dayNumber, dayText, hex, utf8 } from "../../dropbox_app/browser/protocol/encoding.mjs";
import { fingerprint, identityText } from "../../dropbox_app/browser/protocol/keys.mjs";
import { openItem, pinsOf, readThread } from "../../dropbox_app/browser/protocol/thread.mjs";
import { fromReporter } from "../../dropbox_app/browser/protocol/writing.mjs";
import { bytesOf, check } from "./vectors.mjs";

const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
const fromBase64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

async function threadOf({ root, site, items }) {
  const keys = code.reporterKeys(bytesOf(root));
  const identity = identityText(keys.reply);
  const arrived = [];
  for (const [item, sealed] of items) arrived.push(await openItem(item, fromBase64(sealed), identity));
  const reporter = { recipient: keys.recipient, verify: keys.verify };
  const reader = { site, mailbox: keys.mailbox, viewer: null, reporter, pins: null };
  return { keys, thread: readThread(arrived, reader) };
}

export const requests = {
  vectors: ({ name, vectors, extra }) => check(name, vectors, extra),

  // How often each of so many words came, of codes that were drawn.
  draws: ({ words, codes }) => {
    const counts = Object.fromEntries(words.map((word) => [word, 0]));
    for (let at = 0; at < codes; at++) for (const word of code.drawCode(words)) counts[word]++;
    return counts;
  },

  fingerprint: ({ identity }) => fingerprint(identity),

  seal: async ({ text, recipients }) => base64(await seal(utf8(text), recipients)),

  open: async ({ sealed, seed }) => {
    const { plaintext, recipients } = await openSealed(fromBase64(sealed), identityText(bytesOf(seed)));
    return { plaintext: base64(plaintext), recipients };
  },

  write: async ({ root, site, items, cards, day, wanted, kind, body, lang }) => {
    const { keys, thread } = await threadOf({ root, site, items });
    const draft = {
      site,
      day: dayNumber(day),
      lang,
      kind,
      body,
      thread: items.length ? thread : null,
      wanted,
      cards: cards.map((card) => parseCard(utf8(card))),
    };
    const { n, to, sealed, leftOut } = await fromReporter(keys, draft);
    return { n, to, leftOut, sealed: base64(sealed), mailbox: keys.mailbox };
  },

  read: async ({ root, site, items }) => {
    const { keys, thread } = await threadOf({ root, site, items });
    return {
      entries: thread.entries.map(({ item, state, reason, message }) => ({
        item,
        state,
        reason,
        by: message?.by,
        n: message?.n,
        text: message?.body.text,
        day: message && dayText(message.day),
      })),
      pins: pinsOf(thread),
      token: hex(keys.token),
    };
  },
};
