// The page on which files are chosen and sent, and the files that a counsellor sent.

import { fill, lock, onPress, onSubmit, part, say, show, slot, tell } from "./dom.mjs";
import { Lost } from "./api.mjs";
import { Refused } from "./helper.mjs";
import { names } from "./people.mjs";
import { problem } from "./problems.mjs";
import { release } from "../protocol/memory.mjs";
import { Failed, Stopped, Transfer } from "./transfers.mjs";

/** @typedef {import("./conversation.mjs").Conversation} Conversation */
/** @typedef {{file: number, number: number, bytes: Uint8Array, digest: string}} Part A sealed part of a file. */

const SPOKEN = 10; // percent between two sentences on the progress, which a screen reader reads out
const KEPT = 60_000; // milliseconds that the browser has to save an opened file

export class Files {
  /** @param {Conversation} conversation */
  constructor(conversation) {
    this.conversation = conversation;
    /** @type {Transfer | null} */
    this.transfer = null;
    /** @type {string[][]} The parts of each file that have arrived, by their number. */
    this.arrived = [];
  }

  /** Show the page on which files are chosen. */
  show() {
    const { conversation } = this;
    show("sealed-files");
    const form = part("files");
    this.showWho();
    form.elements.text.value = conversation.draft;
    form.elements.text.addEventListener("input", () => {
      conversation.draft = form.elements.text.value;
    });
    onSubmit(form, () => this.send(form));
    onPress("back", () => conversation.showPage());
    onPress("stop-files", () => this.stop());
    onPress("retry", () => conversation.again());
  }

  stop() {
    this.transfer?.stop();
  }

