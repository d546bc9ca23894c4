// Says every 15 seconds that this window is open, and whether the person is at work in it; leads
// to the passphrase when the desk has locked itself, so that nothing stays on the screen.
"use strict";
(() => {
  const { ping, unlock } = document.currentScript.dataset;
  const locked = !document.querySelector(".ways");  // the ways stand on pages of an open desk
  let active = false;
  for (const kind of ["keydown", "pointerdown", "wheel", "input"]) {
    addEventListener(kind, () => { active = true; }, { passive: true });
  }
  const say = async () => {
    const body = new URLSearchParams({ active: active ? "1" : "" });
    active = false;
    try {
      const answer = await fetch(ping, { method: "POST", body });
      if (answer.ok && (await answer.json()).locked && !locked) location.replace(unlock);
    } catch {
      // The program has ended, or the computer was asleep: the next page says so.
    }
  };
  say();
  setInterval(say, 15000);
})();
