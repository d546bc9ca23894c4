// A thread in the form in which the page shows it: plain data without sentences. The page has the
// sentences.

import { dayText, hex, unb64 } from "./protocol/encoding.mjs";
import { REPORTER, isKnown } from "./protocol/messages.mjs";
import { genuine, isGenuine } from "./protocol/thread.mjs";

/** @typedef {import("./protocol/thread.mjs").Entry} Entry */
/** @typedef {import("./protocol/thread.mjs").Thread} Thread */
/** @typedef {import("./protocol/messages.mjs").Message} Message */
/** @typedef {{id: string, author?: unknown, n?: unknown}} Listed A file as the server lists it. */

/** Return an identity as the forms and addresses contain it. @param {string} identity */
export const hexOf = (identity) => hex(unb64(identity, 32));

/**
 * Return one message for the page. A message that is not genuine has no author and no text.
 * @param {Entry} entry @param {Thread} thread @param {(identity: string) => boolean} isOpen
 */
export function lineOf(entry, thread, isOpen) {
  const message = entry.message;
  if (!message || !isGenuine(entry)) return { believed: false, reason: entry.reason };
  const wanted = thread.newest.get(REPORTER)?.wanted ?? [];
  const mine = message.by === REPORTER;
  return {
    believed: true,
    reason: entry.reason,
    mine,
    by: message.by,
    day: dayText(message.day),
    lang: message.lang,
    kind: message.kind,
    known: isKnown(message.kind),
    text: message.body.text ?? "",
    status: message.body.status ?? "",
    answer: message.body.answer ?? "",
    asker: askerOf(message, thread),
    options: message.body.options ?? [],
    answers: message.body.answers ?? {},
    files: message.attachments.map(({ name, sha256, size }) => ({ name, item: sha256, size })),
    request: message.kind === "consent-request" ? requestOf(message, thread, isOpen) : null,
    passedOn: message.thread !== null,
    former: !mine && !wanted.includes(message.by),
    to: mine ? message.to : [],
    leftOut: message.wanted.filter((one) => !message.to.includes(one)),
  };
}

/** Return the notes on what is missing: the key of a sentence, and the author. @param {Thread} thread */
export function notesOf(thread) {
  const note = (/** @type {string} */ key) => (/** @type {[string, unknown]} */ [by, missing]) => {
    const count = Array.isArray(missing) ? missing.length : 1;
    return { key: by === REPORTER ? `${key}_mine` : key, by, count };
  };
  return [
    ...[...thread.missingBeginning].map(([by]) => ({ key: "removed", by, count: 1 })),
    ...[...thread.gaps].map(note("gap")),
    ...[...thread.withheld].map(note("withheld")),
  ];
}

/**
 * Return whether the server lists a file that its message does not name. If the message itself is
 * missing, the files that it named are unknown.
 * @param {Thread} thread @param {Listed[]} files
 */
export function hasUnnamed(thread, files) {
  const named = new Map();
  for (const { by, n, attachments, thread: passedOn } of genuine(thread)) {
    const before = named.get(`${by} ${n}`) ?? [passedOn];
    named.set(`${by} ${n}`, [...before, passedOn, ...attachments.map(({ sha256 }) => sha256)]);
  }
  return files.some(({ id, author, n }) => !(named.get(`${author} ${n}`) ?? [id]).includes(id));
}

/** Return the day on which a counsellor closed the thread; "" if it was reopened or went on. @param {Thread} thread */
export function closedOn(thread) {
  let day = "";
  for (const message of genuine(thread)) {
    const status = message.kind === "notice" ? message.body.status : "";
    if (status === "closed") day = dayText(message.day);
    else if (status === "reopened" || message.by === REPORTER) day = "";
  }
  return day;
}

/** Return who sent the request that a consent answer answers; "" if it is not here. @param {Message} message @param {Thread} thread */
function askerOf(message, thread) {
  if (message.kind !== "consent-answer") return "";
  return genuine(thread).find(({ digest }) => digest === message.body.request)?.by ?? "";
}

/** @param {Message} message @param {Thread} thread @param {(identity: string) => boolean} isOpen */
function requestOf(message, thread, isOpen) {
  const said = genuine(thread).filter(
    ({ by, kind, body }) => by === REPORTER && kind === "consent-answer" && body.request === message.digest,
  );
  const wanted = thread.newest.get(REPORTER)?.wanted ?? [];
  const { step, scope, successor } = message.body;
  return {
    digest: message.digest,
    step,
    with: message.body.with,
    scope,
    handover: successor !== undefined,
    successor: successor !== undefined && isOpen(successor) ? successor : "",
    said: said.at(-1)?.body.answer ?? "",
    chosen: wanted.includes(message.by),
    reachable: isOpen(message.by),
    asker: hexOf(message.by),
  };
}
