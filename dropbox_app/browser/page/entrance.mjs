// The two ways in: writing a report, and typing a code.

import * as api from "./api.mjs";
import { closeWaysOut, fill, listed, lock, onPress, onSubmit, part, say, show, showNames, slot, tell } from "./dom.mjs";
import { absenceOf, isAway } from "./people.mjs";
import { problem, unsent } from "./problems.mjs";

/** @typedef {import("../client.mjs").Client} Client */
/** @typedef {import("./api.mjs").Fate} Fate */

const QUESTIONS = { needs: true, topics: true, ongoing: false, about: true, relation: false, talked: false, safe: false };

const LONGEST_SHOWN = 4 * 3_600_000; // milliseconds that the words of a code are shown
const LOOK = 5_000;

class Entrance {
  /** @param {Client} client @param {HTMLFormElement} form */
  constructor(client, form) {
    this.client = client;
    this.form = form;
    this.warned = false;
    this.underWay = false;
  }

  /** Look at the cards, while it is tested whether this browser can seal; return a sentence to show. */
  async look() {
    return "";
  }

  /** Begin, because this browser can seal. */
  begin() {}

  /** Nobody is there. */
  idle() {}

  /** Switch the language without the typed text, because posting the form would show it to the server. @param {HTMLButtonElement} button */
  switchLanguage(button) {
    const typed = [...this.form.querySelectorAll("textarea")].some((field) => field.value.trim());
    if (typed && !this.warned) {
      this.warned = true;
      tell(say("sealed.switch"));
      return;
    }
    window.location.assign(button.formAction);
  }

  /** Do the work with the form locked, and show any error. @param {string} doing @param {() => Promise<void>} work */
  async locked(doing, work) {
    lock(this.form, true);
    tell(say(doing));
    try {
      await work();
    } catch (error) {
      if (this.underWay) {
        tell(say("sealed.perhaps_message"));
        return;
      }
      lock(this.form, false);
      tell(problem(error));
    }
  }
}

export class ReportForm extends Entrance {
  prepared = false;

  /**
   * Show the names that are on the cards, whatever the page said. The cards are fetched at once, so
   * that no request shows when somebody begins to type.
   */
  async look() {
    try {
      await this.client.takeSite();
      const names = await this.client.ask("names");
      const name = names[chosenIn(this.form)];
      return !showNames(this.form, names) && name ? say("conversation.write_help", { counsellor: name }) : "";
    } catch {
      return ""; // it is asked again, and any error is shown, when the report is sent
    }
  }

  begin() {
    this.form.addEventListener("input", () => this.prepare());
    this.prepare();
  }

  /** Let the worker draw the code and derive its keys while the report is being written. */
  prepare() {
    if (this.prepared || this.client.busy || !textIn(this.form).trim()) return;
    this.prepared = true;
    this.client.ask("prepare", { words: this.client.given.words }).catch(() => {
      this.prepared = false; // then it takes longer when the report is sent
    });
  }

  /** Nobody is there: forget the keys of a code that was not used. The text stays. */
  idle() {
    if (!this.prepared || this.client.busy || this.underWay) return;
    this.prepared = false;
    this.client.ask("wipe");
  }

  /** Seal and send the report. Show its code once the report has arrived, or may have. */
  async send() {
    const data = new FormData(this.form);
    const text = textIn(this.form);
    const chosen = chosenIn(this.form);
    if (!text.trim()) return tell(say("errors.text_missing"));
    if (!chosen) return tell(say("errors.wanted_missing"));
    const answers = answersOf(data);
    await this.locked("sealed.sending", async () => {
      await this.client.takeSite();
      const { lang, given } = this.client;
      this.prepared = false; // the code is used for this report only
      const known = await this.client.ask("names");
      const report = await this.client.ask("report", { lang, words: given.words, text, answers, wanted: [chosen] });
      this.underWay = true;
      // The report may arrive from now on, and only this page has its code.
      this.openWaysOut = closeWaysOut();
      this.letGo = keepPage(() => this.client.conversation.stop());
      const fate = await api.deliver(report.token, report);
      // Any other result leaves it possible that the report arrived. Then only its code opens it.
      if (fate.fate === "refused") return this.unsent(fate);
      this.form.reset();
      const page = new CodePage(this.client, { ...report, text }, answers.safe === "no", this.letGo);
      await page.show(fate, chosen, known[chosen]);
    });
    return undefined;
  }

  /** It is certain that nothing was sent. The code is useless, and the text is kept. @param {Fate} fate */
  async unsent(fate) {
    this.underWay = false;
    this.letGo?.();
    this.openWaysOut?.();
    await this.client.ask("wipe");
    lock(this.form, false);
    tell(unsent(fate));
  }
}

/** The page with the words of the code, until they have been written down. */
class CodePage {
  /** @param {Client} client @param {any} report @param {boolean} unsafe Whether the person does not feel safe. @param {() => void} letGo Ends keepPage. */
  constructor(client, report, unsafe, letGo) {
    this.client = client;
    this.letGo = letGo;
    this.report = report;
    this.unsafe = unsafe;
  }

