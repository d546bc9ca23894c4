// One reporter's session: the keys, the messages that were read, and the one being written. It runs
// in the worker and makes no requests. It receives what the server sent, and returns sealed data to
// send. The only secret that leaves it is the access token.

import { parseCard, sealingKey } from "./protocol/card.mjs";
import * as code from "./protocol/code.mjs";
import { checkHex, cleanText, dayNumber, dayText, sha256Hex, utf8 } from "./protocol/encoding.mjs";
import { CardError, CodeError, NobodyToWriteTo } from "./protocol/errors.mjs";
import { nextWanted } from "./protocol/handover.mjs";
import { identityText } from "./protocol/keys.mjs";
import { REPORTER } from "./protocol/messages.mjs";
import { openItem, pinsOf, readThread } from "./protocol/thread.mjs";
import { addressees, fromReporter } from "./protocol/writing.mjs";
import { SessionFiles } from "./session_files.mjs";
import { closedOn, hasUnnamed, hexOf, lineOf, notesOf } from "./shown.mjs";

const CLOCK_TOLERANCE = 2; // days

/** @typedef {import("./protocol/card.mjs").Card} Card */
/** @typedef {import("./protocol/code.mjs").ReporterKeys} ReporterKeys */
/** @typedef {import("./protocol/encoding.mjs").Fields} Fields */
/** @typedef {{list: string, site: string, words: string[], keys: ReporterKeys}} Drawn */
/** @typedef {import("./protocol/thread.mjs").Thread} Thread */
/** @typedef {import("./protocol/thread.mjs").Pins} Pins */
/** @typedef {import("./protocol/writing.mjs").Sealed} Sealed */
/** @typedef {import("./shown.mjs").Listed} Listed */

/**
 * An error that the person can be told about or can correct. `name` is one of clock, site, words,
 * counsellor, locked, too_long, text_is_code, withheld, changed, nobody, word_count,
 * unknown_letter, unknown_word, moved, file_changed, file_broken, file_lost; `details` depend on it.
 */
export class Refused extends Error {
  /** @param {string} name @param {Fields} [details] */
  constructor(name, details = {}) {
    super(name);
    this.name = name;
    this.details = details;
  }
}

export class Session {
  /** @param {{[name: string]: string}} lists The SHA-256 of each word list file. @param {() => number} now Milliseconds since 1970. */
  constructor(lists, now) {
    this.lists = lists;
    this.now = now;
    /** @type {{[name: string]: string[]}} */
    this.words = {};
    /** @type {string[]} */
    this.drawn = [];
    this.site = "";
    /** @type {Card[]} */
    this.cards = [];
    this.today = 0;
    this.textLimit = 0;
    /** @type {Drawn | null} A code that was drawn for the next report, before it is sent. */
    this.ahead = null;
    /** @type {ReporterKeys | null} */
    this.keys = null;
    /** @type {Thread | null} */
    this.thread = null;
    /** @type {Pins | null} */
    this.pins = null;
    this.files = new SessionFiles(this);
  }

  /** Load a word list. It must be exactly the file with which this client was built. @param {{name: string, text: string}} file */
  takeWords({ name, text }) {
    if (sha256Hex(utf8(text)) !== this.lists[name]) throw new Refused("words");
    this.words[name] = text.split("\n").filter(Boolean);
  }

  /**
   * Read the response of GET /api/site. A wrong card, or a card of another site, is ignored.
   * @param {Fields} said
   */
  takeSite(said) {
    try {
      const site = checkHex(said.site, 16);
      if (this.site && this.site !== site) throw new Refused("site");
      this.site = site;
      this.today = dayNumber(dayText(Math.floor(this.now() / 86_400_000)));
      if (Math.abs(this.today - dayNumber(said.day)) > CLOCK_TOLERANCE) throw new Refused("clock");
      this.cards = this.newestCards(said.cards.flatMap(cardIn));
      this.textLimit = Number(said.limits.text);
    } catch (error) {
      throw error instanceof Refused ? error : new Refused("site");
    }
  }

