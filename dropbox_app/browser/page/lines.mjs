// One message as an element, with the page's own words. Everything is inserted as text.

import { add, copyOf, fill, language, listed, onSubmit, say, slot } from "./dom.mjs";

const REPORTER = "reporter";
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Return a day written out in the page's language. @param {string} day */
export const dayIn = (day) =>
  new Intl.DateTimeFormat(language(), { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" }).format(
    new Date(`${day}T00:00:00Z`),
  );

/** Return the names of these identities, from their cards. @param {string[]} identities @param {any} view */
export function names(identities, view) {
  const named = identities.map((identity) =>
    identity === REPORTER ? say("conversation.by_you") : (view.names[identity] ?? say("word.former")),
  );
  return listed([...new Set(named)]);
}

/** Return the notes that come before the messages. @param {any} view */
export function notesBefore(view) {
  const notes = view.notes.map((/** @type {any} */ note) => noteText(note, view));
  const told = (/** @type {string} */ key, /** @type {string[]} */ who) => {
    if (who.length) notes.push(say(key, { counsellor: names(who, view), successor: names(who, view) }));
  };
  told("sealed.changed_card", view.changed);
  told("conversation.left_out_now", view.closed);
  told("handover.now", view.agreed);
  if (view.refused === "withheld") notes.push(say("sealed.withheld"));
  if (view.refused === "nobody") notes.push(say("conversation.nobody_now"));
  if (view.waiting) notes.push(say("conversation.empty"));
  return notes;
}

/** @param {{key: string, by: string, count: number}} note @param {any} view */
function noteText({ key, by, count }, view) {
  const name = by === REPORTER && key === "removed" ? say("conversation.from_you") : names([by], view);
  return upper(say(`conversation.${key}`, { name, count }, key.startsWith("gap") ? count : undefined));
}

/** @param {string} sentence */
const upper = (sentence) => sentence.slice(0, 1).toUpperCase() + sentence.slice(1);

/** @typedef {(kind: string, body: any, form: HTMLFormElement) => void} Answer */

/** @param {any} line @param {any} view @param {Answer} answer */
export function lineElement(line, view, answer) {
  const copy = copyOf("sealed-message");
  const article = /** @type {HTMLElement} */ (copy.firstElementChild);
  article.classList.add(line.mine ? "mine" : line.believed ? "theirs" : "doubt");
  for (const sentence of notesOf(line, view)) add(slot("notes", article), "p", sentence, "note");
  if (!line.believed) return article;
  const heading = line.former ? "conversation.line_former" : "conversation.line";
  fill(article, "heading", upper(say(heading, { name: names([line.by], view), date: dayIn(line.day) })));
  fill(article, "said", upper(saidOf(line, view)));
  fill(article, "text", line.text);
  slot("text", article)?.setAttribute("lang", line.lang);
  fill(article, "to", line.mine ? say("conversation.to", { counsellor: names(line.to, view) }) : "");
  for (const file of line.files) addFile(file, line.mine, shown("files", article), view);
  for (const option of line.options) addOption(option, shown("options", article));
  addAnswers(line.answers, article);
  if (line.request) slot("request", article)?.append(requestElement(line, view, answer));
  return article;
}

/** Show a file's name; a counsellor's file can be saved. @param {any} file @param {boolean} mine @param {HTMLElement | null} list @param {any} view */
function addFile(file, mine, list, view) {
  const one = add(list, "li", "");
  const name = add(one, "span", file.name.replace(UNSEEN, "") || say("files.unnamed"));
  name.dir = "auto";
  name.translate = false;
  if (mine) return;
  const button = add(one, "button", say("files.download"), "quiet");
  button.setAttribute("type", "button");
  button.addEventListener("click", () => view.save(file));
  name.after(" ");
}

/** @param {{title: string, pro: string, con: string}} option @param {HTMLElement | null} list */
function addOption({ title, pro, con }, list) {
  const one = add(list, "li", title);
  one.dir = "auto";
  if (pro) add(one, "p", say("options.pro", { text: pro }));
  if (con) add(one, "p", say("options.con", { text: con }));
}

/** Show the answers to the optional questions. Unknown answers are omitted. @param {any} answers @param {HTMLElement} article */
function addAnswers(answers, article) {
  for (const [question, given] of Object.entries(answers)) {
    const said = [given].flat().map((value) => say(`${question}.${value}`)).filter(Boolean);
    if (!said.length) continue;
    const list = shown("answers", article)?.querySelector("dl") ?? null;
    add(list, "dt", say(`report.${question}`));
    for (const one of said) add(list, "dd", one);
  }
}

/** Return a slot, which is hidden until it is filled. @param {string} name @param {HTMLElement} article */
function shown(name, article) {
  const place = slot(name, article);
  if (place) place.hidden = false;
  return place;
}

/** @param {any} line @param {any} view */
function notesOf(line, view) {
  if (!line.believed) return [say("conversation.unverified")];
  const notes = [];
  if (line.reason === "conflict") notes.push(say(line.mine ? "conversation.conflict_mine" : "conversation.conflict"));
  if (line.passedOn) notes.push(say("conversation.passed_on", { counsellor: names(line.to, view) }));
  if (!line.known) notes.push(say("conversation.newer"));
  if (line.mine && line.leftOut.length) {
    notes.push(say("conversation.left_out_then", { counsellor: names(line.leftOut, view) }));
  }
  return notes;
}

/** Show a notice or an answer as a sentence. @param {any} line @param {any} view */
function saidOf(line, view) {
  if (line.kind === "notice") return say(`notice.${line.status}`, { counsellor: names([line.by], view) });
  if (line.kind !== "consent-answer") return "";
  const answer = say(`consent.${line.answer}`);
  if (!line.asker) return say("consent.said_unknown", { answer });
  return say("consent.said", { counsellor: names([line.asker], view), answer });
}

/** Show a counsellor's request for consent, with the form for the answer. @param {any} line @param {any} view @param {Answer} answer */
function requestElement(line, view, answer) {
  const { request } = line;
  const counsellor = names([line.by], view);
  const copy = copyOf("sealed-consent");
  for (const name of ["step", "with", "scope"]) fill(copy, name, request[name]);
  for (const name of ["step", "scope"]) fill(copy, `${name}-title`, say(`consent.${name}`, { counsellor }));
  const successor = request.successor ? names([request.successor], view) : "";
  const key = successor ? "consent.successor" : "consent.successor_unknown";
  fill(copy, "successor", request.handover ? say(key, { successor, counsellor }) : "");
  const form = /** @type {HTMLFormElement | null} */ (copy.querySelector("form"));
  if (form) prepareAnswer(form, request, answer, view.remarks);
  return copy;
}

/** @param {HTMLFormElement} form @param {any} request @param {Answer} answer @param {Map<string, string>} remarks */
function prepareAnswer(form, request, answer, remarks) {
  if (!request.answerable) return form.remove();
  const field = /** @type {HTMLTextAreaElement} */ (form.elements.namedItem("remark"));
  field.value = remarks.get(request.digest) ?? "";
  field.addEventListener("input", () => remarks.set(request.digest, field.value));
  // Otherwise the ids of the template would occur once for each request.
  for (const one of form.querySelectorAll("[id], [for], [aria-describedby]")) {
    for (const name of ["id", "for", "aria-describedby"]) {
      const value = one.getAttribute(name);
      if (value) one.setAttribute(name, `${value}-${request.digest.slice(0, 12)}`);
    }
  }
  // Only a yes can be withdrawn.
  for (const input of form.querySelectorAll("input")) {
    if ((input.value === "withdrawn") !== (request.said === "yes")) input.closest("label")?.remove();
  }
  return onSubmit(form, () => {
    const data = new FormData(form);
    const given = String(data.get("answer") ?? "");
    const remark = String(data.get("remark") ?? "").trim();
    const place = form.closest("article");
    if (place) fill(place, "status", given ? "" : say("errors.answer_missing"));
    if (!given) return undefined;
    const text = remark ? { text: remark } : {};
    return answer("consent-answer", { request: request.digest, answer: given, ...text }, form);
  });
}
