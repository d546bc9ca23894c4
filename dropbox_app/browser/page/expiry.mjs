// When a conversation expires, as the page shows it.

/**
 * Return when the conversation expires, and the key of the sentence about it. A fetch by a desk may
 * end a period on which `expires` is based. If that is still far away, only the earliest day is
 * shown.
 * @param {{expires: string, last_added: string, day: string}} list @param {DOMStringMap} given
 */
export function endOf({ expires, last_added: last, day }, given) {
  // The sentence names the last full day.
  if (daysLater(day, Number(given.notice)) >= expires) return { key: "conversation.expires_soon", day: daysLater(expires, -1) };
  const promised = daysLater(last, Number(given.idle));
  const [earliest] = [expires, promised < day ? day : promised].sort();
  return { key: "conversation.expires", day: earliest };
}

/** @param {string} day @param {number} days */
const daysLater = (day, days) => new Date(Date.parse(`${day}T00:00:00Z`) + days * 86_400_000).toISOString().slice(0, 10);
