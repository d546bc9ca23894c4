// What runs in the reporter's page: it tries whether this browser can seal, and if so takes over the
// forms of the report and of the code. What cannot be tried out leaves the plain form, which says so.

import { Conversation } from "./page/conversation.mjs";
import { clear, onSubmit, say, tell } from "./page/dom.mjs";
import { Helper } from "./page/helper.mjs";
import { whenIdle } from "./page/idle.mjs";
import { ReportForm, ReturnForm } from "./page/entrance.mjs";
import * as api from "./page/api.mjs";

const LONGEST_HASH = 8; // seconds; what takes longer is not waited for
const LONGEST_TEST = 30_000; // milliseconds, with the script and the words on their way
const LISTS = ["nl", "en", "not_dealt_nl", "not_dealt_en"];

/** @typedef {"trying" | "sealing" | "plain"} Mode */

export class Client {
  /** @param {DOMStringMap} given What the script's element says: addresses and languages. @param {HTMLFormElement} form */
  constructor(given, form) {
    this.given = given;
    this.form = form;
    this.lang = given.lang ?? "nl";
    /** @type {Mode} */
    this.mode = "trying";
    this.busy = false;
    this.left = false;
    /** @type {Helper | null} */
    this.helper = null;
    this.conversation = new Conversation(this);
    this.entrance = form.dataset.seal === "report" ? new ReportForm(this, form) : new ReturnForm(this, form);
    form.addEventListener("submit", (event) => this.submitted(event));
    // A page that is left, or waits alive for a Back, keeps no key and nothing that was opened. A
    // report that is still being written waits as on any page.
    window.addEventListener("pagehide", () => this.holdsKeys() && this.leave());
    window.addEventListener("pageshow", () => this.left && window.location.reload());
    whenIdle(() => this.conversation.lock());
    this.tried = this.tryOut();
  }

  /** Find out whether this browser can seal, before anything is typed. */
  async tryOut() {
    try {
      this.helper = new Helper(String(this.given.worker));
      const [{ seconds }] = await inTime([this.helper.ask("selfTest"), this.fetchWords()]);
      if (seconds > LONGEST_HASH) throw new Error("too slow");
      this.mode = "sealing";
      document.documentElement.dataset.sealed = "on";
      tell(say("sealed.on"));
    } catch {
      // Whatever it was, sealing here is not certain: the plain way, which is said.
      this.mode = "plain";
      this.helper?.end();
      this.helper = null;
      tell(say("sealed.plain"));
    }
  }

  async fetchWords() {
    for (const name of LISTS) {
      const kind = name.startsWith("not_dealt_") ? `notDealt${name.slice(-2) === "nl" ? "Nl" : "En"}` : `words${name === "nl" ? "Nl" : "En"}`;
      await this.ask("takeWords", { name, text: await api.words(String(this.given[kind])) });
    }
  }

  /** @param {SubmitEvent} event */
  async submitted(event) {
    if (this.mode === "plain") return; // the plain form, of which the page has said so
    event.preventDefault();
    if (/** @type {HTMLButtonElement | null} */ (event.submitter)?.name === "switch") {
      this.entrance.switchLanguage(/** @type {HTMLButtonElement} */ (event.submitter));
      return;
    }
    if (this.busy) return;
    this.busy = true;
    if (this.mode === "trying") tell(say("sealed.checking"));
    await this.tried;
    // If it cannot be sealed after all, the person was told and presses again, or does not.
    try {
      if (this.modeNow() === "sealing") await this.entrance.send();
    } finally {
      this.busy = false;
    }
  }

  /** Return whether the worker has keys, or is making them. */
  holdsKeys() {
    return this.mode === "sealing" && (this.busy || this.conversation.token !== "");
  }

  /** @returns {Mode} */
  modeNow() {
    return this.mode;
  }

  /** Ask for the code again, in this place. @param {HTMLFormElement} form */
  again(form) {
    const entrance = new ReturnForm(this, form);
    onSubmit(form, () => entrance.send());
  }

  /** Let the worker do something. @param {string} ask @param {any} [given] */
  ask(ask, given) {
    if (!this.helper) throw new Error("there is no worker");
    return this.helper.ask(ask, given);
  }

  /** Ask the server who can be written to, and today's day. */
  async takeSite() {
    await this.ask("takeSite", await api.site());
  }

  /** Go away from here: the worker ends, and with it the keys; the page is emptied. */
  leave() {
    this.left = true;
    this.helper?.end();
    this.helper = null;
    this.conversation.forget();
    clear();
  }
}

/** Wait for all of these, but not for ever: a worker may be kept from starting without a word. @param {Promise<any>[]} all */
function inTime(all) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("too slow")), LONGEST_TEST));
  return Promise.race([Promise.all(all), late]);
}

const script = /** @type {HTMLScriptElement} */ (document.currentScript);
const form = /** @type {HTMLFormElement | null} */ (document.querySelector("form[data-seal]"));
// A form that was posted plainly and comes back with a problem has no data-seal: it stays plain.
if (form && ["report", "return"].includes(form.dataset.seal ?? "")) new Client(script.dataset, form);
