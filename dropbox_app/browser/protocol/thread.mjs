// The reader of threads: from opened files to a verified conversation (SPEC section 4). Author,
// addressees and order are taken only from the signed lines. A message that fails a check is kept
// and shown as failed. Nothing is omitted, and nothing false is shown as genuine.

import { onlyHybrid, openSealed } from "./age.mjs";
import { mailboxId } from "./code.mjs";
import { b64, join, sha256Hex, utf8 } from "./encoding.mjs";
import { FormatError, MessageError, OpenError } from "./errors.mjs";
import { parseRecipient, verified } from "./keys.mjs";
import { REPORTER, SIGNED_LABEL, isKnown, parseMessage } from "./messages.mjs";

const WIDEST_NAMED_GAP = 100;
const MAX_PASSED_ON = 1_000; // messages
const LF = Uint8Array.of(10);

/** @typedef {import("./messages.mjs").Message} Message */
/** @typedef {import("./messages.mjs").ReporterPublic} ReporterPublic */
/**
 * One file of a mailbox: its contents, or the name of the fault. `sealedFor`: the number of
 * recipients in its header; null without a valid header.
 * @typedef {{item: string, plaintext: Uint8Array | null, fault: string, passedOn: boolean,
 *   sealedFor: number | null}} Arrived
 */
/** @typedef {"verified" | "newer" | "conflict" | "not_addressed" | "unverified"} State */
/**
 * One file as it is shown. `reason` names the first failed check, if any.
 * @typedef {{item: string, message: Message | null, state: State, reason: string,
 *   passedOn: boolean}} Entry
 */
/** @typedef {{verify: string, recipient: string, newest: {[by: string]: [number, string]}}} Pins n and digest. */
/**
 * A mailbox as far as one reader can trust it, in the order of writing. `gaps`: for each author,
 * the numbers missing in between. `missingBeginning`: for each author, how many of the oldest
 * messages are missing. `withheld`: for each author, the newest number that somebody had seen, if
 * it is not here.
 * @typedef {{entries: Entry[], gaps: Map<string, number[]>, missingBeginning: Map<string, number>,
 *   withheld: Map<string, number>, reporter: ReporterPublic | null, newest: Map<string, Message>}} Thread
 */
/**
 * The reader. The reporter's own client passes its keys as `reporter` and accepts no others; a desk
 * passes its identity as `viewer`, and its stored `pins`.
 * @typedef {{site: string, mailbox: string, viewer: string | null, reporter: ReporterPublic | null,
 *   pins: Pins | null}} Reader
 */

/** Return whether the message of an entry is genuine. @param {Entry} entry */
export const isGenuine = (entry) => ["verified", "newer", "conflict"].includes(entry.state);

/** Return the genuine messages, in order. @param {Thread} thread @returns {Message[]} */
export const genuine = (thread) => messagesOf(thread.entries);

/** Return the values to store, for comparison with what the server sends next. @param {Thread} thread @returns {Pins | null} */
export function pinsOf(thread) {
  if (!thread.reporter) return null;
  /** @type {Pins["newest"]} */
  const newest = {};
  for (const [by, message] of thread.newest) newest[by] = [message.n, message.digest];
  return { ...thread.reporter, newest };
}

/**
 * Open one stored file: check its id, then decrypt it with age. age allows other kinds of
 * recipients, which would be hidden readers, so such a file is not opened.
 * @param {string} item @param {Uint8Array} sealed @param {string} identity
 * @returns {Promise<Arrived>}
 */
export async function openItem(item, sealed, identity) {
  const arrived = { item, plaintext: null, fault: "", passedOn: false, sealedFor: null };
  if (sha256Hex(sealed) !== item) return { ...arrived, fault: "other_file" };
  try {
    if (!onlyHybrid(sealed)) return { ...arrived, fault: "header" };
    const { plaintext, recipients } = await openSealed(sealed, identity);
    return { ...arrived, plaintext, sealedFor: recipients };
  } catch (error) {
    if (error instanceof OpenError) return { ...arrived, fault: error.fault };
    throw error;
  }
}

/** Check the opened files of a mailbox as SPEC section 4 requires, and put them in order. @param {Arrived[]} arrived @param {Reader} reader @returns {Thread} */
export function readThread(arrived, reader) {
  let entries = arrived.map(form);
  const rules = { ...reader, recipient: believedRecipient(entries, reader) };
  entries = entries.map((entry) => (byOf(entry) === REPORTER ? check(entry, rules, new Set()) : entry));
  const own = messagesOf(entries).filter((message) => message.by === REPORTER);
  const known = new Set(own.flatMap((message) => [...message.wanted, ...message.former]));
  entries = entries.map((entry) => (["", REPORTER].includes(byOf(entry)) ? entry : check(entry, rules, known)));
  entries = chain(once(entries), reader.pins);
  const believed = messagesOf(entries).sort((a, b) => a.n - b.n || a.day - b.day || compare(a.line, b.line));
  const newest = new Map(believed.map((message) => [message.by, message]));
  return {
    entries: ordered(entries),
    ...holes(believed),
    withheld: withheld(believed, newest, reader.pins),
    reporter: newest.get(REPORTER)?.reporter ?? reader.reporter,
    newest,
  };
}

