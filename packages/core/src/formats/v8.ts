import type { Format } from "../contracts/backend.ts";
import { DecodeError, EncodeError } from "../contracts/errors.ts";
import { unsafeReason } from "./v8-wire.ts";

/**
 * Node's structured clone: keeps `Date`, `Map`, `Set`, `bigint`, cycles. Readable by Node only.
 *
 * Also keeps `undefined`, `NaN`, `-0`, holes, typed arrays, `Buffer`, `Error` and `RegExp`. Instances of other
 * classes come back as plain objects with the same own properties.
 *
 * `encode` throws {@link EncodeError} for functions, symbols, promises and the like anywhere in the value, for
 * arrays of far more holes than elements, and for a property named `__proto__`.
 *
 * `decode` throws {@link DecodeError} for bytes that `encode` did not write. It allocates at most 64 KiB plus 256 bytes
 * for each byte of its input. Buffers in the value are copies.
 */
export function v8(): Format {
  return V8_FORMAT;
}

const V8_FORMAT: Format = /* @__PURE__ */ Object.freeze({
  id: "v8",
  encode: (value: unknown): Uint8Array => {
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
    const reason = unsafeReason(bytes);
    if (reason !== undefined)
      throw new EncodeError(`v8: the value could not be read back: ${reason}`, { operation: "encode" });
    return bytes;
  },
  decode: (bytes: Uint8Array): unknown => {
    const reason = unsafeReason(bytes);
    if (reason !== undefined)
      throw new DecodeError(`v8: ${bytes.byteLength} bytes are not a structured clone: ${reason}`, {
        operation: "decode",
      });
    try {
      // Without the copy, typed arrays would be views of `bytes`: they would share memory with the backend and keep a
      // whole reply in memory.
      return clone().deserialize(bytes.includes(TYPED_ARRAY) ? Uint8Array.from(bytes) : bytes);
    } catch (cause) {
      throw new DecodeError(`v8: ${bytes.byteLength} bytes are not a structured clone`, { operation: "decode", cause });
    }
  },
});

const TYPED_ARRAY = 0x5c;

/** Loads node:v8 on first use: at the top it would take a quarter of the time that importing core may take. */
const clone = (): typeof import("node:v8") => (loaded ??= process.getBuiltinModule("node:v8"));
let loaded: typeof import("node:v8") | undefined;
