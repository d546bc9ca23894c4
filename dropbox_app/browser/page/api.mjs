// The reporter API (SPEC section 6). A request ends in a known answer, or its answer is lost: then
// nobody knows whether it arrived, and only the server can be asked.

const PATIENCE = 60_000; // milliseconds for one request and its answer
const MAX_JSON = 4 * 2 ** 20; // bytes
const MAX_ITEMS = 10_000; // a mailbox has 500 messages, each with ten files and a thread at most
const ID = /^[0-9a-f]{64}$/;
const DAY = /^2[0-9]{3}-[0-9]{2}-[0-9]{2}$/;
const MAX_ITEM = 2 ** 18; // bytes; the largest sealed message has some 140,000

/** @typedef {{status: number, json: any, bytes: Uint8Array}} Answer */
/**
 * What became of a message: "taken"; "behind", others were stored first; "refused", with the status,
 * and nothing was stored; "gone", there is no such conversation; "unknown".
 * @typedef {{fate: "taken" | "behind" | "refused" | "gone" | "unknown", status: number}} Fate
 */

/** The answer did not come, or is none of this server's. */
export class Lost extends Error {}

/** Return what the server says of the site and its counsellors. */
export async function site() {
  const { status, json } = await ask("GET", "/api/site");
  if (status !== 200 || !json) throw new Lost();
  return json;
}

/**
 * Open a mailbox that no desk sees. Doing it again changes nothing.
 * @param {{mailbox: string, access: string, to: string[]}} report @returns {Promise<Fate>}
 */
export async function openMailbox({ mailbox, access, to }) {
  // A JSON line of the protocol: the keys in their order.
  const body = new TextEncoder().encode(JSON.stringify({ access, mailbox, to }));
  const send = () => ask("POST", "/api/reports", { body, type: "application/json" });
  return fateOf(await once(send, send));
}

/**
 * Send a sealed message, or a withdrawal. If the answer is lost, ask once what arrived, and send the
 * same bytes once more: that is the same message to the server.
 * @param {string} token @param {{sealed: Uint8Array, item: string, query: string}} message
 * @param {"messages" | "withdrawal"} where @returns {Promise<Fate>}
 */
export async function deliver(token, { sealed, item, query }, where = "messages") {
  const path = `/api/conversation/${where}?${query}`;
  const send = () => ask("POST", path, { token, body: sealed, type: "application/octet-stream" });
  const fate = fateOf(await once(send));
  if (fate.fate !== "unknown") return fate;
  const arrived = await once(() => ask("GET", "/api/conversation", { token }));
  if (arrived?.status === 404) return { fate: "gone", status: 404 };
  if (listed(arrived).some(({ id }) => id === item)) return { fate: "taken", status: 200 };
  return arrived?.status === 200 ? fateOf(await once(send)) : fate;
}

/** Remove everything, where nobody can be told. @param {string} token @returns {Promise<Fate>} */
export async function remove(token) {
  return fateOf(await once(() => ask("DELETE", "/api/conversation", { token })));
}

/**
 * Return the conversation's list; null if there is no such conversation. Throws Lost.
 * @param {string} token
 * @returns {Promise<{expires: string, last_added: string, day: string, items: {id: string, what: string}[]} | null>}
 */
export async function conversation(token) {
  const answer = await ask("GET", "/api/conversation", { token });
  if (answer.status === 404) return null;
  if (answer.status !== 200 || !isList(answer.json)) throw new Lost();
  return answer.json;
}

/** Return whether an answer has the form of a conversation's list. @param {any} json */
function isList(json) {
  const days = [json?.day, json?.last_added, json?.expires].every((day) => DAY.test(day));
  return days && Array.isArray(json.items) && json.items.length <= MAX_ITEMS && json.items.every(isItem);
}

/** @param {any} one */
const isItem = (one) => typeof one?.what === "string" && ID.test(one.id);

/** Return a sealed item; null if the server has no such one. @param {string} token @param {string} id */
export async function item(token, id) {
  const answer = await ask("GET", `/api/items/${id}`, { token, most: MAX_ITEM });
  if (answer.status === 404) return null;
  if (answer.status !== 200) throw new Lost();
  return answer.bytes;
}

/** Return a file of words. @param {string} address */
export async function words(address) {
  const { status, bytes } = await ask("GET", address);
  if (status !== 200) throw new Lost();
  return new TextDecoder().decode(bytes);
}

/** @param {Answer | null} answer @returns {{id: string}[]} */
const listed = (answer) => (answer?.status === 200 && Array.isArray(answer.json?.items) ? answer.json.items : []);

/** @param {Answer | null} answer @returns {Fate} */
function fateOf(answer) {
  // An answer that is not the program's own comes from what is in front: it says nothing for sure.
  if (!answer?.json) return { fate: "unknown", status: answer?.status ?? 0 };
  const { status } = answer;
  if (status === 200) return { fate: "taken", status };
  if (status === 409) return { fate: "behind", status };
  if (status === 404) return { fate: "gone", status };
  return { fate: (status >= 400 && status < 500) || [503, 507].includes(status) ? "refused" : "unknown", status };
}

/** Try these one after the other until an answer comes; null if none does. @param {...(() => Promise<Answer>)} tries */
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

/**
 * @param {string} method @param {string} path
 * @param {{token?: string, body?: Uint8Array, type?: string, most?: number}} [options]
 * @returns {Promise<Answer>}
 */
async function ask(method, path, { token, body, type, most = MAX_JSON } = {}) {
  /** @type {{[name: string]: string}} */
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (type) headers["Content-Type"] = type;
  try {
    const response = await fetch(path, {
      method,
      headers,
      body: /** @type {BodyInit | undefined} */ (body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      signal: AbortSignal.timeout(PATIENCE),
    });
    const bytes = await atMost(response, most);
    return { status: response.status, json: jsonOf(response, bytes), bytes };
  } catch {
    throw new Lost(); // whatever kept the answer away: nothing is known of what was asked
  }
}

/** Read an answer that may be endless. @param {Response} response @param {number} most */
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
