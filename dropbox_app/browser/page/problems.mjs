// Errors as sentences of the page. For an unexpected error there is a general sentence.

import { Lost } from "./api.mjs";
import { listed, say } from "./dom.mjs";
import { Refused } from "./helper.mjs";
import { numberIn } from "./numbers.mjs";
import { Failed } from "./transfers.mjs";

/** @type {{[name: string]: string}} */
const KEYS = {
  clock: "sealed.clock",
  nobody: "errors.nobody",
  counsellor: "errors.wanted_missing",
  withheld: "sealed.withheld",
  text_is_code: "errors.text_is_code",
  unknown_word: "errors.code_word",
  unknown_letter: "errors.code_letter",
  word_count: "errors.code_count",
  too_long: "errors.text_long",
  moved: "files.moved",
  file_changed: "sealed.file_changed",
  file_lost: "files.lost",
  file_broken: "files.altered_theirs",
};

/** @type {{[key: string]: string}} What no room for a file says of a message without files. */
const WITHOUT_FILES = { "files.full": "errors.full", "files.mailbox_full": "errors.mailbox_full" };

/** Return the sentence for an error. `otherwise`: the key for an unexpected error. @param {unknown} error @param {string} [otherwise] */
export function problem(error, otherwise = "errors.unsent") {
  if (error instanceof Lost) return say(error.busy ? "errors.busy_read" : "sealed.network");
  if (error instanceof Failed) return say(WITHOUT_FILES[error.key] ?? otherwise);
  if (!(error instanceof Refused) || !KEYS[error.name]) return say(otherwise);
  const { size, limit, suggestions = [], ...details } = error.details;
  const key = suggestions.length ? "errors.code_word_near" : KEYS[error.name];
  const over = size - limit;
  const values = {
    ...details,
    suggestions: listed(suggestions, "word.or"),
    over: numberIn(over || 0),
  };
  return say(key, values, error.name === "too_long" ? over : details.count);
}

/** Show that nothing was sent, and why. @param {import("./api.mjs").Fate} fate */
export function unsent({ status, full }) {
  const why = { 403: "errors.nobody", 503: "errors.busy", 507: full ? "errors.mailbox_full" : "errors.full" }[status];
  return say(why ?? "sealed.unsent");
}
