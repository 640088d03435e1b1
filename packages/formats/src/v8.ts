import type { DefaultDeserializer } from "node:v8";
import { DecodeError, EncodeError, type Format } from "@hotset/core";
import { DEFAULT_MAX_DECODED_BYTES, refuseSurplus } from "@hotset/core/internal";
import { unsafeReason } from "./v8-wire.ts";

/**
 * Node's structured clone: keeps `Date`, `Map`, `Set`, `bigint`, cycles. Readable by Node only.
 *
 * Also keeps `undefined`, `NaN`, `-0`, holes, typed arrays, `Buffer`, `Error` and `RegExp`. Instances of other
 * classes come back as plain objects with the same own properties.
 *
 * `encode` throws {@link EncodeError} for functions, symbols, promises and the like anywhere in the value, for
 * nesting of more than 500 levels, for arrays of too many holes, and for a property named `__proto__`.
 *
 * `decode` throws {@link DecodeError} for bytes that `encode` did not write, and for values that would take too much
 * memory, before anything is built. Each buffer in the value is a copy with its own memory.
 */
export function v8(): Format;
export function v8(...surplus: readonly unknown[]): Format {
  refuseSurplus("v8()", surplus, "it has no options");
  return V8_FORMAT;
}

const V8_FORMAT: Format = /* @__PURE__ */ Object.freeze({
  id: "v8",
  encode: (value: unknown, maxBytes = DEFAULT_MAX_DECODED_BYTES): Uint8Array => {
    let bytes: Uint8Array;
    try {
      bytes = clone().serialize(value);
    } catch {
      // Without the cause: its message quotes the function, symbol or text that cannot be cloned.
      throw new EncodeError(
        "v8: the value cannot be cloned: it contains a function, symbol, promise or the like, or is nested too deep",
        { operation: "encode" },
      );
    }
    const reason = unsafeReason(bytes, maxBytes);
    if (reason !== undefined)
      throw new EncodeError(`v8: the value could not be read back: ${reason}`, { operation: "encode" });
    return bytes;
  },
  decode: (bytes: Uint8Array, maxBytes = DEFAULT_MAX_DECODED_BYTES): unknown => {
    const reason = unsafeReason(bytes, maxBytes);
    if (reason !== undefined)
      throw new DecodeError(`v8: ${bytes.byteLength} bytes are not a structured clone: ${reason}`, {
        operation: "decode",
      });
    try {
      return deserialize(bytes);
    } catch (cause) {
      throw new DecodeError(`v8: ${bytes.byteLength} bytes are not a structured clone`, { operation: "decode", cause });
    }
  },
});

let Deserializer: (new (bytes: Uint8Array) => DefaultDeserializer) | undefined;

function deserialize(bytes: Uint8Array): unknown {
  const deserializer = new (Deserializer ??= copying())(bytes);
  deserializer.readHeader();
  return deserializer.readValue();
}

/**
 * Node's own deserializer, with separate memory for each typed array. Node makes them views of `bytes`, which would
 * keep a whole reply in memory, or of the pool that all buffers of the process share.
 */
const copying = (): new (bytes: Uint8Array) => DefaultDeserializer =>
  class extends clone().DefaultDeserializer {
    // The name under which Node calls it. @see https://nodejs.org/api/v8.html#deserializer_readhostobject
    _readHostObject(): ArrayBufferView {
      // @ts-expect-error -- missing in @types/node
      const view = super._readHostObject() as ArrayBufferView;
      const memory = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) as ArrayBuffer;
      return Buffer.isBuffer(view)
        ? Buffer.from(memory)
        : new (view.constructor as new (memory: ArrayBuffer) => ArrayBufferView)(memory);
    }
  };

/** Loads node:v8 on first use: at the top it would take a quarter of the time that importing core may take. */
const clone = (): typeof import("node:v8") => (loaded ??= process.getBuiltinModule("node:v8"));
let loaded: typeof import("node:v8") | undefined;
