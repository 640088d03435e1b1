import {
  ConfigurationError,
  InvalidArgumentError,
  type LocalEntry,
  type LocalTier,
  type LocalTierHost,
  didYouMean,
} from "@hotset/core";
import { LRUCache } from "lru-cache";
import { ExpiryWheel } from "./expiry-wheel.ts";
import { estimateBytes } from "./value-size.ts";

/** A number of bytes, or a number with a unit: `"64mb"` is 64 * 1,048,576 bytes. */
export type Bytes = number | `${number}${"b" | "kb" | "mb" | "gb"}`;

export interface MemoryOptions {
  /** Names the tier in events, stats and errors. @default 'memory' */
  readonly label?: string;
  /**
   * Maximum number of entries; the least recently used are evicted first. From 1 to 16,777,216, the capacity of one
   * `Map`. About 30 bytes are allocated for each when the tier is created.
   *
   * @default 10_000
   */
  readonly maxEntries?: number;
  /**
   * Maximum sum of the sizes of all entries, in bytes or like `"64mb"`; never exceeded. `Infinity` sets no bound,
   * and measures no value.
   *
   * @default an eighth of the heap limit of this process (`--max-old-space-size`), for each tier
   */
  readonly maxBytes?: Bytes;
  /**
   * Larger values, in bytes, are not kept in this tier, and an older value under the same key is removed. At most
   * `maxBytes`. @default maxBytes / 10
   */
  readonly maxEntryBytes?: Bytes;
  /**
   * Size of a value in bytes: finite, not negative. Counts as the size of the whole entry. Called at each store,
   * unless `maxBytes` is `Infinity` and there is no `maxEntryBytes`.
   *
   * @default the encoded size, else an estimate; plus 300 bytes for the entry and 2 for each character of its key
   */
  readonly sizeOf?: (value: unknown) => number;
  /**
   * `shared`: callers get the same object and must not change it. `frozen`: a change throws.
   * `cloned`: each caller gets a copy, which costs one `structuredClone`. @default 'shared'
   */
  readonly values?: "shared" | "frozen" | "cloned";
}

/**
 * A local tier for one cache.
 *
 * Holds the most recently used entries up to `maxEntries` and `maxBytes`; neither is ever exceeded. An entry whose life
 * is over is removed within a second, even if it is not read, by a timer that does not keep the process alive. If
 * thousands end together, 500 are removed every millisecond, so the event loop is not blocked.
 *
 * @throws {InvalidArgumentError} for an unknown option, and for one out of its range.
 */
export function memory(options: MemoryOptions = {}): LocalTier {
  const limits = resolve(options);
  return limits.maxBytes === undefined && limits.maxEntryBytes === undefined
    ? new MemoryTier(limits)
    : new SizedMemoryTier(limits);
}

/**
 * Measured size of an entry without key and value: its object, and its places in the map, the order of use and the
 * wheel.
 */
const ENTRY_BYTES = 300;
const KEY_BYTES_PER_CHAR = 2;

/** Bounded by the number of entries. */
class MemoryTier implements LocalTier {
  readonly label: string;
  readonly values: "shared" | "frozen" | "cloned";
  protected readonly entries: LRUCache<string, LocalEntry>;
  #host: LocalTierHost | undefined;
  #wheel: ExpiryWheel | undefined;
  /** The key of the running `set`. While it is not in the map yet, an eviction is due to `maxEntries`. */
  #storing = "";
  #evicted: { readonly key: string; readonly reason: "entries" | "bytes" }[] = [];
  #isClearing = false;

  constructor(limits: Limits) {
    this.label = limits.label;
    this.values = limits.values;
    this.entries = new LRUCache<string, LocalEntry>({
      max: limits.maxEntries,
      ...(limits.maxBytes === undefined ? {} : { maxSize: limits.maxBytes }),
      // Only enables the counting of bytes: `SizedMemoryTier` checks the bound on one value itself.
      ...(limits.maxEntryBytes === undefined ? {} : { maxEntrySize: limits.maxBytes ?? Number.MAX_SAFE_INTEGER }),
      dispose: (entry, key, reason) => this.#gone(entry, key, reason),
    });
  }

  get entryCount(): number {
    return this.entries.size;
  }