/**
 * Return the contents of a `thread` attachment: both lines of every genuine message, of the newest
 * if there are too many.
 * @param {Thread} thread
 */
export function writePassedOn(thread) {
  const messages = genuine(thread).slice(-MAX_PASSED_ON);
  return join(...messages.flatMap(({ line, signature }) => [line, LF, utf8(b64(signature)), LF]));
}

/** @typedef {Reader & {recipient: string | null}} Rules */

/** Do the first checks: layout, strict JSON, types. @param {Arrived} one @returns {Entry} */
function form(one) {
  /** @type {Entry} */
  const entry = { item: one.item, message: null, state: "unverified", reason: one.fault, passedOn: one.passedOn };
  if (one.plaintext === null) return entry;
  let message;
  try {
    message = parseMessage(one.plaintext);
  } catch (error) {
    if (error instanceof FormatError || error instanceof MessageError) return { ...entry, reason: "form" };
    throw error;
  }
  if (one.sealedFor !== null && one.sealedFor !== message.to.length + 1) {
    return { ...entry, reason: "header" };
  }
  return { ...entry, message, reason: "unknown_author" };
}

/** Do the remaining checks on one message. @param {Entry} entry @param {Rules} rules @param {Set<string>} known @returns {Entry} */
function check(entry, rules, known) {
  const message = entry.message;
  if (!message) return entry;
  const reason = foreign(message, rules) || unsigned(message, known);
  if (reason) return { ...entry, reason };
  const addressed = !rules.viewer || message.to.includes(rules.viewer) || message.by === rules.viewer;
  if (!entry.passedOn && !addressed) return { ...entry, state: "not_addressed", reason: "not_addressed" };
  return { ...entry, state: isKnown(message.kind) ? "verified" : "newer", reason: "" };
}

/** @param {Message} message @param {Rules} rules */
function foreign(message, rules) {
  if (message.site !== rules.site) return "other_site";
  if (message.mailbox !== rules.mailbox) return "other_mailbox";
  if (!message.reporter) return "";
  if (mailboxId(message.reporter.verify) !== rules.mailbox) return "other_reporter";
  if (rules.recipient !== null && message.reporter.recipient !== rules.recipient) return "other_recipient";
  return "";
}

/** @param {Message} message @param {Set<string>} known */
function unsigned(message, known) {
  if (!message.reporter && !known.has(message.by)) return "unknown_author";
  const author = message.reporter ? message.reporter.verify : message.by;
  return verified(author, message.signature, join(SIGNED_LABEL, message.line)) ? "" : "signature";
}

/** Return the recipient that identifies the reporter; null for any. @param {Entry[]} entries @param {Reader} reader */
function believedRecipient(entries, reader) {
  if (reader.pins) return reader.pins.recipient;
  if (reader.reporter) return reader.reporter.recipient;
  const rules = { ...reader, recipient: null };
  let found = null;
  const own = entries.flatMap(({ message }) => (message?.reporter ? [message] : []));
  for (const message of own.sort((a, b) => a.n - b.n || compare(a.line, b.line))) {
    if (!message.reporter || foreign(message, rules) || unsigned(message, new Set())) continue;
    try {
      parseRecipient(message.reporter.recipient);
      return message.reporter.recipient;
    } catch {
      found = ""; // nothing can be sealed to it, so no message with only this recipient is accepted
    }
  }
  return found;
}

/** Drop duplicates of a genuine message. One that arrived directly is preferred to one passed on. @param {Entry[]} entries */
function once(entries) {
  const kept = new Map();
  const rest = [];
  for (const entry of [...entries].sort((a, b) => Number(a.passedOn) - Number(b.passedOn))) {
    if (!entry.message || !isGenuine(entry)) rest.push(entry);
    else if (!kept.has(keyOf(entry.message))) kept.set(keyOf(entry.message), entry);
  }
  return [...kept.values(), ...rest];
}

