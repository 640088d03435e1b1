import type { Awaitable } from "@hotset/core";
import { builtin } from "@hotset/core/internal";

/** What a record holds: an entry and its lease, a tag's versions, the issuer of a cache's tags, the log, a part of it. */
export type RecordKind = "e" | "t" | "i" | "l" | "s";

/**
 * The name of a record: keys may have any length and any characters, names of records may not. Where there is no
 * `node:crypto`, as in a worker, the hash of the web is the same and takes a turn.
 */
export function nameOf(kind: RecordKind, key: string): Awaitable<string> {
  const node = builtin("node:crypto");
  return node === undefined ? webNameOf(kind, key) : kind + node.hash("sha256", key, "base64url");
}

async function webNameOf(kind: RecordKind, key: string): Promise<string> {
  const digest = new Uint8Array(await globalThis.crypto.subtle.digest("SHA-256", new TextEncoder().encode(key)));
  const base64 = btoa(String.fromCharCode(...digest));
  return kind + base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
