// Whom the reporter's next message is for, as the signed messages say (SPEC section 4).

import { REPORTER } from "./messages.mjs";
import { genuine } from "./thread.mjs";

/** @typedef {import("./messages.mjs").Message} Message */
/** @typedef {import("./thread.mjs").Thread} Thread */

/**
 * Return those whom the reporter has chosen, by the newest message; after a yes to a handover the
 * successor, if that person can be written to, takes the place of who asked.
 * @param {Thread} thread @param {(identity: string) => boolean} isOpen
 */
export function nextWanted(thread, isOpen) {
  const wanted = thread.newest.get(REPORTER)?.wanted ?? [];
  const agreed = agreedHandover(thread);
  if (!agreed || !wanted.includes(agreed.by) || !isOpen(agreed.body.successor)) return wanted;
  return [...new Set(wanted.map((one) => (one === agreed.by ? agreed.body.successor : one)))];
}

/** Return the request for a handover that the newest answer says yes to. @param {Thread} thread */
function agreedHandover(thread) {
  const messages = genuine(thread);
  const requests = new Map(messages.filter(isHandover).map((message) => [message.digest, message]));
  /** @type {Message | null} */
  let agreed = null;
  /** @type {Message | null} */
  let answer = null;
  for (const message of messages) {
    if (message.by !== REPORTER) continue;
    // The reporter has chosen since, and that choice counts.
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
