// The page for going on with another counsellor, and passing the conversation so far on to that
// counsellor (SPEC section 4, "Changing counsellor").

import { copyOf, onPress, onSubmit, part, say, show, showNames, slot, tell } from "./dom.mjs";
import { Transfer } from "./transfers.mjs";

/** @typedef {import("./conversation.mjs").Conversation} Conversation */

export class Other {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
  }

  /**
   * Show the page on which another counsellor is chosen. `asker`: the one who is already chosen
   * there, in hex; `text`: what is proposed to write.
   * @param {{asker?: string, text?: string}} [proposed]
   */
  show({ asker, text: proposal } = {}) {
    const { conversation } = this;
    const { view } = conversation;
    show("sealed-other");
    const form = part("other");
    for (const radio of radiosOf(form)) if (!view.others.includes(radio.value)) radio.closest("label")?.remove();
    for (const radio of radiosOf(form)) radio.checked = radio.value === asker;
    showNames(form, view.named);
    const before = slot("before");
    if (before) before.hidden = !view.earlier;
    if (proposal) conversation.draft = [conversation.draft, proposal].filter(Boolean).join("\n\n");
    form.elements.text.value = conversation.draft;
    form.elements.text.addEventListener("input", () => {
      conversation.draft = form.elements.text.value;
    });
    onPress("back", () => conversation.showPage());
    onPress("withdraw", () => conversation.withdrawal.begin());
    onSubmit(form, () => {
      const given = new FormData(form);
      const wanted = String(given.get("counsellor") ?? "");
      const text = form.elements.text.value;
      if (!wanted) return tell(say("errors.wanted_missing"));
      if (!text.trim()) return tell(say("errors.text_missing"));
      const passOn = given.has("along");
      return conversation.send({ kind: "message", body: { text }, wanted: [wanted], passOn }, form);
    });
  }

  /**
   * Seal and send the thread so far, for the message that names it. Counsellors who have it already
   * do not get it again.
   * @param {string[]} wanted
   */
  async passOn(wanted) {
    const { conversation } = this;
    const thread = await conversation.client.ask("sealThread", { wanted });
    if (!thread) return;
    const transfer = new Transfer(conversation.token, () => tell(say("sealed.file_waiting")));
    conversation.files.transfer = transfer; // so that it stops if the page is left
    part("back").disabled = true;
    const digests = thread.parts.map((/** @type {any} */ { digest }) => digest);
    const sendPart = (/** @type {number} */ number) => transfer.putPart(digests[number], thread.parts[number].bytes);
    try {
      for (const number of digests.keys()) await sendPart(number);
      await transfer.join({ item: thread.item, parts: digests }, sendPart);
      transfer.check();
    } finally {
      conversation.files.transfer = null;
      const back = part("back");
      if (back) back.disabled = false;
    }
  }
}

/** Return whether there is anybody else to write to. @param {any} view */
export function hasOthers(view) {
  if (!document.getElementById("sealed-other")) return false;
  return radiosOf(copyOf("sealed-other")).some(({ value }) => view.others.includes(value));
}

/** @param {ParentNode} within */
const radiosOf = (within) =>
  [...within.querySelectorAll("input")].filter(({ name, type }) => name === "counsellor" && type === "radio");