  /** @param {Fate} fate @param {string} chosen The counsellor, in hex. @param {string} counsellor The name on the card. */
  show(fate, chosen, counsellor) {
    const { client, report } = this;
    client.conversation.begin(report.token);
    show("sealed-code");
    const list = document.querySelector("main ol.code");
    for (const word of report.words) list?.append(Object.assign(document.createElement("li"), { textContent: word }));
    const [unsafe, safe] = [slot("unsafe"), slot("safe")];
    if (unsafe && this.unsafe) unsafe.hidden = false;
    if (this.unsafe) safe?.remove();
    for (const key of ["holders", "received"]) fill(document, key, say(`code.${key}`, { counsellor }));
    fill(document, "absence", absenceOf(chosen, "alone"));
    if (isAway(chosen)) slot("when")?.remove();
    this.title = document.querySelector("main h1")?.textContent ?? "";
    onSubmit(part("try"), () => this.compare());
    onSubmit(part("kept"), () => this.goOn());
    onPress("retry", () => this.again());
    return this.told(fate);
  }

  /** Show whether the report has arrived. Until that is known, it can be sent again. @param {Fate} fate */
  async told({ fate }) {
    this.perhaps = fate !== "taken";
    const retry = slot("retry");
    if (retry) retry.hidden = !this.perhaps;
    part("retry").disabled = false;
    // The text may never arrive, for example if the site is full, so the person can still copy it.
    const kept = slot("unsure");
    const field = kept?.querySelector("textarea");
    if (kept) kept.hidden = !this.perhaps;
    const next = slot("next");
    if (next) next.hidden = this.perhaps;
    if (field) field.value = this.perhaps ? this.report.text : "";
    const title = document.querySelector("main h1");
    if (title) title.textContent = this.perhaps ? say("sealed.perhaps_title") : String(this.title);
    const known = this.asked ? say("sealed.arrived") : "";
    tell(this.perhaps ? say("sealed.perhaps") : known);
    if (this.perhaps) return;
    await this.client.ask("sent", this.report);
    this.report.sealed = null;
    this.report.text = "";
  }

  async again() {
    tell(say("sealed.sending"));
    part("retry").disabled = true;
    this.asked = true;
    await this.told(await api.arrived(this.report.token, this.report));
  }

  async compare() {
    const typed = part("try").elements.typed.value;
    if (!typed.trim()) return tell(say("errors.typed_missing"));
    try {
      const { right, wrong } = await this.client.ask("compare", { typed });
      const which = listed(wrong.map(String));
      if (right) tell(say("code.right"));
      else tell(wrong.length ? say("errors.typed_wrong", { which }, wrong.length) : say("errors.typed_order"));
    } catch (error) {
      tell(problem(error));
    }
    return undefined;
  }

  async goOn() {
    if (!part("kept").elements.kept.checked) return tell(say("errors.confirm_code"));
    if (this.perhaps) return tell(say("sealed.perhaps"));
    const typed = part("try");
    // Until the conversation is shown, this page stays, and the words can be compared.
    if (!(await this.client.conversation.open())) return undefined;
    this.letGo();
    typed.reset(); // it is no longer shown, but the script still holds it
    return this.client.ask("moveOn");
  }
}

/**
 * Keep this page, because only this page has the words. The Back button returns here, pulling down
 * on a phone does not reload, and a reload or closing asks for confirmation. "Leave quickly" works
 * at once, because it hides the page first. After four hours the page ends, as the plain one does.
 * Return a function that ends this.
 * @param {() => void} end
 */
function keepPage(end) {
  const root = document.documentElement;
  const stay = () => history.pushState(null, "");
  const ask = (/** @type {BeforeUnloadEvent} */ event) => root.hidden || event.preventDefault();
  stay();
  window.addEventListener("popstate", stay);
  window.addEventListener("beforeunload", ask);
  root.style.overscrollBehavior = "contain";
  const last = Date.now() + LONGEST_SHOWN;
  const timer = setInterval(() => {
    if (Date.now() < last) return;
    letGo();
    end();
  }, LOOK);
  const letGo = () => {
    clearInterval(timer);
    window.removeEventListener("popstate", stay);
    window.removeEventListener("beforeunload", ask);
    root.style.overscrollBehavior = "";
  };
  return letGo;
}

export class ReturnForm extends Entrance {
  /** Derive the keys of the typed code, and open its conversation. */
  async send() {
    const typed = this.form.elements.namedItem("code");
    if (!(typed instanceof HTMLTextAreaElement)) return;
    if (!typed.value.trim()) {
      tell(say("errors.code_missing"));
      return;
    }
    await this.locked("sealed.hashing", async () => {
      await this.client.takeSite();
      const { token } = await this.client.ask("enter", { typed: typed.value });
      if (await this.found(token)) {
        this.form.reset(); // the form is no longer shown, but the script still holds it
        return;
      }
      lock(this.form, false);
      tell(`${say("errors.code_wrong")} ${say("wrong.body")}`);
    });
  }

  /** Open the conversation of a code; return false if there is none. Keys that open nothing are forgotten. @param {string} token */
  async found(token) {
    let found = false;
    try {
      found = await this.client.conversation.enter(token);
    } finally {
      if (!found) await this.client.ask("wipe");
    }
    return found;
  }

  /** Nobody is there: remove the code that was typed. */
  idle() {
    if (!this.client.busy) this.form.reset();
  }
}

/** @param {HTMLFormElement} form */
const textIn = (form) => String(new FormData(form).get("text") ?? "");

/** Return the identity of the chosen counsellor, or of the only one. @param {HTMLFormElement} form */
const chosenIn = (form) => String(new FormData(form).get("counsellor") ?? "");

/** Return the answers to the optional questions of a report. @param {FormData} data */
function answersOf(data) {
  /** @type {{[name: string]: any}} */
  const answers = {};
  for (const [name, several] of Object.entries(QUESTIONS)) {
    const given = data.getAll(name).map(String).filter(Boolean);
    if (given.length) answers[name] = several ? given : given[0];
  }
  return answers;
}
