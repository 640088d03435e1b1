import type { SharedSlot } from "../primitives/shared-slot.ts";
import { Guard } from "../coherence/guards.ts";
import type { Epoch } from "../coherence/parts.ts";
import type { Clock } from "../contracts/clock.ts";
import type { FencedBy, LoadReason } from "../contracts/events.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, NO_TAGS, type EntryKey } from "../entry/key.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import type { ReadRequest } from "../tiers/entry-tier.ts";
import { Budget } from "./budget.ts";
import type { GetOrSetCall } from "./call.ts";
import { Crowd } from "./crowd.ts";
import type { Lease } from "./lease.ts";
import type { Load } from "./load.ts";
import type { LoadedValue } from "./used-values.ts";

/** Where a flight is. */
export type Phase = "reading" | "queued" | "leasing" | "waiting" | "loading" | "storing" | "over";

/** Whether the caller that begins a flight waits for it, or was served already and has it refreshed. */
export type Side = "foreground" | "background";

/**
 * Everything in progress for one key, from the read to the store; its callers share it. Its policy is that of the first
 * caller, its tags are those of all callers.
 *
 *     reading ──read, or nothing to read──▶ queued ──slot──▶ leasing ──granted, or none──▶ loading ──▶ storing
 *        ▲                                     ▲             │     │
 *        │                                     └─stored since┘     │ held elsewhere
 *        └─────────────── woken ────────────── waiting ◀───────────┘
 *
 *     every phase ──answered, failed, aborted──▶ over
 *
 * - reading: the backend is asked, after pending invalidations of the key
 * - queued: for one of `maxLoads` slots; passed immediately if one is free. From here on the best entry is known
 * - leasing: the lease and the tag versions are asked for, in one trip
 * - waiting: for the load of another process
 * - loading: the loader has returned its promise
 * - storing: the value is known; it is being stored
 *
 * A flight that has ended stays so. Another step that does not fit the phase is a mistake of the engine: it changes no
 * phase, and throws outside production.
 *
 * The rest are flags because each of them can hold in several phases: whether it is joinable, unreachable or woken.
 * Its {@link Crowd} are its callers, and its {@link Budget} is its time for the backend.
 */
