import { type Compressor, type CompressorOptions, DecodeError } from "@hotset/core";
import { resolveCompressorOptions } from "@hotset/core/internal";
import { compressInPool, decompressInPool, type Engine, nativeEngine, zlibEngine } from "./engine.ts";
import { type Frame, readFrame } from "./frame.ts";

/**
 * Zstandard, level -7 to 22. @default level 3
 *
 * Uses zstd-napi if it is installed, else node:zlib; each reads the frames of the other. It is loaded on first use.
 *
 * Work of up to 0.3 ms is synchronous: compressing 128 KiB up to level 4, 32 KiB up to level 9, 2 KiB above that, and
 * decompressing to 512 KiB. Larger data goes through the thread pool.
 *
 * `decompress` throws {@link DecodeError} unless its input is one whole frame, without a dictionary, with at most
 * `maxBytes` of content.
 *
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} for one out of range.
 */
export function zstd(options?: CompressorOptions): Compressor {
  return zstdOn("any", options);
}

/** Like {@link zstd}, on one of its engines: for tests that compare the two. */
export function zstdOn(wanted: Engine["name"] | "any", options?: CompressorOptions): Compressor {
  const { level, minBytes } = resolveCompressorOptions("zstd", options, { min: -7, max: 22, default: 3 });
  const maxSyncBytes = level <= 4 ? 128 * 1024 : level <= 9 ? 32 * 1024 : 2 * 1024;
  let loaded: Engine | undefined;

  const engine = (): Engine =>
    (loaded ??= (wanted === "zlib" ? undefined : nativeEngine(level, maxSyncBytes)) ?? zlibEngine(level));

  function compress(bytes: Uint8Array): Uint8Array | Promise<Uint8Array> {
    return bytes.byteLength <= maxSyncBytes ? engine().compress(bytes) : compressInPool(bytes, level);
  }

  function decompress(bytes: Uint8Array, maxBytes: number): Uint8Array | Promise<Uint8Array> {
    const frame = readFrame(bytes);
    const room = frame.contentBytes ?? Math.min(frame.mostBytes, maxBytes);
    if (room > maxBytes) throw tooLarge(maxBytes);
    if (room > MAX_SYNC_OUTPUT_BYTES) {
      return decompressInPool(bytes, room).then(
        (content) => within(content, maxBytes),
        (cause: unknown) => {
          throw failure(cause, bytes, frame, maxBytes);
        },
      );
    }
    const current = engine();
    let content: Uint8Array;
    try {
      content = current.decompress(bytes, room);
    } catch (cause) {
      throw failure(cause, bytes, frame, maxBytes);
    }
    return within(content, maxBytes);
  }

  return Object.freeze({ id: "zstd", minBytes, compress, decompress });
}

const MAX_SYNC_OUTPUT_BYTES = 512 * 1024;

/** Checks the size again: an engine may exceed the room for a frame of unknown size by one byte. */
function within(content: Uint8Array, maxBytes: number): Uint8Array {
  if (content.byteLength > maxBytes) throw tooLarge(maxBytes);
  return content;
}

function failure(cause: unknown, bytes: Uint8Array, { contentBytes, mostBytes }: Frame, maxBytes: number): DecodeError {
  // Only a frame of unknown size can be intact and still exceed its room.
  if (contentBytes === undefined && mostBytes > maxBytes && isOutOfRoom(cause)) return tooLarge(maxBytes);
  return new DecodeError(`zstd: ${bytes.byteLength} bytes cannot be decompressed`, { operation: "decompress", cause });
}

const isOutOfRoom = (error: unknown): boolean =>
  error instanceof Error &&
  (("code" in error && error.code === "ERR_BUFFER_TOO_LARGE") || error.message === "Destination buffer is too small");

const tooLarge = (maxBytes: number): DecodeError =>
  new DecodeError(`zstd: decompresses to more than the ${maxBytes} bytes allowed`, { operation: "decompress" });
