import {
  ConfigurationError,
  InvalidArgumentError,
  type LocalEntry,
  type LocalTier,
  type LocalTierHost,
} from "@hotset/core";
import {
  type Option,
  anything,
  callback,
  checkNames,
  didYouMeanInCache,
  kindOf,
  oneOf,
  option,
  readOptions,
  refuseSurplus,
  text,
  wholeNumber,
} from "@hotset/core/internal";
import { AdaptiveEntries } from "./adaptive-entries.ts";
import type { Entries, Gone } from "./entries.ts";
import { ExpiryWheel } from "./expiry-wheel.ts";
import { LruEntries } from "./lru-entries.ts";
import { heapLimit } from "./platform.ts";
import { estimateBytes } from "./value-size.ts";

/** A number of bytes, or a number with a unit: `"64mb"` is 64 * 1,048,576 bytes. */
export type Bytes = number | `${number}${"b" | "kb" | "mb" | "gb"}`;

/** Options of `memory`. */
export interface MemoryOptions {
  /** Names the tier in events, stats and errors. @default 'memory' */
  readonly label?: string | undefined;
  /**
   * Maximum number of entries. From 1 to 16,777,216, the capacity of one `Map`. With `eviction: "lru"` about 30 bytes
   * are allocated for each when the tier is created, with `"adaptive"` none.
   *
   * @default 10_000
   */
  readonly maxEntries?: number | undefined;
  /**
   * Maximum sum of the sizes of all entries, in bytes or like `"64mb"`; never exceeded. `Infinity` sets no bound,
   * and measures no value.
   *
   * @default an eighth of the heap limit of this process (`--max-old-space-size`), for each tier
   */
  readonly maxBytes?: Bytes | undefined;
  /**
   * Larger values, in bytes, are not kept in this tier, and an older value under the same key is removed. At most
   * `maxBytes`. @default maxBytes / 10
   */
  readonly maxEntryBytes?: Bytes | undefined;
  /**
   * Size of a value in bytes: finite, not negative. Counts as the size of the whole entry. Called at each store,
   * unless `maxBytes` is `Infinity` and there is no `maxEntryBytes`.
   *
   * @default the encoded size, else an estimate; plus 300 bytes for the entry and 2 for each character of its key
   */
  readonly sizeOf?: ((value: unknown) => number) | undefined;
  /**
   * `shared`: callers get the same object and must not change it. `frozen`: a change throws.
   * `cloned`: each caller gets a copy, which costs one `structuredClone`. @default 'shared'
   */
  readonly values?: "shared" | "frozen" | "cloned" | undefined;
  /**
   * Which entry goes when the tier is full. `lru`: the least recently used. `adaptive`: one that was used neither
   * recently nor often, in the proportion that hits most under the present load; scans and loops do not empty it.
   *
   * @default 'lru'
   */
  readonly eviction?: "lru" | "adaptive" | undefined;
}

/**
 * A local tier for one cache: `memory()`, or `memory({ maxEntries: 50_000, maxBytes: "64mb" })`.
 *
 * Holds entries up to `maxEntries` (10,000) and `maxBytes` (an eighth of the heap limit); neither is ever exceeded:
 * `eviction` says which entries go, the least recently used by default. An entry
 * whose life has ended is removed within a second, even if it is not read, by a timer that does not keep the process
 * alive. If thousands end together, 500 are removed every millisecond, so the event loop is not blocked.
 *
 * @throws {ConfigurationError} for an unknown option.
 * @throws {InvalidArgumentError} for one out of its range.
 */
export function memory(options?: MemoryOptions): LocalTier;
export function memory(options: MemoryOptions = {}, ...surplus: readonly unknown[]): LocalTier {
  refuseSurplus("memory(options)", surplus, "give one object of options");
  const limits = resolve(options);
  return countsBytes(limits) ? new SizedMemoryTier(limits) : new MemoryTier(limits);
}

/**
 * Measured size of an entry without key and value: its object, and its places in the map, the order of use and the
 * wheel.
 */
const ENTRY_BYTES = 300;
const KEY_BYTES_PER_CHAR = 2;
/** Bytes that the key of a tag takes besides its characters: two texts, and places in three lists. */
const TAG_BYTES = 100;

/** Bounded by the number of entries. */
class MemoryTier implements LocalTier {
  declare readonly label: string;
  declare readonly values: "shared" | "frozen" | "cloned";
  /** For inspections. */
  declare readonly bounds: { readonly maxEntries: number; readonly maxBytes: number };
  declare protected readonly entries: Entries;
  #host: LocalTierHost | undefined;
  #wheel: ExpiryWheel | undefined;
  #evicted: { readonly key: string; readonly reason: "entries" | "bytes" }[] = [];

