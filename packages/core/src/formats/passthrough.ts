import type { Compressor } from "../contracts/backend.ts";
import { DecodeError } from "../contracts/errors.ts";

/** Does not compress: bytes stay as they are. Its id is `none`. Throws nothing. */
export const passthrough = (): Compressor => PASSTHROUGH;

const PASSTHROUGH: Compressor = /* @__PURE__ */ Object.freeze({
  id: "none",
  compress: (bytes: Uint8Array): Uint8Array => bytes,
  decompress: (bytes: Uint8Array, maxBytes: number): Uint8Array => {
    if (bytes.byteLength > maxBytes) {
      throw new DecodeError(`none: ${bytes.byteLength} bytes are more than the ${maxBytes} allowed`, {
        operation: "decompress",
      });
    }
    return bytes;
  },
});
