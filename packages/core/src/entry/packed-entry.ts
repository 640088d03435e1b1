import type { StoredEntry } from "../contracts/backend.ts";
import { DecodeError } from "../contracts/errors.ts";

/**
 * Packs an entry into one blob, for a store that has a single value per key. `nowMs` is the store's epoch clock
 * if it has one, else this machine's; pass `unpackEntry` the same clock.
 *
 *     "HS" | 1 | stale at, float64 | expires at, float64 | length of meta, uint16 | meta, UTF-8 | data
 *
 * Numbers are big-endian, instants epoch milliseconds.
 */
export function packEntry(entry: StoredEntry, nowMs: number): Uint8Array {
  const meta = new TextEncoder().encode(entry.meta);
  const bytes = new Uint8Array(HEAD_BYTES + meta.length + entry.data.length);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setFloat64(3, nowMs + entry.staleInMs);
  view.setFloat64(11, nowMs + entry.expiresInMs);
  view.setUint16(19, meta.length);
  bytes.set(meta, HEAD_BYTES);
  bytes.set(entry.data, HEAD_BYTES + meta.length);
  return bytes;
}

/**
 * The entry in `bytes`; `undefined` when its life is over.
 *
 * @throws {DecodeError} on bytes that `packEntry` did not write.
 */
export function unpackEntry(bytes: Uint8Array, nowMs: number): StoredEntry | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isPacked = bytes.length >= HEAD_BYTES && MAGIC.every((byte, i) => bytes[i] === byte);
  const metaEnd = isPacked ? HEAD_BYTES + view.getUint16(19) : Infinity;
  const staleInMs = isPacked ? view.getFloat64(3) - nowMs : NaN;
  const expiresInMs = isPacked ? view.getFloat64(11) - nowMs : NaN;
  if (metaEnd > bytes.length || Number.isNaN(staleInMs) || Number.isNaN(expiresInMs))
    throw new DecodeError("these bytes are not a packed entry; was the key written by another program?", {
      operation: "unpack",
    });
  if (expiresInMs <= 0) return undefined;
  return {
    // A copy, which slice of a Buffer is not: a small value must not keep the buffer of a whole reply in memory.
    data: new Uint8Array(bytes.subarray(metaEnd)),
    staleInMs: Math.floor(staleInMs),
    expiresInMs: Math.max(1, Math.floor(expiresInMs)),
    meta: new TextDecoder().decode(bytes.subarray(HEAD_BYTES, metaEnd)),
  };
}

const MAGIC = [0x48, 0x53, 1];
const HEAD_BYTES = 21;
