// The page's connection to the worker. Ending the worker destroys the keys.

/** The worker returned an error. `name` and `details` are those of Refused in session.mjs. */
export class Refused extends Error {
  /** @param {string} name @param {any} details */
  constructor(name, details) {
    super(name);
    this.name = name;
    this.details = details ?? {};
  }
}

export class Helper {
  /** @param {string} address The worker's script on this site. */
  constructor(address) {
    this.worker = new Worker(trusted(address));
    this.asked = 0;
    this.ended = false;
    /** @type {Map<number, {resolve: (answer: any) => void, reject: (error: Error) => void}>} */
    this.waiting = new Map();
    this.worker.addEventListener("message", ({ data }) => {
      const waiting = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.refused) waiting?.reject(new Refused(data.refused, data.details));
      else waiting?.resolve(data.answer);
    });
    this.worker.addEventListener("error", () => this.end());
  }

  /** Ask the worker to do something; see worker.mjs. Bytes are given away, not copied. @param {string} ask @param {any} [given] @returns {Promise<any>} */
  ask(ask, given) {
    if (this.ended) return Promise.reject(new Refused("ended", {}));
    return new Promise((resolve, reject) => {
      const id = ++this.asked;
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, ask, given }, given?.bytes ? [given.bytes.buffer] : []);
    });
  }

  /** End the worker. Its memory and the keys in it are gone. */
  end() {
    this.ended = true;
    this.worker.terminate();
    for (const { reject } of this.waiting.values()) reject(new Refused("ended", {}));
    this.waiting.clear();
  }
}

/** Name the script's address in the form that the policy requires. Only this address is allowed. @param {string} address */
function trusted(address) {
  if (!window.trustedTypes) return address;
  const policy = window.trustedTypes.createPolicy("klankbord", {
    createScriptURL: (url) => {
      if (url !== address) throw new TypeError("no such script");
      return url;
    },
  });
  return /** @type {string} */ (/** @type {unknown} */ (policy.createScriptURL(address)));
}
