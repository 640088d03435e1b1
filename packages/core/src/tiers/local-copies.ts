import type { Clock } from "../contracts/clock.ts";
import { staleByTag, type Entry } from "../entry/entry.ts";
import { CacheError, EncodeError } from "../contracts/errors.ts";
import type { Events } from "../primitives/event-port.ts";
import { parseLocalKey } from "../entry/key.ts";
import type { LocalTier } from "../contracts/local-tier.ts";
import { TierMeter } from "../primitives/meters.ts";
import { compareVersions, type TagEvents } from "../tags/tag-events.ts";
import type { KnownVersions } from "../tags/known-versions.ts";
import { EPOCH_ALWAYS, type Trust } from "../coherence/trust.ts";

/** The copies of this process: the local tier, held against trust, tag calls and tag versions, in its value mode. */
export class LocalCopies {
  readonly tier: LocalTier;
  readonly label: string;
  readonly meter: TierMeter = new TierMeter();
  /** Whether callers get the stored object itself. */
  readonly isShared: boolean;
  readonly #tags: TagEvents;
  readonly #trust: Trust;
  readonly #table: KnownVersions | undefined;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  #isClosed = false;

  constructor(
    tier: LocalTier,
    tags: TagEvents,
    trust: Trust,
    table: KnownVersions | undefined,
    clock: Clock,
    events: Events,
    cache: string,
  ) {
    this.#trust = trust;
    this.#table = table;
    this.#events = events;
    this.#cache = cache;
    this.tier = tier;
    this.label = tier.label;
    this.isShared = tier.values !== "cloned";
    this.#tags = tags;
    this.#clock = clock;
  }

  /**
   * The copy, stale where one of its tags was marked so; `undefined` for one that was invalidated or has ended, and for
   * one that nobody vouches for: see {@link unconfirmed}.
   */
  get(at: string, now: number): Entry | undefined {
    const entry = this.tier.get(at) as Entry | undefined;
    if (entry === undefined || now >= entry.deadAt) return undefined;
    if ((entry.epoch !== this.#trust.epoch || now >= this.#trust.until) && entry.epoch !== EPOCH_ALWAYS)
      return undefined;
    return entry.tagSequence === this.#tags.sequence ? entry : this.#held(at, entry, now);
  }

  /** The copy that {@link get} may not answer with, for when there is nobody to confirm it: newer than every call of this process. */
  unconfirmed(at: string, now: number): Entry | undefined {
    const entry = this.tier.get(at) as Entry | undefined;
    return entry === undefined || now >= entry.deadAt ? undefined : this.#tags.hold(entry, now);
  }

  /** Why {@link get} does not answer with a copy, or that it does. For people. */
  explain(at: string, now: number): string {
    const entry = this.tier.get(at) as Entry | undefined;
    if (entry === undefined) return "none";
    if (now >= entry.deadAt) return "its life is over";
    if (entry.epoch !== EPOCH_ALWAYS && now >= this.#trust.until)
      return this.#trust.until === -Infinity
        ? "not trusted: changes are not heard"
        : `not trusted: the last sign of life was too long ago, by ${Math.round(now - this.#trust.until)} ms`;
    if (entry.epoch !== EPOCH_ALWAYS && entry.epoch !== this.#trust.epoch)
      return "not confirmed since it was kept, or since changes may have been missed";
    if (this.get(at, now) === undefined) return "a tag of it was invalidated, or changed and is not known yet";
    return now < entry.staleAt ? "fresh" : "stale";
  }

  /** After a tag event: as the tag calls of this process leave it, and the tag versions that are current. */
  #held(at: string, entry: Entry, now: number): Entry | undefined {
    const table = entry.versions === undefined || entry.epoch === EPOCH_ALWAYS ? undefined : this.#table;
    const current = table?.known(entry.dependsOn);
    // To be confirmed: what it depends on may have changed.
    if (table !== undefined && current === undefined) return undefined;
    const verdict = current === undefined ? "current" : compareVersions(entry.versions, current);
    const held = verdict === "gone" ? undefined : this.#tags.hold(entry, now);
    if (held === undefined) this.tier.delete(at);
    // Not before it was held against both: a call of this process, and the versions of now.
    else if (held === entry && verdict === "current") entry.tagSequence = this.#tags.sequence;
    return held !== undefined && verdict === "stale" ? staleByTag(held, now) : held;
  }

  /**
   * Keeps a copy for at most `localTtlMs`, the reader's and the writer's limit both; zero keeps none. In `cloned` mode
   * a value that cannot be cloned is not kept, and neither is one whose size the tier cannot tell: the error says so.
   *
   * @param soundEpoch when it was what the backend holds; `Trust.unconfirmed` for what is kept for when the backend is away.
   */
  put(at: string, entry: Entry, localTtlMs: number, soundEpoch: number): CacheError | undefined {
    const epoch = entry.isUnconfirmed === true ? this.#trust.unconfirmed : soundEpoch;
    const limitMs = Math.min(localTtlMs, entry.localTtlMs);
    if (limitMs <= 0 || this.#isClosed) {
      this.tier.delete(at);
      return undefined;
    }
    const now = this.#clock.now();
    const deadAt = Math.min(entry.expiresAt, now + limitMs);
    try {
      const value = this.own(entry.value);
      if (deadAt === entry.deadAt && value === entry.value) {
        entry.epoch = epoch;
        this.tier.set(at, entry);
      } else {
        const copy: Entry = { ...entry, value, deadAt, epoch };
        this.tier.set(at, copy);
      }
    } catch (error) {
      return error instanceof CacheError
        ? error
        : new EncodeError(`${this.label}: the local tier refused this value; see cause`, {
            tier: this.label,
            operation: "set",
            cause: error,
          });
    }
    if (this.#events.store.isObserved) {
      const { path, key } = parseLocalKey(at);
      this.#events.store.emit({
        cache: this.#cache,
        namespace: path,
        key,
        tier: this.label,
        durationMs: this.#clock.now() - now,
      });
    }
    return undefined;
  }

  /** Whether a copy is here that was written by `version`, which may be confirmed by {@link confirm}. */
  holds(at: string, version: string): boolean {
    return (this.tier.get(at) as Entry | undefined)?.version === version;
  }

  /** The backend held what `version` wrote when it was asked, in this epoch; and nothing was heard of the key since, or the copy would be gone. */
  confirm(at: string, version: string, epoch: number): void {
    const entry = this.tier.get(at) as Entry | undefined;
    if (entry?.version === version && epoch === this.#trust.epoch) entry.epoch = epoch;
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
      throw new EncodeError(`${this.label}: this value cannot be cloned; give plain data, or values: "shared"`, {
        tier: this.label,
        operation: "clone",
        cause,
      });
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
