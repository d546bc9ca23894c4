// The files of one session: those being sealed for the next message, and the one being opened.

import { OpenError } from "./protocol/errors.mjs";
import { cleanName, cleanType, savedName } from "./protocol/file_names.mjs";
import { FileChanged, FileOpener, FileSealer } from "./protocol/files.mjs";
import { identityText } from "./protocol/keys.mjs";
import { genuine } from "./protocol/thread.mjs";
import { Refused } from "./session.mjs";

/** @typedef {import("./session.mjs").Session} Session */
/** @typedef {import("./protocol/messages.mjs").Attachment} Attachment */
/** @typedef {{sealer: FileSealer, name: string, type: string, looks: string}} Sealed */

export class SessionFiles {
  /** @param {Session} session */
  constructor(session) {
    this.session = session;
    /** @type {Sealed[]} */
    this.sealing = [];
    /** @type {string[]} The keys to which these are sealed. */
    this.recipients = [];
    /** @type {FileOpener | null} */
    this.opener = null;
  }

  /**
   * Begin to seal files for the next message; return how long each will be, and in how many parts.
   * If they are those of the last time, for the same counsellors, it goes on with them.
   * @param {{files: File[], unnamed: string}} given
   */
  async seal({ files, unnamed }) {
    const recipients = this.session.recipients(this.session.chosen({ kind: "message" }));
    const looks = files.map(({ name, size, type, lastModified }) => JSON.stringify([name, size, type, lastModified]));
    const same = looks.join() === this.sealing.map((one) => one.looks).join() && recipients.join() === this.recipients.join();
    if (!same) {
      this.forget();
      for (const [at, file] of files.entries()) {
        const sealer = await FileSealer.of(file, recipients);
        this.sealing.push({ sealer, name: cleanName(file.name, unnamed), type: cleanType(file.type), looks: looks[at] });
      }
      this.recipients = recipients;
    }
    return { same, files: this.sealing.map(({ sealer: { length, parts } }) => ({ length, parts })) };
  }

  /** Return a part of a sealed file, and its id. @param {{file: number, number: number}} given */
  async part({ file, number }) {
    try {
      return await this.sealing[file].sealer.part(number);
    } catch (error) {
      if (!(error instanceof FileChanged)) throw error;
      const { name } = this.sealing[file];
      this.forget();
      throw new Refused("file_changed", { name });
    }
  }

  /** Return the id of a file of which every part was made, and the ids of its parts. @param {{file: number}} given */
  sealed({ file }) {
    const { sealer } = this.sealing[file];
    return { item: sealer.item(), parts: sealer.digests };
  }

  /**
   * Return what the message says of its files. Refused if they are not sealed to these keys.
   * @param {string[]} recipients @returns {Attachment[]}
   */
  attachments(recipients) {
    if (recipients.join() !== this.recipients.join()) {
      this.forget();
      throw new Refused("moved");
    }
    return this.sealing.map(({ sealer, name, type }) => ({ sha256: sealer.item(), name, type, size: sealer.size }));
  }

  /** Begin to open a file that a genuine message of a counsellor names. @param {{item: string, unnamed: string}} given */
  open({ item, unnamed }) {
    const { thread } = this.session;
    if (!thread) throw new Refused("locked");
    const known = genuine(thread).flatMap(({ by, attachments }) => (by === "reporter" ? [] : attachments));
    const attachment = known.find(({ sha256 }) => sha256 === item);
    if (!attachment) throw new Refused("file_lost");
    this.opener?.wipe();
    this.opener = new FileOpener(attachment, identityText(this.session.known().reply));
    return { name: savedName(attachment.name, unnamed) };
  }

  /** Return what the next bytes of the file say. @param {{bytes: Uint8Array}} given */
  push({ bytes }) {
    return this.opening((opener) => opener.push(bytes));
  }

  /** Return the end of the file. Refused unless it is whole, and the one that was signed. */
  async finish() {
    const end = await this.opening((opener) => opener.finish());
    this.opener?.wipe();
    this.opener = null;
    return end;
  }

  /** @param {(opener: FileOpener) => Promise<Uint8Array>} work */
  async opening(work) {
    if (!this.opener) throw new Refused("locked");
    try {
      return { bytes: await work(this.opener) };
    } catch (error) {
      throw error instanceof OpenError ? new Refused("file_broken") : error;
    }
  }

  /** Forget the files of the next message. */
  forget() {
    for (const { sealer } of this.sealing) sealer.wipe();
    this.sealing = [];
    this.recipients = [];
  }

  wipe() {
    this.forget();
    this.opener?.wipe();
    this.opener = null;
  }
}
