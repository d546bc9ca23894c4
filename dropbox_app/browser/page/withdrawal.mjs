// The page that asks before everything is withdrawn, and the withdrawal.

import * as api from "./api.mjs";
import { fill, lock, onPress, onSubmit, part, say, show, tell } from "./dom.mjs";
import { names, upper } from "./people.mjs";
import { problem } from "./problems.mjs";

/** @typedef {import("./api.mjs").Fate} Fate */
/** @typedef {import("./conversation.mjs").Conversation} Conversation */

const TRIES = 6; // each failure means that another message of this reporter was stored

export class Withdrawal {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
  }

  /** Show who would be told, according to the current conversation. */
  async begin() {
    const { conversation } = this;
    if (conversation.view.refused !== "stale" && !conversation.client.isOutdated()) return this.ask();
    try {
      await this.takeCards();
      if (!(await conversation.load(() => this.ask()))) conversation.gone();
    } catch (error) {
      tell(problem(error, "sealed.network"));
    }
    return undefined;
  }

  /** Fetch the cards again. A withdrawal does not depend on them, so any error is ignored. */
  takeCards() {
    return this.conversation.client.takeSite().catch(() => {}); // then the cards that are here are used
  }

  ask() {
    const { view } = this.conversation;
    show("sealed-withdraw");
    const tellOf = (/** @type {string} */ name, /** @type {string} */ key, /** @type {string[]} */ who) =>
      fill(document, name, upper(who.length ? say(key, { counsellor: names(who, view) }, who.length) : ""));
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
      return sure ? this.send(form) : undefined;
    });
    onPress("back", () => this.conversation.showPage());
  }

  /** Withdraw everything, even if no counsellor can be told today. @param {HTMLFormElement} form */
  async send(form) {
    const { conversation } = this;
    const { client } = conversation;
    lock(form, true);
    tell(say("sealed.sending"));
    conversation.busy = true;
    let fate;
    try {
      if (client.isOutdated()) {
        const told = conversation.view.to.join();
        await this.takeCards();
        if (!(await conversation.load(() => {}))) return conversation.gone();
        if (conversation.view.to.join() !== told) return this.ask(); // which names them
      }
      fate = await this.result();
    } catch (error) {
      tell(problem(error));
      lock(form, false);
      return undefined;
    } finally {
      conversation.busy = false;
    }
    if (fate.fate === "behind") {
      // A message that nobody can open has the next number. The page first says that nobody is told.
      conversation.view = { ...conversation.view, refused: "withheld" };
      this.ask();
      return tell(say("withdraw.nobody_told"));
    }
    // If the conversation is gone, it was withdrawn, now or earlier.
    if (fate.fate === "taken" || fate.fate === "gone") {
      client.helper?.end();
      conversation.forget();
      show("sealed-withdrawn");
      return undefined;
    }
    tell(say(fate.fate === "unknown" ? "sealed.network" : "errors.unsent"));
    lock(form, false);
    return undefined;
  }

  /** Send the withdrawal; return what became of it. @returns {Promise<Fate>} */
  async result() {
    const { client, token, view } = this.conversation;
    if (view.refused === "withheld") return api.remove(token);
    for (let attempt = 1; ; attempt++) {
      let message;
      try {
        message = await client.ask("write", { lang: client.lang, kind: "withdrawal", body: {} });
      } catch (error) {
        if (!["nobody", "withheld"].includes(/** @type {Error} */ (error).message)) throw error;
        return api.remove(token);
      }
      const fate = await api.deliver(token, message, "withdrawal");
      if (fate.fate !== "behind" || attempt === TRIES) return fate;
      if (!(await this.conversation.load(() => {}))) return { fate: "gone", status: 404 };
    }
  }
}
