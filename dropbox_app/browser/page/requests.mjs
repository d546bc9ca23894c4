// Questions of a counsellor that can be answered on the page: a request for consent, and options.

import { copyOf, fill, onSubmit, say, slot, tell } from "./dom.mjs";
import { callsFor, names, upper } from "./people.mjs";

/**
 * What can be done with a message: send something, save a file, check an own file, write to an
 * earlier counsellor.
 * @typedef {{send: (message: any, form: HTMLFormElement) => unknown, save: (file: any) => void,
 *   check: (file: any) => void, turnTo: (proposed: {asker: string, text: string}) => void}} Acts
 */

/** Return whether a request still waits for an answer. @param {any} request */
export const isOpen = ({ chosen, reachable, said }) => chosen && reachable && ["", "tell-me-more"].includes(said);

/** Return the end of the ids that belong to a request. @param {any} request */
const endOf = ({ digest }) => digest.slice(0, 12);

/** Return the address of the answer to a request, on this page. @param {any} request */
export const answerAt = (request) => `#sealed-answer-${endOf(request)}`;

/** Show a counsellor's request for consent, with the form for the answer. @param {any} line @param {any} view @param {Acts} acts */
export function requestElement(line, view, acts) {
  const { request } = line;
  const counsellor = names([line.by], view);
  const copy = copyOf("sealed-consent");
  for (const name of ["step", "with", "scope"]) {
    fill(copy, name, request[name]);
    slot(name, copy)?.setAttribute("lang", line.lang);
  }
  for (const name of ["title", "step", "scope"]) fill(copy, `about-${name}`, say(`consent.${name}`, { counsellor }));
  const successor = request.successor ? names([request.successor], view) : "";
  const key = successor ? "consent.successor" : "consent.successor_unknown";
  fill(copy, "successor", request.handover ? say(key, { successor, counsellor }) : "");
  const kept = partsOf(request, copy, counsellor, acts);
  for (const name of ["change", "take-back"]) if (!kept.includes(name)) slot(name, copy)?.remove();
  const form = /** @type {HTMLFormElement | null} */ (copy.querySelector("[data-seal=consent]"));
  if (!form) return copy;
  if (!kept.includes("answer")) form.remove();
  else prepareAnswer(form, request, acts, view.remarks);
  if (kept.includes("change")) slot("change", copy)?.append(form);
  return copy;
}

/**
 * Say why a request cannot be answered now, or return the parts with which it can be.
 * @param {any} request @param {DocumentFragment} copy @param {string} counsellor @param {Acts} acts
 */
function partsOf(request, copy, counsellor, acts) {
  const { said, chosen, reachable, asker } = request;
  const form = /** @type {HTMLFormElement | null} */ (copy.querySelector("[data-seal=take-back]"));
  const withdrawn = { kind: "consent-answer", body: { request: request.digest, answer: "withdrawn" } };
  onSubmit(form, () => form && acts.send(withdrawn, form));
  if (chosen && !reachable) fill(copy, "why", upper(say("consent.unreachable", { counsellor })));
  // An answer goes to the chosen counsellors, so this one must be chosen again first.
  if (!chosen && said === "yes" && !request.handover) {
    fill(copy, "why", say(reachable ? "consent.stands" : "consent.stands_closed", { counsellor }));
    const turn = /** @type {HTMLButtonElement} */ (copy.querySelector("[data-seal=turn]"));
    turn.textContent = say("consent.stands_go", { counsellor });
    if (reachable) slot("turn", copy)?.removeAttribute("hidden");
    turn.addEventListener("click", () => acts.turnTo({ asker, text: say("consent.stands_text", { step: request.step }) }));
    if (!reachable) slot("call", copy)?.append(...callsFor([asker]));
  }
  if (!chosen || !reachable) return [];
  if (said === "yes") return ["take-back"];
  // An earlier request for more information also counts as an answer.
  return said ? ["answer", "change"] : ["answer"];
}

/** @param {HTMLFormElement} form @param {any} request @param {Acts} acts @param {Map<string, string>} remarks */
function prepareAnswer(form, request, acts, remarks) {
  const field = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("remark"));
  field.value = remarks.get(request.digest) ?? "";
  field.addEventListener("input", () => remarks.set(request.digest, field.value));
  // Otherwise the ids of the template would occur once for each request.
  for (const one of form.querySelectorAll("[id], [for], [aria-describedby]")) {
    for (const name of ["id", "for", "aria-describedby"]) {
      const value = one.getAttribute(name);
      if (value) one.setAttribute(name, `${value}-${endOf(request)}`);
    }
  }
  onSubmit(form, () => {
    const data = new FormData(form);
    const given = String(data.get("answer") ?? "");
    const remark = String(data.get("remark") ?? "").trim();
    const place = form.closest("article");
    if (place) fill(place, "status", given ? "" : say("errors.answer_missing"));
    if (!given && place) slot("status", place)?.scrollIntoView({ block: "nearest" });
    if (!given) return undefined;
    const text = remark ? { text: remark } : {};
    return acts.send({ kind: "consent-answer", body: { request: request.digest, answer: given, ...text } }, form);
  });
}

/** Return the form with which one of a counsellor's options can be chosen. @param {any} line @param {Acts} acts */
export function optionsForm(line, acts) {
  const copy = copyOf("sealed-options");
  const form = /** @type {HTMLFormElement} */ (copy.querySelector("form"));
  for (const { title } of line.options) {
    const choice = copyOf("sealed-option");
    const radio = choice.querySelector("input");
    if (radio) radio.value = say("options.chosen", { option: title });
    fill(choice, "title", title);
    slot("choices", copy)?.append(choice);
  }
  onSubmit(form, () => {
    const text = String(new FormData(form).get("text") ?? "");
    if (!text) return tell(say("errors.text_missing"));
    return acts.send({ kind: "message", body: { text }, aside: true }, form);
  });
  return copy;
}
