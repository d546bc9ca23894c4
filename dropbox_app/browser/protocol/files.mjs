// Attachments of any size, sealed and opened piece by piece (SPEC sections 4 and 6): an age file
// with the content and its padding. Only one part is in memory at a time.

import { Encrypter } from "age-encryption";
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";

import { openHeader } from "./age.mjs";
import { hex, join, sha256Hex, utf8 } from "./encoding.mjs";
import { OpenError } from "./errors.mjs";
import { release } from "./memory.mjs";
import { attachmentSize } from "./padding.mjs";

export const FILE_PART = 4 * 2 ** 20; // bytes of a sealed file that are sent at once
const CHUNK = 65_536;
const TAG = 16;
const NONCE = 16;
const LONGEST_START = 16_384; // bytes: more than any header that the server accepts

/** The file on the device is no longer what it was when sealing began. */
export class FileChanged extends Error {}

/** @param {Uint8Array} fileKey @param {Uint8Array} nonce */
const payloadKey = (fileKey, nonce) => hkdf(sha256, fileKey, nonce, utf8("payload"), 32);

/** Return the nonce of a chunk. @param {number} counter @param {boolean} last */
function chunkNonce(counter, last) {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setUint32(7, counter); // a file has fewer than 2^32 chunks
  nonce[11] = Number(last);
  return nonce;
}

/** Return a SHA-256 in hex, without using this thread if the browser can hash by itself. @param {Uint8Array} bytes */
async function digestOf(bytes) {
  // It is missing where the browser does not regard an onion address as secure.
  if (!globalThis.crypto.subtle) return sha256Hex(bytes);
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", /** @type {BufferSource} */ (bytes))));
}

/** Make the header of an age file with a new file key. @param {readonly string[]} recipients */
async function newHeader(recipients) {
  const encrypter = new Encrypter();
  let fileKey = new Uint8Array();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  // The package does not return the file key, but shows it to a recipient. This one adds nothing.
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = key.slice();
      return [];
    },
  });
  const sealed = await encrypter.encrypt(new Uint8Array());
  return { fileKey, header: sealed.slice(0, sealed.length - NONCE - TAG) };
}

/**
 * A file being sealed. Its parts can be made in any order and again, with the same bytes, as long as
 * the file on the device stays the same.
 */
export class FileSealer {
  /** @param {Blob} file @param {Uint8Array} header @param {Uint8Array} fileKey @param {Uint8Array} nonce Never used before with this key. */
  constructor(file, header, fileKey, nonce) {
    this.file = file;
    this.size = file.size;
    this.start = join(header, nonce);
    this.key = payloadKey(fileKey, nonce);
    this.chunks = Math.ceil(attachmentSize(this.size) / CHUNK);
    this.length = this.start.length + attachmentSize(this.size) + TAG * this.chunks;
    this.parts = Math.ceil(this.length / FILE_PART);
    /** @type {string[]} */
    this.digests = [];
    this.hash = sha256.create();
    /** @type {{index: number, sealed: Uint8Array} | null} The chunk in which a part ended. */
    this.edge = null;
    // Each chunk is sealed here first: the cipher is slower at other than whole words' addresses.
    this.scratch = new Uint8Array(CHUNK + TAG);
    /** @type {Promise<unknown>} The part that is being made; the next one waits for it. */
    this.turn = Promise.resolve();
  }

  /** @param {Blob} file @param {readonly string[]} recipients */
  static async of(file, recipients) {
    const { fileKey, header } = await newHeader(recipients);
    return new FileSealer(file, header, fileKey, crypto.getRandomValues(new Uint8Array(NONCE)));
  }

  /**
   * Return a part and its SHA-256. The first time the parts must be made in order. Throws
   * FileChanged, also instead of sealing anything else under the key of a part.
   * @param {number} number From 0.
   */
  part(number) {
    const made = this.turn.then(() => this.make(number));
    this.turn = made.catch(() => {}); // whoever asked for it is told
    return made;
  }

  /** @param {number} number */
  async make(number) {
    const from = number * FILE_PART;
    const bytes = await this.range(from, Math.min(from + FILE_PART, this.length));
    const hashing = digestOf(bytes);
    const isNew = number === this.digests.length;
    const hash = isNew ? this.hash.clone().update(bytes) : this.hash; // meanwhile
    const digest = await hashing;
    if (isNew) {
      this.hash = hash;
      this.digests.push(digest);
    } else if (this.digests[number] !== digest) {
      throw new FileChanged();
    }
    return { bytes, digest };
  }

  /** Return the id of the sealed file, once every part was made. */
  item() {
    if (this.digests.length !== this.parts) throw new Error("not every part was made");
    return hex(this.hash.clone().digest());
  }

