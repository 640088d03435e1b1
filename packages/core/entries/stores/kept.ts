import type { StoredEntry } from "@hotset/core";
import { newId } from "@hotset/core/internal";
import { packEntry, unpackEntry } from "./packed-entry.ts";

/** The content of a record of a key: its entry, its lease, both or none. */
export interface Kept {
  readonly entry?: StoredEntry | undefined;
  readonly lease?: Lease | undefined;
}

export interface Lease {
  readonly token: string;
  readonly endsInMs: number;
}

/**
 * The bytes of a record. No two are equal: a store that compares a hash of them never takes a later record for one that
 * was read before.
 *
 *     "HS" | 3 | 16 random characters | lease ends at, float64 | length of token, uint8 | token | packed entry, if any
 */
export function bytesOf({ entry, lease }: Kept, nowMs: number): Uint8Array {
  const token = encoder.encode(lease?.token ?? "");
  const packed = entry && packEntry({ ...entry, version: entry.version ?? NO_VERSION }, nowMs);
  const bytes = new Uint8Array(HEAD_BYTES + token.length + (packed?.length ?? 0));
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  bytes.set(encoder.encode(newId()), MAGIC.length);
  view.setFloat64(LEASE_AT, nowMs + (lease?.endsInMs ?? 0));
  bytes[HEAD_BYTES - 1] = token.length;
  bytes.set(token, HEAD_BYTES);
  if (packed !== undefined) bytes.set(packed, HEAD_BYTES + token.length);
  return bytes;
}

/** Nothing that has ended. A record that another program wrote holds nothing, so it is replaced. */
export function keptIn(bytes: Uint8Array | undefined, nowMs: number): Kept {
  if (bytes === undefined || bytes.length < HEAD_BYTES || !MAGIC.every((byte, i) => bytes[i] === byte)) return {};
  const entryAt = HEAD_BYTES + bytes[HEAD_BYTES - 1]!;
  const endsInMs = new DataView(bytes.buffer, bytes.byteOffset).getFloat64(LEASE_AT) - nowMs;
  const token = decoder.decode(bytes.subarray(HEAD_BYTES, entryAt));
  try {
    return {
      entry: bytes.length > entryAt ? unpackEntry(bytes.subarray(entryAt), nowMs) : undefined,
      lease: token !== "" && endsInMs > 0 ? { token, endsInMs } : undefined,
    };
  } catch {
    return {};
  }
}

/** The version of its entry: `""` for none. */
export const versionOf = ({ entry }: Kept): string => entry?.version ?? "";

/** The version of an entry that was written without one. */
export const NO_VERSION = "-";
/** A record has so many bytes more than the data of its entry, at most. */
export const LONGEST_HEAD_BYTES: number = 5 * 2 ** 10;

const MAGIC = [0x48, 0x53, 3];
const LEASE_AT = MAGIC.length + 16;
const HEAD_BYTES = LEASE_AT + 9;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
