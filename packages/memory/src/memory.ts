import {
  ConfigurationError,
  InvalidArgumentError,
  type LocalEntry,
  type LocalTier,
  type LocalTierHost,
} from "@hotset/core";
import { LRUCache } from "lru-cache";
import { ExpiryWheel } from "./expiry-wheel.ts";
import { estimateBytes } from "./value-size.ts";

export interface MemoryOptions {
  /** Names the tier in events, numbers and errors. @default 'memory' */
  readonly label?: string;
  /**
   * The least recently used go first. From 1 to 16,777,216, all that one `Map` holds; each takes some
   * 30 bytes from the start.
   *
   * @default 10_000
   */
  readonly maxEntries?: number;
  /** Bound on the sum of sizes; never exceeded. @default unbounded */
  readonly maxBytes?: number;
  /** Larger values skip this tier; an older one under the same key goes. At most `maxBytes`. @default maxBytes / 10 */
  readonly maxEntryBytes?: number;
  /**
   * Size of a value in bytes: finite, not negative. It stands for the whole entry; without it, 300 bytes and 2
   * for each character of the key are added to each. Asked at each store, and only under `maxBytes` or `maxEntryBytes`.
   *
   * @default the encoded size, else an estimate
   */
  readonly sizeOf?: (value: unknown) => number;
  /**
   * `shared`: callers get the same object and must not change it. `frozen`: a change throws.
   * `cloned`: each caller gets a copy, at the price of `structuredClone`. @default 'shared'
   */
  readonly values?: "shared" | "frozen" | "cloned";
}

/**
 * A local tier for one cache.
 *
 * Holds the most recently used entries up to `maxEntries` and `maxBytes`; neither is ever exceeded. An
 * entry that has ended is reclaimed within a second, read or not, by a timer that keeps no process alive; where
 * thousands end together they go 500 every millisecond, so that nothing else has to wait.
 *
 * @throws {InvalidArgumentError} for an unknown option, and for one out of its range.
 */
export function memory(options: MemoryOptions = {}): LocalTier {
  const limits = resolve(options);
  return limits.maxBytes === undefined && limits.maxEntryBytes === undefined
    ? new MemoryTier(limits)
    : new SizedMemoryTier(limits);
}

/** What an entry takes beside its key and value, measured: its object, its places in the map, in the order of use and in the wheel. */
const ENTRY_BYTES = 300;
const KEY_BYTES_PER_CHAR = 2;

/** Counts entries. */
class MemoryTier implements LocalTier {
  readonly label: string;
  readonly values: "shared" | "frozen" | "cloned";
  protected readonly entries: LRUCache<string, LocalEntry>;
  #host: LocalTierHost | undefined;
  #wheel: ExpiryWheel | undefined;
  /** The key of the `set` that runs: what goes while it is not there yet makes room in number. */
  #storing = "";
  #evicted: { readonly key: string; readonly reason: "entries" | "bytes" }[] = [];
  #isClearing = false;

  constructor(limits: Limits) {
    this.label = limits.label;
    this.values = limits.values;
    this.entries = new LRUCache<string, LocalEntry>({
      max: limits.maxEntries,
      ...(limits.maxBytes === undefined ? {} : { maxSize: limits.maxBytes }),
      // Turns counting on; the bound on one value is judged before lru-cache sees it.
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
        `${this.label}: this tier belongs to a cache already; give each cache a memory() of its own`,
        {
          tier: this.label,
          operation: "attach",
        },
      );
    }
    this.#host = host;
    this.#wheel = new ExpiryWheel(host.clock, (key, now) => this.#reclaim(key, now));
  }

  get(key: string): LocalEntry | undefined {
    return this.entries.get(key);
  }

