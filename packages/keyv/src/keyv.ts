import { createHash } from "node:crypto";
import {
  ConfigurationError,
  DecodeError,
  defineBackend,
  json,
  passthrough,
  systemClock,
  type Backend,
  type Clock,
  type Compressor,
  type Format,
  type StoredAnswer,
} from "@hotset/core";
import { checkNames } from "@hotset/core/internal";
import { packEntry, unpackEntry } from "@hotset/core/stores";
import { AdapterCalls, isAbsent, type KeyvAdapter } from "./adapter.ts";

/** Options of {@link keyv}. */
export interface KeyvBackendOptions {
  /** Encodes values. @default json() */
  readonly format?: Format | undefined;
  /** Compresses values. @default passthrough() */
  readonly compressor?: Compressor | undefined;
  /** Formats and compressors that older entries may have. @default none */
  readonly alsoReads?: readonly (Format | Compressor)[] | undefined;
  /** Whether no other process writes to the store: then `localTtl` need not be given. @default false */
  readonly isOnlyWriter?: boolean | undefined;
  /** Larger encoded entries are not stored. They take a third more in the store. @default Infinity */
  readonly maxEntryBytes?: number | undefined;
  /** Names the tier in events, stats and errors. @default 'keyv' */
  readonly label?: string | undefined;
  /** The clock by which entries end. For tests. @default the clock of the system */
  readonly clock?: Clock | undefined;
}

/**
 * A backend over a store of Keyv, version 5 or 6. It keeps entries and tags, and has no leases and no coherence: each
 * process loads a missing key itself, and a value whose load began before a delete may be stored after it. `build`
 * warns of it, unless there is one writer.
 *
 * The store is not closed with the cache, since it was passed in.
 *
 * @throws {ConfigurationError} for an unknown option, and for a `Keyv` in place of its store.
 */
export function keyv(store: KeyvAdapter, options: KeyvBackendOptions = {}): Backend {
  check(store, options);
  const { label = "keyv", isOnlyWriter = false, clock = systemClock, maxEntryBytes } = options;
  const calls = new AdapterCalls(store, label);
  const nowMs = (): number => clock.epochMs?.() ?? Date.now();
  const entryOf = (found: unknown): StoredAnswer | undefined => unpacked(found, nowMs());
  return defineBackend({
    label,
    format: options.format ?? json(),
    compressor: options.compressor ?? passthrough(),
    alsoReads: options.alsoReads ?? [],
    ...(maxEntryBytes !== undefined && { maxEntryBytes }),
    ...(isOnlyWriter && { coherence: "sole-writer" as const }),
    ...(calls.hasGetMany && {
      batch: {
        read: async (keys) =>
          keys.length === 0 ? [] : (await calls.getMany("batch read", keys.map(nameOf))).map(entryOf),
      },
    }),
    read: async (key) => entryOf(await calls.get("read", nameOf(key))),
    async write(key, entry) {
      // Packed before anything is awaited: the caller may continue to use its buffer.
      const text = Buffer.from(packEntry(entry, nowMs())).toString("base64");
      await calls.set("write", nameOf(key), text, entry.expiresInMs);
    },
    async remove(key) {
      const name = nameOf(key);
      // A store may count an entry that has ended. The two calls are not one step: nothing here has such a step.
      const found = entryOf(await calls.get("remove", name));
      const isDeleted = await calls.delete("remove", name);
      return isDeleted && found !== undefined ? "deleted" : "missing";
    },
    async close() {
      calls.close();
    },
  });
}

/** Stores differ in the keys that they take, in length and letters. */
const nameOf = (key: string): string => `hotset:${createHash("sha256").update(key).digest("hex")}`;

function unpacked(found: unknown, nowMs: number): StoredAnswer | undefined {
  if (isAbsent(found)) return undefined;
  // Some stores return text as bytes.
  const text = found instanceof Uint8Array ? Buffer.from(found).toString("latin1") : found;
  try {
    return unpackEntry(Buffer.from(typeof text === "string" ? text : "", "base64"), nowMs);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { data: new Uint8Array(0), meta: "", staleInMs: 0, expiresInMs: 1, error };
  }
}

function check(store: KeyvAdapter, options: KeyvBackendOptions): void {
  checkNames(options, NAMES, { place: "keyv" });
  if (typeof store !== "object" || store === null || METHODS.some((name) => typeof store[name] !== "function"))
    throw new ConfigurationError("keyv(store): store must have get, set and delete, as the stores of Keyv have");
  if ("stats" in store && "hooks" in store)
    throw new ConfigurationError(
      "keyv(store) takes the store, not a Keyv, which hides errors: keyv(new KeyvSqlite(uri))",
    );
}

const METHODS = ["get", "set", "delete"] as const;
const NAMES: readonly string[] = [
  "format",
  "compressor",
  "alsoReads",
  "isOnlyWriter",
  "maxEntryBytes",
  "label",
  "clock",
] satisfies (keyof KeyvBackendOptions)[];
