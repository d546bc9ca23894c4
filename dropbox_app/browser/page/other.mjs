// The page for going on with another counsellor, and passing the conversation so far on to that
// counsellor (SPEC section 4, "Changing counsellor").

import { onPress, onSubmit, part, say, show, showNames, slot, tell } from "./dom.mjs";
import { Transfer } from "./transfers.mjs";

/** @typedef {import("./conversation.mjs").Conversation} Conversation */

export class Other {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
  }

  /** Show the page on which another counsellor is chosen. */
  show() {
    const { conversation } = this;
    const { view } = conversation;
    show("sealed-other");
    const form = part("other");
    for (const label of labelsOf(form, view.current)) label?.remove();
    showNames(form, view.named);
    const before = slot("before");
    if (before) before.hidden = !view.earlier;
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

/** Return the labels of the choices of these counsellors. @param {HTMLFormElement} form @param {string[]} counsellors In hex. */
const labelsOf = (form, counsellors) =>
  [...form.querySelectorAll("input")].filter(({ value }) => counsellors.includes(value)).map((one) => one.closest("label"));
