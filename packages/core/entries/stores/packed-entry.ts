import { type StoredEntry, DecodeError } from "@hotset/core";

/**
 * Packs an entry into one blob, for a store that has a single value per key. `nowMs` is the store's epoch clock
 * if it has one, else this machine's; pass `unpackEntry` the same clock.
 *
 *     "HS" | 1 | stale at, float64 | expires at, float64 | length of meta, uint16 | meta, UTF-8 | data
 *     "HS" | 2 | length of version, uint8 | version | as above, from `stale at` on
 *
 * A length of meta from 65,535 on is 65,535, and then a uint32. Numbers are big-endian, instants epoch milliseconds.
 * The second form is that of an entry with a `version`.
 * Throws nothing for an entry that keeps the bounds of {@link StoredEntry}.
 */
export function packEntry(entry: StoredEntry, nowMs: number): Uint8Array {
  const { version, data } = entry;
  const meta = encoder.encode(entry.meta);
  const timesAt = version === undefined ? MAGIC.length + 1 : MAGIC.length + 2 + version.length;
  const isLong = meta.length >= LONG;
  const metaAt = timesAt + TIMES_BYTES + (isLong ? 4 : 0);
  const bytes = new Uint8Array(metaAt + meta.length + data.length);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  bytes[2] = version === undefined ? 1 : 2;
  if (version !== undefined) {
    bytes[3] = version.length;
    bytes.set(encoder.encode(version), 4);
  }
  view.setFloat64(timesAt, nowMs + entry.staleInMs);
  view.setFloat64(timesAt + 8, nowMs + entry.expiresInMs);
  view.setUint16(timesAt + 16, isLong ? LONG : meta.length);
  if (isLong) view.setUint32(timesAt + TIMES_BYTES, meta.length);
  bytes.set(meta, metaAt);
  bytes.set(data, metaAt + meta.length);
  return bytes;
}

/**
 * The entry in `bytes`; `undefined` when its life has ended.
 *
 * @throws {DecodeError} on bytes that `packEntry` did not write.
 */
export function unpackEntry(bytes: Uint8Array, nowMs: number): StoredEntry | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const versionBytes = bytes[2] === 1 ? 0 : bytes[2] === 2 ? 1 + (bytes[3] ?? 0) : NaN;
  const timesAt = MAGIC.length + 1 + versionBytes;
  const isPacked = bytes.length >= timesAt + TIMES_BYTES && MAGIC.every((byte, i) => bytes[i] === byte);
  const length = isPacked ? view.getUint16(timesAt + 16) : NaN;
  const metaAt = timesAt + TIMES_BYTES + (length === LONG ? 4 : 0);
  const metaEnd = metaAt + (length === LONG && metaAt <= bytes.length ? view.getUint32(metaAt - 4) : length);
  const staleInMs = isPacked ? view.getFloat64(timesAt) - nowMs : NaN;
  const expiresInMs = isPacked ? view.getFloat64(timesAt + 8) - nowMs : NaN;
  if (!(metaEnd <= bytes.length) || Number.isNaN(staleInMs) || Number.isNaN(expiresInMs))
    throw new DecodeError("these bytes are not a packed entry; was the key written by another program?", {
      operation: "unpack",
    });
  if (expiresInMs <= 0) return undefined;
  return {
    // A copy, which slice of a Buffer is not: a small value must not keep the buffer of a whole reply in memory.
    data: new Uint8Array(bytes.subarray(metaEnd)),
    staleInMs: Math.floor(staleInMs),
    expiresInMs: Math.max(1, Math.floor(expiresInMs)),
    meta: decoder.decode(bytes.subarray(metaAt, metaEnd)),
    ...(versionBytes > 0 && { version: decoder.decode(bytes.subarray(4, timesAt)) }),
  };
}

const MAGIC = [0x48, 0x53];
/** Bytes of the two instants and of the length of meta. */
const TIMES_BYTES = 18;
/** The length of meta stands behind it. */
const LONG = 0xffff;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
