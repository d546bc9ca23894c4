// One message as an element, with the page's words around it. Only ever as text.

import { add, copyOf, fill, onSubmit, say, slot } from "./dom.mjs";

const REPORTER = "reporter";
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Return a day in words of the page's language. @param {string} day @param {string} lang */
export const dayIn = (day, lang) =>
  new Intl.DateTimeFormat(lang, { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" }).format(new Date(`${day}T00:00:00Z`));

/** Return the names of these identities, as their cards have them. @param {string[]} identities @param {any} view */
export function names(identities, view) {
  const named = identities.map((identity) => (identity === REPORTER ? say("conversation.by_you") : (view.names[identity] ?? say("word.former"))));
  return [...new Set(named)].join(", ");
}

/** @param {{key: string, by: string, count: number}} note @param {any} view */
export function noteText({ key, by, count }, view) {
  const whose = by === REPORTER && key === "removed" ? say("conversation.from_you") : names([by], view);
  return say(`conversation.${key}`, { name: whose, count });
}

/** @typedef {(kind: string, body: any, form: HTMLFormElement) => void} Answer */

/** @param {any} line @param {any} view @param {string} lang @param {Answer} answer */
export function lineElement(line, view, lang, answer) {
  const copy = copyOf("sealed-message");
  const article = /** @type {HTMLElement} */ (copy.firstElementChild);
  article.classList.add(line.mine ? "mine" : line.believed ? "theirs" : "doubt");
  for (const sentence of notesOf(line, view)) add(slot("notes", article), "p", sentence, "note");
  if (!line.believed) return article;
  const heading = line.former ? "conversation.line_former" : "conversation.line";
  fill(article, "heading", say(heading, { name: names([line.by], view), date: dayIn(line.day, lang) }));
  fill(article, "said", saidOf(line, view));
  fill(article, "text", line.text);
  slot("text", article)?.setAttribute("lang", line.lang);
  fill(article, "to", line.mine ? say("conversation.to", { name: names(line.to, view) }) : "");
  for (const name of line.files) add(slot("files", article), "li", name.replace(UNSEEN, ""));
  for (const { title, pro, con } of line.options) {
    const option = add(slot("options", article), "li", title);
    add(option, "p", pro);
    add(option, "p", con);
  }
  if (line.request) slot("request", article)?.append(requestElement(line, view, answer));
  return article;
}

/** @param {any} line @param {any} view */
function notesOf(line, view) {
  if (!line.believed) return [say("conversation.unverified")];
  const notes = [];
  if (line.reason === "conflict") notes.push(say(line.mine ? "conversation.conflict_mine" : "conversation.conflict"));
  if (!line.known) notes.push(say("conversation.newer"));
  if (line.mine && line.leftOut.length) notes.push(say("sealed.left_out", { counsellor: names(line.leftOut, view) }));
  return notes;
}

/** A notice or an answer, as a sentence. @param {any} line @param {any} view */
function saidOf(line, view) {
  if (line.kind === "notice") return say(`notice.${line.status}`, { counsellor: names([line.by], view) });
  if (line.kind !== "consent-answer") return "";
  const answer = say(`consent.${line.answer}`);
  if (!line.asker) return say("consent.said_unknown", { answer });
  return say("consent.said", { counsellor: names([line.asker], view), answer });
}

/** What a counsellor asks leave for, and the form for the answer. @param {any} line @param {any} view @param {Answer} answer */
function requestElement(line, view, answer) {
  const { request } = line;
  const copy = copyOf("sealed-consent");
  for (const name of ["step", "with", "scope"]) fill(copy, name, request[name]);
  const successor = request.successor ? names([request.successor], view) : "";
  const key = successor ? "consent.successor" : "consent.successor_unknown";
  fill(copy, "successor", request.handover ? say(key, { successor, counsellor: names([line.by], view) }) : "");
  const form = /** @type {HTMLFormElement | null} */ (copy.querySelector("form"));
  const open = request.answerable && ["", "tell-me-more"].includes(request.said);
  if (!form) return copy;
  if (!open) form.remove();
  onSubmit(form, () => {
    const data = new FormData(form);
    const given = String(data.get("answer") ?? "");
    const remark = String(data.get("remark") ?? "").trim();
    if (given) answer("consent-answer", { request: request.digest, answer: given, ...(remark ? { text: remark } : {}) }, form);
  });
  return copy;
}