  /** Return these bytes of the sealed file. @param {number} from @param {number} to */
  async range(from, to) {
    const made = new Uint8Array(to - from);
    const put = (/** @type {Uint8Array} */ bytes, /** @type {number} */ at) => {
      const skipped = Math.max(0, from - at);
      made.set(bytes.subarray(skipped, Math.max(skipped, to - at)), at + skipped - from);
    };
    if (from < this.start.length) put(this.start, 0);
    const chunkAt = (/** @type {number} */ index) => this.start.length + index * (CHUNK + TAG);
    const first = Math.max(0, Math.floor((from - this.start.length) / (CHUNK + TAG)));
    const past = Math.min(this.chunks, Math.ceil((to - this.start.length) / (CHUNK + TAG)));
    const content = await this.content(first * CHUNK, past * CHUNK);
    for (let index = first; index < past; index++) {
      const plaintext = content.subarray((index - first) * CHUNK, (index - first + 1) * CHUNK);
      put(this.chunk(index, plaintext), chunkAt(index));
      const outside = chunkAt(index) < from || chunkAt(index) + plaintext.length + TAG > to;
      // The next part begins within this chunk, and a chunk is sealed once.
      if (outside && this.edge?.index !== index) this.edge = { index, sealed: this.scratch.slice(0, plaintext.length + TAG) };
    }
    release(content);
    return made;
  }

  /** Return a sealed chunk, until the next one is sealed. @param {number} index @param {Uint8Array} plaintext */
  chunk(index, plaintext) {
    if (this.edge?.index === index) return this.edge.sealed;
    const nonce = chunkNonce(index, index === this.chunks - 1);
    return chacha20poly1305(this.key, nonce).encrypt(plaintext, this.scratch.subarray(0, plaintext.length + TAG));
  }

  /** Return these bytes of the content with its padding. @param {number} from @param {number} to */
  async content(from, to) {
    const length = Math.min(to, attachmentSize(this.size)) - from;
    const wanted = Math.max(0, Math.min(to, this.size) - from);
    if (!wanted) return new Uint8Array(length);
    let read;
    try {
      read = new Uint8Array(await this.file.slice(from, from + wanted).arrayBuffer());
    } catch {
      throw new FileChanged(); // changed, removed, or not readable any more
    }
    if (read.length !== wanted || this.file.size !== this.size) throw new FileChanged();
    if (wanted === length) return read;
    const padded = new Uint8Array(length);
    padded.set(read);
    release(read);
    return padded;
  }

  wipe() {
    this.key.fill(0);
  }
}

/**
 * A sealed file being opened. What `push` returns may be given to the person only after `finish`:
 * only the end shows that the file is the one that was signed.
 */
export class FileOpener {
  /** @param {{sha256: string, size: number}} attachment @param {string} identity `AGE-SECRET-KEY-PQ-1…` */
  constructor({ sha256: item, size }, identity) {
    this.item = item;
    this.size = size;
    this.identity = identity;
    this.hash = sha256.create();
    this.held = new Uint8Array();
    /** @type {Uint8Array | null} */
    this.key = null;
    this.counter = 0;
    this.opened = 0; // bytes of content and padding
  }

  /** Return the next bytes of the content. Throws OpenError. @param {Uint8Array} bytes */
  async push(bytes) {
    this.hash.update(bytes);
    const held = this.held;
    this.held = join(held, bytes);
    for (const read of [held, bytes]) release(read);
    if (!this.key && this.held.length < LONGEST_START) return new Uint8Array();
    return this.open(false);
  }

  /** Return the last bytes of the content. Throws OpenError unless the file is exactly the signed one. */
  async finish() {
    const content = await this.open(true);
    if (hex(this.hash.digest()) !== this.item || this.opened !== attachmentSize(this.size)) {
      throw new OpenError("payload");
    }
    return content;
  }

  /** @param {boolean} ended */
  async open(ended) {
    if (!this.key) await this.begin();
    const key = /** @type {Uint8Array} */ (this.key);
    const pieces = [];
    let at = 0;
    // The last chunk has another nonce, so a whole chunk waits until something follows it.
    for (; this.held.length - at > CHUNK + TAG; at += CHUNK + TAG) {
      pieces.push(this.chunk(key, this.held.subarray(at, at + CHUNK + TAG), false));
    }
    if (ended) pieces.push(this.chunk(key, this.held.subarray(at), true));
    this.held = ended ? new Uint8Array() : this.held.slice(at);
    return join(...pieces);
  }

  async begin() {
    const { fileKey, length } = await openHeader(this.held, this.identity);
    if (this.held.length < length + NONCE) throw new OpenError("header");
    this.key = payloadKey(fileKey, this.held.subarray(length, length + NONCE));
    this.held = this.held.slice(length + NONCE);
  }

  /** Open a chunk; return what is content in it. @param {Uint8Array} key @param {Uint8Array} sealed @param {boolean} last */
  chunk(key, sealed, last) {
    let plaintext;
    try {
      plaintext = chacha20poly1305(key, chunkNonce(this.counter, last)).decrypt(sealed);
    } catch {
      throw new OpenError("payload");
    }
    if (this.counter && !plaintext.length) throw new OpenError("payload"); // as age does
    const inside = Math.max(0, Math.min(plaintext.length, this.size - this.opened));
    this.counter++;
    this.opened += plaintext.length;
    // Another length would not be the signed file, and an endless one would fill the memory.
    if (this.opened > attachmentSize(this.size) || plaintext.subarray(inside).some(Boolean)) {
      throw new OpenError("payload");
    }
    return plaintext.subarray(0, inside);
  }

  wipe() {
    this.key?.fill(0);
  }
}