/** Mark conflicts: two messages with the same number, or a `prev` that does not match. @param {Entry[]} entries @param {Pins | null} pins @returns {Entry[]} */
function chain(entries, pins) {
  /** @type {Map<string, Set<string>>} */
  const digests = new Map();
  const note = (/** @type {string} */ by, /** @type {number} */ n, /** @type {string} */ digest) => {
    const key = `${by} ${n}`;
    digests.set(key, (digests.get(key) ?? new Set()).add(digest));
  };
  for (const message of messagesOf(entries)) note(message.by, message.n, message.digest);
  for (const [by, [n, digest]] of Object.entries(pins?.newest ?? {})) note(by, n, digest);
  const conflicts = (/** @type {Message} */ message) => {
    const before = digests.get(`${message.by} ${message.n - 1}`);
    const sameNumber = digests.get(`${message.by} ${message.n}`)?.size ?? 0;
    return sameNumber > 1 || (before !== undefined && !before.has(message.prev ?? ""));
  };
  return entries.map((entry) =>
    entry.message && isGenuine(entry) && conflicts(entry.message)
      ? { ...entry, state: "conflict", reason: "conflict" }
      : entry,
  );
}

/** Find the missing numbers of each author, in between and before the first. @param {Message[]} believed */
function holes(believed) {
  const gaps = new Map();
  const missingBeginning = new Map();
  for (const by of new Set(believed.map((message) => message.by))) {
    const numbers = [...new Set(believed.filter((one) => one.by === by).map(({ n }) => n))];
    if (numbers[0] > 1) missingBeginning.set(by, numbers[0] - 1);
    const missing = numbers.slice(1).flatMap((n, at) => between(numbers[at], n));
    if (missing.length) gaps.set(by, missing);
  }
  return { gaps, missingBeginning };
}

/** Return the missing numbers. For a wide gap only its ends, because a hostile author may use any number. @param {number} low @param {number} high */
function between(low, high) {
  if (high - low >= WIDEST_NAMED_GAP) return [low + 1, high - 1];
  return Array.from({ length: high - low - 1 }, (_, at) => low + 1 + at);
}

/** @param {Message[]} believed @param {Map<string, Message>} newest @param {Pins | null} pins */
function withheld(believed, newest, pins) {
  const claims = believed.flatMap((message) => message.seen);
  for (const [by, [n]] of Object.entries(pins?.newest ?? {})) claims.push({ by, n });
  const missing = new Map();
  for (const { by, n } of claims) {
    if (n > Math.max(newest.get(by)?.n ?? 0, missing.get(by) ?? 0)) missing.set(by, n);
  }
  return missing;
}

/**
 * Put each message after those its author had seen; otherwise sort by day, with the reporter first.
 * Messages that are not genuine come last, because their position cannot be trusted either.
 * @param {Entry[]} entries
 */
function ordered(entries) {
  /** @type {Map<string, {message: Message, entry: Entry}[]>} */
  const queues = new Map();
  for (const entry of entries) {
    const message = entry.message;
    if (!message || !isGenuine(entry)) continue;
    queues.set(message.by, [...(queues.get(message.by) ?? []), { message, entry }]);
  }
  for (const queue of queues.values()) {
    queue.sort(({ message: a }, { message: b }) => a.n - b.n || a.day - b.day || compare(a.line, b.line));
  }
  const shown = [];
  while (queues.size) {
    const heads = [...queues.values()].map((queue) => queue[0].message).sort(byRank);
    const waits = (/** @type {Message} */ head) =>
      head.seen.some(({ by, n }) => by !== head.by && (queues.get(by)?.[0].message.n ?? Infinity) <= n);
    const { by } = heads.find((head) => !waits(head)) ?? heads[0];
    const queue = queues.get(by) ?? [];
    shown.push(...queue.splice(0, 1).map(({ entry }) => entry));
    if (!queue.length) queues.delete(by);
  }
  return [...shown, ...entries.filter((entry) => !isGenuine(entry))];
}

/** @param {Message} a @param {Message} b */
function byRank(a, b) {
  const reporterFirst = Number(a.by !== REPORTER) - Number(b.by !== REPORTER);
  return a.day - b.day || reporterFirst || (a.by < b.by ? -1 : 1);
}

/** @param {Entry[]} entries @returns {Message[]} */
const messagesOf = (entries) =>
  entries.flatMap((entry) => (entry.message && isGenuine(entry) ? [entry.message] : []));

/** @param {Entry} entry */
const byOf = (entry) => entry.message?.by ?? "";

/** @param {Message} message */
const keyOf = (message) => `${message.by} ${message.digest}`;

/** @param {Uint8Array} a @param {Uint8Array} b */
function compare(a, b) {
  const at = a.findIndex((byte, position) => byte !== b[position]);
  return at < 0 ? a.length - b.length : a[at] - (b[at] ?? -1);
}
