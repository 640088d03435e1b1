import { ONE_PART } from "../coherence/parts.ts";
import type { TagVersions } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError, EncodeError } from "../contracts/errors.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, type EntryKey, type KeySpace } from "../entry/key.ts";
import { inNoCall, inThisContext } from "../primitives/async-context.ts";
import type { Events } from "../primitives/event-port.ts";
import type { Settlers } from "../primitives/settlers.ts";
import { SizedMap } from "../primitives/sized-map.ts";
import { within } from "../primitives/within.ts";
import { tagKeys } from "../tags/tag-versions.ts";
import { BackendRefusedError } from "./backend-calls.ts";
import { RecentInvalidations, type TagInvalidation } from "./recent-invalidations.ts";
import type { RemoteTier } from "./remote-tier.ts";

/** An invalidation of tags that the backend has not acknowledged. */
interface PendingTags extends TagInvalidation {
  /** `TagEvents.sequence` of the call. */
  readonly callSequence: number;
}

/** Called when a replay was acknowledged: an answer that was read in the meantime may be older. */
interface ReplayedOf {
  key(key: EntryKey): void;
  tags(space: KeySpace, tags: readonly string[]): void;
}

/** The parts of a tier that a recovery uses to replay. */
type Replayed = Pick<RemoteTier, "label" | "retryInMs" | "remove"> & {
  partOf?: RemoteTier["partOf"];
  readonly versions: Pick<TagVersions, "renew"> | undefined;
};

interface RecoveryOf {
  readonly remote: Replayed;
  readonly clock: Clock;
  readonly events: Events;
  readonly cache: string;
  readonly root: KeySpace;
  readonly replayed: ReplayedOf;
  /** How long invalidations are remembered after their acknowledgement, in milliseconds. @default 0 */
  readonly reissueWindowMs?: number;
}

/**
 * The invalidations that could not reach the backend: remembered, and replayed when it answers again.
 *
 * A replay is always an invalidation, never a value: a write with unknown outcome is replayed as a removal. The last
 * one of each key counts. Bounded by the bytes of keys and tags: an overflow becomes a clear of the whole cache; in a
 * backend without tag versions it forgets the oldest. Until a replay nothing that it covers is served from the backend.
 */
export class Recovery {
  readonly #of: RecoveryOf;
  /** Only for a backend that reports when another server answers. */
  readonly #issued: RecentInvalidations | undefined;
  readonly #keys = new SizedMap<EntryKey>();
  readonly #tags = new SizedMap<PendingTags>();
  /** By key, the number of `set` calls that were answered before the backend has answered. */
  readonly #early = new Map<string, number>();
  #earlyBytes = 0;
  #overflowed = false;
  /** How often another server took over, of any part: the answer to a call from before says nothing of what it has. */
  takeovers = 0;
  #isStopped = false;
  /** Replays in a row that were refused. */
  #refusals = 0;
  /** `clock.now()` before which none is tried again, unless a write is taken. */
  #notBefore = -Infinity;
  /** `clock.now()` at the end of the last replay. */
  #triedAt = -Infinity;
  #running: Promise<void> | undefined;
  #cancelRetry: (() => void) | undefined;

  constructor(of: RecoveryOf) {
    const { clock, reissueWindowMs = 0 } = of;
    this.#of = of;
    if (reissueWindowMs > 0) this.#issued = new RecentInvalidations(clock, reissueWindowMs, MAX_BYTES);
  }

  get size(): number {
    return this.#keys.size + this.#tags.size;
  }

  /** Like {@link size}, plus the values that are still on their way. */
  get unsent(): number {
    return this.size + this.#early.size;
  }

