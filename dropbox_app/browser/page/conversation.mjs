// The conversation: the messages that were read, the one being written, and the result of sending
// it.

import * as api from "./api.mjs";
import { add, clear, fill, lock, onPress, onSubmit, part, say, show, slot, tell } from "./dom.mjs";
import { endOf } from "./expiry.mjs";
import { Files } from "./files.mjs";
import { absences, folded, lineElement, notesBefore, questions } from "./lines.mjs";
import { Other, hasOthers } from "./other.mjs";
import { checkOwn } from "./own_files.mjs";
import { callsFor, names } from "./people.mjs";
import { problem, unsent } from "./problems.mjs";
import { Failed, Stopped } from "./transfers.mjs";
import { Withdrawal } from "./withdrawal.mjs";

/** @typedef {import("../client.mjs").Client} Client */
/** @typedef {import("./api.mjs").Fate} Fate */

const MAX_HELD = 2 ** 26; // bytes of sealed messages; by default a mailbox has at most an eighth of it
const TRIES = 5; // each failure means that another message of this reporter was stored

export class Conversation {
  /** @param {Client} client */
  constructor(client) {
    this.client = client;
    this.token = "";
    /** @type {Map<string, Uint8Array>} Sealed messages, by their id. */
    this.items = new Map();
    /** @type {any} What the worker says may be shown. */
    this.view = null;
    /** @type {any} A message of which nobody knows whether it arrived. */
    this.pending = null;
    this.draft = "";
    /** @type {Map<string, string>} What was typed with the answers to requests, by the request's digest. */
    this.remarks = new Map();
    /** @type {[number, string] | null} The number and digest of the reporter's newest message. */
    this.mine = null;
    this.busy = false;
    // The page with the code is not locked. After it, the keys are forgotten when nobody is there.
    this.opened = false;
    this.files = new Files(this);
    this.other = new Other(this);
    this.withdrawal = new Withdrawal(this);
  }

  /** @param {string} token */
  begin(token) {
    this.token = token;
    this.opened = false;
  }

  /** Open the conversation of a code; return false if there is none. @param {string} token */
  async enter(token) {
    const same = token === this.token;
    if (!same) {
      // What was typed before belongs to the other code. It is kept until this code proves right.
      if (!(await api.conversation(token))) return false;
      this.forget();
    }
    this.token = token;
    // The worker forgot it when the page was locked. Without it the server could omit that message.
    if (this.mine) await this.client.ask("sent", { n: this.mine[0], digest: this.mine[1] });
    const found = await this.load(() => this.showPage());
    if (!found && same) this.gone(); // with the text that was typed here
    return found || same;
  }

  /** Show the conversation, whose keys are already known; return false if it could not be fetched. */
  async open() {
    try {
      await this.client.takeSite();
      if (!(await this.load(() => this.showPage()))) this.gone();
      return true;
    } catch (error) {
      tell(problem(error, "sealed.network")); // everything shown here was sent; only reading failed
      return false;
    }
  }

  /** Fetch, open and check everything; return false if there is no such conversation. @param {() => void} then */
  async load(then) {
    for (let attempt = 0; ; attempt++) {
      const list = await api.conversation(this.token);
      if (!list) return false;
      const ids = list.items.filter(({ what }) => what === "message").map(({ id }) => id);
      // An item that is listed but absent may just have been removed. If it is absent twice, it is
      // missing.
      if (!(await this.fetchAll(ids)) && !attempt) continue;
      const items = ids.flatMap((id) => (this.items.has(id) ? [[id, this.items.get(id)]] : []));
      const files = list.items.filter(({ what }) => what === "attachment");
      this.view = await this.client.ask("read", { items, files });
      for (const id of this.view.damaged) this.items.delete(id); // the next attempt fetches it again
      this.view.remarks = this.remarks;
      this.view.here = new Set(files.map(({ id }) => id));
      this.mine = this.view.mine;
      this.opened = true;
      this.view.ends = endOf(list, this.client.given, this.view.closedOn);
      if (this.pending && ids.includes(this.pending.item)) await this.settle();
      then();
      return true;
    }
  }

  /** @param {string[]} ids */
  async fetchAll(ids) {
    let missing = ids.filter((id) => !this.items.has(id));
    let whole = true;
    let held = [...this.items.values()].reduce((sum, { length }) => sum + length, 0);
    while (missing.length) {
      const found = await api.items(this.token, missing);
      if (!found) return false;
      for (const [at, sealed] of found.entries()) {
        if (sealed.length) this.items.set(missing[at], sealed);
        else whole = false;
        held += sealed.length;
      }
      if (held > MAX_HELD) throw new api.Lost();
      missing = missing.slice(found.length);
    }
    return whole;
  }

  showPage(said = "") {
    const { view } = this;
    show("sealed-conversation");
    this.showLines();
    const last = slot("to-last");
    if (last) last.hidden = view.lines.length <= 2 || Boolean(said);
    slot("questions")?.append(...questions(view));
    for (const sentence of notesBefore(view)) add(slot("notes"), "p", sentence, "note");
    fill(document, "expiry", view.ends.below);
    this.showWaiting();
    this.prepareForm();
    this.showOthers();
    onPress("withdraw", () => this.withdrawal.begin());
    onPress("address", () => this.showAddress());
    onPress("stop", () => this.stop());
    if (said) tell(said);
  }

