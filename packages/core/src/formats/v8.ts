import { deserialize, serialize } from "node:v8";
import type { Format } from "../backend.ts";
import { DecodeError, EncodeError } from "../errors.ts";

/** Node's structured clone: keeps `Date`, `Map`, `Set`, `bigint`, cycles. Readable by Node only. */
export function v8(): Format {
  return V8_FORMAT;
}

const V8_FORMAT: Format = Object.freeze({
  id: "v8",
  encode: (value: unknown): Uint8Array => {
    try {
      return serialize(value);
    } catch (cause) {
      throw new EncodeError("v8: the value cannot be cloned", { operation: "encode", cause });
    }
  },
  decode: (bytes: Uint8Array): unknown => {
    try {
      return deserialize(bytes);
    } catch (cause) {
      throw new DecodeError(`v8: ${bytes.byteLength} bytes are no structured clone`, { operation: "decode", cause });
    }
  },
});
