// The conversation: the messages that were read, the one being written, and the result of sending
// it.

import * as api from "./api.mjs";
import { add, clear, fill, lock, onPress, onSubmit, part, say, show, showNames, slot, tell } from "./dom.mjs";
import { endOf } from "./expiry.mjs";
import { Files } from "./files.mjs";
import { dayIn, lineElement, names, notesBefore } from "./lines.mjs";
import { problem, unsent } from "./problems.mjs";

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
      this.view = await this.client.ask("read", { items });
      for (const id of this.view.damaged) this.items.delete(id); // the next attempt fetches it again
      this.view.remarks = this.remarks;
      this.view.save = (/** @type {any} */ file) => this.files.save(file);
      this.mine = this.view.mine;
      this.opened = true;
      this.view.ends = endOf(list, this.client.given);
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
    const answer = (/** @type {string} */ kind, /** @type {any} */ body, /** @type {HTMLFormElement} */ form) =>
      this.send({ kind, body }, form);
    slot("messages")?.append(...view.lines.map((/** @type {any} */ line) => lineElement(line, view, answer)));
    for (const sentence of notesBefore(view)) add(slot("notes"), "p", sentence, "note");
    fill(document, "expiry", say(view.ends.key, { date: dayIn(view.ends.day) }));
    this.prepareForm();
    onPress("other", () => this.chooseOther());
    onPress("withdraw", () => this.beforeWithdrawal());
    onPress("stop", () => this.stop());
    if (said) tell(said);
  }

  prepareForm() {
    const form = part("message");
    if (!form) return;
    const { to, refused } = this.view;
    form.hidden = Boolean(refused);
    const stale = refused === "stale";
    const retry = slot("retry");
    if (retry) retry.hidden = !stale;
    if (stale) part("other")?.closest("li")?.remove();
    fill(form, "to", to.length ? say("conversation.write_help", { counsellor: names(to, this.view) }) : "");
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

  /** Seal and send a message, with the form locked. @param {{kind: string, body: any, wanted?: string[], files?: boolean}} given @param {HTMLFormElement} form */
  async send(given, form) {
    if (this.busy) return undefined;
    if (this.pending) return this.waitFor(form);
    const shownTo = this.view.to.join();
    lock(form, true);
    tell(say("sealed.sending"));
    this.busy = true;
    try {
      if (!(await this.upToDate(shownTo))) return undefined;
      for (let attempt = 0; attempt < TRIES; attempt++) {
        const message = await this.client.ask("write", { lang: this.client.lang, ...given });
        this.pending = { ...message, kind: given.kind, request: given.body.request };
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
      tell(problem(error));
    } finally {
      this.busy = false;
    }
    return lock(form, false);
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
    const { kind, request, sealed, item, n, digest } = this.pending;
    await this.client.ask("sent", this.pending);
    this.mine = [n, digest];
    this.items.set(item, sealed);
    this.pending = null;
    if (kind === "message") this.draft = "";
    this.remarks.delete(request);
  }

  async arrived() {
    try {
      if (await this.load(() => this.showPage(say("conversation.sent")))) return;
      this.gone();
    } catch {
      // It was sent; only the current conversation could not be fetched.
      this.showStale(say("conversation.sent"));
    }
  }

  /** Let the reporter continue with another counsellor. */
  chooseOther() {
    show("sealed-other");
    const form = part("other");
    showNames(form, this.view.named);
    form.elements.text.value = this.draft;
    form.elements.text.addEventListener("input", () => {
      this.draft = form.elements.text.value;
    });
    onPress("back", () => this.showPage());
    onSubmit(form, () => {
      const wanted = String(new FormData(form).get("counsellor") ?? "");
      const text = form.elements.text.value;
      if (!wanted) return tell(say("errors.wanted_missing"));
      if (!text.trim()) return tell(say("errors.text_missing"));
      return this.send({ kind: "message", body: { text }, wanted: [wanted] }, form);
    });
  }

  /** Show who would be told of a withdrawal, according to the current conversation. */
  async beforeWithdrawal() {
    if (this.view.refused !== "stale" && !this.client.isOutdated()) return this.askWithdrawal();
    try {
      await this.takeCards();
      if (!(await this.load(() => this.askWithdrawal()))) this.gone();
    } catch (error) {
      tell(problem(error, "sealed.network"));
    }
    return undefined;
  }

  /** Fetch the cards again. A withdrawal does not depend on them, so any error is ignored. */
  takeCards() {
    return this.client.takeSite().catch(() => {}); // then the cards that are here are used
  }

  askWithdrawal() {
    const { view } = this;
    show("sealed-withdraw");
    const tellOf = (/** @type {string} */ name, /** @type {string} */ key, /** @type {string[]} */ who) =>
      fill(document, name, who.length ? say(key, { counsellor: names(who, view) }, who.length) : "");
    // No withdrawal can be signed after a message that is not here.
    const told = view.refused === "withheld" ? [] : view.to;
    const everybody = [...view.to, ...view.closed, ...view.changed];
    tellOf("told", "withdraw.can3", told);
    tellOf("untold", "withdraw.can3_untold", everybody.filter((one) => !told.includes(one)));
    tellOf("holders", "withdraw.cannot2", everybody);
    tellOf("backup", "withdraw.cannot4", everybody);
    const form = part("withdraw-sure");
    onSubmit(form, () => {
      const sure = form.elements.sure.checked;
      fill(document, "problem", sure ? "" : say("errors.confirm_missing"));
      return sure ? this.withdraw(form) : undefined;
    });
    onPress("back", () => this.showPage());
  }

  /** Withdraw everything, even if no counsellor can be told today. @param {HTMLFormElement} form */
  async withdraw(form) {
    lock(form, true);
    tell(say("sealed.sending"));
    this.busy = true;
    let fate;
    try {
      if (this.client.isOutdated()) {
        const told = this.view.to.join();
        await this.takeCards();
        if (!(await this.load(() => {}))) return this.gone();
        if (this.view.to.join() !== told) return this.askWithdrawal(); // which names them
      }
      fate = await this.withdrawn();
    } catch (error) {
      tell(problem(error));
      lock(form, false);
      return undefined;
    } finally {
      this.busy = false;
    }
    if (fate.fate === "behind") {
      // A message that nobody can open has the next number. The page first says that nobody is told.
      this.view = { ...this.view, refused: "withheld" };
      this.askWithdrawal();
      return tell(say("sealed.withheld"));
    }
    // If the conversation is gone, it was withdrawn, now or earlier.
    if (fate.fate === "taken" || fate.fate === "gone") {
      this.client.helper?.end();
      this.forget();
      show("sealed-withdrawn");
      return undefined;
    }
    tell(say(fate.fate === "unknown" ? "sealed.network" : "errors.unsent"));
    lock(form, false);
    return undefined;
  }

  /** @returns {Promise<Fate>} */
  async withdrawn() {
    if (this.view.refused === "withheld") return api.remove(this.token);
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
