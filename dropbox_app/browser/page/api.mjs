// The reporter API (SPEC section 6). A request either gets a known answer, or its answer is lost.
// Then it is unknown whether the request arrived, and only the server can tell.

import { unpack } from "../protocol/batch.mjs";

const PATIENCE = 60_000; // milliseconds for one request and its answer
const MAX_JSON = 4 * 2 ** 20; // bytes
const MAX_ITEMS = 10_000; // a mailbox has 500 messages, each with at most ten files and a thread
const ID = /^[0-9a-f]{64}$/;
const DAY = /^2[0-9]{3}-[0-9]{2}-[0-9]{2}$/;
/** @type {RequestInit} */
const PLAIN = { cache: "no-store", credentials: "omit", redirect: "error" };
const MOST_IDS = 50; // as many as the server takes in one address
const MAX_BATCH = 2 ** 21; // bytes; the server sends at most half of this

/** @typedef {{status: number, json: any, bytes: Uint8Array}} Answer */
/**
 * What happened to a message: "taken": stored; "behind": others were stored first; "refused":
 * nothing was stored, see the status; "gone": there is no such conversation; "unknown".
 * `full`: the conversation is full, and not the site.
 * @typedef {{fate: "taken" | "behind" | "refused" | "gone" | "unknown", status: number, full?: boolean}} Fate
 */

/** There was no answer, or not one from this server. */
export class Lost extends Error {
  /** @param {number} [status] Of an answer that said nothing about the request. */
  constructor(status = 0) {
    super();
    this.busy = status === 503;
  }
}

/** Return the server's data about the site and its counsellors. */
export async function site() {
  const { status, json } = await ask("GET", "/api/site");
  if (status !== 200 || !json) throw new Lost(status);
  return json;
}

/** @typedef {{sealed: Uint8Array, item: string, query: string, path?: string}} Sealed `path`: of a report. */

/**
 * Send a sealed report, message or withdrawal. If the answer is lost, find out what arrived.
 * @param {string} token @param {Sealed} message @param {"messages" | "withdrawal"} where
 * @returns {Promise<Fate>}
 */
export async function deliver(token, message, where = "messages") {
  const fate = fateOf(await once(() => send(token, message, where)));
  return fate.fate === "unknown" ? arrived(token, message, where) : fate;
}

/**
 * Find out whether a message arrived that was sent before. If it is not listed, send the same bytes
 * once more; the server treats them as the same message. A refusal does not count here, because the
 * message may arrive later or may have arrived: the result is then still unknown.
 * @param {string} token @param {Sealed} message @param {"messages" | "withdrawal"} where
 * @returns {Promise<Fate>}
 */
export async function arrived(token, message, where = "messages") {
  const list = await once(() => ask("GET", "/api/conversation", { token }));
  const gone = isGone(list);
  // Before its report has arrived there is no conversation.
  if (gone && !message.path) return { fate: "gone", status: 404 };
  if (listed(list).some(({ id }) => id === message.item)) return { fate: "taken", status: 200 };
  const unknown = /** @type {Fate} */ ({ fate: "unknown", status: list?.status ?? 0 });
  if (list?.status !== 200 && !gone) return unknown;
  const fate = fateOf(await once(() => send(token, message, where)));
  return fate.fate === "refused" ? unknown : fate;
}

/** @param {string} token @param {Sealed} message @param {"messages" | "withdrawal"} where */
function send(token, { sealed, query, path }, where) {
  return ask("POST", path ?? `/api/conversation/${where}?${query}`, { token, body: sealed, type: "application/octet-stream" });
}

/** Remove everything, if no counsellor can be told. @param {string} token @returns {Promise<Fate>} */
export async function remove(token) {
  return fateOf(await once(() => ask("DELETE", "/api/conversation", { token })));
}

/**
 * Return the list of the conversation; null if there is no such conversation. Throws Lost.
 * @param {string} token
 * @returns {Promise<{expires: string, last_added: string, day: string, items: {id: string, what: string}[]} | null>}
 */
export async function conversation(token) {
  const answer = await ask("GET", "/api/conversation", { token });
  if (isGone(answer)) return null;
  if (answer.status !== 200 || !isList(answer.json)) throw new Lost(answer.status);
  return answer.json;
}

/** Return whether an answer has the form of a conversation's list. @param {any} json */
function isList(json) {
  const days = [json?.day, json?.last_added, json?.expires].every((day) => DAY.test(day) && Date.parse(day));
  return days && Array.isArray(json.items) && json.items.length <= MAX_ITEMS && json.items.every(isItem);
}

