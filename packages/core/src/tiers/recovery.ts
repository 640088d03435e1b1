import { within } from "../primitives/within.ts";
import type { TagVersions } from "../contracts/backend.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError, EncodeError } from "../contracts/errors.ts";
import type { Events } from "../primitives/event-port.ts";
import { dependencies, type EntryKey, type KeySpace } from "../entry/key.ts";
import type { EntryTier } from "./entry-tier.ts";
import { tagKeys } from "../tags/tag-events.ts";

/** An invalidation of tags that the backend has not acknowledged. */
interface PendingTags {
  readonly keySpace: KeySpace;
  readonly keys: readonly string[];
  readonly mode: "hard" | "soft";
  /** `Tags.now` when it was called. */
  readonly callSequence: number;
}

/** Called when a replay was acknowledged: an answer that was read meanwhile may be older. */
interface ReplayedOf {
  key(key: EntryKey): void;
  tags(space: KeySpace, tags: readonly string[]): void;
}

/** What a recovery needs of the tier that it replays in. */
type Replayed = Pick<EntryTier, "label" | "retryInMs" | "remove"> & {
  readonly versions: Pick<TagVersions, "renew"> | undefined;
};

/**
 * What could not reach the backend: remembered, and replayed when it answers again.
 *
 * A replay is always an invalidation, never a value: a write whose outcome is unknown is replayed as a removal. One per
 * key, the last one; bounded, and an overflow becomes a clear of the whole cache, or, in a backend that has no room for
 * tag versions, forgets the oldest. Until an invalidation was replayed,
 * nothing that it covers is read from the backend.
 */
export class Recovery {
  readonly #remote: Replayed;
  readonly #clock: Clock;
  readonly #events: Events;
  readonly #cache: string;
  readonly #root: KeySpace;
  readonly #replayed: ReplayedOf;
  /** Of a backend that tells when another server answers. */
  readonly #issued: IssuedInvalidations | undefined;
  readonly #keys = new Map<string, EntryKey>();
  readonly #tags = new Map<string, PendingTags>();
  #overflowed = false;
  #isStopped = false;
  #running: Promise<void> | undefined;
  #cancelRetry: (() => void) | undefined;

  constructor(options: {
    readonly remote: Replayed;
    readonly clock: Clock;
    readonly events: Events;
    readonly cache: string;
    readonly root: KeySpace;
    readonly replayed: ReplayedOf;
    /** How far back invalidations are remembered after their acknowledgement, in milliseconds. @default 0 */
    readonly reissueWindowMs?: number;
  }) {
    const { reissueWindowMs = 0 } = options;
    if (reissueWindowMs > 0) this.#issued = new IssuedInvalidations(options.clock, reissueWindowMs);
    this.#remote = options.remote;
    this.#clock = options.clock;
    this.#events = options.events;
    this.#cache = options.cache;
    this.#root = options.root;
    this.#replayed = options.replayed;
  }

  get size(): number {
    return this.#keys.size + this.#tags.size;
  }

  addKey(key: EntryKey): void {
    this.#keys.set(key.backend, key);
    this.#added();
  }

