import { InvalidArgumentError } from "../contracts/errors.ts";
import { kindOf } from "../primitives/duration.ts";
import { types } from "../primitives/platform.ts";

/** A part of a key: plain data. Functions, symbols and objects with methods do not compile. */
export type KeyPart<T> = T extends string | number | bigint | boolean | null | undefined | Date
  ? T
  : T extends symbol | ((...args: never[]) => unknown)
    ? never
    : T extends object
      ? { readonly [P in keyof T]: KeyPart<T[P]> }
      : never;

/**
 * Makes a key of a name and plain data: `keyOf('user', 42)` is `user:42`.
 *
 * Different parts never give the same key: `:` and `%` inside a part are percent-encoded, and text that looks like
 * another kind of part is quoted, so `42` and `'42'` differ (convert at the edge). Objects are written with sorted
 * properties; `undefined` properties and trailing `undefined` parts are left out, others are written as `()`. Stable
 * across processes and versions of this library.
 *
 * A key can be parsed with this grammar. Split it at `:`, decode `%3A` and `%25`, and read the first piece as the name
 * and each other piece as one `part`:
 *
 *     part    = literal | array | object | quoted | text
 *     literal = () (undefined) | null | true | false | number (42, -1.5, 1e+21, Infinity) | bigint (42n)
 *             | date (2026-01-31T08:00:00.000Z)
 *     array   = [ item, item ]          without spaces
 *     object  = { name=item, name=item }  without spaces; sorted by UTF-16 code units
 *     item    = literal | array | object | quoted
 *     name    = letters, digits, _ and $, not beginning with a digit; else quoted
 *     quoted  = a JSON string
 *     text    = anything else; never empty, never beginning with " [ { or (
 *
 * `-0` is written as `0`, an array as its elements, an object as its own enumerable properties.
 *
 * @param name Not empty. `:` and `%` in it are percent-encoded, too.
 * @throws {InvalidArgumentError} for a cycle, an invalid date or `NaN`, and for input that the type cannot exclude:
 *   functions, symbols, instances of classes, arrays with holes, text with a lone surrogate, data nested more than
 *   64 deep, and a key of more than 65,536 characters.
 */
export function keyOf<P extends readonly unknown[]>(name: string, ...parts: { [I in keyof P]: KeyPart<P[I]> }): string;
export function keyOf(name: string, ...parts: readonly unknown[]): string {
  if (typeof name !== "string" || name === "")
    throw new InvalidArgumentError(`keyOf: name must be a non-empty string, got ${kindOf(name)}`);
  let key = escape(name, "name");
  let last = parts.length - 1;
  while (last >= 0 && parts[last] === undefined) last--;
  for (let i = 0; i <= last; i++) {
    const part = parts[i];
    key += ":";
    if (typeof part === "string") key += escape(readsAsOther(part) ? JSON.stringify(part) : part, `part ${i + 1}`);
    else if (typeof part === "object" && part !== null)
      key += escape(item(part, { where: `part ${i + 1}`, within: [], left: MAX_LENGTH }), `part ${i + 1}`);
    else key += scalar(part, `part ${i + 1}`);
  }
  if (key.length > MAX_LENGTH) throw tooLong("the key");
  return key;
}

/** Length of a key in UTF-16 units. A longer one has more bytes than are allowed. */
const MAX_LENGTH = 64 * 1024;

const tooLong = (where: string): InvalidArgumentError =>
  new InvalidArgumentError(
    `keyOf: ${where} must be at most ${MAX_LENGTH} characters as text, got more; give an id or a hash of the data`,
  );

/** A part while it is written. */
interface Part {
  readonly where: string;
  /** The enclosing objects. */
  readonly within: object[];
  /** Characters that may still be written. An object in several places is written in each, so there may be many. */
  left: number;
}

/** Whether `text`, written as it is, would be read as a literal, an array, an object or quoted text. */
function readsAsOther(text: string): boolean {
  switch (text) {
    case "":
    case "undefined":
    case "null":
    case "true":
    case "false":
      return true;
  }
  const first = text.charCodeAt(0);
  if (first === 0x22 || first === 0x5b || first === 0x7b) return true; // " [ {
  if (first === 0x28) return true; // ( for (), and reserved for future kinds of parts
  if (first > 0x39 && first !== 0x49 && first !== 0x4e) return false; // above the digits: only I(nfinity), N(aN)
  return String(Number(text)) === text || BIGINT.test(text) || DATE.test(text);
}