  /** @param {Card[]} cards */
  newestCards(cards) {
    const newest = new Map();
    for (const card of cards.sort((a, b) => a.serial - b.serial)) {
      if (card.site === this.site) newest.set(card.identity, card);
    }
    return [...newest.values()];
  }

  /** Return the name on each card, by identity in hex, which is what the forms send. */
  names() {
    return Object.fromEntries(this.cards.map(({ identity, name }) => [hexOf(identity), name]));
  }

  /**
   * Draw the code of the next report while it is being written, because hashing it takes longest.
   * These keys open nothing until that report is sent. `words`: the list to draw from.
   * @param {{words: string}} report
   */
  prepare({ words }) {
    this.ahead ??= this.draw(words);
  }

  /** @param {string} list @returns {Drawn} */
  draw(list) {
    const notDealt = new Set(this.words[`not_dealt_${list}`]);
    const words = code.drawCode(this.words[list].filter((word) => !notDealt.has(word)));
    return { list, site: this.site, words, keys: this.derive(words) };
  }

  /**
   * Draw a code and seal a report. Nothing is sent yet.
   * @param {{lang: string, words: string, text: string, answers: Fields, wanted: string[]}} report
   * `words`: the list to draw from; `wanted`: identities, in hex.
   */
  async report({ lang, words, text, answers, wanted }) {
    this.checkText(text);
    if (this.looksLikeCode(text)) throw new Refused("text_is_code");
    const ahead = this.ahead?.list === words && this.ahead.site === this.site ? this.ahead : null;
    if (ahead) this.ahead = null; // it is used only once
    this.wipe();
    const drawn = ahead ?? this.draw(words);
    this.drawn = drawn.words;
    this.keys = drawn.keys;
    const body = { text, answers };
    const sealed = await this.seal({ lang, kind: "report", body }, wanted.map(identityOf));
    const { mailbox, access } = this.keys;
    const path = `/api/reports/${mailbox}?to=${sealed.addressed.join(".")}`;
    return { ...sealed, path, words: this.drawn, mailbox, access, token: code.bearer(this.keys) };
  }

  /** Derive the keys of a typed code; return the values for the server. @param {{typed: string}} entry */
  enter({ typed }) {
    const words = this.readTyped(typed);
    this.wipe();
    this.keys = this.derive(words);
    return { token: code.bearer(this.keys), mailbox: this.keys.mailbox };
  }

  /**
   * Compare the typed words with the code that was drawn. `wrong`: the positions, from 1, of typed
   * words that are not in the code; empty if only the order is wrong.
   * @param {{typed: string}} entry
   */
  compare({ typed }) {
    const words = this.readTyped(typed);
    const right = words.join(" ") === this.drawn.join(" ");
    const moved = [...words].sort().join(" ") === [...this.drawn].sort().join(" ");
    const wrong = words.flatMap((word, at) => (word === this.drawn[at] ? [] : [at + 1]));
    return { right, wrong: moved ? [] : wrong };
  }

  /** Forget the words, because only the keys are needed from now on. */
  moveOn() {
    this.drawn = [];
  }

  /**
   * Open, check and order the conversation; return what may be shown of it.
   * @param {{items: [string, Uint8Array][], files?: Listed[]}} mailbox The messages, each with its
   * id, and the list of the files.
   */
  async read({ items, files = [] }) {
    const keys = this.known();
    const identity = identityText(keys.reply);
    const arrived = [];
    for (const [item, sealed] of items) arrived.push(await openItem(item, sealed, identity));
    const reporter = { recipient: keys.recipient, verify: keys.verify };
    const reader = { site: this.site, mailbox: keys.mailbox, viewer: null, reporter, pins: this.pins };
    this.thread = readThread(arrived, reader);
    this.pins = risen(this.pins, pinsOf(this.thread));
    const damaged = arrived.filter(({ fault }) => fault === "other_file").map(({ item }) => item);
    return { ...this.view(this.thread), damaged, unnamed: hasUnnamed(this.thread, files) };
  }

