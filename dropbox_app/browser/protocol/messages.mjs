// Messages: the contents of a sealed file, and their exact form (SPEC section 4). parseMessage checks
// the form of one; thread.mjs finds out who wrote it, to whom and in which order.

import { b64, checkHex, cleanText, dayNumber, decoded, fromLine, join, sha256Hex, toLine, unb64, utf8 } from "./encoding.mjs";
import { FormatError, KeyFormatError, MessageError, TooLong } from "./errors.mjs";
import { has, numberOf, objectOf, objectsOf, oneOf, textOf, textsOf } from "./fields.mjs";
import { parseVerify, sign } from "./keys.mjs";
import { MESSAGE_SIZES } from "./padding.mjs";

export const REPORTER = "reporter";
export const SIGNED_LABEL = utf8("klankbord/v1/message\n");
export const MAX_FORMER = 20;
export const MAX_SEEN = 20;

const MAX_TEXT = 60_000; // bytes of all free text in a message, file names included
const MAX_FILE_NAME = 255; // bytes
const MAX_TO = 5;
const MAX_WANTED = 5;
const MAX_FILES = 10;
const SIGNATURE_TEXT = 88; // base64 of 64 bytes
const LF = 10;
const SPACE = 32;
const TOKEN = /^[a-z][a-z_-]{0,39}$/;
const MEDIA_TYPE = /^[a-z0-9.+-]{1,60}\/[a-z0-9.+-]{1,60}$/;
const NOTICE_STATUS = ["received", "read", "closed", "reopened"];
const CONSENT_ANSWERS = ["yes", "no", "tell-me-more", "withdrawn"];

/** The optional questions of a report: whether each may hold several words. */
export const ANSWERS = {
  needs: true,
  topics: true,
  ongoing: false,
  about: true,
  relation: false,
  talked: false,
  safe: false,
};

/** @typedef {import("./encoding.mjs").Fields} Fields */
/** @typedef {{sha256: string, name: string, type: string, size: number}} Attachment */
/** @typedef {{recipient: string, verify: string}} ReporterPublic */
/** @typedef {{by: string, n: number}} Seen */
/**
 * One well-formed message. `body` holds the fields of its kind; identities are base64.
 * @typedef {{site: string, mailbox: string, by: string, to: string[], n: number,
 *   prev: string | null, seen: Seen[], day: number, lang: string, kind: string, body: Fields,
 *   attachments: Attachment[], reporter: ReporterPublic | null, wanted: string[],
 *   former: string[], thread: string | null, line: Uint8Array, signature: Uint8Array,
 *   digest: string}} Message
 */

/** @type {{[kind: string]: {byReporter: boolean, read: (fields: Fields) => Fields, files?: boolean}}} */
const KINDS = {
  report: { byReporter: true, read: readReport, files: true },
  message: { byReporter: true, read: readText, files: true },
  reply: { byReporter: false, read: readText, files: true },
  notice: { byReporter: false, read: readNotice },
  options: { byReporter: false, read: readOptions },
  "consent-request": { byReporter: false, read: readConsentRequest },
  "consent-answer": { byReporter: true, read: readConsentAnswer },
  withdrawal: { byReporter: true, read: () => ({}) },
};

/** Return whether this version knows the kind. @param {string} kind */
export const isKnown = (kind) => has(KINDS, kind);

/**
 * Read the contents of a sealed message file: layout, JSON line, every type and every limit, but
 * not the signature. Throws FormatError or MessageError.
 * @param {Uint8Array} plaintext
 * @returns {Message}
 */
export function parseMessage(plaintext) {
  const { line, signature } = layOpen(plaintext);
  const fields = fromLine(line);
  if (fields.v !== 1) throw new MessageError("made by a newer version");
  const by = textOf(fields, "by");
  const kind = textOf(fields, "kind");
  if (by !== REPORTER) parseVerify(by);
  const known = isKnown(kind) ? KINDS[kind] : null;
  if (!known && !TOKEN.test(kind)) throw new FormatError("kind is not a word");
  const own = by === REPORTER;
  const message = {
    site: checkHex(textOf(fields, "site"), 16),
    mailbox: checkHex(textOf(fields, "mailbox"), 32),
    by,
    to: identities(fields, "to", 1, MAX_TO),
    n: numberOf(fields, "n", 1),
    prev: has(fields, "prev") ? checkHex(textOf(fields, "prev"), 32) : null,
    seen: readSeen(fields),
    day: dayNumber(textOf(fields, "day")),
    lang: word(fields, "lang"),
    kind,
    body: known ? known.read(fields) : {},
    attachments: known?.files ? readAttachments(fields) : [],
    reporter: own ? readReporter(objectOf(fields, "reporter")) : null,
    wanted: own ? identities(fields, "wanted", 1, MAX_WANTED) : [],
    former: own ? identities(fields, "former", 0, MAX_FORMER) : [],
    thread: has(fields, "thread") ? checkHex(textOf(fields, "thread"), 32) : null,
    line,
    signature,
    digest: sha256Hex(line),
  };
  checkWhole(message, known);
  return message;
}