export class Flight extends Guard implements ReadRequest {
  readonly call: GetOrSetCall;
  readonly key: EntryKey;
  readonly crowd: Crowd<Flight>;
  readonly budget: Budget;
  /** Why it loads, as the loader and events report it. */
  reason: LoadReason;
  /** Whether the backend did not answer: the rest of the flight does without it. */
  isUnreachable = false;
  /** Whether it began while the cache was closing: it takes no lease, and its value is for its callers alone. */
  storesNothing = false;
  /** Whether it loads next to others, without the lease: what they get is for each of them alone, or was until now. */
  isAlone = false;
  /** The version of the entry in the backend when it was read; `''` for none. */
  seen = "";
  lease: Lease | undefined;
  /** The tag events of other processes up to this one left the flight's own tags as they were. */
  heardSequence: number;
  /** Tag events of other processes after this one may concern what it finds. Never, where no other can change it. */
  readonly changedSince: number;
  /** Whether none of the tags of its loaded value was renewed since versions were pinned, as the backend said. */
  isProven = false;
  #phase: Phase = "reading";
  #isJoinable = true;
  /** A change was reported while it loads, which may be a renewal of its own lease. */
  #isDoubted = false;
  #isForOne = false;
  #tagSequence: number;
  #dependsOn: readonly string[] | undefined;
  #readAt: number;
  #fallback: Entry | undefined;
  #fallbackTier = "";
  #hasCopy = false;
  #foundTags: readonly string[] = NO_TAGS;
  #turn: SharedSlot | undefined;
  #isWoken = false;
  #awaitsOwnChange = false;
  #wake: (() => void) | undefined;
  #waitsSince: number | undefined;
  #running: Load | undefined;
  #abortedFor: { readonly reason: unknown } | undefined;
  #loaded: LoadedValue | undefined;
  #settled: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  constructor(call: GetOrSetCall, tagSequence: number, reason: LoadReason, side: Side) {
    super();
    const { remote } = call.namespace;
    this.call = call;
    this.key = call.key;
    // A caller that was served already did not abandon it.
    this.crowd = new Crowd(call.tags, side === "background" ? 1 : 0);
    this.budget = new Budget(remote, call.startedAt);
    this.reason = reason;
    this.#tagSequence = tagSequence;
    // Other processes cannot change a value that never leaves this one.
    this.heardSequence = this.changedSince = remote === undefined ? Infinity : tagSequence;
    this.#readAt = call.startedAt;
  }

  // ---- phases

  get phase(): Phase {
    return this.#phase;
  }

  get isOver(): boolean {
    return this.#phase === "over";
  }

  /** Whether its loader was called: its value may be older than what is stored from then on. */
  get hasBegunToLoad(): boolean {
    return this.#phase === "loading" || this.#phase === "storing";
  }

  #to(phase: Phase): void {
    if (NEXT[this.#phase].includes(phase)) this.#phase = phase;
    else if (this.#phase !== "over" && process.env["NODE_ENV"] !== "production")
      throw new Error(`a flight that is ${this.#phase} cannot be ${phase}`);
  }

  /** The read is done, or there is nothing to read: it waits for a slot. */
  queue(): void {
    this.#to("queued");
  }

  /** It has to wait for `turn`. */
  waitFor(turn: SharedSlot): SharedSlot {
    this.#turn = turn;
    return turn;
  }

  /** A running load waits for this one, and holds a slot: this one, and the batch it belongs to, take none. */
  skipQueue(): void {
    (this.call.batch?.loads ?? this.#turn)?.exempt();
  }

  /** It asks for the lease, or does without one. A wake counts from here. */
  requestLease(lease: Lease | undefined): void {
    this.#to("leasing");
    this.lease = lease;
    if (lease !== undefined) this.#isWoken = false;
  }

  /** The lease was not granted. */
  dropLease(): void {
    this.lease?.end();
    this.lease = undefined;
  }

  /** Another process loads. Returns when the flight began to wait for such loads. */
  waitElsewhere(now: number): number {
    this.#to("waiting");
    // The time of the backend is not spent by waiting for another process.
    this.budget.refill();
    return (this.#waitsSince ??= now);
  }

  /** Asks the backend again, as if it began now. Its callers keep waiting, and no caller joins. */
  restart(epoch: Epoch, tagSequence: number, now: number): void {
    this.#to("reading");
    this.beginAnew();
    this.resend(epoch);
    this.#tagSequence = tagSequence;
    this.#readAt = now;
    this.budget.begin(now);
  }

  /** The loader was called, and has returned. */
  runs(load: Load): void {
    this.#to("loading");
    this.#running = load;
    // Aborted by the loader itself, before it returned.
    if (this.#abortedFor !== undefined) load.abort(this.#abortedFor.reason);
  }

  /** Aborts its load, also one whose loader has not returned yet. */
  abortLoad(reason: unknown): void {
    this.#abortedFor = { reason };
    this.#running?.abort(reason);
  }

  /** The loader gave `value`, which is stored next. */
  store(value: unknown): void {
    this.#to("storing");
    this.#loaded = { value };
  }

  /** It stores this entry, and its callers get the value of it. */
  makes(entry: Entry): void {
    this.#loaded = { value: entry.value, made: entry };
  }

  /** Nothing of it is in progress any more. */
  end(): void {
    this.#to("over");
    this.#settled?.resolve();
    this.call.batch?.ended(this);
  }

  /** Resolves when nothing of this flight is in progress any more. Never rejects. */
  whenSettled(): Promise<void> {
    if (this.isOver) return Promise.resolve();
    this.#settled ??= Promise.withResolvers<void>();
    return this.#settled.promise;
  }

  // ---- its load

  get running(): Load | undefined {
    return this.#running;
  }

  /** The loaded value, from the moment it is known. */
  get loaded(): LoadedValue | undefined {
    return this.#loaded;
  }

  /** Whether its value is for the caller that began it, and for no other. */
  get isForOne(): boolean {
    return this.#isForOne;
  }

  /** No caller joins any more, and those that have get nothing of what it loads. */
  keepForOne(): void {
    this.#isForOne = true;
    this.#isJoinable = false;
  }

  // ---- the backend

  /** When the backend was asked last. */
  get readAt(): number {
    return this.#readAt;
  }

  saw(version: string): void {
    this.seen = version;
  }

  get isCurrent(): boolean {
    return this.call.isCurrent;
  }

  get schema(): StandardSchema<unknown> | undefined {
    return this.call.namespace.schema;
  }

  get expectedTags(): readonly string[] {
    return this.call.tags;
  }

  // ---- what happens to its key meanwhile

  /**
   * Whether new callers may join. A fence, a taint or a forced call ends that; for tag events see
   * `TagEvents.hasEvents`.
   */
  get isJoinable(): boolean {
    return this.#isJoinable && !this.#isDoubted;
  }

  /** A later flight takes the callers from here on. */
  supersede(): void {
    this.#isJoinable = false;
  }

  override fence(by: FencedBy): void {
    super.fence(by);
    this.#isJoinable = false;
  }

  override taint(): void {
    super.taint();
    if (this.#phase === "loading" && this.lease !== undefined) this.#isDoubted = true;
    // It loads what is newer than a change that is reported before: that of its own placeholder, say.
    else if (this.#phase !== "leasing" || this.#fallback !== undefined) this.#isJoinable = false;
    this.wake();
  }

  /** It sends its store: the change that this makes is reported before the end of its lease. */
  sendStore(epoch: Epoch): void {
    this.resend(epoch);
    this.#awaitsOwnChange = this.lease !== undefined;
  }

  /**
   * The lease changed. The first exact report behind a store that was sent is that of its end, or an earlier one:
   * reports of the entry until then are of the store itself, or older. The next exact one may be about another process.
   * A renewal that is known for one changed nothing: callers join again.
   */
  leaseChanged(order: "loose" | "exact" | "renewed"): void {
    if (order === "renewed") this.#isDoubted = false;
    if (order === "exact" && this.#awaitsOwnChange) {
      super.resend(this.epoch!);
      this.#awaitsOwnChange = false;
    }
    this.wake();
  }

  /** Callers that come later do not share what was missed before. */
  override resend(epoch: Epoch): void {
    if (epoch !== this.epoch) this.#isJoinable = false;
    super.resend(epoch);
  }

  get tagSequence(): number {
    return this.#tagSequence;
  }

  /** The tags of all callers. */
  get tags(): readonly string[] {
    return this.crowd.tags;
  }

  /** The tag versions that its result depends on, as far as its tags are known. */
  get dependsOn(): readonly string[] {
    if (this.#dependsOn !== undefined) return this.#dependsOn;
    const found = this.#foundTags;
    return dependencies(this.key.space, found.length === 0 ? this.tags : [...this.tags, ...found]);
  }

  /** Its loader has ended: its tags are known. */
  dependOn(keys: readonly string[]): void {
    this.#dependsOn = keys;
  }

  /** Whether something happened to its key since it asked for the lease. */
  get isWoken(): boolean {
    return this.#isWoken;
  }

  /** Something happened to its key: ends the wait for another process. */
  wake(): void {
    this.#isWoken = true;
    this.#wake?.();
  }

  /** Resolves with the next wake, when the flight ends, or after `limitMs`. */
  nextWake(clock: Clock, limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => {
      cancel();
      this.#wake = undefined;
      resolve();
    };
    const cancel = clock.schedule(end, limitMs);
    this.#wake = end;
    void this.whenSettled().then(end);
    return promise;
  }

  // ---- what may be served instead of a load

  /** The best entry found so far. */
  get fallback(): Entry | undefined {
    return this.#fallback;
  }

  /** Label of the tier that had {@link fallback}. */
  get fallbackTier(): string {
    return this.#fallbackTier;
  }

  /** Whether the fallback is, or was, a copy of this process from before the flight began. */
  get hasCopy(): boolean {
    return this.#hasCopy;
  }

  /** @param from whether `entry` is a copy of this process, or was read from the backend by this flight. */
  fallBackOn(entry: Entry | undefined, tier: string, from: "copy" | "read"): void {
    this.#fallback = entry;
    this.#fallbackTier = tier;
    this.#hasCopy = from === "copy";
    // Kept without the entry: their versions are pinned for the load.
    if (entry !== undefined) this.#foundTags = entry.terms.tags;
  }

  /** The entry was removed meanwhile. */
  dropFallback(): void {
    this.#fallback = undefined;
  }

  /** Whether a caller waits for it; otherwise it is in the background. */
  get isAwaited(): boolean {
    return this.crowd.waiters.length !== 0;
  }
}

/** The call of this process that keeps the result of a flight from being stored, under these tag versions. */
export function fencedBy(tags: TagEvents, flight: Flight, dependsOn: readonly string[]): FencedBy | undefined {
  if (flight.fencedBy !== undefined) return flight.fencedBy;
  if (!tags.wasCalled(dependsOn, flight.tagSequence)) return undefined;
  return tags.wasInvalidated(flight.key.space.tagPrefixes, flight.tagSequence) ? "clear" : "tags";
}

/** The phases that may follow each phase. */
const NEXT: Readonly<Record<Phase, readonly Phase[]>> = {
  // Again: a pending invalidation was sent first.
  reading: ["reading", "queued", "over"],
  queued: ["leasing", "over"],
  leasing: ["queued", "waiting", "loading", "over"],
  waiting: ["reading", "over"],
  loading: ["storing", "over"],
  storing: ["over"],
  over: [],
};
