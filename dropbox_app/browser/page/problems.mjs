// What went wrong, as a sentence of the page. What nobody foresaw is said as such.

import { Lost } from "./api.mjs";
import { say } from "./dom.mjs";
import { Refused } from "./helper.mjs";

/** @type {{[name: string]: string}} */
const KEYS = {
  clock: "sealed.clock",
  nobody: "sealed.nobody",
  withheld: "sealed.withheld",
  text_is_code: "errors.text_is_code",
  unknown_word: "errors.code_word",
  unknown_letter: "errors.code_letter",
  word_count: "errors.code_count",
  too_long: "errors.text_long",
};

/** @param {unknown} error @param {string} lang */
export function problem(error, lang) {
  if (error instanceof Lost) return say("sealed.network");
  if (!(error instanceof Refused) || !KEYS[error.name]) return say("sealed.fault");
  const { size, limit, suggestions = [], ...details } = error.details;
  const over = new Intl.NumberFormat(lang).format(Math.max(0, size - limit));
  return say(KEYS[error.name], { ...details, size, limit, over, suggestions: suggestions.join(", ") });
}