/**
 * Sign and pad the fields of a message; return the bytes to seal. Throws TooLong, or FormatError if
 * parseMessage would refuse them.
 * @param {Fields} fields @param {Uint8Array} signing
 */
export function layOut(fields, signing) {
  const line = toLine(fields);
  const size = freeTextSize(fields);
  if (size > MAX_TEXT) throw new TooLong(size, MAX_TEXT);
  const plaintext = padLines(line, utf8(b64(sign(signing, join(SIGNED_LABEL, line)))));
  parseMessage(plaintext);
  return plaintext;
}

/** Return both lines, padded with spaces to the smallest size that fits. @param {Uint8Array} line @param {Uint8Array} signature */
export function padLines(line, signature) {
  const length = line.length + signature.length + 2;
  const size = MESSAGE_SIZES.find((one) => length <= one);
  if (!size) throw new TooLong(length, MESSAGE_SIZES[MESSAGE_SIZES.length - 1]);
  const padded = new Uint8Array(size).fill(SPACE);
  padded.set(join(line, Uint8Array.of(LF), signature, Uint8Array.of(LF)));
  return padded;
}

/** Return the bytes of free text in the fields of a message, file names included. @param {Fields} fields */
function freeTextSize(fields) {
  const texts = ["text", "step", "with", "scope"].map((key) => fields[key]);
  for (const [key, members] of Object.entries({ options: ["title", "pro", "con"], attachments: ["name"] })) {
    const entries = Array.isArray(fields[key]) ? fields[key] : [];
    for (const entry of entries) texts.push(...members.map((member) => entry?.[member]));
  }
  return texts.reduce((total, text) => total + (typeof text === "string" ? utf8(text).length : 0), 0);
}

/** @param {Uint8Array} plaintext */
function layOpen(plaintext) {
  const end = plaintext.indexOf(LF);
  const after = end + 1 + SIGNATURE_TEXT;
  if (end < 0 || plaintext[after] !== LF) throw new FormatError("the two lines of a message are missing");
  const line = plaintext.slice(0, end);
  const size = MESSAGE_SIZES.find((one) => after + 1 <= one);
  if (plaintext.length !== size || plaintext.subarray(after + 1).some((byte) => byte !== SPACE)) {
    throw new FormatError("the padding does not match the text");
  }
  return { line, signature: unb64(decoded(plaintext.subarray(end + 1, after)), 64) };
}

/** Check the rules that involve more than one field. @param {Message} message @param {{byReporter: boolean} | null} kind */
function checkWhole(message, kind) {
  const own = message.by === REPORTER;
  if (kind && kind.byReporter !== own) throw new MessageError("this author may not write this kind");
  if (own && (message.kind === "report") !== (message.n === 1)) {
    throw new MessageError("a report must be the first message, and the first message a report");
  }
  if ((message.prev === null) !== (message.n === 1)) {
    throw new MessageError("only an author's first message has no message before it");
  }
  if (message.thread && (!own || message.n === 1)) {
    throw new MessageError("only the reporter passes a thread on, and not in the first message");
  }
  if (message.wanted.some((one) => message.former.includes(one))) {
    throw new MessageError("a counsellor is both in wanted and in former");
  }
  if (own && !message.to.every((one) => message.wanted.includes(one))) {
    throw new MessageError("addressed to somebody whom the reporter did not choose");
  }
}

/** @param {Fields} fields @param {string} key */
function word(fields, key) {
  const value = textOf(fields, key);
  if (!TOKEN.test(value)) throw new FormatError(`${key} is not a word`);
  return value;
}

/** Return a text that a person typed. @param {Fields} fields @param {string} key */
function free(fields, key) {
  const value = textOf(fields, key);
  if (value !== cleanText(value)) throw new FormatError(`${key} holds control characters`);
  return value;
}

