import { hash, randomBytes } from "node:crypto";
import { BackendUnavailableError, type StoredEntry } from "@hotset/core";
import { packed } from "./bytes.ts";
import { StandstillError } from "./standstill.ts";

/** A key as it is sent, and the hash under which it is stored. Keys of any length and with any character differ. */
export interface Key {
  readonly name: Buffer;
  readonly hash: Buffer;
}

function keyOf(key: string): Key {
  const name = Buffer.from(key);
  return { name, hash: hash("sha256", name, "buffer") };
}

/** Longer keys are reported by their hash: a notification has at most 8,000 bytes. */
const LONGEST_NAME = 5_000;
const MOST_LONG_KEYS = 100;

/**
 * The content of reports of keys and tags: the long keys that were used here, because reports of them have only their
 * hash; and the versions that they have now.
 */
export class LongKeys {
  /** Before the version of an entry that was touched here: no other copy has the life that it got. */
  readonly touched: string = `${randomBytes(9).toString("base64url")} `;
  readonly #keys = new Map<string, string>();
  #hasForgotten = false;

  of(key: string): Key {
    const made = keyOf(key);
    if (made.name.length > LONGEST_NAME) this.#note(made.hash.toString("base64"), key);
    return made;
  }

  /** `null` if it was not used here, `undefined` if that is not known. */
  find(hash: string): string | undefined | null {
    return this.#keys.get(hash) ?? (this.#hasForgotten ? undefined : null);
  }

  /** `undefined` if that of the entry is not known. */
  versionIn(reported: string): string | undefined {
    const version = reported.startsWith(this.touched) ? reported.slice(this.touched.length) : reported;
    return version === "-" ? undefined : version;
  }

  #note(hash: string, key: string): void {
    this.#keys.delete(hash);
    this.#keys.set(hash, key);
    if (this.#keys.size <= MOST_LONG_KEYS) return;
    this.#hasForgotten = true;
    this.#keys.delete(this.#keys.keys().next().value!);
  }
}

/** `$1` to `$6` of a write, after the key. Copied, so the caller may use its buffer again. */
export const fieldsOf = (entry: StoredEntry): readonly unknown[] => [
  packed(entry.data),
  packed(Buffer.from(entry.meta)),
  entry.staleInMs,
  entry.expiresInMs,
  entry.version ?? "-",
];

/** A put that is refused, because the disk is full for example: entry and lease must go. */
export async function orRemoved<T>(put: Promise<T>, remove: () => Promise<unknown>): Promise<T> {
  try {
    return await put;
  } catch (error) {
    // The error of the put is the one that the caller gets.
    const isSent = !(error instanceof BackendUnavailableError || error instanceof StandstillError);
    if (isSent) await remove().catch(() => false);
    throw error;
  }
}

/** From the columns data, meta, version, stale, expires. */
export function entryOf(columns: readonly unknown[]): StoredEntry | undefined {
  const [data, meta, version, staleInMs, expiresInMs] = columns as readonly [Buffer, Buffer, string, number, number];
  if (data === undefined || data === null || expiresInMs < 1) return undefined;
  return { data, meta: meta.toString(), version, staleInMs, expiresInMs };
}
