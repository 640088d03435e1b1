import type { StoredAnswer, StoredEntry } from "@hotset/core";

/** An entry as it was stored in the gutter. */
export interface Lent {
  readonly entry: StoredEntry;
  /** How long before its end its load had begun, at the earliest, in milliseconds. */
  readonly spanMs: number;
}

/**
 * The form of an entry in the gutter. It ends after `ttlMs`, and its meta begins with the facts that restore its
 * freshness, and say when its load began:
 *
 *     how much longer than its life it is fresh, in ms " " how long before its end its load began, in ms " " meta
 *
 * @param sinceMs how long ago its load had begun, at the earliest, when it arrives.
 */
export function lentEntry(entry: StoredEntry, ttlMs: number, sinceMs: number): StoredEntry {
  const expiresInMs = Math.min(entry.expiresInMs, ttlMs);
  return {
    ...entry,
    staleInMs: Math.min(entry.staleInMs, expiresInMs),
    expiresInMs,
    meta: `${entry.staleInMs - expiresInMs} ${expiresInMs + Math.ceil(sinceMs)} ${entry.meta}`,
  };
}

/** `undefined` for an entry that another program has written, or that cannot be believed. */
export function readLent(stored: StoredAnswer): Lent | undefined {
  const { data, expiresInMs, meta, version } = stored;
  const [head, longerMs, spanMs] = HEAD.exec(meta) ?? [];
  if (head === undefined || stored.error !== undefined) return undefined;
  const entry = {
    data,
    staleInMs: expiresInMs + Number(longerMs),
    expiresInMs,
    meta: meta.slice(head.length),
    ...(version !== undefined && { version }),
    behind: NOTHING,
  };
  return { entry, spanMs: Number(spanMs) };
}

/**
 * The check of a lent entry against main, which cannot be read meanwhile: no answer. The entry may hide a change that
 * main knows, so it answers no `current` call.
 */
const NOTHING = (): Promise<undefined> => Promise.resolve(undefined);
const HEAD = /^(-?\d+|Infinity) (\d+) /;