/** @param {Fields} fields @param {string} key @param {number} least @param {number} most */
function identities(fields, key, least, most) {
  const texts = textsOf(fields, key, least, most);
  texts.forEach(parseVerify);
  return texts;
}

/** @param {Fields} fields @returns {Seen[]} */
function readSeen(fields) {
  const seen = objectsOf(fields, "seen", 0, MAX_SEEN).map((entry) => {
    const by = textOf(entry, "by");
    if (by !== REPORTER) parseVerify(by);
    return { by, n: numberOf(entry, "n", 1) };
  });
  if (new Set(seen.map(({ by }) => by)).size !== seen.length) {
    throw new FormatError("seen names an author twice");
  }
  return seen;
}

/** @param {Fields} value @returns {ReporterPublic} */
function readReporter(value) {
  const recipient = textOf(value, "recipient");
  if (!recipient.startsWith("age1pq1")) {
    throw new KeyFormatError("the reporter's recipient is of the wrong kind");
  }
  const verify = textOf(value, "verify");
  parseVerify(verify);
  return { recipient, verify };
}

/** @param {Fields} fields @returns {Attachment[]} */
function readAttachments(fields) {
  const files = objectsOf(fields, "attachments", 0, MAX_FILES).map((entry) => {
    const name = free(entry, "name");
    const type = textOf(entry, "type");
    if (utf8(name).length > MAX_FILE_NAME || name.includes("\n")) {
      throw new FormatError(`a file name must be a line of at most ${MAX_FILE_NAME} bytes`);
    }
    if (!MEDIA_TYPE.test(type)) throw new FormatError("the type of a file has the wrong form");
    const sha256 = checkHex(textOf(entry, "sha256"), 32);
    return { sha256, name, type, size: numberOf(entry, "size") };
  });
  if (new Set(files.map(({ sha256 }) => sha256)).size !== files.length) {
    throw new FormatError("a message names a file twice");
  }
  return files;
}

/** @param {Fields} body */
function limited(body) {
  const size = freeTextSize(body);
  if (size > MAX_TEXT) throw new TooLong(size, MAX_TEXT);
  return body;
}

/** @param {Fields} fields @returns {Fields} */
function readText(fields) {
  const body = { text: free(fields, "text") };
  limited({ ...body, attachments: fields.attachments });
  return body;
}

/** @param {Fields} fields @returns {Fields} */
function readReport(fields) {
  const given = objectOf(fields, "answers");
  /** @type {Fields} */
  const answers = {};
  for (const [field, several] of Object.entries(ANSWERS)) {
    if (!has(given, field)) continue;
    const value = given[field];
    if (several && !Array.isArray(value)) throw new FormatError(`the answer ${field} is of the wrong type`);
    const entries = several ? value : [value];
    const words = entries.filter((/** @type {unknown} */ entry) => typeof entry === "string" && TOKEN.test(entry));
    if (new Set(words).size !== entries.length) {
      throw new FormatError(`the answer ${field} is of the wrong type`);
    }
    answers[field] = value;
  }
  return { ...readText(fields), answers };
}

/** @param {Fields} fields @returns {Fields} */
function readNotice(fields) {
  return limited({ status: oneOf(fields, "status", NOTICE_STATUS), ...optionalText(fields) });
}

/** @param {Fields} fields @returns {Fields} */
function readOptions(fields) {
  const options = objectsOf(fields, "options", 2, 6).map((entry) => ({
    title: free(entry, "title"),
    pro: free(entry, "pro"),
    con: free(entry, "con"),
  }));
  return limited({ text: free(fields, "text"), options });
}

/** @param {Fields} fields @returns {Fields} */
function readConsentRequest(fields) {
  /** @type {Fields} */
  const body = { step: free(fields, "step"), with: free(fields, "with"), scope: free(fields, "scope") };
  if (has(fields, "successor")) {
    body.successor = textOf(fields, "successor");
    parseVerify(body.successor);
  }
  return limited(body);
}

/** @param {Fields} fields @returns {Fields} */
function readConsentAnswer(fields) {
  return limited({
    request: checkHex(textOf(fields, "request"), 32),
    answer: oneOf(fields, "answer", CONSENT_ANSWERS),
    ...optionalText(fields),
  });
}

/** @param {Fields} fields @returns {Fields} */
const optionalText = (fields) => (has(fields, "text") ? { text: free(fields, "text") } : {});
