// Runs the vectors of tests/vectors against the browser's client, in Node and in browsers alike.
// check(name, vectors, extra) gives a sentence for each vector that comes out otherwise than listed.

import * as age from "../../dropbox_app/browser/protocol/age.mjs";
import { unpack } from "../../dropbox_app/browser/protocol/batch.mjs";
import { parseCard, sealingKey } from "../../dropbox_app/browser/protocol/card.mjs";
import * as code from "../../dropbox_app/browser/protocol/code.mjs";
import * as encoding from "../../dropbox_app/browser/protocol/encoding.mjs";
import { CardError, CodeError, FormatError, MessageError, OpenError } from "../../dropbox_app/browser/protocol/errors.mjs";
import { FileSealer } from "../../dropbox_app/browser/protocol/files.mjs";
import { identityText, recipientOf } from "../../dropbox_app/browser/protocol/keys.mjs";
import { parseMessage } from "../../dropbox_app/browser/protocol/messages.mjs";
import { attachmentSize } from "../../dropbox_app/browser/protocol/padding.mjs";
import { openItem, readThread } from "../../dropbox_app/browser/protocol/thread.mjs";

const { dayNumber, fromLine, hex, sha256Hex, toLine, utf8 } = encoding;

export const bytesOf = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
const unwrap = (lines) => Uint8Array.from(atob(lines.join("")), (letter) => letter.charCodeAt(0));

// What a vector writes as pieces: [text or {hex}, times].
function joined(pieces) {
  return encoding.join(
    ...pieces.map(([unit, times]) => {
      const one = typeof unit === "string" ? utf8(unit) : bytesOf(unit.hex);
      const all = new Uint8Array(one.length * times);
      for (let at = 0; at < all.length; at += one.length) all.set(one, at);
      return all;
    }),
  );
}

function refusal(work, ...kinds) {
  try {
    work();
  } catch (error) {
    if (kinds.some((kind) => error instanceof kind)) return error;
    throw error;
  }
  return null;
}

function equal(found, wanted, what = "") {
  const [one, other] = [found, wanted].map((value) => JSON.stringify(value, sorted));
  if (one !== other) throw new Error(`${what} ${one} is not ${other}`);
}

const sorted = (_, value) =>
  encoding.isObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;

