import type { Latency, NamespaceStats, TierState, TierStats } from "../contracts/events.ts";
import { Guesses } from "./guesses.ts";

/**
 * Durations in buckets a twelfth of an octave wide, so that a percentile is off by at most 6 %, from 1 µs to about
 * 70 minutes. 1.5 KB from the first record on.
 */
export class Histogram {
  #counts: Uint32Array = NONE;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  record(durationMs: number): void {
    if (this.#counts === NONE) this.#counts = new Uint32Array(BUCKETS);
    const steps = Math.ceil(Math.log2(Math.max(1, durationMs * 1_000)) * STEPS_PER_OCTAVE);
    this.#counts[Math.min(BUCKETS - 1, steps)]! += 1;
    this.#count += 1;
  }

  add(other: Histogram): void {
    if (other.#count === 0) return;
    if (this.#counts === NONE) this.#counts = new Uint32Array(BUCKETS);
    other.#counts.forEach((count, bucket) => {
      this.#counts[bucket]! += count;
    });
    this.#count += other.#count;
  }

  /** `NaN` for each percentile while nothing was recorded. */
  snapshot(): Latency {
    return {
      count: this.#count,
      p50Ms: this.#percentile(0.5),
      p95Ms: this.#percentile(0.95),
      p99Ms: this.#percentile(0.99),
    };
  }

  #percentile(share: number): number {
    if (this.#count === 0) return NaN;
    let left = Math.ceil(this.#count * share);
    for (let bucket = 0; bucket < BUCKETS; bucket += 1) {
      left -= this.#counts[bucket]!;
      if (left <= 0) return 2 ** (bucket / STEPS_PER_OCTAVE) / 1_000;
    }
    return Infinity;
  }
}

const STEPS_PER_OCTAVE = 12;
const BUCKETS = 32 * STEPS_PER_OCTAVE;
const NONE = new Uint32Array(0);

/** Counters of one tier. */
export class TierMeter {
  hits = 0;
  misses = 0;
  errors = 0;
  readonly read: Histogram = new Histogram();
  readonly write: Histogram = new Histogram();
  readonly remove: Histogram = new Histogram();

  /** Counts the calls that it has answered. */
  declare answered: number;

  /** @param answered 0 only where it may be connecting, in time that no deadline counts. */
  constructor(answered = 0) {
    this.answered = answered;
  }

  snapshot(
    label: string,
    state: TierState,
    size: { readonly entries?: number; readonly bytes?: number } = {},
  ): TierStats {
    return {
      label,
      state,
      hits: this.hits,
      misses: this.misses,
      errors: this.errors,
      ...size,
      latency: { read: this.read.snapshot(), write: this.write.snapshot(), remove: this.remove.snapshot() },
    };
  }
}

/** Counters of one namespace. Each call ends as exactly one hit, stale hit or miss. */
export class Meter {
  hits = 0;
  staleHits = 0;
  misses = 0;
  loads = 0;
  loadErrors = 0;
  coalesced = 0;
  fenced = 0;
  verified = 0;
  mismatches = 0;
  overloaded = 0;
  mispredicted = 0;
  unadmitted = 0;
  readonly load: Histogram = new Histogram();

  add(other: Meter): void {
    for (const name of COUNTS) this[name] += other[name];
    this.load.add(other.load);
  }

  snapshot(): NamespaceStats {
    const { load, ...counts }: Meter = this;
    const answered = counts.hits + counts.staleHits;
    return { ...counts, hitRatio: answered / (answered + counts.misses), loadLatency: load.snapshot() };
  }
}

export const COUNTS = [
  "hits",
  "staleHits",
  "misses",
  "loads",
  "loadErrors",
  "coalesced",
  "fenced",
  "verified",
  "mismatches",
  "overloaded",
  "mispredicted",
  "unadmitted",
] as const;

/** Keys that are counted together, in all namespaces. */
export interface KeyGroup {
  /** The name in metrics and inspections. */
  readonly name: string;
  /** A text that they begin with, or an expression that matches them. */
  readonly match: string | RegExp;
}

/** The counters of one namespace. */
export class NamespaceMeters {
  declare readonly path: readonly string[];
  /** Guesses whether the next read of the backend will find an entry. */
  readonly guesses: Guesses = new Guesses();
  /** Absent without any. A key is in the first that matches. */
  declare readonly groups: readonly KeyGroup[] | undefined;
  /** Counts keys that are in no group. */
  readonly rest: Meter = new Meter();
  /** The meters of groups of keys, in the order of the groups. */
  readonly #grouped: Meter[] = [];

  constructor(path: readonly string[], groups?: readonly KeyGroup[]) {
    this.path = path;
    this.groups = groups;
  }

  /** The counters for calls of this key. */
  of(key: string): Meter {
    if (this.groups === undefined) return this.rest;
    const at = this.#groupAt(key);
    return at < 0 ? this.rest : (this.#grouped[at] ??= new Meter());
  }

  /** The name of the group of this key, if it is in one. */
  groupOf(key: string): string | undefined {
    return this.groups?.[this.#groupAt(key)]?.name;
  }

  #groupAt(key: string): number {
    return this.groups!.findIndex(({ match }) => (typeof match === "string" ? key.startsWith(match) : match.test(key)));
  }

  /** @param group its position. @default all keys of the namespace */
  addTo(sum: Meter, group?: number): void {
    // Not by its position: it has holes.
    this.#grouped.forEach((meter, at) => {
      if (group === undefined || group === at) sum.add(meter);
    });
    if (group === undefined) sum.add(this.rest);
  }
}

/**
 * The counters of a cache, by namespace: the first 1,000 have their own, next to the root. Calls of any further one
 * count in the nearest namespace above it that has.
 */
export class Meters {
  declare readonly groups: readonly KeyGroup[] | undefined;
  readonly #meters = new Map<string, NamespaceMeters>();

  constructor(groups?: readonly KeyGroup[]) {
    this.groups = groups;
  }

  get size(): number {
    return this.#meters.size;
  }

  /** Counters of each namespace that has its own. */
  all(): Iterable<NamespaceMeters> {
    return this.#meters.values();
  }

  /** The counters for calls of this namespace. */
  of(path: readonly string[]): NamespaceMeters {
    const name = JSON.stringify(path);
    const own = this.#meters.get(name);
    if (own !== undefined) return own;
    if (path.length !== 0 && this.#meters.size > MAX_NAMESPACES) return this.of(path.slice(0, -1));
    const meters = new NamespaceMeters(path, this.groups);
    this.#meters.set(name, meters);
    return meters;
  }

  /** The counts of the group at this position. */
  ofGroup(group: number): NamespaceStats {
    const sum = new Meter();
    for (const each of this.#meters.values()) each.addTo(sum, group);
    return sum.snapshot();
  }

  /** The counts of this namespace and those below it; `undefined` if it has no separate counters. */
  snapshot(path: readonly string[]): NamespaceStats | undefined {
    if (!this.#meters.has(JSON.stringify(path))) return undefined;
    const sum = new Meter();
    for (const each of this.#meters.values()) if (path.every((name, i) => each.path[i] === name)) each.addTo(sum);
    return sum.snapshot();
  }
}

const MAX_NAMESPACES = 1_000;
