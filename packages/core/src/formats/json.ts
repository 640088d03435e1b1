import { DEFAULT_MAX_DECODED_BYTES, type Format } from "../contracts/backend.ts";
import { DecodeError, EncodeError } from "../contracts/errors.ts";
import { refuseSurplus } from "../primitives/options.ts";
import { bytesOf } from "../primitives/platform.ts";
import { mayExceed, tooDeep, tooMuchHeap } from "./heap-estimate.ts";
import { isFlat, JSON_HEAP_PER_BYTE, namesProto, walkJson } from "./json-text.ts";

/**
 * JSON, as UTF-8. `Date`, `Map`, `bigint` and `undefined` properties do not survive it: see the table in docs.
 *
 * Inside objects and arrays the rules are those of `JSON.stringify`, `toJSON` included. A whole value that it would
 * turn into a different one is refused. Text with lone surrogates is kept; `-0` comes back as `0`.
 *
 * `encode` throws {@link EncodeError} for functions, symbols, `NaN`, infinities, invalid dates, bytes, and instances of
 * built-in classes without a JSON form (`Map`, `Set`, `Error`, `Promise` and the like) as the whole value, and
 * anywhere in it for `bigint`, cycles, a property named `__proto__`, and nesting of more than 500 levels.
 *
 * `decode` throws {@link DecodeError} for bytes that are not JSON in UTF-8, a byte order mark included, for nesting of
 * more than 500 levels, for values that would take too much memory, and for a property named `__proto__`: it is
 * harmless as an own property, but code that copies it (`Object.assign`, a deep merge) would set a prototype with it.
 */
export function json(): Format;
export function json(...surplus: readonly unknown[]): Format {
  refuseSurplus("json()", surplus, "it has no options");
  return JSON_FORMAT;
}

const JSON_FORMAT: Format = /* @__PURE__ */ Object.freeze({
  id: "json",
  encode: (value: unknown, maxBytes = DEFAULT_MAX_DECODED_BYTES): Uint8Array => {
    const text = stringify(value);
    // JSON.stringify escapes quotes inside text, so this can only be the name of a property.
    if (text.includes("__proto__") && text.includes('"__proto__":'))
      throw unwritable("a property named __proto__ cannot be written; rename it");
    const bytes = bytesOf(text);
    const reason = refusal(bytes, maxBytes) ?? (isFlat(text, value) || walkJson(bytes) ? undefined : tooDeep);
    if (reason !== undefined) throw unwritable(`the value could not be read back: ${reason}`);
    return bytes;
  },
  decode: (bytes: Uint8Array, maxBytes = DEFAULT_MAX_DECODED_BYTES): unknown => {
    let reason = refusal(bytes, maxBytes);
    if (reason === undefined) {
      const { text, value } = parse(bytes);
      if (!isFlat(text, value)) reason = tooDeep;
      // A name written with escapes contains one of \u005f, \u006f, \u0070, \u0072 and \u0074.
      else if (!((text.includes("__proto__") || text.includes("\\u00")) && namesProto(value))) return value;
      else reason = "a property is named __proto__";
    }
    throw new DecodeError(`json: ${reason}`, { operation: "decode" });
  },
});

/** Why JSON of this size must not be parsed. Only large JSON is walked: the walk takes half as long as the parse. */
function refusal(bytes: Uint8Array, maxBytes: number): string | undefined {
  if (!mayExceed(bytes.byteLength, JSON_HEAP_PER_BYTE, maxBytes)) return undefined;
  const heap = walkJson(bytes);
  if (heap === undefined) return tooDeep;
  return heap.exceeds(maxBytes) ? tooMuchHeap(maxBytes) : undefined;
}

function parse(bytes: Uint8Array): { readonly text: string; readonly value: unknown } {
  try {
    const text = utf8.decode(bytes);
    return { text, value: JSON.parse(text) };
  } catch {
    // Without the cause: errors of JSON.parse quote the text, and values must not appear in logs.
    throw new DecodeError(`json: ${bytes.byteLength} bytes are not JSON in UTF-8`, { operation: "decode" });
  }
}

function stringify(value: unknown): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (cause) {
    throw unwritable(
      "the value cannot be written: a bigint, a cycle, nesting too deep, or a toJSON that throws",
      cause,
    );
  }
  if (text === undefined) throw unwritable(`${typeof value} cannot be written`);
  if (text === "null" && value !== null) throw unwritable("NaN, infinities and invalid dates would be written as null");
  if (ArrayBuffer.isView(value)) throw unwritable("bytes cannot be written; use msgpack() or v8()");
  if (text === "{}" && Object.prototype.toString.call(value) !== "[object Object]")
    throw unwritable("a Map, Set, Error or the like would be written as {}; use v8(), or msgpack() for Map and Set");
  return text;
}

const unwritable = (why: string, cause?: unknown): EncodeError =>
  new EncodeError(`json: ${why}`, { operation: "encode", cause });

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