  attach(host: LocalTierHost): void {
    if (this.#host !== undefined) {
      throw new ConfigurationError(
        `${this.label}: this tier already belongs to a cache; give each cache a memory() of its own`,
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
    this.#storing = key;
    if (!this.keep(key, entry)) return void this.entries.delete(key);
    wheel.file(key, entry.deadAt);
    if (this.#evicted.length > 0) this.#report();
  }

  delete(key: string): boolean {
    return this.entries.delete(key);
  }

  clear(): void {
    this.#isClearing = true;
    this.entries.clear();
    this.#isClearing = false;
    this.#wheel?.clear();
  }

  /** Returns whether the entry was kept. */
  protected keep(key: string, entry: LocalEntry): boolean {
    this.entries.set(key, entry);
    return true;
  }

  #gone(entry: LocalEntry, key: string, reason: LRUCache.DisposeReason): void {
    if (this.#isClearing) return;
    this.#wheel?.unfile(key, entry.deadAt);
    // lru-cache is in the middle of a change here, so the host is notified after it.
    if (reason === "evict") this.#evicted.push({ key, reason: this.entries.has(this.#storing) ? "bytes" : "entries" });
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

/** Also bounded by bytes. */
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
    return this.entries.calculatedSize;
  }

  protected override keep(key: string, entry: LocalEntry): boolean {
    const size = this.#size(key, entry);
    if (size === undefined) return false;
    // For the same object lru-cache would keep the old size, but its value may have grown.
    if (this.entries.peek(key) === entry) this.entries.delete(key);
    this.entries.set(key, entry, { size });
    return true;
  }

  /** In whole bytes, at least 1; `undefined` if the entry is too large. */
  #size(key: string, entry: LocalEntry): number | undefined {
    const ofValue =
      this.#sizeOf === undefined
        ? (entry.uncompressedBytes ?? entry.encodedBytes ?? estimateBytes(entry.value))
        : this.#callSizeOf(this.#sizeOf, key, entry);
    const size = this.#sizeOf === undefined ? ENTRY_BYTES + key.length * KEY_BYTES_PER_CHAR + ofValue : ofValue;
    return ofValue > this.#maxEntryBytes || size > this.#maxBytes ? undefined : Math.max(1, Math.ceil(size));
  }

  #callSizeOf(sizeOf: (value: unknown) => number, key: string, entry: LocalEntry): number {
    let cause: unknown;
    try {
      const size: unknown = sizeOf(entry.value);
      if (typeof size === "number" && size >= 0 && size < Infinity) return size;
      cause = new TypeError(`sizeOf must return a size in bytes, got ${describe(size)}`);
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

interface Limits {
  readonly label: string;
  readonly values: "shared" | "frozen" | "cloned";
  readonly maxEntries: number;
  readonly maxBytes: number | undefined;
  readonly maxEntryBytes: number | undefined;
  readonly sizeOf: ((value: unknown) => number) | undefined;
}

/** Capacity of one `Map` in V8. */
const MOST_ENTRIES = 2 ** 24;
const OPTIONS: readonly string[] = [
  "label",
  "maxEntries",
  "maxBytes",
  "maxEntryBytes",
  "sizeOf",
  "values",
] satisfies (keyof MemoryOptions)[];
const VALUES: readonly unknown[] = ["shared", "frozen", "cloned"] satisfies MemoryOptions["values"][];

function resolve(options: MemoryOptions): Limits {
  if (typeof options !== "object" || options === null) refuse("options", options, "an object");
  for (const name of Object.keys(options)) {
    if (!OPTIONS.includes(name))
      throw new InvalidArgumentError(
        `memory: unknown option ${JSON.stringify(name)}; the options are ${OPTIONS.join(", ")}${didYouMean(name, OPTIONS)}`,
      );
  }
  const { label = "memory", maxEntries = 10_000, sizeOf, values = "shared" } = options;
  if (typeof label !== "string" || label === "") refuse("label", label, "a non-empty string");
  if (!isCount(maxEntries, MOST_ENTRIES)) refuse("maxEntries", maxEntries, `a whole number from 1 to ${MOST_ENTRIES}`);
  const maxBytes = resolveMaxBytes(options.maxBytes);
  const maxEntryBytes = resolveMaxEntryBytes(options.maxEntryBytes, maxBytes);
  if (sizeOf !== undefined && typeof sizeOf !== "function") refuse("sizeOf", sizeOf, "a function of a value");
  if (!VALUES.includes(values))
    refuse("values", values, `one of ${VALUES.map((mode) => JSON.stringify(mode)).join(", ")}`);
  return Object.freeze({ label, values, maxEntries, maxBytes, maxEntryBytes, sizeOf });
}

/**
 * The share of the heap limit that a tier takes by default, for live values. The rest is for the application, for
 * further caches, and for the error of the sizes: an encoded size is less than its value takes on the heap.
 */
const HEAP_SHARE = 1 / 8;

/** `undefined`: not bounded. */
function resolveMaxBytes(given: Bytes | undefined): number | undefined {
  if (given === Infinity) return undefined;
  if (given === undefined)
    return Math.floor(process.getBuiltinModule("node:v8").getHeapStatistics().heap_size_limit * HEAP_SHARE);
  const bytes = toBytes(given);
  return isCount(bytes, Number.MAX_SAFE_INTEGER)
    ? bytes
    : refuse("maxBytes", given, 'a whole number of bytes, at least 1, a size like "64mb", or Infinity');
}

function resolveMaxEntryBytes(given: Bytes | undefined, maxBytes: number | undefined): number | undefined {
  if (given === undefined) return maxBytes === undefined ? undefined : Math.max(1, Math.floor(maxBytes / 10));
  const bytes = toBytes(given);
  const most = maxBytes ?? Number.MAX_SAFE_INTEGER;
  if (isCount(bytes, most)) return bytes;
  const bound = maxBytes === undefined ? String(most) : `maxBytes (${maxBytes})`;
  return refuse("maxEntryBytes", given, `a whole number of bytes from 1 to ${bound}, or a size like "1mb"`);
}

const BYTES_PER_UNIT = { b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30 } as const;

/** Text with a unit as bytes, rounded down; anything else as it is. */
function toBytes(given: unknown): unknown {
  const match = typeof given === "string" ? /^(\d+(?:\.\d+)?)(b|kb|mb|gb)$/i.exec(given) : null;
  if (match === null) return given;
  return Math.floor(Number(match[1]) * BYTES_PER_UNIT[match[2]!.toLowerCase() as keyof typeof BYTES_PER_UNIT]);
}

const isCount = (given: unknown, most: number): given is number =>
  Number.isInteger(given) && (given as number) >= 1 && (given as number) <= most;

function refuse(option: string, given: unknown, accepted: string): never {
  throw new InvalidArgumentError(`memory: ${option} must be ${accepted}, got ${describe(given)}`);
}

/** Describes an argument for an error message: short, and without the content of objects. */
const describe = (given: unknown): string =>
  typeof given === "string"
    ? JSON.stringify(given.slice(0, 40))
    : typeof given === "number" || typeof given === "boolean" || given == null
      ? String(given)
      : typeof given === "bigint"
        ? `${given}n`
        : Array.isArray(given)
          ? "an array"
          : `a${typeof given === "object" ? "n object" : ` ${typeof given}`}`;
