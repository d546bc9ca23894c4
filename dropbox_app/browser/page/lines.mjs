// One message as an element, with the page's own words. Everything is inserted as text.

import { add, copyOf, fill, say, slot } from "./dom.mjs";
import { dayIn, sizeIn } from "./numbers.mjs";
import { REPORTER, absenceOf, names, upper } from "./people.mjs";
import { answerAt, isOpen, optionsForm, requestElement } from "./requests.mjs";

/** @typedef {import("./requests.mjs").Acts} Acts */

const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const SHOWN = 4; // the number of newest lines that are never folded
const FEWEST = 3; // the smallest number of lines that are worth folding

/** Return the links to the questions that wait for an answer. @param {any} view */
export function questions(view) {
  return view.lines
    .filter((/** @type {any} */ { request }) => request && isOpen(request) && !request.said)
    .map((/** @type {any} */ { by, request }) => {
      const note = add(null, "p", "", "note");
      const link = add(note, "a", upper(say("conversation.asked", { counsellor: names([by], view) })));
      link.setAttribute("href", answerAt(request));
      return note;
    });
}

/** Return the notes that come before the messages. @param {any} view */
export function notesBefore(view) {
  const notes = [...view.ends.notes, ...view.notes.map((/** @type {any} */ note) => noteText(note, view))];
  if (view.unnamed) notes.push(say("files.unnamed_here"));
  if (view.changed.length) notes.push(say("sealed.changed_card", { counsellor: names(view.changed, view) }));
  notes.push(...absences(view));
  if (view.refused === "withheld") notes.push(say("sealed.withheld"));
  return notes.map(upper);
}

/** Return the sentences on the absence of the addressees. @param {any} view @returns {string[]} */
export const absences = (view) => [...new Set(view.wanted.map((/** @type {string} */ one) => absenceOf(one)))].filter(Boolean);

/** @param {{key: string, by: string, count: number}} note @param {any} view */
function noteText({ key, by, count }, view) {
  const name = by === REPORTER && key === "removed" ? say("conversation.from_you") : names([by], view);
  return say(`conversation.${key}`, { name, count }, key.startsWith("gap") ? count : undefined);
}

/**
 * Return how many of the oldest lines may be folded: never the newest, nor any from the first that
 * has an open question or a doubt.
 * @param {any[]} lines @param {any} view
 */
export function folded(lines, view) {
  const older = lines.length - SHOWN;
  const number = lines.findIndex(
    (line, at) => at >= older || !line.believed || (line.request && isOpen(line.request)) || notesOf(line, view).length,
  );
  return number >= FEWEST ? number : 0;
}

/** @param {any} line @param {any} view @param {Acts} acts */
export function lineElement(line, view, acts) {
  const notes = notesOf(line, view);
  const said = upper(saidOf(line, view));
  if (line.kind === "notice" && !line.text && !notes.length) return noticeElement(line, said);
  const copy = copyOf("sealed-message");
  const article = /** @type {HTMLElement} */ (copy.firstElementChild);
  article.classList.add(line.mine ? "mine" : line.believed ? "theirs" : "doubt");
  for (const sentence of notes) add(slot("notes", article), "p", sentence, "note");
  if (!line.believed) return article;
  const heading = line.former ? "conversation.line_former" : "conversation.line";
  fill(article, "heading", upper(say(heading, { name: names([line.by], view), date: dayIn(line.day) })));
  fill(article, "said", said);
  fill(article, "text", line.text);
  slot("text", article)?.setAttribute("lang", line.lang);
  if (line.mine) slot("text", article)?.setAttribute("translate", "no");
  fill(article, "to", line.mine ? sentTo(line, view) : "");
  for (const file of line.files) addFile(file, line.mine, shown("files", article), view, acts);
  for (const option of line.options) addOption(option, line.lang, shown("options", article));
  if (line.options.length && view.to.length && !view.refused) slot("choose", article)?.append(optionsForm(line, acts));
  addAnswers(line.answers, article);
  if (line.request) slot("request", article)?.append(requestElement(line, view, acts));
  return article;
}

/** Return a notice: one quiet line. @param {any} line @param {string} said */
const noticeElement = ({ day }, said) => add(null, "p", `${upper(dayIn(day))}: ${said}`, "less notice");

/** @param {any} line @param {any} view */
function sentTo(line, view) {
  const apart = line.leftOut.map((/** @type {string} */ one) => say("conversation.left_out_then", { counsellor: names([one], view) }));
  return [say("conversation.to", { counsellor: names(line.to, view) }), ...apart].join(". ");
}

/**
 * Show a file's name and size. A counsellor's file can be saved. Nobody but the addressees can open
 * the reporter's own, but it can be checked.
 * @param {any} file @param {boolean} mine @param {HTMLElement | null} list @param {any} view @param {Acts} acts
 */
function addFile(file, mine, list, view, acts) {
  const one = add(list, "li", "");
  const name = add(one, "span", file.name.replace(UNSEEN, "") || say("files.unnamed"));
  name.dir = "auto";
  name.translate = false;
  one.append(` (${sizeIn(file.size)})`, document.createElement("br"));
  if (!view.here.has(file.item)) return one.append(say("files.lost"));
  const button = add(one, "button", say(mine ? "files.check" : "files.download"), "quiet");
  button.setAttribute("type", "button");
  return button.addEventListener("click", () => (mine ? acts.check(file) : acts.save(file)));
}

/** @param {{title: string, pro: string, con: string}} option @param {string} lang @param {HTMLElement | null} list */
function addOption({ title, pro, con }, lang, list) {
  const one = add(list, "li", "");
  const texts = [["strong", title], ["span", pro && say("options.pro", { text: pro })], ["span", con && say("options.con", { text: con })]];
  for (const [tag, text] of texts) {
    if (!text) continue;
    const made = add(one, tag, text, "text");
    made.dir = "auto";
    if (tag === "strong") made.lang = lang;
    one.append("\n");
  }
}

/** Show the answers to the optional questions. Unknown answers are omitted. @param {any} answers @param {HTMLElement} article */
function addAnswers(answers, article) {
  for (const [question, given] of Object.entries(answers)) {
    const said = [given].flat().map((value) => say(`${question}.${value}`)).filter(Boolean);
    if (!said.length) continue;
    const list = shown("answers", article)?.querySelector("dl") ?? null;
    add(list, "dt", say(`report.${question}`));
    add(list, "dd", said.join(", "));
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
