import { Guard } from "../coherence/guards.ts";
import type { Epoch } from "../coherence/parts.ts";
import type { Clock } from "../contracts/clock.ts";
import { BackendUnavailableError } from "../contracts/errors.ts";
import type { FencedBy, LoadReason } from "../contracts/events.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import type { Entry } from "../entry/entry.ts";
import { dependencies, type EntryKey } from "../entry/key.ts";
import { contextOfNow } from "../primitives/async-context.ts";
import { isDevelopment } from "../primitives/platform.ts";
import type { Semaphore } from "../primitives/semaphore.ts";
import type { Settlers } from "../primitives/settlers.ts";
import type { SharedSlot } from "../primitives/shared-slot.ts";
import type { TagEvents } from "../tags/tag-events.ts";
import type { Pinned } from "../tags/tag-versions.ts";
import { BackendRefusedError } from "../tiers/backend-calls.ts";
import type { ReadRequest } from "../tiers/entry-tier.ts";
import { Budget } from "./budget.ts";
import type { FlightLease, FlightLoad, GetOrSetCall } from "./call.ts";
import { Climb, type LoadReport, NOT_BEGUN } from "./climb.ts";
import { Crowd } from "./crowd.ts";

/** The step that a flight is at. */
export type Phase = "reading" | "queued" | "leasing" | "waiting" | "loading" | "storing" | "over";

/** Whether the caller that begins a flight waits for it, or was served already and has it refreshed. */
export type Side = "foreground" | "background";

/** Whether a caller began its flight or joined it. */
export type Role = "first" | "joined";

/** How calls end: each by one of both, once. */
export type Ends = Settlers<unknown, GetOrSetCall>;

/** The flight of another caller that a call joined, for packages that serve a load while it runs. */
export interface Joined {
  /** The loader of that flight. Absent in a batch. */
  readonly load: GetOrSetCall["load"];
  /** Whether a tag event came first: the result may not be for this caller. */
  readonly isLate: boolean;
}

/** A caller that waits for a flight. */
export interface Waiter extends Ends {
  readonly call: GetOrSetCall;
  role: Role;
  /** The flight that it waits for. */
  flight: Flight;
  /** Begins the wait of a caller again, in its own async context, if the result is not for callers that joined. */
  readonly again: ((waiter: Waiter) => void) | undefined;
  /** Whether it joined after a tag event: the result may be older than that. */
  isLate: boolean;
  /** Whether a running load of this cache made the call. */
  readonly isNested: boolean;
  /** Whether its soft timeout was started; again for a caller that moves, if it passed without an answer. */
  hasTimer: boolean;
  /** Called when its wait ends, for any reason. */
  readonly cancels: (() => void)[];
}

/**
 * Everything in progress for one key, from the read to the store; its callers share it. It has the first caller's
 * policy and every caller's tags.
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
 * - leasing: the lease and the tag versions are asked for
 * - waiting: for the load of another process
 * - loading: the loader was called
 * - storing: the value is known; it is being stored
 *
 * A finished flight stays finished. Any other step out of order is a bug of the engine: it changes no phase, and throws
 * outside production. Its fields are read by all, and assigned by its own methods alone: see the type {@link Flight}.
 *
 * Most flights end with their read, for one caller. So the fields of a flight are those of a read; the rest is made when
 * it is needed: its {@link Crowd}, and its {@link Climb}.
 */
class OneFlight extends Guard implements ReadRequest {
  declare readonly call: GetOrSetCall;
  declare readonly key: EntryKey;
  /** The async context of its first call. */
  declare readonly context: ReturnType<typeof contextOfNow>;
  declare phase: Phase;
  /** The last tag event before it began, or began again. */
  declare tagSequence: number;
  /** Tag events of other processes after this one may concern what it finds. Never, where no other can change it. */
  declare readonly changedSince: number;
  /** The version of the entry in the backend when it was read; `''` for none. */
  declare seen: string;
  /** The time that it may wait for the backend; `undefined` where there is none. */
  declare readonly budget: Budget | undefined;
  /** The best entry found so far, and the label of the tier that had it. */
  declare fallback: Entry | undefined;
  declare fallbackTier: string;
  /** Whether the fallback is, or was, a copy of this process from before the flight began. */
  declare hasCopy: boolean;
  #isJoinable: boolean;
  /** How its only caller ends, if nothing limits the wait of that one; then it has no crowd. */
  #onlyCaller: Ends | undefined;
  #crowd: Crowd<Waiter> | undefined;
  /** What it has beyond its read. */
  declare climb: Readonly<Climb>;

