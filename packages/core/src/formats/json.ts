import type { Format } from "../backend.ts";
import { DecodeError, EncodeError } from "../errors.ts";

/** JSON, as UTF-8. `Date`, `Map`, `bigint` and `undefined` properties do not survive it: see the table in docs. */
export function json(): Format {
  return JSON_FORMAT;
}

const JSON_FORMAT: Format = Object.freeze({
  id: "json",
  encode: (value: unknown): Uint8Array => {
    let text: string | undefined;
    try {
      text = JSON.stringify(value);
    } catch (cause) {
      throw new EncodeError("json: the value cannot be written", { operation: "encode", cause });
    }
    if (text === undefined) throw new EncodeError(`json: a ${typeof value} cannot be written`, { operation: "encode" });
    return Buffer.from(text);
  },
  decode: (bytes: Uint8Array): unknown => {
    try {
      return JSON.parse(utf8.decode(bytes));
    } catch {
      // No cause: what JSON.parse throws quotes the text.
      throw new DecodeError(`json: ${bytes.byteLength} bytes are not JSON in UTF-8`, { operation: "decode" });
    }
  },
});

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
