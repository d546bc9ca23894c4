// The counsellors in the page's sentences: their names, from the cards, and what the server wrote
// when it made the page: who is away, and whom to call.

import { listed, say } from "./dom.mjs";

export const REPORTER = "reporter";

/** Return the names of these identities, from their cards. @param {string[]} identities @param {any} view */
export function names(identities, view) {
  const named = identities.map((identity) =>
    identity === REPORTER ? say("conversation.by_you") : (view.names[identity] ?? say("word.former")),
  );
  return listed([...new Set(named)]);
}

/** @param {string} sentence */
export const upper = (sentence) => sentence.slice(0, 1).toUpperCase() + sentence.slice(1);

/** @param {string} identity In base64, or in hex as the forms have it; "" for nobody in particular. */
function placeOf(identity) {
  const template = /** @type {HTMLTemplateElement | null} */ (document.getElementById("sealed-people"));
  return template?.content.querySelector(`:is([data-identity="${identity}"], [data-value="${identity}"])`);
}

/** Return the sentence on a counsellor's absence; "" if there is none. @param {string} identity @param {"said" | "alone"} [how] With the offer of others, or alone. */
export const absenceOf = (identity, how = "said") => placeOf(identity)?.querySelector(`[data-${how}]`)?.textContent ?? "";

/** Return whether this counsellor announced an absence. @param {string} identity */
export const isAway = (identity) => placeOf(identity)?.hasAttribute("data-away") ?? false;

/** Return the sentences on whom to call, each once. @param {string[]} identities */
export function callsFor(identities) {
  const found = new Map();
  for (const identity of identities) {
    for (const line of (placeOf(identity) ?? placeOf(""))?.querySelectorAll("[data-call] p") ?? []) {
      found.set(line.textContent, line.cloneNode(true));
    }
  }
  return /** @type {Node[]} */ ([...found.values()]);
}
