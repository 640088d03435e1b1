import type { Clock } from "./clock.ts";
import type { Entry } from "./entry.ts";
import { CacheError, EncodeError } from "./errors.ts";
import type { Events } from "./events.ts";
import { parseLocalKey } from "./key.ts";
import type { LocalTier } from "./local-tier.ts";
import { TierMeter } from "./stats.ts";
import type { Tags } from "./tags.ts";

/** The copies of this process: the local tier, held against the tag calls of this process, in its value mode. */
export class LocalCopies {
  readonly tier: LocalTier;
  readonly label: string;
  readonly meter: TierMeter = new TierMeter();
  /** Whether callers get the stored object itself. */
  readonly isShared: boolean;
  readonly #tags: Tags;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  #isClosed = false;

  constructor(tier: LocalTier, tags: Tags, clock: Clock, events: Events, cache: string) {
    this.#events = events;
    this.#cache = cache;
    this.tier = tier;
    this.label = tier.label;
    this.isShared = tier.values !== "cloned";
    this.#tags = tags;
    this.#clock = clock;
  }

  /** The copy, stale where one of its tags was marked so; `undefined` for one that was invalidated or has ended. */
  get(at: string, now: number): Entry | undefined {
    const entry = this.tier.get(at) as Entry | undefined;
    if (entry === undefined || now >= entry.deadAt) return undefined;
    if (entry.checkedAt === this.#tags.now) return entry;
    const held = this.#tags.hold(entry, now);
    if (held === undefined) this.tier.delete(at);
    return held;
  }

  /**
   * Keeps a copy for at most `localTtlMs`, the reader's and the writer's limit both; zero keeps none. In `cloned` mode
   * a value that cannot be cloned is not kept, and neither is one whose size the tier cannot tell: the error says so.
   */
  put(at: string, entry: Entry, localTtlMs: number): CacheError | undefined {
    const limitMs = Math.min(localTtlMs, entry.localTtlMs);
    if (limitMs <= 0 || this.#isClosed) {
      this.tier.delete(at);
      return undefined;
    }
    const now = this.#clock.now();
    const deadAt = Math.min(entry.expiresAt, now + limitMs);
    try {
      const value = this.own(entry.value);
      this.tier.set(at, deadAt === entry.deadAt && value === entry.value ? entry : { ...entry, value, deadAt });
    } catch (error) {
      return error instanceof CacheError ? error : new EncodeError(`${this.label}: the local tier refused this value; see cause`, { tier: this.label, operation: "set", cause: error });
    }
    if (this.#events.store.isObserved) {
      const { path, key } = parseLocalKey(at);
      this.#events.store.emit({ cache: this.#cache, namespace: path, key, tier: this.label, durationMs: this.#clock.now() - now });
    }
    return undefined;
  }

  /** Drops all there is, and keeps nothing that is still to come. */
  close(): void {
    this.#isClosed = true;
    this.tier.clear();
  }

  /** What may be kept of a value that the caller has too. @throws {EncodeError} for one that cannot be cloned. */
  own(value: unknown): unknown {
    if (this.tier.values === "frozen") deepFreeze(value);
    return this.tier.values === "cloned" ? this.#clone(value) : value;
  }

  /** A value as one caller gets it: in `cloned` mode a copy of its own, where it can be cloned. */
  handOut(value: unknown): unknown {
    if (this.isShared || value === null || typeof value !== "object") return value;
    try {
      return structuredClone(value);
    } catch {
      return value;
    }
  }

  #clone(value: unknown): unknown {
    try {
      return structuredClone(value);
    } catch (cause) {
      throw new EncodeError(`${this.label}: this value cannot be cloned; give plain data, or values: "shared"`, { tier: this.label, operation: "clone", cause });
    }
  }
}

/** Freezes plain data through and through. Bytes cannot be frozen, and what `Map`, `Set` and `Date` hold inside neither. */
function deepFreeze(value: unknown): void {
  if (value === null || typeof value !== "object" || Object.isFrozen(value) || ArrayBuffer.isView(value)) return;
  Object.freeze(value);
  for (const key of Reflect.ownKeys(value)) {
    const property = Object.getOwnPropertyDescriptor(value, key);
    if (property !== undefined && "value" in property) deepFreeze(property.value);
  }
}