  constructor(call: GetOrSetCall, tagSequence: number, side: Side) {
    super();
    const { remote } = call.namespace;
    this.call = call;
    this.key = call.key;
    this.context = call.batch?.context ?? contextOfNow();
    this.phase = "reading";
    this.tagSequence = tagSequence;
    // Other processes cannot change a value that never leaves this one.
    this.changedSince = remote === undefined ? Infinity : tagSequence;
    this.seen = "";
    this.budget = remote && new Budget(remote, call.startedAt);
    this.fallback = undefined;
    this.fallbackTier = "";
    this.hasCopy = false;
    this.#isJoinable = true;
    this.#onlyCaller = undefined;
    // The caller that has it refreshed was served already.
    this.#crowd = side === "background" ? new Crowd(call.tags, 1) : undefined;
    this.climb = NOT_BEGUN;
  }

  // ---- its read

  get schema(): StandardSchema<unknown> | undefined {
    return this.call.namespace.schema;
  }

  get isCurrent(): boolean {
    return this.call.isCurrent;
  }

  /** When the backend was asked last, by the clock. */
  get readAt(): number {
    return this.climb.askedAgainAt ?? this.call.startedAt;
  }

  get expectedTags(): readonly string[] {
    return this.call.tags;
  }

  saw(version: string): void {
    this.seen = version;
  }

  // ---- phases

  get isOver(): boolean {
    return this.phase === "over";
  }

  /** Whether its loader was called: its value may be older than what is stored from then on. */
  get hasBegunToLoad(): boolean {
    return this.phase === "loading" || this.phase === "storing";
  }