  /** Seal and send the chosen files, then the message that names them. @param {HTMLFormElement} form */
  async send(form) {
    const { conversation } = this;
    const chosen = /** @type {HTMLInputElement} */ (form.elements.namedItem("files")).files ?? [];
    const files = [...chosen];
    const text = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("text")).value;
    if (!files.length && !text.trim()) return tell(say("files.none"));
    const wrong = refusal(files, form);
    if (wrong) return tell(wrong);
    if (conversation.busy) return conversation.saysBusy();
    const message = { kind: "message", body: { text } };
    if (conversation.pending) return conversation.waitFor(form);
    if (!files.length) return conversation.send(message, form);
    if (!(await this.upload(files, form))) return undefined;
    await conversation.send({ ...message, files: true }, form);
    const back = part("back");
    if (!back) return undefined; // the message was sent, and the page shows the conversation
    back.disabled = false;
    this.showWho(); // who it goes to may have changed
    return undefined;
  }

  showWho() {
    const { view } = this.conversation;
    fill(document, "who", say("files.who", { counsellor: names(view.to, view) }));
  }

  /** Send the files; return whether all of them arrived. @param {File[]} files @param {HTMLFormElement} form */
  async upload(files, form) {
    const { conversation } = this;
    const transfer = new Transfer(conversation.token, () => tell(say("sealed.file_waiting")));
    this.transfer = transfer;
    conversation.busy = true;
    lock(form, true);
    part("back").disabled = true;
    window.addEventListener("beforeunload", askFirst);
    try {
      if (!(await conversation.upToDate(conversation.view.to.join()))) return false;
      await this.sendAll(files, transfer);
      return true;
    } catch (error) {
      if (conversation.token !== transfer.token) return false; // the page was left meanwhile
      if (error instanceof Failed && error.key === "gone") {
        conversation.gone();
        return false;
      }
      this.ended(error);
      lock(form, false);
      part("back").disabled = false;
      return false;
    } finally {
      window.removeEventListener("beforeunload", askFirst);
      conversation.busy = false;
      this.transfer = null;
      this.showProgress(null);
    }
  }

  /** Say why the files did not arrive. @param {unknown} error */
  ended(error) {
    if (error instanceof Stopped) return tell(say("sealed.file_stopped"));
    if (error instanceof Failed) return tell(say(error.key));
    if (error instanceof Lost) return tell(say("sealed.file_stuck"));
    return tell(problem(error, "files.broken"));
  }

  /** @param {File[]} files @param {Transfer} transfer */
  async sendAll(files, transfer) {
    const { client } = this.conversation;
    tell(say("sealed.sending"));
    const begun = await client.ask("sealFiles", { files, unnamed: say("files.unnamed") });
    if (!begun.same) this.arrived = files.map(() => []);
    const parts = begun.files.flatMap((/** @type {{parts: number}} */ { parts }, /** @type {number} */ file) =>
      Array.from({ length: parts }, (_, number) => ({ file, number, percent: Math.floor(((number + 1) / parts) * 100) })),
    );
    let spoken = -SPOKEN;
    let next = this.seal(parts[0]);
    for (const [at, { file, percent }] of parts.entries()) {
      const made = await next;
      // The next part is sealed while this one is sent.
      next = this.seal(parts[at + 1]);
      if (made) await this.sendPart(made, transfer);
      this.showProgress((at + 1) / parts.length);
      if (Math.abs(percent - spoken) < SPOKEN && percent !== 100) continue;
      spoken = percent;
      tell(say("sealed.file_part", { number: file + 1, count: files.length, percent }));
    }
    await this.join(transfer);
  }

  /** Let the server join the files. Those that it has joined before stay as they are. @param {Transfer} transfer */
  async join(transfer) {
    for (const file of this.arrived.keys()) {
      const sealed = await this.conversation.client.ask("sealedFile", { file });
      await transfer.join(sealed, async (number) => {
        await this.sendPart(await this.part(file, number), transfer);
      });
    }
    transfer.check();
  }

  /** Another message was stored first, and the server removed these files with it. */
  joinAgain() {
    return this.join(new Transfer(this.conversation.token, () => tell(say("sealed.file_waiting"))));
  }

  /**
   * Seal a part, unless there is none or it has arrived. Why it failed is told to whoever waits for it.
   * @param {{file: number, number: number} | undefined} part
   */
  seal(part) {
    if (!part || this.arrived[part.file][part.number]) return Promise.resolve(null);
    const made = this.part(part.file, part.number);
    made.catch(() => {});
    return made;
  }

  /** @param {number} file @param {number} number @returns {Promise<Part>} */
  async part(file, number) {
    return { file, number, ...(await this.conversation.client.ask("filePart", { file, number })) };
  }

  /** @param {Part} part @param {Transfer} transfer */
  async sendPart({ file, number, bytes, digest }, transfer) {
    await transfer.putPart(digest, bytes);
    this.arrived[file][number] = digest;
    release(bytes);
  }

  /** @param {number | null} part From 0 to 1; null hides it. */
  showProgress(part) {
    for (const name of ["progress-line", "stop"]) {
      const place = slot(name);
      if (place) place.hidden = part === null;
    }
    const bar = slot("progress");
    if (bar instanceof HTMLProgressElement) bar.value = part ?? 0;
  }

  /** Fetch and open a counsellor's file, and let the browser save it. @param {{item: string, size: number}} file */
  async save({ item, size }) {
    const { conversation } = this;
    if (conversation.busy) return;
    const { client, token } = conversation;
    const transfer = new Transfer(token, () => tell(say("sealed.file_waiting")));
    this.transfer = transfer;
    conversation.busy = true;
    try {
      tell(say("sealed.file_opening", { percent: 0 }));
      const { name } = await client.ask("openFile", { item, unnamed: say("files.unnamed") });
      /** @type {Blob[]} */
      const pieces = [];
      let [opened, spoken] = [0, 0];
      await transfer.fetch(item, async (bytes) => {
        const { bytes: content } = await client.ask("openPart", { bytes });
        // The browser keeps a Blob itself, so this page need not hold the whole file.
        pieces.push(new Blob([content]));
        opened += content.length;
        release(content);
        const percent = size ? Math.floor((opened / size) * 100) : 100;
        if (percent - spoken < SPOKEN) return;
        spoken = percent;
        tell(say("sealed.file_opening", { percent }));
      });
      const { bytes: end } = await client.ask("openLast");
      transfer.check();
      give(new Blob([...pieces, end], { type: "application/octet-stream" }), name);
      tell(say("sealed.file_saved"));
    } catch (error) {
      if (error instanceof Stopped || conversation.token !== token) return;
      if (error instanceof Failed) tell(say(error.key));
      else tell(error instanceof Refused || error instanceof Lost ? problem(error, "sealed.network") : say("sealed.network"));
    } finally {
      conversation.busy = false;
      this.transfer = null;
    }
  }
}

/** Return why these files cannot be sent; "" if they can. @param {File[]} files @param {HTMLFormElement} form */
function refusal(files, form) {
  const { most, largest, size = "" } = form.dataset;
  if (files.length > Number(most)) return say("files.many", { count: most, size }, Number(most));
  const large = files.find((file) => file.size > Number(largest));
  return large ? say("files.large", { name: large.name, size }) : "";
}

/** Ask before the page is left. "Leave quickly" works at once, because it hides the page first. @param {BeforeUnloadEvent} event */
function askFirst(event) {
  if (!document.documentElement.hidden) event.preventDefault();
}

/** Let the browser save a file. @param {Blob} file @param {string} name */
function give(file, name) {
  const address = URL.createObjectURL(file);
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), KEPT);
}