  showLines() {
    const { view } = this;
    const acts = {
      send: (/** @type {any} */ message, /** @type {HTMLFormElement} */ form) => this.send(message, form),
      save: (/** @type {any} */ file) => this.files.save(file),
      check: (/** @type {any} */ file) => checkOwn(this, file),
      turnTo: (/** @type {any} */ proposed) => this.other.show(proposed),
    };
    const shown = view.lines.map((/** @type {any} */ line) => lineElement(line, view, acts));
    if (shown.length) shown[shown.length - 1].id = "last";
    const older = folded(view.lines, view);
    if (older) {
      const details = add(slot("messages"), "details", "", "older");
      add(details, "summary", say("conversation.older", { count: older }, older));
      details.append(...shown.splice(0, older));
    }
    slot("messages")?.append(...shown);
  }

  /** Say that there is no answer yet. */
  showWaiting() {
    const { view } = this;
    if (!view.waiting) return;
    const received = view.to.length ? say("code.received", { counsellor: names(view.last, view) }) : "";
    const empty = say(absences(view).length ? "conversation.empty_yet" : "conversation.empty");
    fill(document, "waiting", `${received} ${empty}`.trim());
  }

  /** Offer another counsellor, if there is one, and say so if nobody can be written to. */
  showOthers() {
    const { view } = this;
    const others = hasOthers(view) && view.refused !== "stale";
    const nobody = view.refused === "nobody";
    const visible = {
      "more-other": others,
      "absent-other": others && absences(view).length > 0 && !this.draft,
      "others-now": nobody && others,
      "nobody-now": nobody && !others,
      "only-other": others && ["nobody", "changed"].includes(view.refused),
    };
    for (const [name, so] of Object.entries(visible)) {
      if (so) slot(name)?.removeAttribute("hidden");
      else slot(name)?.remove();
    }
    if (nobody) slot("call-now")?.append(...callsFor(view.wanted));
    for (const button of document.querySelectorAll("main button[data-seal^=other]")) {
      button.addEventListener("click", () => this.other.show());
    }
  }

  /** Show the address of the site, to be printed. */
  showAddress() {
    show("sealed-address");
    onPress("back", () => this.showPage());
  }

  prepareForm() {
    const form = part("message");
    if (!form) return;
    const { to, refused } = this.view;
    form.hidden = Boolean(refused);
    const stale = refused === "stale";
    const retry = slot("retry");
    if (retry) retry.hidden = !stale;
    const help = to.length ? this.writeHelp() : "";
    fill(form, "to", help);
    if (help) form.elements.text.setAttribute("aria-describedby", "text-help");
    form.elements.text.value = this.draft;
    form.elements.text.addEventListener("input", () => {
      this.draft = form.elements.text.value;
    });
    onSubmit(form, () => {
      const text = form.elements.text.value;
      if (!text.trim()) return tell(say("errors.text_missing"));
      return this.send({ kind: "message", body: { text } }, form);
    });
    onPress("retry", () => this.again());
    onPress("files", () => this.files.show());
    if (this.pending) this.waitFor(form);
  }

  /** Say who gets the next message, and who does not. */
  writeHelp() {
    const { view } = this;
    const told = (/** @type {string} */ key, /** @type {string[]} */ who) =>
      who.map((one) => say(key, { counsellor: names([one], view), successor: names([one], view) }));
    const goes = say("conversation.write_help", { counsellor: names(view.to, view) });
    return [...told("handover.now", view.agreed), goes, ...told("conversation.left_out_now", view.closed)].join(" ");
  }

  /**
   * Seal and send a message, with the form locked. `aside`: it does not come from the field for the
   * next message, so what is typed there stays.
   * @param {{kind: string, body: any, wanted?: string[], files?: boolean, passOn?: boolean,
   *   aside?: boolean}} given
   * @param {HTMLFormElement} form
   */
  async send(given, form) {
    if (this.busy) return this.saysBusy();
    if (this.pending) return this.waitFor(form);
    const shownTo = this.view.to.join();
    lock(form, true);
    tell(say("sealed.sending"));
    this.busy = true;
    try {
      if (!(await this.upToDate(shownTo))) return undefined;
      for (let attempt = 0; attempt < TRIES; attempt++) {
        if (given.passOn) await this.other.passOn(given.wanted ?? []);
        const message = await this.client.ask("write", { lang: this.client.lang, ...given });
        this.pending = { ...message, typed: given.kind === "message" && !given.aside, request: given.body.request };
        if (!(await this.decide(await api.deliver(this.token, message), form))) return undefined;
        // Another message was stored first. Read it, and sign this one again for the same
        // addressees.
        if (!(await this.reread(shownTo))) return undefined;
        if (given.files) await this.files.joinAgain();
      }
      tell(say("sealed.withheld")); // the number is taken by a message that is not here
    } catch (error) {
      // The error occurred after sending began, so the message may have arrived.
      if (this.pending) return this.waitFor(form);
      if (error instanceof Stopped) return undefined; // the page was left
      if (error instanceof Failed && error.key === "gone") return this.gone();
      tell(problem(error));
    } finally {
      this.busy = false;
    }
    return lock(form, false);
  }

