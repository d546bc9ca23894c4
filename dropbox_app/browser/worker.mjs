// The worker: one session, asked by messages {id, ask, given} and answering {id, answer} or
// {id, refused, details}. It asks the network for nothing; when the page ends it, the keys are gone.

import { selfTest } from "./selftest.mjs";
import { Refused, Session } from "./session.mjs";

// Put in by build.mjs: the SHA-256 of each file of words.
/** @type {{[name: string]: string}} */
const lists = /** @type {any} */ (globalThis.WORD_LISTS);

const session = new Session(lists, () => Date.now());

/** @type {{[ask: string]: (given: any) => unknown}} */
const asks = {
  selfTest: () => selfTest(() => performance.now()),
  takeWords: (given) => session.takeWords(given),
  takeSite: (given) => session.takeSite(given),
  report: (given) => session.report(given),
  enter: (given) => session.enter(given),
  compare: (given) => session.compare(given),
  moveOn: () => session.moveOn(),
  read: (given) => session.read(given),
  write: (given) => session.write(given),
  sent: (given) => session.sent(given),
  wipe: () => session.wipe(),
};

globalThis.addEventListener("message", async ({ data }) => {
  const { id, ask, given } = data;
  try {
    postMessage({ id, answer: await asks[ask](given) });
  } catch (error) {
    // Of a fault of the program nothing is told but that it was one: it could hold a text.
    const told = error instanceof Refused ? error : new Refused("fault");
    postMessage({ id, refused: told.name, details: told.details });
  }
});
