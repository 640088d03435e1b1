import type { BrotliOptions, ZlibOptions } from "node:zlib";
import { type Compressor, DecodeError } from "@hotset/core";

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
  /**
   * Number of bytes that a stream claims to hold, for algorithms that store it.
   *
   * @throws {DecodeError} when the claim cannot be true.
   */
  readonly claimedBytes?: (bytes: Uint8Array) => number;
}

/** Takes 0.1 to 0.3 ms to decompress. */
const MAX_SYNC_OUTPUT_BYTES = 256 * 1024;
/** For streams without a claim: larger ones usually hold more than `MAX_SYNC_OUTPUT_BYTES`. */
const MAX_SYNC_INPUT_BYTES = 64 * 1024;
/** Each chunk of output costs one trip to the thread pool. */
const POOL_CHUNK_BYTES = 256 * 1024;
const MIN_CHUNK_BYTES = 64;
/** node:zlib refuses limits above the maximum size of a buffer. */
const MAX_OUTPUT_BYTES = 2 ** 32;

/**
 * A compressor over one algorithm of node:zlib. Small data is processed synchronously, because the way through the
 * thread pool costs 40 to 150 µs. Large data goes through the thread pool, so it does not block the event loop.
 *
 * Bytes after the end of the stream, which node:zlib ignores, are refused.
 */
export function zlibCompressor({ id, minBytes, maxSyncBytes, load, claimedBytes }: ZlibCompressorSettings): Compressor {
  let loaded: ZlibCodec | undefined;
  const codec = (): ZlibCodec => (loaded ??= load());
  const decompressor = new Decompressor(id, codec, claimedBytes);
  return Object.freeze({
    id,
    minBytes,
    compress: (bytes: Uint8Array) =>
      bytes.byteLength <= maxSyncBytes
        ? (codec().compressSync(bytes, codec().options) as Uint8Array)
        : compressInPool(codec(), bytes),
    decompress: (bytes: Uint8Array, maxBytes: number) => decompressor.decompress(bytes, maxBytes),
  });
}

function compressInPool(codec: ZlibCodec, bytes: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    codec.compress(bytes, codec.options, (error, result) =>
      error === null ? resolve(result as Uint8Array) : reject(error),
    );
  });
}

class Decompressor {
  readonly #id: string;
  readonly #codec: () => ZlibCodec;
  readonly #claimedBytes: ZlibCompressorSettings["claimedBytes"];

  constructor(id: string, codec: () => ZlibCodec, claimedBytes: ZlibCompressorSettings["claimedBytes"]) {
    this.#id = id;
    this.#codec = codec;
    this.#claimedBytes = claimedBytes;
  }

  decompress(bytes: Uint8Array, maxBytes: number): Uint8Array | Promise<Uint8Array> {
    const claimed = this.#claimedBytes?.(bytes);
    if (claimed !== undefined && claimed > maxBytes) throw tooLarge(this.#id, maxBytes);
    const most = Math.min(claimed ?? Infinity, maxBytes, MAX_OUTPUT_BYTES);
    const isSmall =
      most <= MAX_SYNC_OUTPUT_BYTES || (claimed === undefined && bytes.byteLength <= MAX_SYNC_INPUT_BYTES);
    if (!isSmall) return this.#inPool(bytes, most, maxBytes);
    try {
      return this.#atOnce(bytes, Math.min(most, MAX_SYNC_OUTPUT_BYTES), claimed);
    } catch (error) {
      if (isTooLarge(error) && most > MAX_SYNC_OUTPUT_BYTES) return this.#inPool(bytes, most, maxBytes);
      throw this.#failure(error, bytes, maxBytes);
    }
  }

  #atOnce(bytes: Uint8Array, most: number, claimed: number | undefined): Uint8Array {
    const options: Options = { info: true, maxOutputLength: Math.max(1, most) };
    // One byte more than claimed: node:zlib allocates another chunk when one is exactly full.
    if (claimed !== undefined) options.chunkSize = Math.max(MIN_CHUNK_BYTES, claimed + 1);
    return this.#whole(bytes, this.#codec().decompressSync(bytes, options), most);
  }

  #inPool(bytes: Uint8Array, most: number, maxBytes: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const options: Options = { info: true, maxOutputLength: most, chunkSize: POOL_CHUNK_BYTES };
      this.#codec().decompress(bytes, options, (error, result) => {
        try {
          if (error !== null) throw error;
          resolve(this.#whole(bytes, result, most));
        } catch (cause) {
          reject(this.#failure(cause, bytes, maxBytes));
        }
      });
    });
  }

  /** The output, if all of `bytes` were consumed. */
  #whole(bytes: Uint8Array, result: unknown, most: number): Uint8Array {
    const { buffer, engine } = result as {
      readonly buffer: Uint8Array;
      readonly engine: { readonly bytesWritten: number };
    };
    if (engine.bytesWritten !== bytes.byteLength) throw new Error("something follows the end of the stream");
    if (buffer.byteLength > most) throw tooLarge(this.#id, most);
    return buffer;
  }

  #failure(error: unknown, bytes: Uint8Array, maxBytes: number): DecodeError {
    if (error instanceof DecodeError) return error;
    if (isTooLarge(error)) return tooLarge(this.#id, maxBytes);
    return new DecodeError(`${this.#id}: ${bytes.byteLength} bytes cannot be decompressed`, {
      operation: "decompress",
      cause: error,
    });
  }
}

const isTooLarge = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";

const tooLarge = (id: string, maxBytes: number): DecodeError =>
  new DecodeError(`${id}: decompresses to more than the ${maxBytes} bytes allowed`, { operation: "decompress" });