  /** Say that a file is on its way. A second press while a message is sent changes nothing. */
  saysBusy() {
    if (this.files.transfer) tell(say("sealed.file_busy"));
    return undefined;
  }

  /** On a later day, other keys are valid: fetch the cards again. Return whether to go on. @param {string} shownTo */
  async upToDate(shownTo) {
    if (!this.client.isOutdated()) return true;
    await this.client.takeSite();
    return this.reread(shownTo);
  }

  /**
   * Read the conversation again. If it is gone, or a message would go to others than the page
   * named, show this and return false.
   * @param {string} shownTo
   */
  async reread(shownTo) {
    if (!(await this.load(() => {}))) {
      this.gone();
      return false;
    }
    if (this.view.to.join() === shownTo) return true;
    this.showPage(say("sealed.unsent"));
    return false;
  }

  /** Act on the result for the pending message; return true if it must be signed again. @param {Fate} outcome @param {HTMLFormElement} form */
  async decide(outcome, form) {
    const { fate } = outcome;
    if (fate === "unknown") {
      this.waitFor(form);
      return false;
    }
    if (fate === "taken") {
      await this.settle();
      await this.arrived();
      return false;
    }
    this.pending = null;
    if (fate === "behind") return true;
    if (fate === "gone") this.gone();
    else tell(unsent(outcome));
    lock(form, false);
    return false;
  }

  /** It is unknown whether the message arrived. It cannot be changed until that is known. @param {HTMLFormElement} form */
  waitFor(form) {
    const retry = slot("retry");
    if (!retry) return this.showPage(); // which waits in its turn, with the button
    lock(form, true);
    retry.hidden = false;
    const button = part("retry");
    if (button) button.disabled = false;
    tell(say("sealed.perhaps_message"));
    return undefined;
  }

  /** Send the same bytes of the pending message again. The server treats it as the same message. */
  async again() {
    if (this.busy) return;
    const button = part("retry");
    button.disabled = true;
    if (!this.pending) {
      await this.open();
      button.disabled = false;
      return;
    }
    tell(say("sealed.sending"));
    this.busy = true;
    try {
      const form = part("message") ?? part("files");
      if (!(await this.decide(await api.arrived(this.token, this.pending), form))) return;
    } finally {
      this.busy = false;
    }
    // Another message took its number, so it is not stored and can be sent as a new one.
    try {
      if (!(await this.load(() => this.showPage(say("sealed.unsent"))))) this.gone();
    } catch {
      // Only the current conversation could not be fetched: the page says so and has no form.
      this.showStale(say("sealed.unsent"));
    }
  }

  /** Show the page without its forms, because the conversation may have changed. @param {string} said */
  showStale(said) {
    this.view = { ...this.view, refused: "stale" };
    this.showPage(`${said} ${say("sealed.network")}`);
  }

  /** The pending message has arrived. */
  async settle() {
    const { typed, request, sealed, item, n, digest } = this.pending;
    await this.client.ask("sent", this.pending);
    this.mine = [n, digest];
    this.items.set(item, sealed);
    this.pending = null;
    if (typed) this.draft = "";
    this.remarks.delete(request);
  }

  async arrived() {
    try {
      if (await this.load(() => this.showPage(this.sentNote()))) return;
      this.gone();
    } catch {
      // It was sent; only the current conversation could not be fetched.
      this.showStale(say("conversation.sent"));
    }
  }

  /** Say that the message was sent, and to whom it was not. */
  sentNote() {
    const { view } = this;
    const apart = view.leftOut.map((/** @type {string} */ one) => say("conversation.left_out", { counsellor: names([one], view) }));
    return [say("conversation.sent"), ...apart].join(" ");
  }

  /** Ask for the code again, and remove the keys and all opened messages from the page. Return false if it must wait. */
  lock() {
    if (!this.opened || this.busy) return !this.opened;
    this.client.ask("wipe");
    this.opened = false;
    this.view = null;
    show("sealed-again");
    const form = part("return");
    if (form) this.client.again(form);
    return true;
  }

  /** Close the conversation. To return, the code is needed. */
  stop() {
    const { lang } = this.client;
    this.client.leave();
    window.location.replace(`/${lang}/return`);
  }

  gone() {
    this.client.ask("wipe");
    const text = [this.draft, ...this.remarks.values()].filter(Boolean).join("\n\n");
    this.forget();
    clear();
    tell(say(text ? "again.gone" : "again.gone_title"));
    if (!text) return;
    // The typed text is kept for the person; only the conversation is gone.
    const kept = document.createElement("textarea");
    kept.value = text;
    kept.readOnly = true;
    document.querySelector("main")?.append(kept);
  }

  forget() {
    this.files.stop();
    this.token = "";
    this.opened = false;
    this.items.clear();
    this.view = null;
    this.pending = null;
    this.draft = "";
    this.remarks.clear();
    this.mine = null;
  }
}
