// Says every 15 seconds that this window is open, and whether the person is at work in it; leads
// to the passphrase when the desk has locked itself, so that nothing stays on the screen.
"use strict";
(() => {
  const { ping, unlock, ended } = document.currentScript.dataset;
  const locked = !document.querySelector(".ways");  // the ways stand on pages of an open desk
  let active = false, missed = 0;
  for (const kind of ["keydown", "pointerdown", "wheel", "input"]) {
    addEventListener(kind, () => { active = true; }, { passive: true });
  }
  const say = async () => {
    const body = new URLSearchParams({ active: active ? "1" : "" });
    active = false;
    try {
      const answer = await fetch(ping, { method: "POST", body });
      if (answer.ok && (await answer.json()).locked && !locked) location.replace(unlock);
      missed = 0;
    } catch {
      missed += 1;  // twice: the program has ended
      if (missed === 2 && !locked) close();
    }
  };
  // Leaves only what the person was typing, so that it can be copied.
  const close = () => {
    const typed = [...document.querySelectorAll("main textarea")].filter((one) => one.value);
    const told = document.createElement("p");
    told.textContent = ended;
    told.setAttribute("role", "alert");
    document.querySelector("main").replaceChildren(told, ...typed);
  };
  say();
  setInterval(say, 15000);
})();