/** @param {any} one */
const isItem = (one) => typeof one?.what === "string" && ID.test(one.id);

/**
 * Return the first of these sealed messages, as many as the server sends together; a message that it
 * does not have is empty. Return null if there is no such conversation. Throws Lost.
 * @param {string} token @param {string[]} ids At most MOST_IDS of them are asked for.
 */
export async function items(token, ids) {
  const asked = ids.slice(0, MOST_IDS);
  const answer = await ask("GET", `/api/items?ids=${asked.join(".")}`, { token, most: MAX_BATCH });
  if (isGone(answer)) return null;
  if (answer.status !== 200) throw new Lost(answer.status);
  try {
    return unpack(answer.bytes, asked.length);
  } catch {
    throw new Lost(); // it is not the whole answer, or not one to this question
  }
}

/** Return a word list file. @param {string} address @param {number} attempts */
export async function words(address, attempts) {
  const answer = await once(...Array(attempts).fill(() => ask("GET", address)));
  if (answer?.status !== 200) throw new Lost();
  return new TextDecoder().decode(answer.bytes);
}

/** @param {Answer | null} answer @returns {{id: string}[]} */
const listed = (answer) => (answer?.status === 200 && Array.isArray(answer.json?.items) ? answer.json.items : []);

/** @param {Answer | null} answer @returns {Fate} */
function fateOf(answer) {
  // Any other answer may come from a proxy in front of the program, so it proves nothing.
  const { status = 0, json = null } = answer ?? {};
  if (status === 200 && json && !Object.keys(json).length) return { fate: "taken", status };
  if (status === 409 && Number.isInteger(json?.n)) return { fate: "behind", status };
  if (isGone(answer)) return { fate: "gone", status };
  const refused = status >= 400 && json?.refused === "other";
  return { fate: refused ? "refused" : "unknown", status, full: json?.full === "mailbox" };
}

/** Return whether a response to `get` says that there is no such item. @param {Response} response */
export async function saysGone(response) {
  if (response.status !== 404) return false;
  const bytes = await atMost(response, MAX_JSON);
  return isGone({ status: response.status, json: jsonOf(response, bytes), bytes });
}

/** Return whether the program itself says that there is no such conversation or item. @param {Answer | null} answer */
const isGone = (answer) => answer?.status === 404 && answer.json?.refused === "gone";

/** Try these in turn until one is answered; null if none is. @param {...(() => Promise<Answer>)} tries */
async function once(...tries) {
  for (const attempt of tries) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
    }
  }
  return null;
}

/** Fetch an address whose answer is read elsewhere. @param {string} path @param {string} token @param {AbortSignal} signal */
export const get = (path, token, signal) => fetch(path, { ...PLAIN, headers: { Authorization: `Bearer ${token}` }, signal });

/**
 * Send a request and read its answer. Throws Lost.
 * @param {string} method @param {string} path
 * @param {{token?: string, body?: Uint8Array, type?: string, most?: number, patience?: number, signal?: AbortSignal}} [options]
 * @returns {Promise<Answer>}
 */
export async function ask(method, path, { token, body, type, most = MAX_JSON, patience = PATIENCE, signal } = {}) {
  /** @type {{[name: string]: string}} */
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (type) headers["Content-Type"] = type;
  // AbortSignal.any is missing in browsers that can otherwise seal.
  const late = new AbortController();
  const end = () => late.abort();
  const timer = setTimeout(end, patience);
  signal?.addEventListener("abort", end);
  try {
    const response = await fetch(path, {
      ...PLAIN,
      method,
      headers,
      body: /** @type {BodyInit | undefined} */ (body),
      signal: late.signal,
    });
    const bytes = await atMost(response, most);
    return { status: response.status, json: jsonOf(response, bytes), bytes };
  } catch {
    throw new Lost(); // whatever the cause, the result of the request is unknown
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  }
}

/** Read an answer of at most `most` bytes; it could be endless. Throws Lost. @param {Response} response @param {number} most */
async function atMost(response, most) {
  const parts = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined };
    if (done || !value) break;
    length += value.length;
    if (length > most) {
      await reader?.cancel();
      throw new Lost();
    }
    parts.push(value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** @param {Response} response @param {Uint8Array} bytes */
function jsonOf(response, bytes) {
  if (!response.headers.get("Content-Type")?.startsWith("application/json")) return null;
  const value = JSON.parse(new TextDecoder().decode(bytes));
  return typeof value === "object" ? value : null;
}
