// The page: its words, its templates, its forms. Whatever is shown is set as text.

const main = () => /** @type {HTMLElement} */ (document.querySelector("main"));

/**
 * Return a sentence of the page's language with its placeholders filled in. `count`: the number on
 * which its form depends, if it does.
 * @param {string} key @param {{[name: string]: unknown}} [values] @param {number} [count]
 */
export function say(key, values = {}, count) {
  const words = /** @type {HTMLTemplateElement} */ (document.getElementById("sealed-words"));
  const found = [...words.content.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)];
  const form = count === undefined ? undefined : new Intl.PluralRules(language()).select(count);
  const fits = found.find((one) => /** @type {HTMLElement} */ (one).dataset.plural === form) ?? found[0];
  return (fits?.textContent ?? "").replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Several things in a row, as the language has it. @param {string[]} things @param {string} [word] The key of the last "and". */
export function listed(things, word = "word.and") {
  const before = things.slice(0, -1).join(", ");
  return before ? `${before} ${say(word)} ${things[things.length - 1]}` : things.join("");
}

/** The language of the page. */
export const language = () => document.documentElement.lang;

/** Return a copy of what a template holds. @param {string} id */
export function copyOf(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  return /** @type {DocumentFragment} */ (template.content.cloneNode(true));
}

/** Show a template in place of the page, and begin to read at its top. @param {string} id */
export function show(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  main().replaceChildren(copyOf(id));
  document.title = template.dataset.title || document.title;
  closeWaysOut();
  main().focus();
  window.scrollTo(0, 0);
}

/** Take everything off the page. */
export const clear = () => main().replaceChildren();

/** @param {string} name @param {ParentNode} [within] @returns {HTMLElement | null} */
export const slot = (name, within = main()) => within.querySelector(`[data-slot="${name}"]`);

/** @param {string} name @returns {any} The form, button or link of this name. */
export const part = (name) => main().querySelector(`[data-seal="${name}"]`);

/** Say something at the page's place for it; nothing if the sentence is empty. @param {string} sentence */
export function tell(sentence) {
  // Not that of a single message, which has one for its own form.
  /** @type {HTMLElement | null} */
  let place = document.getElementById("sealed-status") ?? main().querySelector('[data-slot="status"]:not(article *)');
  if (!place) {
    place = document.createElement("p");
    place.className = "note";
    place.setAttribute("role", "status");
    place.dataset.slot = "status";
    main().prepend(place);
  }
  place.textContent = sentence;
  place.hidden = !sentence;
  if (sentence) place.scrollIntoView({ block: "nearest" });
}

/** Set the text of a slot; without a text it is hidden. @param {ParentNode} within @param {string} name @param {string} text */
export function fill(within, name, text) {
  const place = slot(name, within);
  if (!place) return;
  place.textContent = text;
  place.hidden = !text;
}

/** Add an element that holds a text. @param {ParentNode | null} parent @param {string} tag @param {string} text @param {string} [name] Its class. */
export function add(parent, tag, text, name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  parent?.append(made);
  return made;
}

/** Keep a form as it is while it is sealed and sent. @param {HTMLFormElement} form @param {boolean} locked */
export function lock(form, locked) {
  form.setAttribute("aria-busy", String(locked));
  for (const field of form.elements) {
    if (field instanceof HTMLTextAreaElement) field.readOnly = locked;
    // A hidden button is one that Enter presses in vain: it stays as it is.
    else if (field instanceof HTMLElement && "disabled" in field && !field.hidden) field.disabled = locked;
  }
}

/** Call this whenever the form is sent, instead of sending it. @param {HTMLFormElement | null} form @param {(event: SubmitEvent) => void} then */
export function onSubmit(form, then) {
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    then(event);
  });
}

/** Call this whenever the button of this name is pressed. @param {string} name @param {() => void} then */
export const onPress = (name, then) => part(name)?.addEventListener("click", then);

/** From here on a way to another page would lose what is only here. */
function closeWaysOut() {
  document.querySelector("a.mark")?.removeAttribute("href");
  const ways = document.querySelectorAll("nav.ways [hreflang], nav.ways button, footer a");
  for (const way of ways) way.remove();
}
