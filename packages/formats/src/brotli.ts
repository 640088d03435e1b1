import type { Compressor, CompressorOptions } from "@hotset/core";
import { resolveCompressorOptions } from "@hotset/core/internal";
import { zlibCompressor } from "./zlib-compressor.ts";

/** From this level on brotli takes 0.5 ms or more for each KiB. */
const SLOW_LEVEL = 9;

/**
 * Brotli compression, level 0 to 11. @default level 4
 *
 * Below level 9 up to 64 KiB are compressed synchronously (0.4 ms at level 4). At every level up to 256 KiB of output
 * are decompressed synchronously (0.2 ms). Larger data, and all compression from level 9 on, runs in the thread pool.
 *
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} for one out of range.
 */
export function brotli(options?: CompressorOptions): Compressor {
  const { level, minBytes } = resolveCompressorOptions("brotli", options, { min: 0, max: 11, default: 4 });
  return zlibCompressor({
    id: "brotli",
    minBytes,
    maxSyncBytes: level < SLOW_LEVEL ? 64 * 1024 : 0,
    load: () => {
      // Not imported at the top: it would take a fifth of the time that importing core may take.
      const { constants, brotliCompressSync, brotliCompress, brotliDecompressSync, brotliDecompress } =
        process.getBuiltinModule("node:zlib");
      return {
        options: { params: { [constants.BROTLI_PARAM_QUALITY]: level } },
        compressSync: brotliCompressSync,
        compress: brotliCompress,
        decompressSync: brotliDecompressSync,
        decompress: brotliDecompress,
      };
    },
  });
}
