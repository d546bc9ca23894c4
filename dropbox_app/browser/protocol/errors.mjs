// Every refusal of the protocol. No error carries the text, the code or the key that was processed.

/** The bytes do not have the form that the protocol requires. */
export class FormatError extends Error {}

/** This is not a key of the right kind. */
export class KeyFormatError extends FormatError {}

/** The counsellor card is refused. */
export class CardError extends Error {}

/** The message could not be verified. */
export class MessageError extends Error {}

/** The text is too long: `size` and `limit` in bytes. */
export class TooLong extends MessageError {
  /** @param {number} size @param {number} limit */
  constructor(size, limit) {
    super(`the text is ${size} bytes; the limit is ${limit}`);
    this.size = size;
    this.limit = limit;
  }
}

/** None of the chosen counsellors can be written to today. */
export class NobodyToWriteTo extends MessageError {}

/**
 * The sealed file could not be opened. `fault` is the name that SPEC section 4 gives to the first
 * failed check: no_key, header, header_mac or payload.
 */
export class OpenError extends Error {
  /** @param {"no_key" | "header" | "header_mac" | "payload"} fault */
  constructor(fault) {
    super(`the sealed file could not be opened: ${fault}`);
    this.fault = fault;
  }
}

/**
 * What was typed is not a code. `refused` says why; the words themselves stay out of the error.
 * `count` words were read, or `letter` is in no code, or the word at `position` (from 1) is in no
 * list, and `suggestions` are the nearest ones that are.
 */
export class CodeError extends Error {
  /**
   * @param {"word_count" | "unknown_letter" | "unknown_word"} refused
   * @param {{count?: number, letter?: string, position?: number, suggestions?: string[]}} details
   */
  constructor(refused, details) {
    super(`what was typed is not a code: ${refused}`);
    this.refused = refused;
    this.count = details.count ?? 0;
    this.letter = details.letter ?? "";
    this.position = details.position ?? 0;
    this.suggestions = details.suggestions ?? [];
  }
}
