// The code for the reporter's page. It tests whether this browser can seal. If so, it takes over
// the forms of the report and of the code. If the test fails, the plain form stays, and says so.

import { Conversation } from "./page/conversation.mjs";
import { clear, keepTold, onSubmit, say, tell } from "./page/dom.mjs";
import { Helper } from "./page/helper.mjs";
import { whenIdle } from "./page/idle.mjs";
import { ReportForm, ReturnForm } from "./page/entrance.mjs";
import * as api from "./page/api.mjs";

const LONGEST_HASH = 8; // seconds; a browser that needs more uses the plain form
const LONGEST_TEST = 30_000; // milliseconds, including the download of the script and the word lists
const ATTEMPTS = 3; // for each word list; one lost request does not mean that this browser cannot seal
const LISTS = ["nl", "en", "not_dealt_nl", "not_dealt_en"];

/** @typedef {"trying" | "sealing" | "plain"} Mode */

export class Client {
  /** @param {DOMStringMap} given The attributes of the script's element: addresses and languages. @param {HTMLFormElement} form */
  constructor(given, form) {
    this.given = given;
    this.form = form;
    this.lang = given.lang ?? "nl";
    /** @type {Mode} */
    this.mode = "trying";
    this.busy = false;
    this.left = false;
    this.day = "";
    /** @type {Helper | null} */
    this.helper = null;
    this.conversation = new Conversation(this);
    this.entrance = form.dataset.seal === "report" ? new ReportForm(this, form) : new ReturnForm(this, form);
    form.addEventListener("submit", (event) => this.submitted(event));
    // A page that was left, also one kept for the Back button, contains no keys and nothing that
    // was opened. A report that is still being written is kept, as on any page.
    window.addEventListener("pagehide", () => this.holdsKeys() && this.leave());
    window.addEventListener("pageshow", () => this.left && window.location.reload());
    whenIdle(() => {
      if (this.mode === "sealing") this.entrance.idle();
      return this.conversation.lock();
    });
    tell(say("sealed.checking"));
    this.tried = this.tryOut();
  }

  /** Test whether this browser can seal, before anything is typed. */
  async tryOut() {
    try {
      this.helper = new Helper(String(this.given.worker));
      const [{ seconds }, , goesTo] = await inTime([this.helper.ask("selfTest"), this.fetchWords(), this.entrance.look()]);
      if (seconds > LONGEST_HASH || this.helper.ended) throw new Error("too slow, or ended");
      this.entrance.begin();
      this.mode = "sealing";
      document.documentElement.dataset.sealed = "on";
      tell(`${say("sealed.on")} ${goesTo}`.trim());
      keepTold();
    } catch {
      // Whatever the error was, sealing is not certain here, so the plain form is used, with a
      // message.
      this.mode = "plain";
      this.helper?.end();
      this.helper = null;
      tell(say("sealed.plain"));
    }
  }

  async fetchWords() {
    for (const name of LISTS) {
      const kind = name.startsWith("not_dealt_") ? `notDealt${name.slice(-2) === "nl" ? "Nl" : "En"}` : `words${name === "nl" ? "Nl" : "En"}`;
      await this.ask("takeWords", { name, text: await api.words(String(this.given[kind]), ATTEMPTS) });
    }
  }

  /** @param {SubmitEvent} event */
  async submitted(event) {
    if (this.mode === "plain") return; // the plain form; the page has said so
    event.preventDefault();
    if (/** @type {HTMLButtonElement | null} */ (event.submitter)?.name === "switch") {
      this.entrance.switchLanguage(/** @type {HTMLButtonElement} */ (event.submitter));
      return;
    }
    if (this.busy) return;
    this.busy = true;
    await this.tried;
    // If it cannot be sealed after all, the person was told, and decides whether to send it anyway.
    try {
      if (this.modeNow() === "sealing") await this.entrance.send();
    } finally {
      this.busy = false;
    }
  }

  /** Return whether the worker has keys or is deriving them. */
  holdsKeys() {
    return this.mode === "sealing" && (this.busy || this.conversation.token !== "");
  }

  /** @returns {Mode} */
  modeNow() {
    return this.mode;
  }

  /** Ask for the code again, on this page. @param {HTMLFormElement} form */
  again(form) {
    const entrance = new ReturnForm(this, form);
    this.entrance = entrance;
    onSubmit(form, () => entrance.send());
  }

  /** Ask the worker to do something. @param {string} ask @param {any} [given] */
  ask(ask, given) {
    if (!this.helper) throw new Error("there is no worker");
    return this.helper.ask(ask, given);
  }

  /** Ask the server which counsellors can be written to, and for today's date. */
  async takeSite() {
    const asked = today();
    await this.ask("takeSite", await api.site());
    this.day = asked;
  }

  /** Return whether the cards were fetched on an earlier day; other keys may be valid today. */
  isOutdated() {
    return this.day !== today();
  }

  /** Leave: end the worker, and the keys with it, and empty the page. */
  leave() {
    this.left = true;
    this.helper?.end();
    this.helper = null;
    this.conversation.forget();
    clear();
  }
}

/** Return today's date in UTC. */
const today = () => new Date().toISOString().slice(0, 10);

/** Wait for all of these, with a time limit, because a browser may block a worker without an error. @param {Promise<any>[]} all */
function inTime(all) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error("too slow")), LONGEST_TEST));
  return Promise.race([Promise.all(all), late]);
}

const script = /** @type {HTMLScriptElement} */ (document.currentScript);
const form = /** @type {HTMLFormElement | null} */ (document.querySelector("form[data-seal]"));
// A form that was posted plainly and returned with an error has no data-seal, so it stays plain.
if (form && ["report", "return"].includes(form.dataset.seal ?? "")) new Client(script.dataset, form);
