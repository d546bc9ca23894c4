// Read values of the right type from a JSON object; each FormatError names the field.

import { isObject } from "./encoding.mjs";
import { FormatError } from "./errors.mjs";

/** @typedef {import("./encoding.mjs").Fields} Fields */

/** Return whether the field is there, whatever objects have of themselves. @param {Fields} fields @param {string} key */
export const has = (fields, key) => Object.hasOwn(fields, key);

/** @param {Fields} fields @param {string} key */
const member = (fields, key) => (has(fields, key) ? fields[key] : undefined);

/** Return the field if it is a string. @param {Fields} fields @param {string} key @returns {string} */
export function textOf(fields, key) {
  const value = member(fields, key);
  if (typeof value !== "string") throw new FormatError(`${key} is missing or not a string`);
  return value;
}

/** Return the field if it is one of the words. @param {Fields} fields @param {string} key @param {readonly string[]} allowed */
export function oneOf(fields, key, allowed) {
  const value = textOf(fields, key);
  if (!allowed.includes(value)) throw new FormatError(`${key} must be one of ${allowed.join(", ")}`);
  return value;
}

/** Return the field if it is a number of at least `least`. @param {Fields} fields @param {string} key @returns {number} */
export function numberOf(fields, key, least = 0) {
  const value = member(fields, key);
  if (typeof value !== "number" || value < least) {
    throw new FormatError(`${key} is not a number of at least ${least}`);
  }
  return value;
}

/** Return the field if it is an object. @param {Fields} fields @param {string} key @returns {Fields} */
export function objectOf(fields, key) {
  const value = member(fields, key);
  if (!isObject(value)) throw new FormatError(`${key} is missing or not an object`);
  return value;
}

/** Return the field if it is a list of objects. @param {Fields} fields @param {string} key @returns {Fields[]} */
export function objectsOf(fields, key, least = 0, most = Infinity) {
  const values = listOf(fields, key, least, most);
  if (!values.every(isObject)) throw new FormatError(`${key} holds something of the wrong type`);
  return values;
}

/** Return the field if it is a list of different strings. @param {Fields} fields @param {string} key @returns {string[]} */
export function textsOf(fields, key, least = 0, most = Infinity) {
  const values = listOf(fields, key, least, most);
  if (!values.every((value) => typeof value === "string") || new Set(values).size !== values.length) {
    throw new FormatError(`${key} holds something twice, or of the wrong type`);
  }
  return values;
}

/** @param {Fields} fields @param {string} key @param {number} least @param {number} most @returns {any[]} */
function listOf(fields, key, least, most) {
  const values = member(fields, key);
  if (!Array.isArray(values)) throw new FormatError(`${key} is missing or not a list`);
  if (values.length < least || values.length > most) {
    throw new FormatError(`${key} is not a list of ${least} to ${most}`);
  }
  return values;
}