  /** @param {Thread} thread */
  view(thread) {
    const wanted = nextWanted(thread, (identity) => this.isOpen(identity));
    const open = wanted.filter((identity) => this.isOpen(identity));
    const { wanted: last = [], to: reached = [], former = [] } = thread.newest.get(REPORTER) ?? {};
    const current = wanted.filter((identity) => last.includes(identity));
    const others = this.cards.map(({ identity }) => identity).filter((one) => this.isOpen(one) && !current.includes(one));
    return {
      lines: thread.entries.map((entry) => lineOf(entry, thread, (identity) => this.isOpen(identity))),
      notes: notesOf(thread),
      names: Object.fromEntries(this.cards.map(({ identity, name }) => [identity, name])),
      named: this.names(),
      others: others.map(hexOf),
      earlier: [...last, ...former].some((identity) => this.cardOf(identity)),
      wanted,
      last,
      leftOut: last.filter((identity) => !reached.includes(identity)),
      to: open,
      closed: wanted.filter((identity) => this.cardOf(identity) && !open.includes(identity)),
      changed: wanted.filter((identity) => !this.cardOf(identity)),
      waiting: [...thread.newest.keys()].every((by) => by === REPORTER),
      closedOn: closedOn(thread),
      agreed: wanted.filter((identity) => !last.includes(identity)),
      refused: this.refusal(thread, wanted),
      mine: this.pins?.newest[REPORTER] ?? null,
    };
  }

  /** Return why the reporter cannot write to these counsellors now; "" if nothing prevents it. @param {Thread} thread @param {string[]} wanted */
  refusal(thread, wanted) {
    // The addressees are in the reporter's newest message. If the server withholds that message, an
    // older one would determine them, so the server could choose them.
    const newest = thread.newest.get(REPORTER);
    if (thread.withheld.has(REPORTER) || !newest) return "withheld";
    // A message may have been sent since this thread was read.
    const [n, digest] = this.pins?.newest[REPORTER] ?? [0, ""];
    if (newest.n < n || (newest.n === n && newest.digest !== digest)) return "withheld";
    // This card may have been replaced by another one.
    if (!wanted.every((identity) => this.cardOf(identity))) return "changed";
    return wanted.some((identity) => this.isOpen(identity)) ? "" : "nobody";
  }

  /**
   * Sign and seal the next message. Nothing is sent yet. `wanted`: the counsellors that the
   * reporter has just chosen, if any, in hex.
   * `files`: whether the files that were sealed go with it; `passOn`: whether the thread does.
   * @param {{lang: string, kind: string, body: Fields, wanted?: string[], files?: boolean,
   *   passOn?: boolean}} message
   */
  async write(message) {
    this.checkText(message.body.text ?? "");
    const wanted = this.chosen(message);
    if (message.passOn) return this.seal(message, wanted, this.files.thread(this.recipients(wanted)));
    if (!message.files) return this.seal(message, wanted);
    const attachments = this.files.attachments(this.recipients(wanted));
    return this.seal({ ...message, body: { ...message.body, attachments } }, wanted);
  }

  /** Return whom the next message is for. @param {{kind: string, wanted?: string[]}} message */
  chosen({ kind, wanted: given }) {
    const { thread } = this;
    if (!thread) throw new Refused("locked");
    const last = thread.newest.get(REPORTER)?.wanted ?? [];
    const next = kind === "message" ? nextWanted(thread, (identity) => this.isOpen(identity)) : last;
    const wanted = given?.map(identityOf) ?? next;
    const refused = this.refusal(thread, wanted);
    // A withdrawal does not depend on any card. Every counsellor who can be told is told.
    if (refused && !(refused === "changed" && kind === "withdrawal")) throw new Refused(refused);
    return wanted;
  }

  /** Return the keys to which files for these counsellors are sealed today. @param {string[]} wanted */
  recipients(wanted) {
    try {
      return addressees(wanted, { cards: this.cards, site: this.site, day: this.today }).map(({ key }) => key);
    } catch (error) {
      throw error instanceof NobodyToWriteTo ? new Refused("nobody") : error;
    }
  }

  /** Remember that the server has this message, so that the server cannot omit it unnoticed. @param {{n: number, digest: string}} sent */
  sent({ n, digest }) {
    this.files.forget(); // the server keeps none of them for a later message
    if (!this.keys) return;
    const { recipient, verify } = this.keys;
    /** @type {Pins["newest"]} */
    const newest = { [REPORTER]: [n, digest] };
    this.pins = risen(this.pins, { recipient, verify, newest });
  }

