import { gunzipSync, gzipSync } from "node:zlib";
import type { Compressor, CompressorOptions } from "../backend.ts";
import { resolveCompressorOptions } from "./options.ts";

/** Level 0 to 9. @default level 6 */
export function gzip(options?: CompressorOptions): Compressor {
  const { level, minBytes } = resolveCompressorOptions("gzip", options, { min: 0, max: 9, default: 6 });
  return Object.freeze({
    id: "gzip",
    minBytes,
    compress: (bytes: Uint8Array): Uint8Array => gzipSync(bytes, { level }),
    decompress: (bytes: Uint8Array, maxBytes: number): Uint8Array => gunzipSync(bytes, { maxOutputLength: Math.max(1, Math.min(maxBytes, 2 ** 31)) }),
  });
}
