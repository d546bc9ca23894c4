// The files of one session: those being sealed for the next message, and the one being opened.

import { sha256 } from "@noble/hashes/sha2.js";

import { hex } from "./protocol/encoding.mjs";
import { OpenError } from "./protocol/errors.mjs";
import { cleanName, cleanType, savedName } from "./protocol/file_names.mjs";
import { FileChanged, FileOpener, FileSealer } from "./protocol/files.mjs";
import { identityText } from "./protocol/keys.mjs";
import { REPORTER } from "./protocol/messages.mjs";
import { genuine, writePassedOn } from "./protocol/thread.mjs";
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
    /** @type {{item: string, recipients: string[]} | null} The thread that is passed on. */
    this.passedOn = null;
    /** @type {FileOpener | FileChecker | null} */
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

  /**
   * Seal the thread so far for these counsellors; return its id and parts. Return null if the
   * newest message went to them, because then they have it.
   * @param {{wanted: string[]}} given In hex.
   */
  async sealThread({ wanted: given }) {
    const wanted = this.session.chosen({ kind: "message", wanted: given });
    const { thread } = this.session;
    this.forget();
    if (!thread || wanted.join() === thread.newest.get(REPORTER)?.wanted.join()) return null;
    const recipients = this.session.recipients(wanted);
    const sealer = await FileSealer.of(new Blob([writePassedOn(thread)]), recipients);
    const parts = [];
    for (let number = 0; number < sealer.parts; number++) parts.push(await sealer.part(number));
    sealer.wipe();
    this.passedOn = { item: sealer.item(), recipients };
    return { item: sealer.item(), parts };
  }

  /** Return the id of the thread that is passed on, if any. Refused if it is not sealed to these keys. @param {string[]} recipients */
  thread(recipients) {
    if (this.passedOn && recipients.join() !== this.passedOn.recipients.join()) {
      this.forget();
      throw new Refused("moved");
    }
    return this.passedOn?.item ?? null;
  }

  /** Begin to open a file that a genuine message of a counsellor names. @param {{item: string, unnamed: string}} given */
  open({ item, unnamed }) {
    const attachment = this.named(item, false);
    this.opener?.wipe();
    this.opener = new FileOpener(attachment, identityText(this.session.known().reply));
    return { name: savedName(attachment.name, unnamed) };
  }

  /** Begin to compare a file with the one that the reporter's own message names. @param {{item: string}} given */
  check({ item }) {
    const { sha256: own } = this.named(item, true);
    this.opener?.wipe();
    this.opener = new FileChecker(own);
  }

  /** Return what a genuine message says of a file. @param {string} item @param {boolean} mine Whether the message is the reporter's. */
  named(item, mine) {
    const { thread } = this.session;
    if (!thread) throw new Refused("locked");
    const known = genuine(thread).flatMap(({ by, attachments }) => ((by === REPORTER) === mine ? attachments : []));
    const attachment = known.find((one) => one.sha256 === item);
    if (!attachment) throw new Refused("file_lost");
    return attachment;
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

  /** @param {(opener: FileOpener | FileChecker) => Promise<Uint8Array>} work */
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
    this.passedOn = null;
  }

  wipe() {
    this.forget();
    this.opener?.wipe();
    this.opener = null;
  }
}

/** Compares a file with its id without opening it. */
class FileChecker {
  /** @param {string} item */
  constructor(item) {
    this.item = item;
    this.hash = sha256.create();
  }

  /** @param {Uint8Array} bytes */
  async push(bytes) {
    this.hash.update(bytes);
    return new Uint8Array();
  }

  async finish() {
    if (hex(this.hash.digest()) !== this.item) throw new OpenError("payload");
    return new Uint8Array();
  }

  wipe() {}
}
