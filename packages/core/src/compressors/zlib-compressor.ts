import type { BrotliOptions, ZlibOptions } from "node:zlib";
import type { Compressor } from "../contracts/backend.ts";
import { DecodeError } from "../contracts/errors.ts";

type Options = ZlibOptions & BrotliOptions;
type Sync = (bytes: Uint8Array, options: Options) => unknown;
type Async = (bytes: Uint8Array, options: Options, done: (error: Error | null, result: unknown) => void) => void;

/** One algorithm of node:zlib, and its options for compressing. */
export interface ZlibCodec {
  readonly options: Options;
  readonly compressSync: Sync;
  readonly compress: Async;
  readonly decompressSync: Sync;
  readonly decompress: Async;
}

export interface ZlibCompressorSettings {
  readonly id: string;
  readonly minBytes: number;
  /** Larger input is compressed in the thread pool. */
  readonly maxSyncBytes: number;
  /** Called once, on first use. */
  readonly load: () => ZlibCodec;
  /** How many bytes a stream says that it holds, where it says so. @throws {DecodeError} when that cannot be true. */
  readonly claimedBytes?: (bytes: Uint8Array) => number;
}

/** Takes 0.1 to 0.3 ms to produce. */
const MAX_SYNC_OUTPUT_BYTES = 256 * 1024;
/** Where a stream does not say how much it holds: larger ones hold more than `MAX_SYNC_OUTPUT_BYTES` more often than not. */
const MAX_SYNC_INPUT_BYTES = 64 * 1024;
/** Each piece of output is one trip to the thread pool. */
const POOL_CHUNK_BYTES = 256 * 1024;
const MIN_CHUNK_BYTES = 64;
/** node:zlib takes no number beyond what a buffer may hold. */
const MAX_OUTPUT_BYTES = 2 ** 32;

/**
 * A compressor over one algorithm of node:zlib. What is small is done at once, since the way through the
 * thread pool costs 40 to 150 µs; what is large goes that way, so that nobody else waits for it.
 *
 * Bytes behind the end of the stream, which node:zlib ignores, are refused.
 */
export function zlibCompressor({ id, minBytes, maxSyncBytes, load, claimedBytes }: ZlibCompressorSettings): Compressor {
  let loaded: ZlibCodec | undefined;

  function compress(bytes: Uint8Array): Uint8Array | Promise<Uint8Array> {
    const codec = (loaded ??= load());
    if (bytes.byteLength <= maxSyncBytes) return codec.compressSync(bytes, codec.options) as Uint8Array;
    return new Promise((resolve, reject) => {
      codec.compress(bytes, codec.options, (error, result) =>
        error === null ? resolve(result as Uint8Array) : reject(error),
      );
    });
  }

  function decompress(bytes: Uint8Array, maxBytes: number): Uint8Array | Promise<Uint8Array> {
    const claimed = claimedBytes?.(bytes);
    if (claimed !== undefined && claimed > maxBytes) throw tooLarge(id, maxBytes);
    const most = Math.min(claimed ?? Infinity, maxBytes, MAX_OUTPUT_BYTES);
    const isSmall =
      most <= MAX_SYNC_OUTPUT_BYTES || (claimed === undefined && bytes.byteLength <= MAX_SYNC_INPUT_BYTES);
    if (!isSmall) return decompressInPool(bytes, most, maxBytes);
    try {
      return decompressNow(bytes, Math.min(most, MAX_SYNC_OUTPUT_BYTES), claimed);
    } catch (error) {
      if (isTooLarge(error) && most > MAX_SYNC_OUTPUT_BYTES) return decompressInPool(bytes, most, maxBytes);
      throw failure(error, bytes, maxBytes);
    }
  }

  function decompressNow(bytes: Uint8Array, most: number, claimed: number | undefined): Uint8Array {
    const options: Options = { info: true, maxOutputLength: Math.max(1, most) };
    // One more than it claims: a piece that is exactly full makes node:zlib ask for another.
    if (claimed !== undefined) options.chunkSize = Math.max(MIN_CHUNK_BYTES, claimed + 1);
    return whole(bytes, (loaded ??= load()).decompressSync(bytes, options), most);
  }

  function decompressInPool(bytes: Uint8Array, most: number, maxBytes: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const options: Options = { info: true, maxOutputLength: most, chunkSize: POOL_CHUNK_BYTES };
      (loaded ??= load()).decompress(bytes, options, (error, result) => {
        try {
          if (error !== null) throw error;
          resolve(whole(bytes, result, most));
        } catch (cause) {
          reject(failure(cause, bytes, maxBytes));
        }
      });
    });
  }

  /** What came out, if all of `bytes` went in. */
  function whole(bytes: Uint8Array, result: unknown, most: number): Uint8Array {
    const { buffer, engine } = result as {
      readonly buffer: Uint8Array;
      readonly engine: { readonly bytesWritten: number };
    };
    if (engine.bytesWritten !== bytes.byteLength) throw new Error("something follows the end of the stream");
    if (buffer.byteLength > most) throw tooLarge(id, most);
    return buffer;
  }

  function failure(error: unknown, bytes: Uint8Array, maxBytes: number): DecodeError {
    if (error instanceof DecodeError) return error;
    if (isTooLarge(error)) return tooLarge(id, maxBytes);
    return new DecodeError(`${id}: ${bytes.byteLength} bytes cannot be decompressed`, {
      operation: "decompress",
      cause: error,
    });
  }

  return Object.freeze({ id, minBytes, compress, decompress });
}

const isTooLarge = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";

const tooLarge = (id: string, maxBytes: number): DecodeError =>
  new DecodeError(`${id}: decompresses to more than the ${maxBytes} bytes allowed`, { operation: "decompress" });
