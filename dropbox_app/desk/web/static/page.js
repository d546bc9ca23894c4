// Reports every 15 seconds that this window is open, and whether the person is active in it. If the
// desk has locked automatically, redirects to the passphrase page, so that nothing stays visible.
"use strict";
(() => {
  const { ping, unlock, ended } = document.currentScript.dataset;
  const locked = !document.querySelector(".ways");  // only pages of an open desk have this
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
  // Leaves only the text that the person was typing, so that it can be copied.
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
