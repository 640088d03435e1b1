import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import type { Compressor, CompressorOptions } from "../backend.ts";
import { resolveCompressorOptions } from "./options.ts";

/** Level 0 to 11. @default level 4 */
export function brotli(options?: CompressorOptions): Compressor {
  const { level, minBytes } = resolveCompressorOptions("brotli", options, { min: 0, max: 11, default: 4 });
  const params = { [constants.BROTLI_PARAM_QUALITY]: level };
  return Object.freeze({
    id: "brotli",
    minBytes,
    compress: (bytes: Uint8Array): Uint8Array => brotliCompressSync(bytes, { params }),
    decompress: (bytes: Uint8Array, maxBytes: number): Uint8Array => brotliDecompressSync(bytes, { maxOutputLength: Math.max(1, Math.min(maxBytes, 2 ** 31)) }),
  });
}
