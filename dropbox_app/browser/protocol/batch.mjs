// Several sealed items in one body (SPEC section 6).

import { FormatError } from "./errors.mjs";

const LENGTH = 4; // bytes

/**
 * Return the items of a body, in order; a missing one is empty. `most`: the largest number of items.
 * Throws FormatError if there are none or more, or if the last one is incomplete.
 * @param {Uint8Array} body @param {number} most
 */
export function unpack(body, most) {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const items = [];
  for (let at = 0; at < body.length; ) {
    if (at + LENGTH > body.length) throw new FormatError("an item has no length");
    const end = at + LENGTH + view.getUint32(at);
    if (end > body.length) throw new FormatError("an item is incomplete");
    items.push(body.slice(at + LENGTH, end));
    at = end;
  }
  if (!items.length || items.length > most) throw new FormatError("not the number of items");
  return items;
}
