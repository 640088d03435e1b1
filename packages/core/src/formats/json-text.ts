import { HeapEstimate, indexIn, MAX_DEPTH } from "./heap-estimate.ts";

/** The most heap that one byte of JSON can take: `{"30":0}` takes 328 bytes. */
export const JSON_HEAP_PER_BYTE = 40;

/**
 * Walks JSON in UTF-8 without building anything. Says nothing of bytes that are not JSON.
 *
 * @returns the heap that the value takes; `undefined` if it is nested more than `MAX_DEPTH` deep.
 */
export function walkJson(bytes: Uint8Array): HeapEstimate | undefined {
  const heap = new HeapEstimate(MAX_GAP);
  let depth = 0;
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]!) {
      case QUOTE: {
        const from = at + 1;
        at = endOfText(bytes, from);
        const index = indexIn(bytes, from, at);
        if (!isName(bytes, at)) heap.text(at - from);
        else if (index !== undefined) heap.index(depth, index);
        else heap.name(depth, bytes, from, at);
        break;
      }
      case COMMA:
        heap.slots(1);
        break;
      case BRACKET:
        if (depth === MAX_DEPTH) return undefined;
        heap.array(1);
        depth++;
        break;
      case BRACE:
        if (depth === MAX_DEPTH) return undefined;
        depth++;
        heap.object(depth);
        break;
      case BRACKET_END:
      case BRACE_END:
        depth--;
    }
  }
  return heap;
}

/** Where the text that begins at `at` ends: the position of its closing quote. */
function endOfText(bytes: Uint8Array, at: number): number {
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return Math.min(at, bytes.length);
}

/** Whether the text that ends at `end` is the name of a property. */
function isName(bytes: Uint8Array, end: number): boolean {
  let at = end + 1;
  while (bytes[at]! <= SPACE) at++;
  return bytes[at] === COLON;
}

/**
 * Whether `value`, which JSON was made of or has become, is nested at most `MAX_DEPTH` deep. Never true of a deeper
 * one; also false of a value whose `toJSON` could make it deeper.
 *
 * @param text The JSON. Too few brackets in it save the walk.
 */
export const isFlat = (text: string, value: unknown): boolean =>
  text.length < 2 * MAX_DEPTH || !mayBeDeep(text) || isFlatBelow(value, MAX_DEPTH);

/**
 * Whether `text` has enough brackets. A level of objects takes five characters at least.
 *
 * One that follows `},` or `],` directly does not count: it takes the level of the one that closed there. Inside text
 * neither of the two counts, so this is exact, and a long list of objects is not walked.
 */
function mayBeDeep(text: string): boolean {
  let left = MAX_DEPTH;
  for (let at = text.indexOf("["); at !== -1; at = text.indexOf("[", at + 1))
    if (!takesLevelOfLast(text, at) && --left < 0) return true;
  if (text.length <= 5 * left) return false;
  for (let at = text.indexOf("{"); at !== -1; at = text.indexOf("{", at + 1))
    if (!takesLevelOfLast(text, at) && --left < 0) return true;
  return false;
}

function takesLevelOfLast(text: string, at: number): boolean {
  if (text.charCodeAt(at - 1) !== COMMA) return false;
  const last = text.charCodeAt(at - 2);
  return last === BRACE_END || last === BRACKET_END;
}

function isFlatBelow(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (levels === 0) return false;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (!isFlatBelow(value[i], levels - 1)) return false;
    return true;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype) return prototype === Date.prototype;
  for (const name in value) {
    const property = (value as Record<string, unknown>)[name];
    if (typeof property === "function" || !isFlatBelow(property, levels - 1)) return false;
  }
  return true;
}

/** Whether an object anywhere in `value`, at most `MAX_DEPTH` levels deep, has a property named `__proto__`. */
export function namesProto(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Array.isArray(value)
    ? value.some(namesProto)
    : Object.hasOwn(value, "__proto__") || Object.values(value).some(namesProto);
}

/** JSON.parse takes a hash table for higher indexes. */
const MAX_GAP = 40;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BRACKET = 0x5b;
const BRACKET_END = 0x5d;
const BRACE = 0x7b;
const BRACE_END = 0x7d;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
