// The page of one file: shows it on request, ten pages at a time, and makes a clean copy.
import { Fault, canvasOf, draw, encoded } from "./viewer.js";

const AT_ONCE = 10; // pages that are shown before a button offers more
const MOST_PAGES = 50; // in a copy

const viewer = document.getElementById("viewer");
const words = viewer.dataset;
const file = { kind: words.kind, content: words.content, frame: words.frame };
const said = document.getElementById("said");
const show = document.getElementById("show");
const more = document.getElementById("more");
const pages = document.getElementById("pages");
const copy = document.getElementById("copy");
const copySaid = document.getElementById("copy-said");

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** The reason why a file is not shown, in the person's language. Any error except Fault is our own. */
function reason(error) {
  const name = error instanceof Fault && error.name in words ? error.name : "ours";
  return filled(words[name], error);
}

async function showFrom(from) {
  show.disabled = more.disabled = true;
  said.textContent = words.working;
  let note = "";
  try {
    const to = from + AT_ONCE - 1;
    const count = await draw(file, (number, image, reduced) => {
      const canvas = canvasOf(image);
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", filled(words.nth, { number }));
      pages.append(canvas);
      if (reduced) note = words.reduced;
    }, { from, to });
    said.textContent = `${filled(words.shown, { number: Math.min(to, count), count })} ${note}`;
    show.hidden = true;
    more.hidden = to >= count;
    more.onclick = () => showFrom(to + 1);
  } catch (error) {
    said.textContent = reason(error);
  } finally {
    show.disabled = more.disabled = false;
  }
}

async function keepCopy(event) {
  event.preventDefault();
  const form = new FormData(copy);
  const type = form.get("form") === "png" ? "image/png" : "image/jpeg";
  const button = copy.querySelector("button");
  button.disabled = true;
  copySaid.textContent = words.working;
  try {
    const count = await draw(file, async (number, image) => {
      form.append("page", await encoded(canvasOf(image), type), "page");
      form.append("width", image.width);
      form.append("height", image.height);
    }, { from: 1, to: form.get("form") === "pdf" ? MOST_PAGES : 1 });
    const answer = await fetch(copy.action, { method: "POST", body: form });
    if (!answer.ok) throw new Fault("not_received");
    const { kept, said } = await answer.json();
    const short = kept && count > MOST_PAGES && form.get("form") === "pdf";
    copySaid.textContent = short ? `${said} ${filled(words.first, { number: MOST_PAGES })}` : said;
  } catch (error) {
    copySaid.textContent = reason(error);
  } finally {
    button.disabled = false;
  }
}

show.addEventListener("click", () => showFrom(1));
copy.addEventListener("submit", keepCopy);
