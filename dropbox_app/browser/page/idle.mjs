// After 20 minutes without anything being done here, the code is asked for again.

const IDLE = 20 * 60_000; // milliseconds
const LOOK = 5_000;
const SIGNS = ["pointerdown", "keydown", "input", "scroll"];

/** Call `then` each time nothing was done for 20 minutes. @param {() => void} then */
export function whenIdle(then) {
  let last = Date.now();
  const now = () => {
    last = Date.now();
  };
  for (const sign of SIGNS) window.addEventListener(sign, now, { capture: true, passive: true });
  // Looked at by the clock: a timer stands still while a phone sleeps.
  const look = () => {
    if (Date.now() - last < IDLE) return;
    now();
    then();
  };
  setInterval(look, LOOK);
  document.addEventListener("visibilitychange", look);
}
