// When a conversation expires, as the page shows it.

import { say } from "./dom.mjs";
import { dayIn } from "./numbers.mjs";

/**
 * Return the notes on the end of the conversation, and what is said below it if there are none.
 * @param {{expires: string, last_added: string, day: string}} list @param {DOMStringMap} given
 * @param {string} closedOn The day on which it was closed, if it was.
 */
export function endOf(list, given, closedOn) {
  const { key, day } = daysOf(list, given);
  const end = say(key, { date: dayIn(day) });
  if (closedOn) return { notes: [`${say("conversation.closed", { date: dayIn(closedOn) })} ${end}`], below: "" };
  return key === "conversation.expires_soon" ? { notes: [end], below: "" } : { notes: [], below: end };
}

/**
 * Return when the conversation expires, and the key of the sentence about it. A fetch by a desk may
 * end a period on which `expires` is based. If that is still far away, only the earliest day is
 * shown.
 * @param {{expires: string, last_added: string, day: string}} list @param {DOMStringMap} given
 */
function daysOf({ expires, last_added: last, day }, given) {
  // The sentence names the last full day.
  if (daysLater(day, Number(given.notice)) >= expires) return { key: "conversation.expires_soon", day: daysLater(expires, -1) };
  const promised = daysLater(last, Number(given.idle));
  const [earliest] = [expires, promised < day ? day : promised].sort();
  return { key: "conversation.expires", day: earliest };
}

/** @param {string} day @param {number} days */
const daysLater = (day, days) => new Date(Date.parse(`${day}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
