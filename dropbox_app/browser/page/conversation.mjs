// The conversation: what was read, what is written, and what becomes of it on the way.

import * as api from "./api.mjs";
import { clear, fill, lock, onSubmit, part, say, show, slot, tell } from "./dom.mjs";
import { dayIn, lineElement, names, noteText } from "./lines.mjs";
import { problem } from "./problems.mjs";

/** @typedef {import("../client.mjs").Client} Client */
/** @typedef {import("./api.mjs").Fate} Fate */

const AT_ONCE = 4; // items
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
    this.busy = false;
  }

  /** @param {string} token */
  begin(token) {
    this.token = token;
  }

  /** Open the conversation of a code; false if there is none. @param {string} token */
  async enter(token) {
    if (token !== this.token) {
      // What was typed before belongs to the other code; it is kept until this one is right.
      if (!(await api.conversation(token))) return false;
      this.forget();
    }
    this.token = token;
    return this.load(() => this.showPage());
  }

  /** Show the conversation whose keys are here already. */
  async open() {
    tell(say("sealed.opening"));
    try {
      await this.client.takeSite();
      if (!(await this.load(() => this.showPage()))) this.gone();
    } catch (error) {
      tell(problem(error, this.client.lang));
    }
  }

  /** Fetch, open and check everything; false if there is no such conversation. @param {() => void} then */
  async load(then) {
    for (let attempt = 0; ; attempt++) {
      const list = await api.conversation(this.token);
      if (!list) return false;
      const ids = list.items.filter(({ what }) => what === "message").map(({ id }) => id);
      // What is listed and not there may have been removed meanwhile; twice, it is missing.
      if (!(await this.fetchAll(ids)) && !attempt) continue;
      const items = ids.flatMap((id) => (this.items.has(id) ? [[id, this.items.get(id)]] : []));
      this.view = await this.client.ask("read", { items });
      this.view.expires = list.expires;
      if (this.pending && ids.includes(this.pending.item)) await this.settle();
      then();
      return true;
    }
  }

  /** @param {string[]} ids */
  async fetchAll(ids) {
    const missing = ids.filter((id) => !this.items.has(id));
    let whole = true;
    const fetchSome = async () => {
      for (let id = missing.pop(); id; id = missing.pop()) {
        const sealed = await api.item(this.token, id);
        if (sealed) this.items.set(id, sealed);
        else whole = false;
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, fetchSome));
    return whole;
  }

  showPage(said = "") {
    const { view, client } = this;
    show("sealed-conversation");
    const place = slot("messages");
    const answer = (/** @type {string} */ kind, /** @type {any} */ body, /** @type {HTMLFormElement} */ form) =>
      this.send(kind, body, form);
    place?.append(...view.lines.map((/** @type {any} */ line) => lineElement(line, view, client.lang, answer)));
    const notes = view.notes.map((/** @type {any} */ note) => noteText(note, view));
    for (const identity of view.closed) notes.push(say("sealed.changed_card", { counsellor: names([identity], view) }));
    for (const sentence of notes) slot("notes")?.append(Object.assign(document.createElement("p"), { className: "note", textContent: sentence }));
    fill(document, "to", view.to.length ? say("sealed.to", { counsellor: names(view.to, view) }) : "");
    fill(document, "expiry", say("conversation.expires", { date: dayIn(view.expires, client.lang) }));
    this.prepareForm();
    part("withdraw")?.addEventListener("click", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.askWithdrawal();
    });
    part("stop")?.addEventListener("click", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.stop();
    });
    if (said) tell(said);
  }

  prepareForm() {
    const form = part("message");
    if (!form) return;
    form.hidden = Boolean(this.view.refused);
    if (this.view.refused) tell(say(`sealed.${this.view.refused}`));
    form.elements.text.value = this.draft;
    form.elements.text.addEventListener("input", () => {
      this.draft = form.elements.text.value;
    });
    onSubmit(form, () => {
      const text = form.elements.text.value;
      if (!text.trim()) return tell(say("errors.text_missing"));
      return this.send("message", { text }, form);
    });
    part("retry")?.addEventListener("click", () => this.again());
    if (this.pending) this.waitFor(form);
  }

  /** Seal and send a message, with the form locked. @param {string} kind @param {any} body @param {HTMLFormElement} form */
  async send(kind, body, form) {
    if (this.pending) return this.waitFor(form);
    const shownTo = this.view.to.join();
    lock(form, true);
    tell(say("sealed.sending"));
    this.busy = true;
    try {
      for (let attempt = 0; attempt < TRIES; attempt++) {
        const message = await this.client.ask("write", { lang: this.client.lang, kind, body });
        this.pending = { ...message, kind };
        if (!(await this.decide(await api.deliver(this.token, message), form))) return undefined;
        // Another message came first. It is read, and this one signed again, for the same people.
        if (!(await this.load(() => {}))) return this.gone();
        if (this.view.to.join() !== shownTo) return this.showPage(say("sealed.others_now"));
      }
      tell(say("sealed.busy"));
    } catch (error) {
      tell(problem(error, this.client.lang));
    } finally {
      this.busy = false;
    }
    lock(form, false);
    return undefined;
  }

  /** Act on what became of the pending message; true if it has to be signed again. @param {Fate} fate @param {HTMLFormElement} form */
  async decide({ fate, status }, form) {
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
    if (fate === "gone") {
      this.gone();
      return false;
    }
    const why = { 503: say("sealed.busy"), 507: say("sealed.full") }[status] ?? "";
    tell(`${why} ${say("sealed.unsent")}`.trim());
    lock(form, false);
    return false;
  }

  /** Nobody knows whether it arrived: what was sent cannot be changed until that is known. @param {HTMLFormElement} form */
  waitFor(form) {
    lock(form, true);
    const retry = part("retry");
    if (retry) {
      retry.hidden = false;
      retry.disabled = false;
    }
    tell(say("sealed.perhaps_message"));
  }

  /** Send the pending message again, byte for byte: to the server it is the same. */
  async again() {
    if (!this.pending) return;
    tell(say("sealed.sending"));
    const form = part("message");
    this.busy = true;
    const behind = await this.decide(await api.deliver(this.token, this.pending), form);
    this.busy = false;
    if (!behind) return;
    // Another took its number, so it is not there: it can be sent as a new one.
    const retry = part("retry");
    if (retry) retry.hidden = true;
    tell(say("sealed.unsent"));
    lock(form, false);
  }

  /** The pending message has arrived. */
  async settle() {
    const { kind, sealed, item } = this.pending;
    await this.client.ask("sent", this.pending);
    this.items.set(item, sealed);
    this.pending = null;
    if (kind === "message") this.draft = "";
  }

  async arrived() {
    try {
      if (await this.load(() => this.showPage(say("conversation.sent")))) return;
      this.gone();
    } catch {
      // It was sent; only what is there now could not be fetched.
      this.showPage(say("conversation.sent"));
    }
  }

  askWithdrawal() {
    show("sealed-withdraw");
    const form = part("withdraw-sure");
    onSubmit(form, () => {
      if (!form.elements.sure.checked) return tell(say("errors.confirm_missing"));
      return this.withdraw(form);
    });
    part("keep")?.addEventListener("click", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.showPage();
    });
  }

  /** Take everything back; if nobody can be told today, too. @param {HTMLFormElement} form */
  async withdraw(form) {
    lock(form, true);
    tell(say("sealed.sending"));
    this.busy = true;
    let fate;
    try {
      fate = await this.withdrawn();
    } catch (error) {
      tell(problem(error, this.client.lang));
      lock(form, false);
      return;
    } finally {
      this.busy = false;
    }
    // What is gone was taken back: by this, or before.
    if (fate.fate === "taken" || fate.fate === "gone") {
      this.client.helper?.end();
      this.forget();
      show("sealed-withdrawn");
      return;
    }
    tell(say(fate.fate === "unknown" ? "sealed.perhaps_withdrawn" : "sealed.unsent"));
    lock(form, false);
  }

  /** @returns {Promise<Fate>} */
  async withdrawn() {
    for (let attempt = 0; ; attempt++) {
      let message;
      try {
        message = await this.client.ask("write", { lang: this.client.lang, kind: "withdrawal", body: {} });
      } catch (error) {
        if (!["nobody", "withheld"].includes(/** @type {Error} */ (error).message)) throw error;
        return api.remove(this.token);
      }
      const fate = await api.deliver(this.token, message, "withdrawal");
      if (fate.fate !== "behind" || attempt === TRIES) return fate;
      if (!(await this.load(() => {}))) return { fate: "gone", status: 404 };
    }
  }

  /** Ask for the code again, and take the keys and all that was opened off the page. */
  lock() {
    if (!this.view || this.busy) return;
    this.client.ask("wipe");
    this.view = null;
    show("sealed-again");
    const form = part("return");
    if (form) this.client.again(form);
  }

  /** Close the conversation: the way back needs the code. */
  stop() {
    const { lang } = this.client;
    this.client.leave();
    window.location.replace(`/${lang}/return`);
  }

  gone() {
    this.client.ask("wipe");
    const text = this.draft;
    this.forget();
    clear();
    tell(say("sealed.gone"));
    if (!text) return;
    // What was typed is the person's; only the conversation is gone.
    const kept = document.createElement("textarea");
    kept.value = text;
    kept.readOnly = true;
    document.querySelector("main")?.append(kept);
  }

  forget() {
    this.token = "";
    this.items.clear();
    this.view = null;
    this.pending = null;
    this.draft = "";
  }
}