  addTags(keySpace: KeySpace, keys: readonly string[], mode: "hard" | "soft", callSequence: number): void {
    for (const each of keys) {
      const before = this.#tags.get(each);
      this.#tags.set(each, {
        keySpace,
        keys: [each],
        mode: before?.mode === "hard" ? "hard" : mode,
        callSequence: Math.max(callSequence, before?.callSequence ?? 0),
      });
    }
    this.#added();
  }

  /** A newer write of this key was acknowledged: nothing older is there to remove. */
  forgetKey(key: EntryKey): void {
    if (this.#keys.size !== 0) this.#keys.delete(key.backend);
  }

  /** As {@link forgetKey}, of a write that replaced or removed what was there: should the backend forget it, it is issued again. */
  acknowledgedKey(key: EntryKey): void {
    this.forgetKey(key);
    this.#issued?.addKey(key);
  }

  /** A call on these tags was acknowledged. It covers what was called before it; a hard one a soft one, and not the other way round. */
  forgetTags(keys: readonly string[], mode: "hard" | "soft", callSequence: number): void {
    for (const key of keys) {
      const pending = this.#tags.get(key);
      if (pending !== undefined && pending.callSequence <= callSequence && (mode === "hard" || pending.mode === "soft"))
        this.#tags.delete(key);
    }
  }

  /** As {@link forgetTags}; should the backend forget them, they are issued again. */
  acknowledgedTags(keySpace: KeySpace, keys: readonly string[], mode: "hard" | "soft", callSequence: number): void {
    this.forgetTags(keys, mode, callSequence);
    this.#issued?.addTags(keySpace, keys, mode);
  }

  /** What was there before may be back: what this process has lately removed, replaced or invalidated is invalidated again. */
  reissue(): void {
    if (this.#issued === undefined) return;
    const { keys, tags, overflowed } = this.#issued.take();
    if (overflowed && this.#remote.versions !== undefined) this.addTags(this.#root, tagKeys(this.#root, []), "hard", 0);
    this.#overflowed ||= overflowed;
    for (const { keySpace, keys: each, mode } of tags) this.addTags(keySpace, each, mode, 0);
    for (const key of keys) this.addKey(key);
    if (this.size !== 0) void this.replay();
  }

  /** Whether the backend may hold something that an invalidation of this process was to remove. */
  covers(key: EntryKey, dependsOn: readonly string[]): boolean {
    return this.size !== 0 && (this.#keys.has(key.backend) || dependsOn.some((each) => this.#tags.has(each)));
  }

  /** As {@link covers}, of an entry with these tags. */
  coversTagged(key: EntryKey, tags: readonly string[]): boolean {
    return this.size !== 0 && this.covers(key, dependencies(key.space, tags));
  }

  /** Replays all there is: tags up to the first that the backend does not take, and keys likewise. Never rejects. */
  replay(): Promise<void> {
    this.#running ??= this.#replay().finally(() => {
      this.#running = undefined;
      if (this.size !== 0) this.#retryLater();
    });
    return this.#running;
  }

  /** As {@link replay}, waited for no longer than `limitMs`. It goes on. */
  replayWithin(limitMs: number): Promise<void> {
    return within(this.#clock, limitMs, this.replay(), () => undefined);
  }

  /** Tries nothing again by itself, also what is under way. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelRetry?.();
  }

  async #replay(): Promise<void> {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    let replayed = 0;
    try {
      for (const [id, pending] of this.#tags) {
        await this.#remote.versions!.renew(pending.keys, pending.mode);
        if (this.#tags.get(id) === pending) this.#tags.delete(id);
        this.#issued?.addTags(pending.keySpace, pending.keys, pending.mode);
        this.#replayed.tags(pending.keySpace, pending.keys);
        replayed += 1;
      }
    } catch {
      // The tier has reported it; what is left is tried again later. Who may not renew versions may remove keys.
    }
    while (this.#keys.size !== 0) {
      const some = [...this.#keys].slice(0, AT_ONCE);
      const outcomes = await Promise.allSettled(
        some.map(async ([id, key]) => {
          await this.#remote.remove(key);
          if (this.#keys.get(id) === key) this.#keys.delete(id);
          this.#issued?.addKey(key);
          this.#replayed.key(key);
          replayed += 1;
        }),
      );
      if (outcomes.some(({ status }) => status === "rejected")) break;
    }
    if (replayed === 0) return;
    this.#events.recover.emit({
      cache: this.#cache,
      namespace: [],
      tier: this.#remote.label,
      replayed,
      overflowed: this.#overflowed,
    });
    if (this.size === 0) this.#overflowed = false;
  }

  #added(): void {
    if (this.size > MAX_PENDING) {
      this.#overflowed = true;
      if (this.#remote.versions === undefined) {
        this.#keys.delete(this.#keys.keys().next().value!);
        return;
      }
      this.#keys.clear();
      this.#tags.clear();
      for (const key of tagKeys(this.#root, []))
        this.#tags.set(key, { keySpace: this.#root, keys: [key], mode: "hard", callSequence: Infinity });
    }
    if (this.#running === undefined) this.#retryLater();
  }

  #retryLater(): void {
    if (this.#isStopped) return;
    this.#cancelRetry ??= this.#clock.schedule(() => void this.replay(), Math.max(RETRY_MS, this.#remote.retryInMs));
  }
}

/** What this process invalidated lately and the backend has acknowledged, oldest first. Bounded by time and number. */
class IssuedInvalidations {
  readonly #clock: Clock;
  readonly #windowMs: number;
  readonly #keys = new Map<string, { readonly key: EntryKey; readonly at: number }>();
  readonly #tags = new Map<string, Omit<PendingTags, "callSequence"> & { readonly at: number }>();
  #overflowedAt = -Infinity;

  constructor(clock: Clock, windowMs: number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
  }

  addKey(key: EntryKey): void {
    this.#add(this.#keys, key.backend, { key, at: this.#clock.now() });
  }

  addTags(keySpace: KeySpace, keys: readonly string[], mode: "hard" | "soft"): void {
    for (const key of keys) {
      const before = this.#tags.get(key);
      this.#add(this.#tags, key, {
        keySpace,
        keys: [key],
        mode: before?.mode === "hard" ? "hard" : mode,
        at: this.#clock.now(),
      });
    }
  }

  /** Those within the window. They are remembered anew when they have been issued again. */
  take(): {
    readonly keys: readonly EntryKey[];
    readonly tags: readonly Omit<PendingTags, "callSequence">[];
    readonly overflowed: boolean;
  } {
    const since = this.#clock.now() - this.#windowMs;
    const recent = <T extends { readonly at: number }>(all: Map<string, T>): readonly T[] =>
      [...all.values()].filter(({ at }) => at >= since);
    return {
      keys: recent(this.#keys).map(({ key }) => key),
      tags: recent(this.#tags),
      overflowed: this.#overflowedAt >= since,
    };
  }

  #add<T extends { readonly at: number }>(all: Map<string, T>, id: string, issued: T): void {
    all.delete(id);
    all.set(id, issued);
    if (this.#size > MAX_PENDING + FORGOTTEN_AT_ONCE) this.#forget(issued.at);
  }

  get #size(): number {
    return this.#keys.size + this.#tags.size;
  }

  /** Many at once: to find its oldest entry, a map passes by all that were deleted before it. */
  #forget(now: number): void {
    const both: readonly Map<string, { readonly at: number }>[] = [this.#keys, this.#tags];
    for (const all of both) {
      for (const [oldest, { at }] of all) {
        if (at >= now - this.#windowMs) break;
        all.delete(oldest);
      }
    }
    if (this.#size <= MAX_PENDING) return;
    this.#overflowedAt = now;
    for (const all of both) {
      for (const oldest of all.keys()) {
        if (this.#size <= MAX_PENDING) return;
        all.delete(oldest);
      }
    }
  }
}

/** Why a backend is as good as away. */
export const unasked = (label: string): BackendUnavailableError =>
  new BackendUnavailableError(`${label}: not asked to read, since an invalidation waits for it`, {
    tier: label,
    operation: "read",
  });

/**
 * A write of one key, and what follows from its outcome: acknowledged, nothing older waits for the backend any more;
 * unknown, its removal waits. A value that cannot be encoded was never sent.
 */
export async function orPending<T>(
  recovery: Recovery | undefined,
  key: EntryKey,
  write: () => Promise<T>,
): Promise<T | "pending"> {
  try {
    const result = await write();
    recovery?.acknowledgedKey(key);
    return result;
  } catch (error) {
    if (error instanceof EncodeError) throw error;
    recovery?.addKey(key);
    return "pending";
  }
}

const MAX_PENDING = 10_000;
const FORGOTTEN_AT_ONCE = 1_000;
const AT_ONCE = 100;
const RETRY_MS = 1_000;