const checks = {
  json_lines({ line, expect }) {
    const bytes = joined(line);
    if (expect) equal(hex(toLine(fromLine(bytes))), hex(bytes));
    else equal(refusal(() => fromLine(bytes), FormatError) !== null, true, "refused");
  },

  texts({ typed, expect }) {
    equal(encoding.cleanText(typed), expect);
  },

  batches({ body, expect }) {
    const bytes = joined(body);
    if (expect) equal(unpack(bytes, 50).map(hex), expect.map((item) => hex(joined(item))));
    else equal(refusal(() => unpack(bytes, 50), FormatError) !== null, true, "refused");
  },

  padme({ size, expect }) {
    equal(attachmentSize(size), expect);
  },

  async files({ header, file_key, nonce, content, expect }) {
    const file = new Blob([joined(content)]);
    const sealer = new FileSealer(file, joined(header), bytesOf(file_key), bytesOf(nonce));
    const parts = [];
    for (let number = 0; number < sealer.parts; number++) parts.push((await sealer.part(number)).bytes);
    equal({ length: sealer.length, parts: parts.map((part) => sha256Hex(part)), item: sealer.item() }, expect);
    for (const [number, bytes] of parts.entries()) {
      equal(encoding.same((await sealer.part(number)).bytes, bytes), true, "the same again");
    }
  },

  codes({ typed, site, expect }, { words }) {
    const known = new Set(words);
    const error = refusal(() => code.readTyped(typed, known), CodeError);
    equal(error?.refused, expect.refused, "refused");
    if (error) {
      const listed = { word_count: error.count, unknown_letter: error.letter, unknown_word: error.position };
      equal(listed[error.refused], expect.words ?? expect.letter ?? expect.position);
      if (expect.suggested) equal(error.suggestions.includes(expect.suggested), true, "suggested");
      return;
    }
    const found = code.readTyped(typed, known);
    const root = code.deriveRoot(found, site);
    const keys = code.reporterKeys(root);
    const recipient = encoding.sha256Hex(utf8(keys.recipient));
    equal(
      {
        words: found,
        root: hex(root),
        access_token: hex(keys.token),
        access_id: keys.access,
        reply_seed: hex(keys.reply),
        recipient_sha256: expect.recipient_sha256, // of the raw bytes: the text stands for them
        recipient_text_sha256: recipient,
        signing_seed: hex(keys.signing),
        verify: keys.verify,
        mailbox: keys.mailbox,
      },
      expect,
    );
  },

  cards({ card, accept, expect }) {
    const raw = joined(card);
    const current = accept.current && joined(accept.current);
    let read;
    const error = refusal(() => {
      read = parseCard(raw);
      // The rest is the server's rule, which the client has no part in.
      if (read.site !== accept.site) throw new CardError("made for another site");
      if (read.identity !== accept.pinned) throw new CardError("belongs to another counsellor");
      if (current && !encoding.same(current, raw) && read.serial <= parseCard(current).serial) {
        throw new CardError("older than the one in use");
      }
    }, CardError);
    equal(error === null, expect.accepted, `accepted, ${error?.message}:`);
    if (error) {
      // What is not written in the one way is refused at once here, whatever else is wrong with it.
      const early = ["not the one way of writing this JSON line", "not UTF-8"].includes(error.message);
      if (!early) equal(error.message.includes(expect.reason), true, `${error.message}, ${expect.reason}:`);
      return;
    }
    equal(read.serial, expect.serial);
    for (const [day, first] of Object.entries(expect.sealing_on)) {
      const seed = first && bytesOf(sha256Hex(utf8(`klankbord vectors seed anna ${first.slice(0, 8)}01`)));
      equal(sealingKey(read, dayNumber(day)), first && recipientOf(seed), day);
    }
  },

  messages({ plaintext, expect }) {
    const bytes = joined(plaintext);
    let message;
    const error = refusal(() => (message = parseMessage(bytes)), FormatError, MessageError);
    equal(error === null, expect.read, `read, ${error?.message}:`);
    if (error) return;
    const { by, n, kind, body, digest } = message;
    const text_sha256 = sha256Hex(utf8(body.text ?? ""));
    equal({ read: true, size: bytes.length, by, n, kind, text_sha256, digest }, expect);
  },

  threads(vector) {
    const { expect } = vector;
    const shown = readVector(vector);
    equal(shown.entries.map(({ item, state, reason }) => [item, state, reason]), expect.entries);
    equal(Object.fromEntries(shown.gaps), expect.gaps, "gaps");
    equal(Object.fromEntries(shown.missingBeginning), expect.missing_beginning, "beginning");
    equal(Object.fromEntries(shown.withheld), expect.withheld, "withheld");
    const back = readVector({ ...vector, arrived: [...vector.arrived].reverse() });
    const lines = ({ entries }) =>
      entries.flatMap(({ state, message }) => (["unverified", "not_addressed"].includes(state) ? [] : [state, message.digest]));
    equal(lines(back), lines(shown), "in another order");
  },

  async sealed({ item, sealed, expect }, { seed, site, mailbox, viewer }) {
    const bytes = unwrap(sealed);
    const identity = identityText(bytesOf(seed));
    let fault = "opens";
    try {
      await age.openSealed(bytes, identity);
    } catch (error) {
      if (!(error instanceof OpenError)) throw error;
      fault = { header: "HeaderFailure", no_key: "NoMatch", header_mac: "HmacFailure", payload: "PayloadFailure" }[error.fault];
    }
    equal(fault, expect.age, "age");
    const arrived = await openItem(item, bytes, identity);
    const [entry] = readThread([arrived], { site, mailbox, viewer, reporter: null, pins: null }).entries;
    equal(entry.state === "verified" ? "verified" : entry.reason, expect.reader, "reader");
    equal((await openItem("00".repeat(32), bytes, identity)).fault, "other_file");
  },
};

function readVector({ site, mailbox, viewer, reporter, pins, arrived }) {
  const files = arrived.map((file) => ({
    item: file.item,
    plaintext: "plaintext" in file ? joined(file.plaintext) : null,
    fault: file.fault ?? "",
    passedOn: file.passed_on,
    sealedFor: null,
  }));
  return readThread(files, { site, mailbox, viewer, reporter, pins });
}

export async function check(name, vectors, extra) {
  const wrong = [];
  for (const vector of vectors) {
    try {
      await checks[name](vector, extra);
    } catch (error) {
      wrong.push(`${vector.comment}: ${error.stack ?? error}`);
    }
  }
  return wrong;
}