  #to(phase: Phase): void {
    if (NEXT[this.phase].includes(phase)) this.phase = phase;
    else if (this.phase !== "over" && isDevelopment())
      throw new Error(`a flight that is ${this.phase} cannot be ${phase}`);
  }

  /** Its own from the first assignment on, and from `queued` on in any case: then it stays the same object. */
  get #ownClimb(): Climb {
    if (this.climb === NOT_BEGUN) this.climb = new Climb();
    return this.climb;
  }

  closes(): void {
    this.#ownClimb.storesNothing = true;
    this.#ownClimb.isOfClosing = true;
  }

  keepsNothing(): void {
    this.#ownClimb.storesNothing = true;
  }

  /** Why it loads, as the loader and events report it. */
  get reason(): LoadReason {
    return this.climb.reason ?? (this.call.isForced ? "forced" : "miss");
  }

  loadsAs(reason: LoadReason): void {
    this.#ownClimb.reason = reason;
  }

  /** The read is done, or there is nothing to read: it waits for a slot. */
  queue(): void {
    this.#to("queued");
    this.climb = this.#ownClimb;
  }

  /** Records that the flight waits for this slot. */
  queuesFor(slot: SharedSlot): void {
    this.#ownClimb.slot = slot;
  }

  /** A running load waits for this one, and holds a slot: this one, and the batch it belongs to, take none. */
  skipQueue(): void {
    (this.call.batch?.loads ?? this.climb.slot)?.exempt();
  }

  /** Enters the phase that asks for the lease, or does without one. A wake counts from here. */
  beginLeasing(lease: FlightLease | undefined): void {
    this.#to("leasing");
    const climb = this.#ownClimb;
    climb.lease = lease;
    if (lease !== undefined) climb.isWoken = false;
  }

  /** Records a lease that is asked for after the load, together with the store of its value. */
  leasesAfterLoad(lease: FlightLease): void {
    this.#ownClimb.lease = lease;
  }

  /** The lease was not granted. */
  dropLease(): void {
    this.climb.lease?.end();
    this.#ownClimb.lease = undefined;
  }

  /** The tag versions under which its value will be stored. */
  pin(pinned: Pinned | undefined): void {
    const climb = this.#ownClimb;
    climb.pinned = pinned;
    if (pinned !== undefined) climb.lease?.pinned(pinned);
  }

  /** Another process loads. Returns when the flight began to wait for such loads. */
  waitElsewhere(now: number): number {
    this.#to("waiting");
    // The time of the backend is not spent by waiting for another process.
    this.budget!.renew();
    return (this.#ownClimb.waitsSince ??= now);
  }

  /** The backend is asked again. Its callers keep waiting, and no caller joins. */
  asksAgain(now: number): void {
    this.#to("reading");
    this.#ownClimb.askedAgainAt = now;
    this.budget!.asks(now);
  }

  /** What happened until now does not concern it, as if it began now: it is neither fenced nor tainted. */
  startOver(epoch: Epoch, tagSequence: number): void {
    this.beginAnew();
    this.resend(epoch);
    this.tagSequence = tagSequence;
  }

  /** The loader is called. */
  runs(load: FlightLoad): void {
    this.#to("loading");
    this.#ownClimb.running = load;
  }

  /** The loader gave `value`, which is stored next. @param isForOne no other caller joins, or gets anything of it. */
  store(value: unknown, report?: LoadReport, isForOne = false): void {
    this.#to("storing");
    const climb = this.#ownClimb;
    climb.loaded = { value };
    climb.report = report;
    climb.isForOne = isForOne;
    if (isForOne) this.#isJoinable = false;
  }

  /** Sets the entry that is stored; callers get its value. */
  makes(entry: Entry): void {
    this.#ownClimb.loaded = { value: entry.value, made: entry, tags: entry.terms.tags };
  }

  /** Nothing of it is in progress any more. */
  end(): void {
    this.#to("over");
    this.climb.settled?.resolve();
    this.call.batch?.ended(this);
  }

  /** Resolves when nothing of this flight is in progress any more. Never rejects. */
  whenSettled(): Promise<void> {
    if (this.isOver) return Promise.resolve();
    return (this.#ownClimb.settled ??= Promise.withResolvers<void>()).promise;
  }

  // ---- the backend

  /** The backend does not answer: the rest of the flight does without it. */
  giveUpBackend(): void {
    this.#ownClimb.isUnreachable = true;
  }

  /** A refusal (no memory, no permission) proves that the backend is reachable: reads, and messages, continue. */
  unreached(error: Error): undefined {
    if (error instanceof BackendUnavailableError && !(error instanceof BackendRefusedError)) this.giveUpBackend();
  }

  /** A step in the async context of its first call: one that a timer, a failure, or the work of others, leads to. */
  runInContext(body: () => void): void {
    this.context.runInAsyncScope(body);
  }

  // ---- what happens to its key meanwhile

  /** Whether callers may join. A fence, a taint or a forced call ends that; so do tag events: `hasEvents`. */
  get isJoinable(): boolean {
    return this.#isJoinable && !this.climb.isDoubted;
  }

  /** A later flight takes the callers from here on. */
  supersede(): void {
    this.#isJoinable = false;
  }

  /** Loads without a lease, next to others. @param load whether callers share it none the less, or each has its own. */
  skipLease(load: "shared" | "alone"): void {
    this.#ownClimb.isUnleased = true;
    if (load === "alone") this.#isJoinable = false;
  }

  override fence(by: FencedBy): void {
    super.fence(by);
    this.#isJoinable = false;
  }

  override taint(): void {
    super.taint();
    if (this.phase === "loading" && this.climb.lease !== undefined) this.#ownClimb.isDoubted = true;
    // A change reported before the load starts (our own placeholder, say) can't make the result stale.
    else if (this.phase !== "leasing" || this.fallback !== undefined) this.#isJoinable = false;
    this.wake();
  }

  /** Records that the store is sent. The change that it makes is reported before the end of its lease. */
  sendStore(epoch: Epoch): void {
    this.resend(epoch);
    const climb = this.#ownClimb;
    climb.awaitsOwnChange = climb.lease !== undefined;
  }

  /**
   * The lease changed. After a store, the first `exact` report is our own lease ending: changes reported up to it are
   * our own, or older. A renewal that is known for one changed nothing: callers join again.
   */
  leaseChanged(order: "loose" | "exact" | "renewed"): void {
    if (order === "renewed" && this.climb.isDoubted) this.#ownClimb.isDoubted = false;
    if (order === "exact" && this.climb.awaitsOwnChange) {
      super.resend(this.epoch!);
      this.#ownClimb.awaitsOwnChange = false;
    }
    this.wake();
  }

  /** Callers that come later do not share what was missed before. */
  override resend(epoch: Epoch): void {
    if (epoch !== this.epoch) this.#isJoinable = false;
    super.resend(epoch);
  }

  /** The tag versions that its result depends on, as far as its tags are known. */
  get dependsOn(): readonly string[] {
    const { dependsOn, droppedTags } = this.climb;
    const found = this.fallback?.terms.tags ?? droppedTags;
    return dependsOn ?? dependencies(this.key.space, found.length === 0 ? this.tags : [...this.tags, ...found]);
  }

  /** Sets the tags of the loaded value, which are known once its loader has ended. */
  dependOn(keys: readonly string[], tags: readonly string[]): void {
    const climb = this.#ownClimb;
    climb.dependsOn = keys;
    climb.loaded!.tags = tags;
    this.prove(climb.pinned?.versions);
  }

  /** Notes versions that had not changed since they were pinned. */
  prove(known: { has(key: string): boolean } | undefined): void {
    this.#ownClimb.isProven = known !== undefined && this.dependsOn.every((each) => known.has(each));
  }

  /** Tag events of other processes up to this number do not concern its tags. */
  get heardSequence(): number {
    return Math.max(this.changedSince, this.climb.heardSequence);
  }

  /** Marks tag events of other processes as harmless, unless one hit a tag that was not `compared`. */
  hear(tags: TagEvents, compared: { has(key: string): boolean }): void {
    const others = this.dependsOn.filter((each) => !compared.has(each));
    if (!tags.hadEvents(others, this.tagSequence, this.heardSequence)) this.#ownClimb.heardSequence = tags.sequence;
  }

  /** Something happened to its key: ends the wait for another process. A read waits for none. */
  wake(): void {
    if (this.climb === NOT_BEGUN) return;
    const climb = this.#ownClimb;
    climb.isWoken = true;
    climb.wake?.();
  }

  /** Resolves with the next wake, when the flight ends, or after `limitMs`. */
  nextWake(clock: Clock, limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const climb = this.#ownClimb;
    const end = (): void => {
      cancel();
      climb.wake = undefined;
      resolve();
    };
    const cancel = clock.schedule(end, limitMs);
    climb.wake = end;
    void this.whenSettled().then(end);
    return promise;
  }

  // ---- what may be served instead of a load

  /** @param from whether `entry` is a copy of this process, or was read from the backend by this flight. */
  fallBackOn(entry: Entry, tier: string, from: "copy" | "read"): void {
    this.fallback = entry;
    this.fallbackTier = tier;
    this.hasCopy = from === "copy";
  }

  /** The entry was removed meanwhile. The versions of its tags are pinned for the load all the same. */
  dropFallback(): void {
    if (this.fallback === undefined) return;
    this.#ownClimb.droppedTags = this.fallback.terms.tags;
    this.fallback = undefined;
  }

  // ---- its callers

  /** The tags of all callers that ever came. */
  get tags(): readonly string[] {
    return this.#crowd?.tags ?? this.call.tags;
  }

  /** Whether a caller waits for it; otherwise it is in the background. */
  get isAwaited(): boolean {
    return this.#onlyCaller !== undefined || this.#crowd?.isAwaited === true;
  }

  /** Its first caller waits, without a limit; no other one came, and none is judged by more than its call. */
  awaitAlone(ends: Ends): void {
    this.#onlyCaller = ends;
  }

  /** Ends that wait. `undefined` for a flight that has a crowd by now. */
  takeOnlyCaller(): Ends | undefined {
    const only = this.#onlyCaller;
    this.#onlyCaller = undefined;
    return only;
  }

  get hasOnlyCaller(): boolean {
    return this.#onlyCaller !== undefined;
  }

  /** Its callers, one by one. */
  get crowd(): Crowd<Waiter> {
    if (this.#crowd !== undefined) return this.#crowd;
    this.#crowd = new Crowd(this.call.tags, 0);
    const only = this.takeOnlyCaller();
    if (only !== undefined) this.#crowd.add(newWaiter(this, this.call, only));
    return this.#crowd;
  }
}

/** A flight as the engine sees it: no other file assigns a field of it. */
export type Flight = Readonly<OneFlight>;
export const Flight: new (...values: ConstructorParameters<typeof OneFlight>) => Flight = OneFlight;

/** The first caller of a flight, unless it is one that `joins`. */
export const newWaiter = (
  flight: Flight,
  call: GetOrSetCall,
  { resolve, reject }: Ends,
  isNested = false,
  joins?: Pick<Waiter, "again" | "isLate">,
): Waiter => ({
  call,
  role: joins === undefined ? "first" : "joined",
  flight,
  again: joins?.again,
  isLate: joins?.isLate === true,
  isNested,
  hasTimer: false,
  cancels: [],
  resolve,
  reject,
});

/** Where a load takes its slot: one of those of the cache, or the one that its batch or its callers share. */
export type Slots = Semaphore | SharedSlot;

/** The call of this process that keeps the result of a flight from being stored, under these tag versions. */
export function fencedBy(tags: TagEvents, flight: Flight, dependsOn: readonly string[]): FencedBy | undefined {
  if (flight.fencedBy !== undefined) return flight.fencedBy;
  if (flight.tagSequence === tags.sequence || !tags.wasCalled(dependsOn, flight.tagSequence)) return undefined;
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
