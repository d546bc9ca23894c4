// The page: its sentences, templates and forms. Everything is inserted as text.

import { numberIn } from "./numbers.mjs";

const main = () => /** @type {HTMLElement} */ (document.querySelector("main"));

/**
 * Return a sentence in the page's language with its placeholders filled in. `count`: the number
 * that determines its plural form, if any.
 * @param {string} key @param {{[name: string]: unknown}} [values] @param {number} [count]
 */
export function say(key, values = {}, count) {
  const words = /** @type {HTMLTemplateElement} */ (document.getElementById("sealed-words"));
  const found = [...words.content.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)];
  const form = count === undefined ? undefined : new Intl.PluralRules(language()).select(count);
  const fits = found.find((one) => /** @type {HTMLElement} */ (one).dataset.plural === form) ?? found[0];
  return (fits?.textContent ?? "").replace(/\{(\w+)\}/g, (whole, name) => (name in values ? written(values[name]) : whole));
}

/** Return a list of things as a phrase in the page's language. @param {string[]} things @param {string} [word] The key of the last "and". */
export function listed(things, word = "word.and") {
  const before = things.slice(0, -1).join(isRightToLeft() ? "\u060c " : ", ");
  // In Arabic, "and" is joined to the next word and "or" is a separate word.
  const gap = isRightToLeft() && word === "word.and" ? "" : " ";
  return before ? `${before} ${say(word)}${gap}${things[things.length - 1]}` : things.join("");
}

const isRightToLeft = () => document.documentElement.dir === "rtl";

/** Return a value in a sentence. Names and telephone numbers keep their own direction. @param {unknown} value */
function written(value) {
  if (typeof value === "number") return numberIn(value);
  return isRightToLeft() ? `\u2068${value}\u2069` : String(value);
}

/** Return the language of the page. */
export const language = () => document.documentElement.lang;

/** Return a copy of the contents of a template. @param {string} id */
export function copyOf(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  return /** @type {DocumentFragment} */ (template.content.cloneNode(true));
}

/** Replace the page by a template, and scroll to its top. @param {string} id */
export function show(id) {
  const template = /** @type {HTMLTemplateElement} */ (document.getElementById(id));
  main().replaceChildren(copyOf(id));
  document.title = template.dataset.title || document.title;
  document.body.className = template.dataset.page ?? "";
  closeWaysOut();
  main().focus();
  window.scrollTo(0, 0);
}

/** Remove everything from the page. */
export const clear = () => main().replaceChildren();

/** @param {string} name @param {ParentNode} [within] @returns {HTMLElement | null} */
export const slot = (name, within = main()) => within.querySelector(`[data-slot="${name}"]`);

/** @param {string} name @returns {any} The form, button or link of this name. */
export const part = (name) => main().querySelector(`[data-seal="${name}"]`);

/** Show a message in its place on the page; nothing if the sentence is empty. @param {string} sentence */
export function tell(sentence) {
  // The place for the page's messages, not the one that belongs to a message's own form.
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

/** Keep the message that is now shown on the page with a form. Later ones are shown below it. */
export function keepTold() {
  const place = document.getElementById("sealed-status");
  const next = /** @type {HTMLElement | undefined} */ (place?.cloneNode());
  if (!place || !next) return;
  next.hidden = true;
  place.removeAttribute("id");
  place.after(next);
}

/**
 * Beside each choice of a counsellor, show the name that is on the card. Return whether there is a
 * choice. Whoever has no card under exactly this identity cannot be chosen.
 * @param {HTMLFormElement} form @param {{[identity: string]: string}} names By identity in hex.
 */
export function showNames(form, names) {
  const radios = [...form.querySelectorAll("input")].filter(({ name, type }) => name === "counsellor" && type === "radio");
  for (const radio of radios) {
    const place = radio.closest("label")?.querySelector("bdi");
    const known = Boolean(place) && Object.hasOwn(names, radio.value);
    if (place && known) place.textContent = names[radio.value];
    radio.toggleAttribute("data-no-card", !known);
    radio.disabled = !known;
  }
  return radios.length > 0;
}

/** Set the text of a slot. Without text the slot is hidden. @param {ParentNode} within @param {string} name @param {string} text */
export function fill(within, name, text) {
  const place = slot(name, within);
  if (!place) return;
  place.textContent = text;
  place.hidden = !text;
}

/** Add an element with this text. @param {ParentNode | null} parent @param {string} tag @param {string} text @param {string} [name] Its class. */
export function add(parent, tag, text, name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  parent?.append(made);
  return made;
}

/** Lock a form while it is sealed and sent. @param {HTMLFormElement} form @param {boolean} locked */
export function lock(form, locked) {
  form.setAttribute("aria-busy", String(locked));
  for (const field of form.elements) {
    if (field instanceof HTMLTextAreaElement) field.readOnly = locked;
    // A hidden button disables sending with Enter, so it is not changed.
    else if (field instanceof HTMLElement && "disabled" in field && !field.hidden) field.disabled = locked || field.hasAttribute("data-no-card");
  }
}

/** Call this function instead of sending the form. @param {HTMLFormElement | null} form @param {(event: SubmitEvent) => void} then */
export function onSubmit(form, then) {
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    then(event);
  });
}

/** Call this function whenever the button with this name is pressed. @param {string} name @param {() => void} then */
export const onPress = (name, then) => part(name)?.addEventListener("click", then);

/**
 * Remove the links to other pages, because leaving would lose data that exists only here. Return a
 * function that puts them back.
 */
export function closeWaysOut() {
  const mark = document.querySelector("a.mark");
  const home = mark?.getAttribute("href");
  mark?.removeAttribute("href");
  const places = [...document.querySelectorAll("nav.ways [hreflang], nav.ways button, footer a")].map((way) => {
    const place = document.createComment("");
    way.replaceWith(place);
    return { way, place };
  });
  return () => {
    if (home) mark?.setAttribute("href", home);
    for (const { way, place } of places) place.replaceWith(way);
  };
}
