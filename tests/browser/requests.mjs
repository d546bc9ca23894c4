// What the tests ask of the client's library, in Node and in browsers alike.

import { openSealed, seal } from "../../dropbox_app/browser/protocol/age.mjs";
import { parseCard } from "../../dropbox_app/browser/protocol/card.mjs";
import * as code from "../../dropbox_app/browser/protocol/code.mjs";
import { dayNumber, dayText, hex, join, utf8 } from "../../dropbox_app/browser/protocol/encoding.mjs";
import { OpenError } from "../../dropbox_app/browser/protocol/errors.mjs";
import { cleanName, cleanType, savedName } from "../../dropbox_app/browser/protocol/file_names.mjs";
import { FileChanged, FileOpener, FileSealer } from "../../dropbox_app/browser/protocol/files.mjs";
import { fingerprint, identityText } from "../../dropbox_app/browser/protocol/keys.mjs";
import { openItem, pinsOf, readThread } from "../../dropbox_app/browser/protocol/thread.mjs";
import { fromReporter } from "../../dropbox_app/browser/protocol/writing.mjs";
import { Refused, Session } from "../../dropbox_app/browser/session.mjs";
import { selfTest } from "../../dropbox_app/browser/selftest.mjs";
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

// One session, kept between requests.
let session;

const plain = (value) =>
  JSON.parse(JSON.stringify(value ?? null, (_, member) => (member instanceof Uint8Array ? base64(member) : member)));

export const requests = {
  // A new session, on a clock that stands still at noon of a day.
  session: ({ lists, day }) => {
    session = new Session(lists, () => Date.parse(`${day}T12:00:00Z`));
  },

  // Let it do something: its answer, or the name of its refusal.
  ask: async ({ what, given }) => {
    if (what === "read") given.items = given.items.map(([item, sealed]) => [item, fromBase64(sealed)]);
    try {
      const does = what in session ? session : session.files;
      return { answer: plain(await does[what](given)) };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return { refused: error.name, details: plain(error.details) };
    }
  },

  // Whether its secret keys are overwritten when it wipes them, also those drawn ahead.
  wiped: () => {
    const held = [session.keys, session.ahead?.keys].filter(Boolean);
    session.wipe();
    const secrets = held.flatMap(({ token, reply, signing }) => [token, reply, signing]);
    return { secrets: secrets.length, overwritten: secrets.every((one) => one.every((byte) => byte === 0)) };
  },

  selfTest: () => selfTest(() => performance.now()),

  vectors: ({ name, vectors, extra }) => check(name, vectors, extra),

  // How often each of so many words came, of codes that were drawn.
  draws: ({ words, codes }) => {
    const counts = Object.fromEntries(words.map((word) => [word, 0]));
    for (let at = 0; at < codes; at++) for (const word of code.drawCode(words)) counts[word]++;
    return counts;
  },

  // Seal a file: its parts and id.
  sealFile: async ({ content, recipients }) => {
    const sealer = await FileSealer.of(new Blob([fromBase64(content)]), recipients);
    const parts = [];
    for (let number = 0; number < sealer.parts; number++) parts.push(base64((await sealer.part(number)).bytes));
    return { parts, item: sealer.item(), length: sealer.length };
  },

  // Seal a file whose parts are all asked for at once, then made again without the browser's own
  // hash: whether they are the same, and the file's id.
  sealAtOnce: async ({ content, recipients }) => {
    const sealer = await FileSealer.of(new Blob([fromBase64(content)]), recipients);
    const numbers = Array.from({ length: sealer.parts }, (_, number) => number);
    const parts = await Promise.all(numbers.map((number) => sealer.part(number)));
    Object.defineProperty(crypto, "subtle", { value: undefined, configurable: true });
    try {
      const again = await Promise.all(numbers.map((number) => sealer.part(number)));
      const same = parts.every(({ bytes }, number) => base64(bytes) === base64(again[number].bytes));
      return { same, parts: parts.map(({ bytes, digest }) => [base64(bytes), digest]), item: sealer.item() };
    } finally {
      delete crypto.subtle;
    }
  },

  // Seal a file that changes meanwhile: the error's name, when its first part is made again.
  changingFile: async ({ content, other, recipients }) => {
    const sealer = await FileSealer.of(new Blob([fromBase64(content)]), recipients);
    await sealer.part(0);
    sealer.file = new Blob([fromBase64(other)]);
    sealer.edge = null;
    try {
      await sealer.part(0);
      return "";
    } catch (error) {
      return error.constructor === FileChanged ? "changed" : String(error);
    }
  },

  // Open a file that arrives in pieces: its content, or the name of the fault.
  openFile: async ({ sealed, seed, item, size, step }) => {
    const opener = new FileOpener({ sha256: item, size }, identityText(bytesOf(seed)));
    const bytes = fromBase64(sealed);
    const pieces = [];
    try {
      for (let at = 0; at < bytes.length; at += step) pieces.push(await opener.push(bytes.slice(at, at + step)));
      pieces.push(await opener.finish());
    } catch (error) {
      if (!(error instanceof OpenError)) throw error;
      return { fault: error.fault };
    }
    return { content: base64(join(...pieces)) };
  },

  fileNames: ({ names, fallback }) => names.map((name) => [cleanName(name, fallback), savedName(name, fallback)]),

  fileTypes: ({ types }) => types.map(cleanType),

  fingerprint: ({ identity }) => fingerprint(identity),

  seal: async ({ text, recipients }) => base64(await seal(utf8(text), recipients)),

  open: async ({ sealed, seed }) => {
    const { plaintext, recipients } = await openSealed(fromBase64(sealed), identityText(bytesOf(seed)));
    return { plaintext: base64(plaintext), recipients };
  },

  // The name of the fault with which a file does not open; "" if it does.
  fault: async ({ sealed, seed }) => {
    try {
      await openSealed(fromBase64(sealed), identityText(bytesOf(seed)));
      return "";
    } catch (error) {
      if (!(error instanceof OpenError)) throw error;
      return error.fault;
    }
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
