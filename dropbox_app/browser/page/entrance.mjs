// The two ways in: a report that is written, and a code that is typed.

import * as api from "./api.mjs";
import { listed, lock, onPress, onSubmit, part, say, show, slot, tell } from "./dom.mjs";
import { problem, unsent } from "./problems.mjs";

/** @typedef {import("../client.mjs").Client} Client */
/** @typedef {import("./api.mjs").Fate} Fate */

const QUESTIONS = { needs: true, topics: true, ongoing: false, about: true, relation: false, talked: false, safe: false };

class Entrance {
  /** @param {Client} client @param {HTMLFormElement} form */
  constructor(client, form) {
    this.client = client;
    this.form = form;
    this.warned = false;
    this.underWay = false;
  }

  /** Posting the form would show the server what was typed: the other language begins empty. @param {HTMLButtonElement} button */
  switchLanguage(button) {
    const typed = [...this.form.querySelectorAll("textarea")].some((field) => field.value.trim());
    if (typed && !this.warned) {
      this.warned = true;
      tell(say("sealed.switch"));
      return;
    }
    window.location.assign(button.formAction);
  }

  /** Do the work with the form locked; say what went wrong. @param {string} doing @param {() => Promise<void>} work */
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
  /** Seal and send the report; show its code once it has arrived, or may have. */
  async send() {
    const data = new FormData(this.form);
    const text = String(data.get("text") ?? "");
    const chosen = String(data.get("counsellor") ?? "");
    if (!text.trim()) return tell(say("errors.text_missing"));
    if (!chosen) return tell(say("errors.wanted_missing"));
    const answers = answersOf(data);
    await this.locked("sealed.sending", async () => {
      await this.client.takeSite();
      const { lang, given } = this.client;
      const report = await this.client.ask("report", { lang, words: given.words, text, answers, wanted: [chosen] });
      const { mailbox, access, addressed } = report;
      const opened = await api.openMailbox({ mailbox, access, to: addressed });
      // Without a message no desk sees a mailbox: until here nothing was sent, whatever was lost.
      if (opened.fate !== "taken") return this.unsent(opened);
      this.underWay = true;
      const fate = await api.deliver(report.token, report);
      if (fate.fate !== "taken" && fate.fate !== "unknown") return this.unsent(fate);
      new CodePage(this.client, report, answers.safe === "no").show(fate);
    });
    return undefined;
  }

  /** Nothing was sent, for certain: the code is worth nothing, the text is still there. @param {Fate} fate */
  async unsent({ status }) {
    this.underWay = false;
    await this.client.ask("wipe");
    lock(this.form, false);
    tell(unsent(status));
  }
}

/** The words of the code, until they were written down. */
class CodePage {
  /** @param {Client} client @param {any} report @param {boolean} unsafe Whether the person does not feel safe. */
  constructor(client, report, unsafe) {
    this.client = client;
    this.report = report;
    this.unsafe = unsafe;
  }

  /** @param {Fate} fate */
  show(fate) {
    const { client, report } = this;
    client.conversation.begin(report.token);
    show("sealed-code");
    const list = document.querySelector("main ol.code");
    for (const word of report.words) list?.append(Object.assign(document.createElement("li"), { textContent: word }));
    const [unsafe, safe] = [slot("unsafe"), slot("safe")];
    if (unsafe && this.unsafe) unsafe.hidden = false;
    if (this.unsafe) safe?.remove();
    this.title = document.querySelector("main h1")?.textContent ?? "";
    this.letGo = keepPage();
    onSubmit(part("try"), () => this.compare());
    onSubmit(part("kept"), () => this.goOn());
    onPress("retry", () => this.again());
    this.told(fate);
  }

  /** Say whether the report has arrived; it can be sent again until that is known. @param {Fate} fate */
  async told({ fate }) {
    this.perhaps = fate === "unknown";
    const retry = slot("retry");
    if (retry) retry.hidden = !this.perhaps;
    const title = document.querySelector("main h1");
    if (title) title.textContent = this.perhaps ? say("sealed.perhaps_title") : String(this.title);
    const known = this.asked ? say("sealed.arrived") : "";
    tell(this.perhaps ? say("sealed.perhaps") : known);
    if (this.perhaps) return;
    await this.client.ask("sent", this.report);
    this.report.sealed = null;
  }

  async again() {
    tell(say("sealed.sending"));
    this.asked = true;
    const fate = await api.deliver(this.report.token, this.report);
    if (fate.fate === "taken" || fate.fate === "unknown") return this.told(fate);
    // Refused or gone: it had not arrived, and it does not now.
    const retry = slot("retry");
    if (retry) retry.hidden = true;
    tell(say("errors.unsent"));
    return undefined;
  }

  async compare() {
    const typed = part("try").elements.typed.value;
    if (!typed.trim()) return tell(say("errors.typed_missing"));
    try {
      const { right, wrong } = await this.client.ask("compare", { typed });
      const which = listed(wrong.map(String));
      if (right) tell(`${say("code.right")} ${say("code.confirm_help")}`);
      else tell(wrong.length ? say("errors.typed_wrong", { which }, wrong.length) : say("errors.typed_order"));
    } catch (error) {
      tell(problem(error));
    }
    return undefined;
  }

  async goOn() {
    if (!part("kept").elements.kept.checked) return tell(say("errors.confirm_code"));
    if (this.perhaps) return tell(say("sealed.perhaps"));
    this.letGo?.();
    await this.client.ask("moveOn");
    return this.client.conversation.open();
  }
}

/**
 * Keep this page, which alone has the words: a Back leads here again, a pull at the top of a phone
 * loads nothing, and a reload or a close is asked about. Only "Leave quickly" goes at once: it hides
 * the page first. Return how to end that.
 */
function keepPage() {
  const root = document.documentElement;
  const stay = () => history.pushState(null, "");
  const ask = (/** @type {BeforeUnloadEvent} */ event) => root.hidden || event.preventDefault();
  stay();
  window.addEventListener("popstate", stay);
  window.addEventListener("beforeunload", ask);
  root.style.overscrollBehavior = "contain";
  return () => {
    window.removeEventListener("popstate", stay);
    window.removeEventListener("beforeunload", ask);
    root.style.overscrollBehavior = "";
  };
}

export class ReturnForm extends Entrance {
  /** Derive the keys of the code that was typed, and open its conversation. */
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
      const found = await this.client.conversation.enter(token);
      if (found) return;
      lock(this.form, false);
      tell(say("errors.code_wrong"));
    });
  }
}

/** Return the answers of a report's optional questions. @param {FormData} data */
function answersOf(data) {
  /** @type {{[name: string]: any}} */
  const answers = {};
  for (const [name, several] of Object.entries(QUESTIONS)) {
    const given = data.getAll(name).map(String).filter(Boolean);
    if (given.length) answers[name] = several ? given : given[0];
  }
  return answers;
}