  /** Overwrite the keys and forget everything that was opened. */
  wipe() {
    for (const keys of [this.keys, this.ahead?.keys]) if (keys) code.wipe(keys);
    this.keys = null;
    this.ahead = null;
    this.thread = null;
    this.pins = null;
    this.drawn = [];
    this.files.wipe();
  }

  /**
   * @param {{lang: string, kind: string, body: Fields}} message @param {string[] | null} wanted
   * @param {string | null} [passedOn] The id of the thread that goes with it.
   * @returns {Promise<Sealed & {addressed: string[], query: string}>} `addressed`: identities in
   * hex; `query`: for the address to which it is sent.
   */
  async seal({ lang, kind, body }, wanted, passedOn = null) {
    const { site, today: day, thread, cards } = this;
    try {
      const draft = { site, day, lang, kind, body, thread, wanted, cards, passedOn };
      const sealed = await fromReporter(this.known(), draft);
      const addressed = sealed.to.map(hexOf);
      const attached = (body.attachments ?? []).map((/** @type {Fields} */ { sha256 }) => sha256);
      const files = [...attached, ...(passedOn ? [passedOn] : [])].join(".");
      const query = `n=${sealed.n}&to=${addressed.join(".")}`;
      return { ...sealed, addressed, query: files ? `${query}&files=${files}` : query };
    } catch (error) {
      throw error instanceof NobodyToWriteTo ? new Refused("nobody") : error;
    }
  }

  /** @param {readonly string[]} words */
  derive(words) {
    const root = code.deriveRoot(words, this.site);
    const keys = code.reporterKeys(root);
    root.fill(0);
    return keys;
  }

  known() {
    if (!this.keys) throw new Refused("locked");
    return this.keys;
  }

  /** @param {string} identity */
  cardOf(identity) {
    return this.cards.find((one) => one.identity === identity);
  }

  /** Return whether this counsellor can be written to today. @param {string} identity */
  isOpen(identity) {
    const card = this.cardOf(identity);
    return card !== undefined && sealingKey(card, this.today) !== null;
  }

  /** @param {string} text */
  checkText(text) {
    const size = utf8(cleanText(text)).length;
    if (size > this.textLimit) throw new Refused("too_long", { size, limit: this.textLimit });
  }

  /** @param {string} text */
  looksLikeCode(text) {
    try {
      return this.readTyped(text).length > 0;
    } catch (error) {
      if (error instanceof Refused) return false;
      throw error;
    }
  }

  /** @param {string} typed */
  readTyped(typed) {
    try {
      return code.readTyped(typed, new Set([...this.words.nl, ...this.words.en]));
    } catch (error) {
      if (!(error instanceof CodeError)) throw error;
      const { refused, count, letter, position, suggestions } = error;
      throw new Refused(refused, { count, letter, position, suggestions });
    }
  }
}

/**
 * Return the pins with the higher number for each author, so that a message that was once seen
 * stays missed. @param {Pins | null} before @param {Pins | null} now @returns {Pins | null}
 */
function risen(before, now) {
  if (!before || !now) return now ?? before;
  const newest = { ...before.newest };
  for (const [by, pin] of Object.entries(now.newest)) if (!(newest[by]?.[0] >= pin[0])) newest[by] = pin;
  return { ...now, newest };
}

/** Return a list with the card, or an empty list if it is invalid. @param {unknown} text @returns {Card[]} */
function cardIn(text) {
  try {
    return [parseCard(utf8(String(text)))];
  } catch (error) {
    if (error instanceof CardError) return [];
    throw error;
  }
}

/**
 * Return the base64 of an identity that a form gives in hex. It takes no other form, because the page
 * shows the name on the card beside an identity in hex only. @param {string} text
 */
function identityOf(text) {
  if (!/^[0-9a-f]{64}$/.test(text)) throw new Refused("counsellor");
  const raw = Uint8Array.from(text.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
  return btoa(String.fromCharCode(...raw));
}
