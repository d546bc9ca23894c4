// Write the reporter's next message: its number, chain and addressees (SPEC section 4).

import { seal } from "./age.mjs";
import { cleanText, dayText, isObject, sha256Hex } from "./encoding.mjs";
import { NobodyToWriteTo } from "./errors.mjs";
import { sealingKey } from "./card.mjs";
import { MAX_FORMER, MAX_SEEN, REPORTER, layOut, parseMessage } from "./messages.mjs";

/** @typedef {import("./encoding.mjs").Fields} Fields */
/** @typedef {import("./card.mjs").Card} Card */
/** @typedef {import("./messages.mjs").Message} Message */
/** @typedef {import("./code.mjs").ReporterKeys} ReporterKeys */
/** @typedef {import("./thread.mjs").Thread} Thread */
/**
 * A signed and sealed message. `item`: its id on the server; `digest`: the SHA-256 of its line 1;
 * `leftOut`: counsellors who were chosen but have no valid key today.
 * @typedef {{n: number, to: string[], sealed: Uint8Array, item: string, digest: string,
 *   leftOut: string[]}} Sealed
 */
/**
 * The message to write. `thread`: null for a report; `wanted`: null for the addressees of the
 * newest message; `passedOn`: the id of the attachment with the thread so far, if it is passed on.
 * @typedef {{site: string, day: number, lang: string, kind: string, body: Fields,
 *   thread: Thread | null, wanted: string[] | null, cards: Card[], passedOn?: string | null}} Draft
 */

/**
 * Sign and seal the reporter's next message. Throws TooLong, FormatError or NobodyToWriteTo.
 * @param {ReporterKeys} keys @param {Draft} draft
 * @returns {Promise<Sealed>}
 */
export async function fromReporter(keys, draft) {
  const last = draft.thread?.newest.get(REPORTER) ?? null;
  const wanted = draft.wanted ?? last?.wanted ?? [];
  const open = addressees(wanted, draft);
  const to = open.map(({ identity }) => identity);
  const n = last ? last.n + 1 : 1;
  const fields = {
    ...content(draft.kind, draft.body),
    v: 1,
    site: draft.site,
    mailbox: keys.mailbox,
    by: REPORTER,
    to,
    n,
    ...(last ? { prev: last.digest } : {}),
    seen: seenBy(draft.thread, last),
    day: dayText(draft.day),
    lang: draft.lang,
    kind: draft.kind,
    reporter: { recipient: keys.recipient, verify: keys.verify },
    wanted,
    former: former(last, wanted),
    ...(draft.passedOn ? { thread: draft.passedOn } : {}),
  };
  const plaintext = layOut(fields, keys.signing);
  const sealed = await seal(plaintext, [keys.recipient, ...open.map(({ key }) => key)]);
  const { digest } = parseMessage(plaintext);
  plaintext.fill(0);
  const leftOut = wanted.filter((one) => !to.includes(one));
  return { n, to, sealed, item: sha256Hex(sealed), digest, leftOut };
}

/** Return those who have a key for today, with that key. @param {string[]} wanted @param {Pick<Draft, "cards" | "site" | "day">} draft */
export function addressees(wanted, { cards, site, day }) {
  const open = wanted.flatMap((identity) => {
    const card = cards.find((one) => one.site === site && one.identity === identity);
    const key = card && sealingKey(card, day);
    return key ? [{ identity, key }] : [];
  });
  if (!open.length) throw new NobodyToWriteTo("none of the chosen counsellors has a valid sealing key today");
  return open;
}

/** @param {Thread | null} thread @param {Message | null} last */
function seenBy(thread, last) {
  const current = new Set(last?.wanted ?? []);
  const others = [...(thread?.newest ?? [])].filter(([by]) => by !== REPORTER);
  // If there are too many, those who can still write come first.
  others.sort(([a], [b]) => Number(!current.has(a)) - Number(!current.has(b)) || (a < b ? -1 : 1));
  return others.slice(0, MAX_SEEN).map(([by, message]) => ({ by, n: message.n }));
}

/** Return everyone who was chosen before but no longer is, the newest last. @param {Message | null} last @param {string[]} wanted */
function former(last, wanted) {
  const past = new Set([...(last?.former ?? []), ...(last?.wanted ?? [])]);
  return [...past].filter((one) => !wanted.includes(one)).slice(-MAX_FORMER);
}

/** @param {string} kind @param {Fields} body @returns {Fields} */
function content(kind, body) {
  const cleaned = clean(body);
  return kind === "report" || kind === "message" ? { attachments: [], ...cleaned } : cleaned;
}

/** @param {any} value @returns {any} */
function clean(value) {
  if (typeof value === "string") return cleanText(value);
  if (Array.isArray(value)) return value.map(clean);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, clean(member)]));
}