  constructor(limits: Limits) {
    this.label = limits.label;
    this.values = limits.values;
    const bounds = (this.bounds = { maxEntries: limits.maxEntries, maxBytes: limits.maxBytes ?? Infinity });
    const gone: Gone = (entry, key, evictedFor) => {
      this.#wheel?.unfile(key, entry.deadAt);
      // The entries are in the middle of a change here, so the host is notified after it.
      if (evictedFor !== undefined) this.#evicted.push({ key, reason: evictedFor });
    };
    this.entries =
      limits.eviction === "adaptive"
        ? new AdaptiveEntries(bounds, gone)
        : new LruEntries(bounds, countsBytes(limits), gone);
  }

  get entryCount(): number {
    return this.entries.count;
  }

  attach(host: LocalTierHost): void {
    if (this.#host !== undefined) {
      throw new ConfigurationError(
        `${this.label}: this tier already belongs to a cache; call memory() once per cache`,
        { tier: this.label, operation: "attach" },
      );
    }
    this.#host = host;
    this.#wheel = new ExpiryWheel(host.clock, (key, now) => this.#reclaim(key, now));
  }

  get(key: string): LocalEntry | undefined {
    return this.entries.get(key);
  }

  /** @throws {InvalidArgumentError} when `sizeOf` does not return a size; then nothing is kept under `key`. */
  set(key: string, entry: LocalEntry): void {
    const wheel = this.#wheel;
    if (wheel === undefined) {
      throw new ConfigurationError(
        `${this.label}: this tier belongs to no cache yet; createCache(...).tier(memory()).build() attaches it`,
        { tier: this.label, operation: "set" },
      );
    }
    if (!this.keep(key, entry)) return void this.entries.delete(key);
    wheel.file(key, entry.deadAt);
    if (this.#evicted.length > 0) this.#report();
  }

  delete(key: string): boolean {
    return this.entries.delete(key);
  }

  clear(): void {
    this.entries.clear();
    this.#wheel?.clear();
  }

  *walk(): Iterable<{ readonly key: string; readonly entry: LocalEntry; readonly bytes?: number | undefined }> {
    for (const key of this.entries.keys()) {
      const [entry, bytes] = [this.entries.peek(key), this.entries.sizeOf(key)];
      if (entry !== undefined) yield bytes === undefined ? { key, entry } : { key, entry, bytes };
    }
  }

  /** Returns whether the entry was kept. */
  protected keep(key: string, entry: LocalEntry): boolean {
    this.entries.set(key, entry, 0);
    return true;
  }

  #report(): void {
    const evicted = this.#evicted;
    this.#evicted = [];
    for (const { key, reason } of evicted) this.#host?.evicted(key, reason);
  }

  #reclaim(key: string, now: number): number {
    const entry = this.entries.peek(key);
    if (entry === undefined) return Infinity;
    if (entry.deadAt > now) return entry.deadAt;
    this.entries.delete(key);
    return Infinity;
  }
}

/** A memory tier that is bounded by bytes as well as by entries. */
class SizedMemoryTier extends MemoryTier {
  readonly #maxBytes: number;
  readonly #maxEntryBytes: number;
  readonly #sizeOf: ((value: unknown) => number) | undefined;

  constructor(limits: Limits) {
    super(limits);
    this.#maxBytes = limits.maxBytes ?? Infinity;
    this.#maxEntryBytes = limits.maxEntryBytes ?? Infinity;
    this.#sizeOf = limits.sizeOf;
  }

  get usedBytes(): number {
    return this.entries.bytes;
  }

  protected override keep(key: string, entry: LocalEntry): boolean {
    const size = this.#size(key, entry);
    if (size === undefined) return false;
    this.entries.set(key, entry, size);
    return true;
  }

