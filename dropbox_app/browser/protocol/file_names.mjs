// File names chosen by other people or taken from a device, cleaned as the pages clean them.

import { cleanText, utf8 } from "./encoding.mjs";

const MAX_FILE_NAME = 255; // bytes
const LONGEST_END = 20; // bytes of an extension that is kept in a shortened name
const MEDIA_TYPE = /^[a-z0-9.+-]{1,60}\/[a-z0-9.+-]{1,60}$/;
// Invisible characters, and those that reverse text. U+200D joins the parts of one emoji.
const UNSEEN = /(?!\u200d)[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Cn}\p{Zl}\p{Zp}]/gu;
const JOINER = /\u200d/g;
// Characters that some operating systems do not allow in a name.
const UNSAFE = /[<>:"/\\|?*%]/g;
const DEVICE = /^(con|prn|aux|nul|clock\$|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?$/is;

/** Return a name of one line without folders, at most 255 bytes, or `fallback`. @param {string} name @param {string} fallback */
export function cleanName(name, fallback) {
  const last = name.replaceAll("\\", "/").split("/").at(-1) ?? "";
  const seen = cleanText(last).replace(UNSEEN, "").split(/\s+/u).filter(Boolean).join(" ");
  if (!/[^. ]/.test(seen.replace(JOINER, "").trim())) return fallback;
  return cut(seen);
}

/** Return the media type if a message may contain it, otherwise a neutral one. @param {string} type */
export function cleanType(type) {
  const found = type.split(";")[0].trim().toLowerCase();
  return MEDIA_TYPE.test(found) ? found : "application/octet-stream";
}

/** Return a name that is safe on every system, for a file that is saved. @param {string} name @param {string} fallback */
export function savedName(name, fallback) {
  const safe = cleanName(name, fallback).replace(JOINER, "").replace(UNSAFE, "_");
  const bare = safe.replace(/^[ .\-~]+/, "").replace(/[ .]+$/, "");
  if (!bare) return fallback;
  return DEVICE.test(bare) ? `_${bare}` : bare;
}

/** Return the beginning of a name and its extension, which shows the file type. @param {string} name */
function cut(name) {
  if (utf8(name).length <= MAX_FILE_NAME) return name;
  const dot = name.lastIndexOf(".");
  const end = dot > 0 && utf8(name.slice(dot + 1)).length < LONGEST_END ? name.slice(dot) : "";
  const most = MAX_FILE_NAME - utf8(end).length;
  let kept = "";
  let size = 0;
  for (const letter of dot > 0 && end ? name.slice(0, dot) : name) {
    size += utf8(letter).length;
    if (size > most) break;
    kept += letter;
  }
  return kept + end;
}
