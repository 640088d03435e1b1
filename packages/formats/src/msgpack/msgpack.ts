import { DecodeError, EncodeError, type Format } from "@hotset/core";
import { decodeLimits, DEFAULT_MAX_DECODED_BYTES, refuseSurplus } from "@hotset/core/internal";
import { msgpackr, type Packr } from "./msgpackr.ts";
import { check, HEAP_PER_BYTE, Malformed, read } from "./reader.ts";
import { Unwritable, writable } from "./writable.ts";

/**
 * MessagePack. Keeps `Date`, `Map`, `Set`, `bigint` and bytes.
 *
 * Also keeps `undefined`, `NaN`, infinities, invalid dates, typed arrays, `ArrayBuffer` and `Buffer`, and text with
 * lone surrogates. `-0` comes back as `0`, a hole in an array as `undefined`. Instances of other classes come back as
 * the result of their `toJSON`, without one as plain objects with the same own enumerable properties.
 *
 * Objects are MessagePack maps and dates its timestamps, so other languages can read JSON data, dates and `Buffer`s.
 * `Set` and `bigint` beyond 64 bits are written in the format of msgpackr; `Map` and text with lone surrogates in a
 * format of this package.
 *
 * `encode` throws {@link EncodeError} for functions, symbols, `Error`, `RegExp`, `Promise` and other built-in classes,
 * for a property named `__proto__`, for cycles, and for nesting of more than 500 levels.
 *
 * `decode` throws {@link DecodeError} for bytes that `encode` would not write. Nothing more is built of a value that
 * would take too much memory. Buffers in the value are copies.
 *
 * @see https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export function msgpack(): Format;
export function msgpack(...surplus: readonly unknown[]): Format {
  refuseSurplus("msgpack()", surplus, "it has no options");
  return MSGPACK;
}

const MSGPACK: Format = Object.freeze({
  id: "msgpack",
  encode: (value: unknown, maxBytes = DEFAULT_MAX_DECODED_BYTES): Uint8Array => {
    let packed: Buffer;
    try {
      packed = packr().pack(writable(value), msgpackr.RESET_BUFFER_MODE);
      if (decodeLimits.mayExceed(packed.byteLength, HEAP_PER_BYTE, maxBytes)) check(packed, maxBytes);
    } catch (error) {
      if (error instanceof Unwritable || error instanceof Malformed)
        throw new EncodeError(`msgpack: ${error.message}`, { operation: "encode" });
      throw new EncodeError("msgpack: the value cannot be written", { operation: "encode", cause: error });
    }
    // A copy, because the next encode reuses the buffer.
    const bytes = Buffer.from(packed);
    if (bytes.byteLength > MAX_KEPT_BUFFER_BYTES) packr().useBuffer(Buffer.allocUnsafeSlow(NEW_BUFFER_BYTES));
    return bytes;
  },
  decode: (bytes: Uint8Array, maxBytes = DEFAULT_MAX_DECODED_BYTES): unknown => {
    try {
      const buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return read(buffer, maxBytes);
    } catch (error) {
      // Without the cause: other errors may quote values.
      const reason = error instanceof Malformed ? `: ${error.message}` : "";
      throw new DecodeError(`msgpack: ${bytes.byteLength} bytes cannot be read${reason}`, { operation: "decode" });
    }
  },
});

/** msgpackr keeps its buffer for the next encode, four times as large as the largest value so far. */
const MAX_KEPT_BUFFER_BYTES = 1024 * 1024;
const NEW_BUFFER_BYTES = 8 * 1024;

let made: Packr | undefined;

const packr = (): Packr =>
  (made ??= new msgpackr.Packr({
    // Objects as maps: records would distinguish a Map from an object, but other languages could not read objects.
    useRecords: false,
    variableMapSize: true,
    moreTypes: true,
    structuredClone: false,
    useToJSON: false,
  }));
