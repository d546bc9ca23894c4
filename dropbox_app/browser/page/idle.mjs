// After 20 minutes of inactivity on this page, ask for the code again.

const IDLE = 20 * 60_000; // milliseconds
const LOOK = 5_000;
// Not "scroll": the page also scrolls by itself, to show a sentence.
const SIGNS = ["pointerdown", "keydown", "input", "wheel"];

/**
 * Call `then` after every 20 minutes of inactivity. It returns whether it could do its work; if not,
 * it is soon called again.
 * @param {() => boolean} then
 */
export function whenIdle(then) {
  let last = Date.now();
  const now = () => {
    last = Date.now();
  };
  for (const sign of SIGNS) window.addEventListener(sign, now, { capture: true, passive: true });
  // The clock is compared, because a timer stops while a phone sleeps.
  const look = () => {
    if (Date.now() - last < IDLE) return;
    if (then()) now();
  };
  setInterval(look, LOOK);
  document.addEventListener("visibilitychange", look);
}
