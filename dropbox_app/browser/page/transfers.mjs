// Sealed files on their way: parts that are sent, and a file that is fetched. A break costs what was
// just on its way; the rest goes on where it stopped.

import * as api from "./api.mjs";

const { Lost } = api;

const WAITS = [1, 2, 5, 10, 20]; // seconds after a break, before the next attempt
const PATIENCE = 600_000; // milliseconds for one part; a slow line needs minutes for it
const STALLED = 60_000; // milliseconds without any byte of a file that is fetched
const PIECE = 2 ** 20; // bytes that are opened at once
const JOINS = 3; // attempts; each sends the parts again that the server no longer has

/** Sending or fetching ended for good. `key`: the sentence that says why. */
export class Failed extends Error {
  /** @param {string} key */
  constructor(key) {
    super(key);
    this.key = key;
  }
}

/** The person stopped it. */
export class Stopped extends Error {}

export class Transfer {
  /** @param {string} token @param {() => void} waiting Called when the line broke and an attempt follows. */
  constructor(token, waiting) {
    this.token = token;
    this.waiting = waiting;
    this.ended = new AbortController();
  }

  stop() {
    this.ended.abort();
  }

  check() {
    if (this.ended.signal.aborted) throw new Stopped();
  }

  /** Do this until it is answered. Throws Lost when it was tried often enough. @template T @param {() => Promise<T>} work @returns {Promise<T>} */
  async steadily(work) {
    for (const seconds of [...WAITS, 0]) {
      this.check();
      try {
        return await work();
      } catch (error) {
        this.check();
        if (!(error instanceof Lost) || !seconds) throw error;
      }
      this.waiting();
      await this.pause(seconds);
    }
    throw new Lost();
  }

  /** @param {number} seconds */
  pause(seconds) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.ended.signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve(undefined);
      });
    });
  }

  /** Send a part. Repeating it changes nothing. @param {string} digest @param {Uint8Array} bytes */
  putPart(digest, bytes) {
    return this.steadily(() => this.ask("PUT", `/api/files/parts/${digest}`, bytes, "application/octet-stream"));
  }

  /**
   * Join a file from its parts. `again` sends a part that the server does not have.
   * @param {{item: string, parts: string[]}} file @param {(number: number) => Promise<void>} again
   */
  async join({ item, parts }, again) {
    const body = new TextEncoder().encode(JSON.stringify({ parts }));
    for (let attempt = 0; attempt < JOINS; attempt++) {
      const { missing } = await this.steadily(() => this.ask("POST", `/api/files/${item}`, body, "application/json"));
      if (!Array.isArray(missing)) throw new Failed("files.broken");
      if (!missing.length) return;
      for (const number of parts.keys()) if (missing.includes(parts[number])) await again(number);
    }
    throw new Failed("files.broken");
  }

  /** @param {string} method @param {string} path @param {Uint8Array} body @param {string} type */
  async ask(method, path, body, type) {
    const { signal } = this.ended;
    const { status, json } = await api.ask(method, path, { token: this.token, body, type, patience: PATIENCE, signal });
    if (status === 200 && json) return json;
    if (status === 404 && json?.refused === "gone") throw new Failed("gone");
    // Without `refused` it came from something in front of the program, which may soon let it pass.
    if (status === 503 || json?.refused !== "other") throw new Lost();
    if (status !== 507) throw new Failed("files.broken");
    throw new Failed(json.full === "mailbox" ? "files.mailbox_full" : "files.full");
  }

  /** Fetch a sealed file, and pass it on in pieces. @param {string} item @param {(bytes: Uint8Array) => Promise<void>} take */
  async fetch(item, take) {
    let from = 0;
    const taken = async (/** @type {Uint8Array} */ bytes) => {
      from += bytes.length; // before they are given away
      await take(bytes);
    };
    await this.steadily(() => this.fetchFrom(item, () => from, taken));
  }

  /** @param {string} item @param {() => number} from @param {(bytes: Uint8Array) => Promise<void>} take */
  async fetchFrom(item, from, take) {
    const stalled = new AbortController();
    const stop = () => stalled.abort();
    this.ended.signal.addEventListener("abort", stop);
    let timer = setTimeout(stop, STALLED);
    try {
      const response = await api.get(`/api/files/${item}?from=${from()}`, this.token, stalled.signal);
      if (await api.saysGone(response)) throw new Failed("files.lost");
      const reader = response.body?.getReader();
      if (response.status !== 200 || !reader) throw new Lost();
      const end = from() + Number(response.headers.get("Content-Length"));
      let piece = new Uint8Array(PIECE);
      let held = 0;
      for (;;) {
        const { done, value = new Uint8Array() } = await reader.read();
        clearTimeout(timer);
        timer = setTimeout(stop, STALLED);
        for (let at = 0; at < value.length; ) {
          const more = value.subarray(at, at + PIECE - held);
          piece.set(more, held);
          at += more.length;
          held += more.length;
          if (held < PIECE) continue;
          await take(piece);
          [piece, held] = [new Uint8Array(PIECE), 0];
        }
        if (done) break;
      }
      if (held) await take(piece.slice(0, held));
      if (from() < end) throw new Lost();
    } catch (error) {
      // Errors of the line have other names in each browser.
      const broken = [TypeError, DOMException, SyntaxError].some((kind) => error instanceof kind);
      throw broken ? new Lost() : error;
    } finally {
      clearTimeout(timer);
      this.ended.signal.removeEventListener("abort", stop);
    }
  }
}
