// Counsellor cards: the people one can write to, and the key for each day (SPEC section 3).

import { cleanText, checkHex, dayNumber, dayText, decoded, fromLine, join, unb64, utf8 } from "./encoding.mjs";
import { CardError, FormatError } from "./errors.mjs";
import { has, numberOf, objectOf, objectsOf, oneOf, textOf, textsOf } from "./fields.mjs";
import { parseRecipient, parseVerify, verified } from "./keys.mjs";

const MAX_BYTES = 65_536;
const MAX_WINDOWS = 13;
const MAX_WINDOW_DAYS = 31;
const MONTHS_AHEAD = 3;
const MAX_NAME = 100; // characters
const MAX_REGISTER_NUMBER = 50;
const MAX_SENTENCE = 200;
const MAX_LANGUAGES = 10;
const KINDS = ["internal", "external"];
const SCOPES = ["unwanted_behaviour", "integrity", "both"];
const LABEL = utf8("klankbord/v1/card\n");
const LANGUAGE = /^[a-z]{2,3}$/;
const UNSEEN = /[\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}\p{Cs}]/u;

/** @typedef {import("./encoding.mjs").Fields} Fields */
/** @typedef {{recipient: string, first: number, until: number}} Window Days since 1970, both included. */
/**
 * A card whose own signature and rules hold. Whose it is, only its fingerprint says.
 * @typedef {{site: string, serial: number, issued: number, name: string, kind: string,
 *   scope: string, languages: string[], identity: string, sealing: Window[],
 *   away: {until: number, standIn: string | null} | null}} Card
 */

/**
 * Read a card file and check everything that the card itself can prove. Throws CardError.
 * @param {Uint8Array} raw
 */
export function parseCard(raw) {
  if (raw.length > MAX_BYTES) {
    throw new CardError(`the card is ${raw.length} bytes; the limit is ${MAX_BYTES}`);
  }
  const first = raw.indexOf(10);
  const second = raw.indexOf(10, first + 1);
  if (first < 0 || second !== raw.length - 1) throw new CardError("a card must have two lines");
  const line = raw.subarray(0, first);
  let card;
  let signature;
  try {
    card = read(fromLine(line));
    signature = unb64(decoded(raw.subarray(first + 1, second)), 64);
  } catch (error) {
    throw error instanceof FormatError ? new CardError(error.message) : error;
  }
  if (!verified(card.identity, signature, join(LABEL, line))) {
    throw new CardError("the signature does not fit the card");
  }
  checkWindows(card);
  return card;
}

/** Return the key to seal to on a day; null if no window includes it. @param {Card} card @param {number} day */
export function sealingKey(card, day) {
  const window = card.sealing.find(({ first, until }) => first <= day && day <= until);
  return window ? window.recipient : null;
}

/** @param {Fields} fields @returns {Card} */
function read(fields) {
  if (fields.v !== 1) throw new CardError("the card was made by a newer version");
  const identity = textOf(fields, "identity");
  parseVerify(identity);
  checkExtras(fields);
  return {
    site: checkHex(textOf(fields, "site"), 16),
    serial: numberOf(fields, "serial", 1),
    issued: dayNumber(textOf(fields, "issued")),
    name: line(fields, "name", MAX_NAME),
    kind: oneOf(fields, "kind", KINDS),
    scope: oneOf(fields, "scope", SCOPES),
    languages: languages(fields),
    identity,
    sealing: objectsOf(fields, "sealing", 1, MAX_WINDOWS).map(window),
    away: has(fields, "away") ? away(objectOf(fields, "away")) : null,
  };
}

/** Check what this client does not show: register number and sentence. @param {Fields} fields */
function checkExtras(fields) {
  if (has(fields, "register_number")) line(fields, "register_number", MAX_REGISTER_NUMBER);
  if (!has(fields, "sentence")) return;
  const said = objectOf(fields, "sentence");
  const codes = Object.keys(said);
  if (codes.length < 1 || codes.length > MAX_LANGUAGES || !codes.every((code) => LANGUAGE.test(code))) {
    throw new CardError(`sentence needs 1 to ${MAX_LANGUAGES} language codes of two or three letters`);
  }
  for (const code of codes) line(said, code, MAX_SENTENCE);
}

/** Return a text of one line, none of it unseen. @param {Fields} fields @param {string} key @param {number} most */
function line(fields, key, most) {
  const text = textOf(fields, key);
  const length = Array.from(text).length;
  if (length < 1 || length > most || text !== cleanText(text).trim() || text.includes("\n")) {
    throw new CardError(`${key} is no line of 1 to ${most} characters`);
  }
  if (UNSEEN.test(text)) {
    throw new CardError(`${key} holds a character that cannot be seen, or that is none`);
  }
  return text;
}

/** @param {Fields} fields */
function languages(fields) {
  const codes = textsOf(fields, "languages", 1, MAX_LANGUAGES);
  if (!codes.every((code) => LANGUAGE.test(code))) {
    throw new CardError("languages must be codes of two or three letters");
  }
  return codes;
}

/** @param {Fields} fields @returns {Window} */
function window(fields) {
  const recipient = textOf(fields, "recipient");
  parseRecipient(recipient);
  return {
    recipient,
    first: dayNumber(textOf(fields, "from")),
    until: dayNumber(textOf(fields, "until")),
  };
}

/** @param {Fields} fields */
function away(fields) {
  const standIn = has(fields, "stand_in") ? textOf(fields, "stand_in") : null;
  if (standIn !== null) parseVerify(standIn);
  return { until: dayNumber(textOf(fields, "until")), standIn };
}

/** Check the rules between windows, and between them and the card's other days. @param {Card} card */
function checkWindows(card) {
  card.sealing.forEach(({ first, until }, at) => {
    const days = until - first + 1;
    if (days < 1 || days > MAX_WINDOW_DAYS) {
      throw new CardError(`a sealing key must be for 1 to ${MAX_WINDOW_DAYS} days`);
    }
    if (at && first !== card.sealing[at - 1].until + 1) {
      throw new CardError("between two sealing keys there is a day without one, or with two");
    }
  });
  if (card.sealing[0].first > card.issued - 2) throw new CardError("the first sealing key begins too late");
  const last = card.sealing[card.sealing.length - 1].until;
  if (last < monthsLater(card.issued, MONTHS_AHEAD)) {
    throw new CardError(`the sealing keys end sooner than ${MONTHS_AHEAD} months ahead`);
  }
  if (card.away !== null && last <= card.away.until) {
    throw new CardError("the sealing keys end before the announced absence does");
  }
}

/** Return the same day some months later, or the last of that month. @param {number} day @param {number} months */
function monthsLater(day, months) {
  const [year, month, date] = dayText(day).split("-").map(Number);
  const lastOfMonth = new Date(Date.UTC(year, month + months, 0));
  const wanted = Math.min(date, lastOfMonth.getUTCDate());
  return Date.UTC(lastOfMonth.getUTCFullYear(), lastOfMonth.getUTCMonth(), wanted) / 86_400_000;
}
