// The addressees of the reporter's next message, from the signed messages (SPEC section 4).

import { REPORTER } from "./messages.mjs";
import { genuine } from "./thread.mjs";

/** @typedef {import("./messages.mjs").Message} Message */
/** @typedef {import("./thread.mjs").Thread} Thread */

/**
 * Return the counsellors whom the reporter has chosen, from the newest message. After a yes to a
 * handover, the successor replaces the counsellor who asked, if the successor can be written to.
 * @param {Thread} thread @param {(identity: string) => boolean} isOpen
 */
export function nextWanted(thread, isOpen) {
  const wanted = thread.newest.get(REPORTER)?.wanted ?? [];
  const agreed = agreedHandover(thread);
  if (!agreed || !wanted.includes(agreed.by) || !isOpen(agreed.body.successor)) return wanted;
  return [...new Set(wanted.map((one) => (one === agreed.by ? agreed.body.successor : one)))];
}

/** Return the request for a handover that the newest answer accepts. @param {Thread} thread */
function agreedHandover(thread) {
  const messages = genuine(thread);
  const requests = new Map(messages.filter(isHandover).map((message) => [message.digest, message]));
  /** @type {Message | null} */
  let agreed = null;
  /** @type {Message | null} */
  let answer = null;
  for (const message of messages) {
    if (message.by !== REPORTER) continue;
    // The reporter has chosen again since then, and that choice counts.
    if (answer && message.wanted.join() !== answer.wanted.join()) agreed = answer = null;
    const request = message.kind === "consent-answer" && requests.get(message.body.request);
    if (!request) continue;
    if (message.body.answer === "yes") [agreed, answer] = [request, message];
    else if (agreed?.digest === request.digest) agreed = answer = null;
  }
  return agreed;
}

/** @param {Message} message */
const isHandover = (message) => message.kind === "consent-request" && "successor" in message.body;
