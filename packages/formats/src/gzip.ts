import { type Compressor, type CompressorOptions, DecodeError } from "@hotset/core";
import { resolveCompressorOptions } from "@hotset/core/internal";
import { zlibCompressor } from "./zlib-compressor.ts";

/**
 * Gzip compression, level 0 to 9. @default level 6
 *
 * Up to 64 KiB are compressed synchronously (0.7 ms at level 6), and up to 256 KiB of output decompressed synchronously
 * (0.3 ms). Larger data goes through the thread pool.
 *
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} for one out of range.
 */
export function gzip(options?: CompressorOptions): Compressor {
  const { level, minBytes } = resolveCompressorOptions("gzip", options, { min: 0, max: 9, default: 6 });
  return zlibCompressor({
    id: "gzip",
    minBytes,
    maxSyncBytes: 64 * 1024,
    load: () => {
      // Not imported at the top: it would take a fifth of the time that importing core may take.
      const { gzipSync, gzip, gunzipSync, gunzip } = process.getBuiltinModule("node:zlib");
      return {
        options: { level },
        compressSync: gzipSync,
        compress: gzip,
        decompressSync: gunzipSync,
        decompress: gunzip,
      };
    },
    claimedBytes,
  });
}

const HEADER_AND_TRAILER_BYTES = 18;
/** The highest ratio that deflate can reach. @see https://zlib.net/zlib_tech.html */
const MAX_RATIO = 1032;

/** The length of the content, from the trailer (RFC 1952, section 2.3.1: ISIZE). */
function claimedBytes(bytes: Uint8Array): number {
  const { byteLength } = bytes;
  if (byteLength < HEADER_AND_TRAILER_BYTES)
    throw new DecodeError(`gzip: ${byteLength} bytes are not a gzip stream`, { operation: "decompress" });
  const claimed = new DataView(bytes.buffer, bytes.byteOffset, byteLength).getUint32(byteLength - 4, true);
  if (claimed > byteLength * MAX_RATIO) {
    throw new DecodeError(`gzip: ${byteLength} bytes cannot decompress to the ${claimed} bytes that they claim`, {
      operation: "decompress",
    });
  }
  return claimed;
}