const BIGINT = /^(?:0|-?[1-9]\d*)n$/;
const DATE = /^(?:\d{4}|[+-]\d{6})-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

/** Characters that make `escape` look closer: `:`, `%`, and surrogates (valid in pairs). */
const NOTABLE = /[:%\ud800-\udfff]/;
const LONE_SURROGATE = /\p{Surrogate}/u;

function escape(text: string, where: string): string {
  if (!NOTABLE.test(text)) return text;
  if (LONE_SURROGATE.test(text))
    throw new InvalidArgumentError(
      `keyOf: ${where} must be well-formed text, got a lone surrogate, which UTF-8 cannot encode`,
    );
  return text.replaceAll("%", "%25").replaceAll(":", "%3A");
}

const MAX_DEPTH = 64;

/** `value` as it is written inside an array or object, not yet escaped. */
function item(value: unknown, part: Part): string {
  const text = typeof value === "object" && value !== null ? compound(value, part) : scalar(value, part.where);
  part.left -= text.length;
  if (part.left < 0) throw tooLong(part.where);
  return text;
}

function scalar(value: unknown, where: string): string {
  switch (typeof value) {
    case "string":
      // Checked before JSON.stringify, which would turn a lone surrogate into a valid escape sequence.
      if (LONE_SURROGATE.test(value)) escape(value, where);
      return JSON.stringify(value);
    case "number":
      if (Number.isNaN(value)) throw refusal(where, "NaN", "equal keys need equal values");
      return String(value); // "0" for -0
    case "bigint":
      return `${value}n`;
    case "boolean":
      return String(value);
    case "undefined":
      // Not the word: in a key it is the mistake of a template that was given nothing, which the cache warns of.
      return "()";
    case "object":
      return "null";
    default:
      throw refusal(where, kindOf(value), "give plain data");
  }
}

function compound(value: object, part: Part): string {
  const { where, within } = part;
  // From another realm too; read by this realm's methods.
  if (types.isDate(value)) {
    if (Number.isNaN(value.getTime())) throw refusal(where, "an invalid date", "give a date that exists");
    return value.toISOString();
  }
  if (within.includes(value)) throw refusal(where, "data that contains itself", "give data without cycles");
  if (within.length === MAX_DEPTH) throw refusal(where, `data nested more than ${MAX_DEPTH} deep`, "give flatter data");
  within.push(value);
  const { left } = part;
  const text = Array.isArray(value) ? `[${elements(value, part)}]` : `{${properties(value, part)}}`;
  // `item` subtracts the whole text, members included.
  part.left = left;
  within.pop();
  return text;
}

function elements(array: readonly unknown[], part: Part): string {
  let text = "";
  for (let i = 0; i < array.length; i++) {
    const element = array[i];
    if (element === undefined && !Object.hasOwn(array, i))
      throw refusal(part.where, "an array with holes", "fill them");
    text += i === 0 ? item(element, part) : `,${item(element, part)}`;
  }
  return text;
}

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

function properties(value: object, part: Part): string {
  const { where } = part;
  const prototype: unknown = Object.getPrototypeOf(value);
  // A prototype without its own prototype is Object.prototype, of this realm or of another.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
    throw refusal(where, "an instance of a class", "give plain data, such as its id");
  if (Object.getOwnPropertySymbols(value).length > 0)
    throw refusal(where, "an object with symbol properties", "give plain data");
  let text = "";
  for (const name of Object.keys(value).sort()) {
    const property = (value as Record<string, unknown>)[name];
    if (property === undefined) continue;
    if (text !== "") text += ",";
    text += `${IDENTIFIER.test(name) ? name : item(name, part)}=${item(property, part)}`;
  }
  return text;
}

const refusal = (where: string, given: string, advice: string): InvalidArgumentError =>
  new InvalidArgumentError(`keyOf: ${where}: ${given} cannot be part of a key; ${advice}`);
