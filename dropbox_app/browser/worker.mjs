// The worker, with one session. It receives messages {id, ask, given} and answers with {id, answer}
// or {id, refused, details}. It makes no network requests. When the page ends it, the keys are
// gone.

import { selfTest } from "./selftest.mjs";
import { Refused, Session } from "./session.mjs";

// Inserted by build.mjs: the SHA-256 of each word list file.
/** @type {{[name: string]: string}} */
const lists = /** @type {any} */ (globalThis.WORD_LISTS);

const session = new Session(lists, () => Date.now());

/** @type {{[ask: string]: (given: any) => unknown}} */
const asks = {
  selfTest: () => selfTest(() => performance.now()),
  takeWords: (given) => session.takeWords(given),
  takeSite: (given) => session.takeSite(given),
  names: () => session.names(),
  prepare: (given) => session.prepare(given),
  report: (given) => session.report(given),
  enter: (given) => session.enter(given),
  compare: (given) => session.compare(given),
  moveOn: () => session.moveOn(),
  read: (given) => session.read(given),
  write: (given) => session.write(given),
  sent: (given) => session.sent(given),
  sealFiles: (given) => session.files.seal(given),
  filePart: (given) => session.files.part(given),
  sealThread: (given) => session.files.sealThread(given),
  sealedFile: (given) => session.files.sealed(given),
  openFile: (given) => session.files.open(given),
  checkFile: (given) => session.files.check(given),
  openPart: (given) => session.files.push(given),
  openLast: () => session.files.finish(),
  wipe: () => session.wipe(),
};

globalThis.addEventListener("message", async ({ data }) => {
  const { id, ask, given } = data;
  try {
    const answer = /** @type {any} */ (await asks[ask](given));
    // Parts of files are given away, not copied.
    postMessage({ id, answer }, { transfer: answer?.bytes ? [answer.bytes.buffer] : [] });
  } catch (error) {
    // No details of a fault of the program are passed on, because they could contain typed text.
    const told = error instanceof Refused ? error : new Refused("fault");
    postMessage({ id, refused: told.name, details: told.details });
  }
});