  /** In whole bytes, at least 1; `undefined` if the entry is too large. */
  #size(key: string, entry: LocalEntry): number | undefined {
    const ofValue =
      this.#sizeOf === undefined
        ? (entry.uncompressedBytes ?? entry.encodedBytes ?? estimateBytes(entry.value))
        : this.#callSizeOf(this.#sizeOf, key, entry);
    let size = ofValue;
    if (this.#sizeOf === undefined) {
      size += ENTRY_BYTES + key.length * KEY_BYTES_PER_CHAR;
      if (entry.terms !== undefined && entry.terms.tags.length !== 0)
        for (const each of entry.terms.dependsOn) size += TAG_BYTES + each.length;
    }
    return ofValue > this.#maxEntryBytes || size > this.#maxBytes ? undefined : Math.max(1, Math.ceil(size));
  }

  #callSizeOf(sizeOf: (value: unknown) => number, key: string, entry: LocalEntry): number {
    let cause: unknown;
    try {
      const size: unknown = sizeOf(entry.value);
      if (typeof size === "number" && size >= 0 && size < Infinity) return size;
      cause = new TypeError(
        `sizeOf must return a size in bytes, got ${typeof size === "number" ? size : kindOf(size)}`,
      );
    } catch (error) {
      cause = error;
    }
    // The present value is from an older store, and must not outlive this one.
    this.entries.delete(key);
    throw new InvalidArgumentError(
      "memory: sizeOf must return a size in bytes, a finite number of at least 0, for every value that is stored",
      { tier: this.label, operation: "set", cause },
    );
  }
}

const countsBytes = ({ maxBytes, maxEntryBytes }: Limits): boolean =>
  maxBytes !== undefined || maxEntryBytes !== undefined;

interface Limits {
  readonly label: string;
  readonly values: "shared" | "frozen" | "cloned";
  readonly eviction: "lru" | "adaptive";
  readonly maxEntries: number;
  readonly maxBytes: number | undefined;
  readonly maxEntryBytes: number | undefined;
  readonly sizeOf: ((value: unknown) => number) | undefined;
}

const BYTES_PER_UNIT = { b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30 } as const;

/** Text with a unit as bytes, rounded down; anything else as it is. */
function toBytes(given: unknown): unknown {
  const match = typeof given === "string" ? /^(\d+(?:\.\d+)?)(b|kb|mb|gb)$/i.exec(given) : null;
  if (match === null) return given;
  return Math.floor(Number(match[1]) * BYTES_PER_UNIT[match[2]!.toLowerCase() as keyof typeof BYTES_PER_UNIT]);
}

const upTo =
  (most: number) =>
  (given: unknown): boolean =>
    Number.isInteger(given) && (given as number) >= 1 && (given as number) <= most;

const bytes = (accepts: string, most = Number.MAX_SAFE_INTEGER, also?: number): Option<number | undefined> => ({
  ...option(accepts, () => true, undefined),
  read: (given) => [toBytes(given)].find((size) => size === also || upTo(most)(size)) as number | undefined,
});

/** Capacity of one `Map` in V8. */
const MOST_ENTRIES = 2 ** 24;

/** A test compares the reference page with it. */
export const MEMORY_OPTIONS: {
  readonly [Name in keyof MemoryOptions]-?: Name extends "maxBytes"
    ? Option<number | undefined>
    : Name extends "sizeOf"
      ? Option<MemoryOptions["sizeOf"]>
      : Option<NonNullable<MemoryOptions[Name]>>;
} = {
  label: text("memory"),
  maxEntries: wholeNumber(10_000, 1, MOST_ENTRIES),
  maxBytes: bytes('a whole number of bytes, at least 1, a size like "64mb", or Infinity', undefined, Infinity),
  maxEntryBytes: anything as Option<NonNullable<MemoryOptions["maxEntryBytes"]>>,
  sizeOf: callback<NonNullable<MemoryOptions["sizeOf"]>>(" of a value"),
  values: oneOf("shared", "frozen", "cloned"),
  eviction: oneOf("lru", "adaptive"),
};

/**
 * The share of the heap limit that a tier takes by default, for live values. The rest is for the application, for
 * further caches, and for the error of the sizes: an encoded size is less than its value takes on the heap.
 */
const HEAP_SHARE = 1 / 8;

function resolve(options: MemoryOptions): Limits {
  checkNames(options, MEMORY_OPTIONS, { place: "memory", hint: didYouMeanInCache });
  const { maxBytes: given = Math.floor(heapLimit() * HEAP_SHARE), ...rest } = readOptions(
    options,
    MEMORY_OPTIONS,
    "memory: ",
  );
  const maxBytes = given === Infinity ? undefined : given;
  const bound = maxBytes === undefined ? String(Number.MAX_SAFE_INTEGER) : `maxBytes (${maxBytes})`;
  const ofEntry = bytes(`a whole number of bytes from 1 to ${bound}, or a size like "1mb"`, maxBytes);
  const usual = maxBytes === undefined ? undefined : Math.max(1, Math.floor(maxBytes / 10));
  const { maxEntryBytes = usual } = readOptions(options, { maxEntryBytes: ofEntry }, "memory: ");
  return Object.freeze({ ...rest, maxBytes, maxEntryBytes });
}