  /** @throws {InvalidArgumentError} when `sizeOf` gave no size; then nothing is kept under `key`. */
  set(key: string, entry: LocalEntry): void {
    const wheel = this.#wheel;
    if (wheel === undefined) {
      throw new ConfigurationError(
        `${this.label}: this tier belongs to no cache yet; createCache(...).tier(memory()).build() attaches it`,
        {
          tier: this.label,
          operation: "set",
        },
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

  /** Whether the entry was kept; one that was not is not there in part either. */
  protected keep(key: string, entry: LocalEntry): boolean {
    this.entries.set(key, entry);
    return true;
  }

  #gone(entry: LocalEntry, key: string, reason: LRUCache.DisposeReason): void {
    if (this.#isClearing) return;
    this.#wheel?.unfile(key, entry.deadAt);
    // lru-cache is in the middle of a change here: whoever listens is told when it is done.
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

/** Counts bytes, too. */
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
    // lru-cache keeps the old size of the same object, which may have grown since.
    if (this.entries.peek(key) === entry) this.entries.delete(key);
    this.entries.set(key, entry, { size });
    return true;
  }

  /** In whole bytes, at least 1; `undefined` for what is too large. */
  #size(key: string, entry: LocalEntry): number | undefined {
    const ofValue =
      this.#sizeOf === undefined
        ? (entry.encodedBytes ?? estimateBytes(entry.value))
        : this.#ask(this.#sizeOf, key, entry);
    const size = this.#sizeOf === undefined ? ENTRY_BYTES + key.length * KEY_BYTES_PER_CHAR + ofValue : ofValue;
    return ofValue > this.#maxEntryBytes || size > this.#maxBytes ? undefined : Math.max(1, Math.ceil(size));
  }

  #ask(sizeOf: (value: unknown) => number, key: string, entry: LocalEntry): number {
    let cause: unknown;
    try {
      const size: unknown = sizeOf(entry.value);
      if (typeof size === "number" && size >= 0 && size < Infinity) return size;
      cause = new TypeError(`${shown(size)} is no size`);
    } catch (error) {
      cause = error;
    }
    // What is there belongs to an older store; it must not outlive this one.
    this.entries.delete(key);
    throw new InvalidArgumentError(
      "memory: sizeOf must return a size in bytes, a finite number of at least 0, for every value that is stored",
      {
        tier: this.label,
        operation: "set",
        cause,
      },
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

/** What one `Map` of V8 holds. */
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
      throw new InvalidArgumentError(`memory: ${JSON.stringify(name)} is no option; there are ${OPTIONS.join(", ")}`);
  }
  const { label = "memory", maxEntries = 10_000, maxBytes, sizeOf, values = "shared" } = options;
  const { maxEntryBytes = maxBytes === undefined ? undefined : Math.max(1, Math.floor(maxBytes / 10)) } = options;
  if (typeof label !== "string" || label === "") refuse("label", label, "a non-empty string");
  if (!isCount(maxEntries, MOST_ENTRIES)) refuse("maxEntries", maxEntries, `a whole number from 1 to ${MOST_ENTRIES}`);
  if (maxBytes !== undefined && !isCount(maxBytes, Number.MAX_SAFE_INTEGER))
    refuse("maxBytes", maxBytes, "a whole number of bytes, at least 1");
  if (maxEntryBytes !== undefined && !isCount(maxEntryBytes, maxBytes ?? Number.MAX_SAFE_INTEGER)) {
    refuse(
      "maxEntryBytes",
      maxEntryBytes,
      `a whole number of bytes from 1 to ${maxBytes === undefined ? Number.MAX_SAFE_INTEGER : `maxBytes (${maxBytes})`}`,
    );
  }
  if (sizeOf !== undefined && typeof sizeOf !== "function") refuse("sizeOf", sizeOf, "a function of a value");
  if (!VALUES.includes(values))
    refuse("values", values, `one of ${VALUES.map((mode) => JSON.stringify(mode)).join(", ")}`);
  return Object.freeze({ label, values, maxEntries, maxBytes, maxEntryBytes, sizeOf });
}

const isCount = (given: unknown, most: number): boolean =>
  Number.isInteger(given) && (given as number) >= 1 && (given as number) <= most;

function refuse(option: string, given: unknown, accepted: string): never {
  throw new InvalidArgumentError(`memory: ${option} is ${shown(given)}; it must be ${accepted}`);
}

/** Short, and without the content of objects. */
const shown = (given: unknown): string =>
  typeof given === "string"
    ? JSON.stringify(given.slice(0, 40))
    : typeof given === "number" || typeof given === "boolean" || given == null
      ? String(given)
      : typeof given === "bigint"
        ? `${given}n`
        : Array.isArray(given)
          ? "an array"
          : `a${typeof given === "object" ? "n object" : ` ${typeof given}`}`;
