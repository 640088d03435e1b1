import type { ZstdOptions } from "node:zlib";
import { ConfigurationError } from "@hotset/core";

/** Compresses and decompresses one frame, synchronously. */
export interface Engine {
  readonly name: "native" | "zlib";
  compress(bytes: Uint8Array): Uint8Array;
  /**
   * @param room Maximum size of the output, in bytes; it may be exceeded by one byte.
   * @throws when the output would be larger, or `bytes` are damaged.
   */
  decompress(bytes: Uint8Array, room: number): Uint8Array;
}

/** The used part of `zstd-napi/binding`: declared here, because the package may not be installed. */
interface Binding {
  readonly CCtx: new () => {
    setParameter(parameter: number, value: number): void;
    compress2(into: Uint8Array, bytes: Uint8Array): number;
  };
  readonly DCtx: new () => { decompress(into: Uint8Array, bytes: Uint8Array): number };
  readonly CParameter: { readonly compressionLevel: number };
  compressBound(byteLength: number): number;
}

/**
 * Engine on zstd-napi; `undefined` if it is not installed. It reuses its contexts: at 2 KB three times as fast as
 * node:zlib, which creates one for each call.
 */
export function nativeEngine(level: number, maxInputBytes: number): Engine | undefined {
  let binding: Binding;
  try {
    // In this form bundlers leave it alone: they cannot bundle a native module, and fail where they try.
    const { createRequire } = process.getBuiltinModule("node:module");
    binding = createRequire(import.meta.url)("zstd-napi/binding") as Binding;
  } catch {
    // An optional peer: not installed, not compiled, or out of sight from a bundle.
    return undefined;
  }
  const compressing = new binding.CCtx();
  compressing.setParameter(binding.CParameter.compressionLevel, level);
  const decompressing = new binding.DCtx();
  let scratch: Buffer | undefined;
  return {
    name: "native",
    compress(bytes) {
      scratch ??= Buffer.allocUnsafeSlow(binding.compressBound(maxInputBytes));
      return Buffer.from(scratch.subarray(0, compressing.compress2(scratch, bytes)));
    },
    decompress(bytes, room) {
      const into = Buffer.allocUnsafe(room);
      const byteLength = decompressing.decompress(into, bytes);
      return byteLength === room ? into : Buffer.from(into.subarray(0, byteLength));
    },
  };
}

export function zlibEngine(level: number): Engine {
  const { zstdCompressSync, zstdDecompressSync } = zlib();
  const options = compressOptions(level);
  return {
    name: "zlib",
    compress: (bytes) => zstdCompressSync(bytes, options),
    decompress: (bytes, room) => zstdDecompressSync(bytes, decompressOptions(room)),
  };
}

/** Compresses in the thread pool. */
export function compressInPool(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  // Without the size, zstd writes a stream, and readers cannot know the size of the content.
  const options: ZstdOptions & { pledgedSrcSize: number } = {
    ...compressOptions(level),
    pledgedSrcSize: bytes.byteLength,
  };
  const { zstdCompress } = zlib();
  return new Promise((resolve, reject) => {
    zstdCompress(bytes, options, (error, result) => (error === null ? resolve(result) : reject(error)));
  });
}

/** Decompresses in the thread pool. @param room As in {@link Engine.decompress}. */
export function decompressInPool(bytes: Uint8Array, room: number): Promise<Uint8Array> {
  const { zstdDecompress } = zlib();
  return new Promise((resolve, reject) => {
    zstdDecompress(bytes, decompressOptions(room), (error, result) =>
      error === null ? resolve(result) : reject(error),
    );
  });
}

const compressOptions = (level: number): ZstdOptions => ({
  params: { [zlib().constants.ZSTD_c_compressionLevel]: level },
});

/** If all output fits in one chunk, zstd writes directly into it and allocates no window. */
const decompressOptions = (room: number): ZstdOptions => ({
  maxOutputLength: Math.max(1, room),
  chunkSize: Math.max(64, room + 1),
});

function zlib(): typeof import("node:zlib") {
  // Not imported at the top: it takes a millisecond, which programs without compression should not spend.
  const module = process.getBuiltinModule("node:zlib");
  if (typeof module.zstdCompressSync !== "function") {
    throw new ConfigurationError(
      `zstd: Node ${process.version} has no built-in zstd; install zstd-napi, or use Node 22.15 or newer`,
    );
  }
  return module;
}