  /**
   * A `set` of so many bytes is answered before the backend has answered: until then the entry there is older.
   *
   * @returns to be called then; `undefined` where there is no room for it.
   */
  reserveEarly({ backend: id }: EntryKey, bytes: number): (() => void) | undefined {
    if (this.#earlyBytes + bytes > MAX_BYTES) return undefined;
    this.#earlyBytes += bytes;
    this.#early.set(id, (this.#early.get(id) ?? 0) + 1);
    return () => {
      this.#earlyBytes -= bytes;
      const left = this.#early.get(id)! - 1;
      if (left === 0) this.#early.delete(id);
      else this.#early.set(id, left);
    };
  }

  /** Whether the backend answered the last replay, and refused it. */
  get isRefused(): boolean {
    return this.#refusals !== 0;
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

  /** A newer write of this key was acknowledged: the backend has nothing older to remove. */
  forgetKey(key: EntryKey): void {
    if (this.#keys.size !== 0) this.#keys.delete(key.backend);
    this.tookWrite();
  }

  /**
   * Forgets a key like {@link forgetKey} after a write that replaced or removed its entry, and remembers to invalidate
   * it again if another server takes over.
   */
  acknowledgedKey(key: EntryKey): void {
    this.forgetKey(key);
    this.#issued?.addKey(key);
  }

  /**
   * A call on these tags was acknowledged: issued again if another server takes over. It covers earlier calls; a hard
   * call covers soft ones, a soft one no hard ones.
   *
   * @param issued how it is issued again.
   */
  acknowledgedTags(keySpace: KeySpace, keys: readonly string[], mode: "hard" | "soft", callSequence: number): void {
    for (const key of keys) {
      const pending = this.#tags.get(key);
      if (pending !== undefined && pending.callSequence <= callSequence && (mode === "hard" || pending.mode === "soft"))
        this.#tags.delete(key);
    }
    this.#issued?.addTags(keySpace, keys, mode);
    this.tookWrite();
  }

  /**
   * The backend took a write of any kind: what is pending is sent again, a few times a second at most. It may continue
   * refusing invalidations and nothing else.
   */
  tookWrite(): void {
    if (this.size !== 0 && this.#of.clock.now() - this.#triedAt >= PROMPTED_MS) void this.replayAfresh();
  }

  /**
   * The window stands still until {@link linkBack}: another server may take over only after a long outage, and may
   * lack what was acknowledged just before it.
   *
   * @param aliveAt `clock.now()` of its last sign of life.
   */
  linkLost(aliveAt: number): void {
    this.#issued?.stop(aliveAt);
  }

  linkBack(): void {
    this.#issued?.resume();
  }

  /**
   * Removed entries may be back: invalidates again all that this process removed, replaced or invalidated within the
   * window, which does not count the time in which the link was lost.
   *
   * @param tagSequence of the reads from now on.
   * @param part only what this part of the backend keeps.
   */
  reissue(tagSequence: number, part?: string): void {
    this.takeovers += 1;
    if (this.#issued === undefined) return;
    const isThere = (key: string): boolean => part === undefined || (this.#of.remote.partOf?.(key) ?? part) === part;
    const { keys, tags, overflowed } = this.#issued.take(isThere, tagSequence);
    if (overflowed) {
      this.#reportOverflow();
      if (this.#of.remote.versions !== undefined) this.addTags(this.#of.root, tagKeys(this.#of.root, []), "hard", 0);
    }
    for (const { keySpace, keys: each, mode } of tags) this.addTags(keySpace, each, mode, 0);
    for (const key of keys) this.addKey(key);
    void this.replayAfresh();
  }

  /** Whether a `set` of this key was answered before the backend has answered. */
  isEarly({ backend: id }: EntryKey): boolean {
    return this.#early.has(id);
  }

  /** Whether a removal of this key is pending. */
  removes({ backend: id }: EntryKey): boolean {
    return this.#keys.has(id);
  }

  /** Whether a change of this key, or an invalidation of something it depends on, is still pending. */
  covers(key: EntryKey, dependsOn: readonly string[]): boolean {
    if (this.#early.size !== 0 && this.isEarly(key)) return true;
    return this.size !== 0 && (this.#keys.has(key.backend) || dependsOn.some((each) => this.#tags.has(each)));
  }

  /** Whether an entry that a read found was invalidated here: that is pending, or was issued again since. */
  hides(key: EntryKey, { terms, tagSequence }: Entry): boolean {
    return this.covers(key, terms.dependsOn) || this.#issued?.outdates(key, tagSequence) === true;
  }

  /** Does what {@link covers} does, for an entry with these tags. */
  coversTagged(key: EntryKey, tags: readonly string[]): boolean {
    return this.unsent !== 0 && this.covers(key, dependencies(key.space, tags));
  }

  /**
   * Replays everything pending: tags up to the first one that fails, then keys likewise. Never rejects. Sends nothing
   * while the breaker is open, nor for a while after the backend refused one: then the next one comes on its own. So a
   * backend that refuses invalidations is retried now and then, not on every read they cover.
   */
  replay(): Promise<void> {
    // With nothing pending too: what is added in the tick of a replay waits for the next one.
    if (this.#running === undefined && (this.size === 0 || this.#nextInMs() > 0)) return Promise.resolve();
    return this.#run();
  }

  /** Replays immediately, even after a refusal: the connection is new, or another server answers. */
  replayAfresh(): Promise<void> {
    this.#refusals = 0;
    this.#notBefore = -Infinity;
    return this.replay();
  }

  /** Replays, but resolves after `limitMs` at the latest; the replay continues. */
  replayWithin(limitMs: number): Promise<void> {
    return within(this.#of.clock, limitMs, this.replay(), () => undefined);
  }

  /** Schedules no further attempts, also for a replay in progress. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelRetry?.();
  }

  #run(): Promise<void> {
    this.#running ??= inNoCall(() =>
      this.#replay().finally(() => {
        this.#running = undefined;
        if (this.size !== 0) this.#retryLater();
      }),
    );
    return this.#running;
  }

  async #replay(): Promise<void> {
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
    let replayed = 0;
    let isRefused = false;
    try {
      for (const [id, pending] of this.#tags) {
        const { takeovers } = this;
        await this.#of.remote.versions!.renew(pending.keys, pending.mode);
        if (this.#tags.get(id) === pending && this.takeovers === takeovers) this.#tags.delete(id);
        this.#issued?.addTags(pending.keySpace, pending.keys, pending.mode);
        this.#of.replayed.tags(pending.keySpace, pending.keys);
        replayed += 1;
      }
    } catch (error) {
      isRefused = error instanceof BackendRefusedError;
      // Reported by the tier, and tried again later. A user that may not renew versions may still remove keys.
    }
    for (let hasFailed = false; this.#keys.size !== 0 && !hasFailed;) {
      const outcomes = await Promise.all(Array.from(this.#keysByPart(), (keys) => this.#replayKeys(keys)));
      for (const outcome of outcomes) {
        replayed += outcome.replayed;
        hasFailed ||= outcome.failures.length !== 0;
        isRefused ||= outcome.failures.some((error) => error instanceof BackendRefusedError);
      }
    }
    this.#refusals = isRefused ? this.#refusals + 1 : 0;
    this.#triedAt = this.#of.clock.now();
    if (isRefused) this.#notBefore = this.#triedAt + waitAfter(this.#refusals);
    if (replayed === 0) return;
    const { cache, events, remote } = this.#of;
    const overflowed = this.#overflowed;
    events.recover.emit({ cache, namespace: [], tier: remote.label, replayed, overflowed });
    if (this.size === 0) this.#overflowed = false;
  }

  /** Pending keys of one part do not wait for those of another, which may be unreachable. */
  #keysByPart(): Iterable<readonly EntryKey[]> {
    const { remote } = this.#of;
    return Map.groupBy(this.#keys.values(), ({ backend }) => remote.partOf?.(backend) ?? ONE_PART).values();
  }

  /** Up to the first removals that fail. */
  async #replayKeys(
    keys: readonly EntryKey[],
  ): Promise<{ readonly replayed: number; readonly failures: readonly unknown[] }> {
    let replayed = 0;
    // The first one alone: if it is refused, that is one command and one report.
    for (let from = 0, atOnce = 1; from < keys.length; from += atOnce, atOnce = AT_ONCE) {
      const outcomes = await Promise.allSettled(
        keys.slice(from, from + atOnce).map(async (key) => {
          if (this.#keys.get(key.backend) !== key) return;
          const { takeovers } = this;
          await this.#of.remote.remove(key);
          if (this.#keys.get(key.backend) === key && this.takeovers === takeovers) this.#keys.delete(key.backend);
          this.#issued?.addKey(key);
          this.#of.replayed.key(key);
          replayed += 1;
        }),
      );
      const failures = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [outcome.reason] : []));
      if (failures.length !== 0) return { replayed, failures };
    }
    return { replayed, failures: [] };
  }

  #added(): void {
    if (this.#keys.bytes + this.#tags.bytes > MAX_BYTES) this.#overflow();
    if (this.#running === undefined) this.#retryLater();
  }

  #overflow(): void {
    this.#reportOverflow();
    if (this.#of.remote.versions === undefined) return this.#keys.deleteOldest(KEPT_BYTES);
    this.#keys.clear();
    this.#tags.clear();
    for (const key of tagKeys(this.#of.root, []))
      this.#tags.set(key, { keySpace: this.#of.root, keys: [key], mode: "hard", callSequence: Infinity });
  }

  /** Once, until everything was replayed. */
  #reportOverflow(): void {
    if (this.#overflowed) return;
    this.#overflowed = true;
    const { cache, events, remote } = this.#of;
    const effect = remote.versions === undefined ? "forget" : "clear";
    events["pending:overflow"].emit({ cache, namespace: [], tier: remote.label, effect });
  }

  #retryLater(): void {
    if (this.#isStopped) return;
    const { clock } = this.#of;
    this.#cancelRetry ??= inNoCall(() => clock.schedule(() => void this.#run(), Math.max(RETRY_MS, this.#nextInMs())));
  }

  /** How long a replay waits for the breaker, or after a refusal. */
  #nextInMs(): number {
    return Math.max(this.#of.remote.retryInMs, this.#notBefore - this.#of.clock.now());
  }
}

/** The error of a read that was not sent, because its answer may be older than an invalidation of this process. */
export function unasked(label: string): BackendUnavailableError {
  // One for many reads: a stack trace for each would cost more than the read.
  if (lastUnasked?.tier !== label)
    lastUnasked = new BackendUnavailableError(`${label}: read skipped: an invalidation of it is still pending`, {
      tier: label,
      operation: "read",
    });
  return lastUnasked;
}

let lastUnasked: BackendUnavailableError | undefined;

/**
 * Sends a write of one key and records its outcome: once acknowledged, no older invalidation of the key is pending; if
 * the outcome is unknown, a removal of the key is pending. A value that cannot be encoded was never sent.
 */
export function orPending<T>(
  recovery: Recovery | undefined,
  key: EntryKey,
  send: (ends: Settlers<T>) => void,
  ends: Settlers<T | "pending">,
): void {
  const failed = inThisContext((error: unknown) => {
    if (error instanceof EncodeError) return ends.reject(error);
    recovery?.addKey(key);
    ends.resolve("pending");
  });
  const takeovers = recovery?.takeovers;
  const acknowledged = (result: T): void => {
    if (recovery?.takeovers !== takeovers) return failed(undefined);
    recovery?.acknowledgedKey(key);
    ends.resolve(result);
  };
  send({ resolve: acknowledged, reject: failed });
}

/** Bound on what is pending, and on what was acknowledged within the window, as all of it may be pending next. */
const MAX_BYTES = 16 * 1024 * 1024;
/** Size of what is pending after the oldest were forgotten. */
const KEPT_BYTES = 15 * 1024 * 1024;
const AT_ONCE = 100;
const RETRY_MS = 1_000;
const LONGEST_WAIT_MS = 5_000;
/** A write that is taken starts no replay sooner after the last one. */
const PROMPTED_MS = 200;
/** How long to wait after `refusals` refused replays in a row. */
const waitAfter = (refusals: number): number => Math.min(LONGEST_WAIT_MS, RETRY_MS * 2 ** (refusals - 1));
