import type { GetOrSetCall } from "./call.ts";
import type { Entry } from "../entry/entry.ts";
import type { ReadRequest } from "../tiers/entry-tier.ts";
import type { FencedBy, LoadReason } from "../contracts/events.ts";
import type { EntryKey } from "../entry/key.ts";
import { KeyNode, KeyTable } from "../primitives/key-table.ts";
import type { Lease } from "./lease.ts";
import type { Load } from "./load.ts";
import type { StandardSchema } from "../contracts/standard-schema.ts";
import type { Trust } from "../coherence/trust.ts";

/**
 * Something in flight for one key. Two things can happen to it. Something newer was called here: it is fenced, and what
 * it brings is kept nowhere. Something may have changed elsewhere: it is broken, and what it brings is no copy to trust;
 * whether it may be stored, the backend knows.
 */
export class Guard extends KeyNode {
  fencedBy: FencedBy | undefined;
  isTainted = false;
  /** `Trust.epoch` when it was sent: what may have been missed since is not known. */
  epoch = 0;
  /** Where it stands in the order in which things of this process began. */
  readonly serial: number = (lastSerial += 1);
}
let lastSerial = 0;

/** A write of this process on its way to the backend. Those of one key are sent one after another, so a later one stands. */
export class WriteGuard extends Guard {}

/** A caller who waits for a flight. */
export class Waiter {
  readonly call: GetOrSetCall;
  readonly isCoalesced: boolean;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  /** Whether its soft timeout runs. */
  isLimited = false;
  #cancels: (() => void)[] | undefined;

  constructor(
    call: GetOrSetCall,
    isCoalesced: boolean,
    resolve: (value: unknown) => void,
    reject: (reason: unknown) => void,
  ) {
    this.call = call;
    this.isCoalesced = isCoalesced;
    this.resolve = resolve;
    this.reject = reject;
  }

  /** Has `cancel` called when the wait is over, whatever ended it. */
  until(cancel: () => void): void {
    (this.#cancels ??= []).push(cancel);
  }

  /** Ends its timers and its listening to `signal`. */
  end(): void {
    if (this.#cancels !== undefined) for (const cancel of this.#cancels) cancel();
  }
}

/** Everything in progress for one key, from the read to the store; its callers share it. Its policy is the first caller's, its tags are everyone's. */
export class Flight extends Guard implements ReadRequest {
  readonly call: GetOrSetCall;
  tagSequence: number;
  /** `Tags.now` up to which what was heard of tags elsewhere has left its own as they were. */
  heardSequence: number;
  /** When the backend was asked last. */
  readAt: number;
  /** Whether new callers may share it. Whatever happens to its key ends that; so does a tag event, see `Tags.hasEvents`. */
  isJoinable = true;
  /** The version of what the backend held when it was read. */
  seen = "";
  lease: Lease | undefined;
  /** Whether something happened to its key since it asked for the lease. */
  isWoken = false;
  /** Ends its wait for somebody else's load. */
  wake: (() => void) | undefined;
  /** When it began to wait for loads elsewhere. */
  waitsSince: number | undefined;
  /** Whether the backend is still being asked. */
  isReading = true;
  isOver = false;
  isBackground: boolean;
  /** After the first transport failure the rest of the flight does without the backend. */
  isAway = false;
  /** What is left of the time this flight may wait for the backend. */
  backendLeftMs: number;
  reason: LoadReason;
  /** A copy that may still be served instead of a load, and the label of the tier that had it. */
  fallback: Entry | undefined;
  fallbackTier = "";
  /** Whether that is a copy of this process from before it began. */
  hasCopy = false;
  #tags: readonly string[];
  #waiters: Waiter[] = [];
  joined = 0;
  aborted = 0;
  running: Load | undefined;
  /** The loaded value, while it is being stored. */
  loaded: { readonly value: unknown } | undefined;
  #settled: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;

  constructor(call: GetOrSetCall, tagSequence: number, reason: LoadReason, isBackground: boolean) {
    super();
    this.call = call;
    this.#tags = call.tags;
    this.tagSequence = tagSequence;
    // What never leaves the process is not changed by what others call.
    this.heardSequence = call.namespace.remote === undefined ? Infinity : tagSequence;
    this.reason = reason;
    this.isBackground = isBackground;
    this.backendLeftMs = call.namespace.remote?.deadlineMs ?? 0;
    this.readAt = call.startedAt;
  }

  /** Asks the backend again, as if it began now. Who waits for it does so still, and nobody joins. */
  restart(epoch: number, tagSequence: number, now: number): void {
    this.fencedBy = undefined;
    this.resent(epoch);
    this.tagSequence = tagSequence;
    this.readAt = now;
    this.backendLeftMs = this.call.namespace.remote!.deadlineMs;
    this.isReading = true;
  }

  /** What it brings is from now on, unless something is heard. Who comes later does not share what was missed before. */
  resent(epoch: number): void {
    if (epoch !== this.epoch) this.isJoinable = false;
    this.isTainted = false;
    this.epoch = epoch;
  }

  saw(version: string): void {
    this.seen = version;
  }

  get isAfter(): boolean {
    return this.call.isAfter;
  }

  get key(): EntryKey {
    return this.call.key;
  }

  get schema(): StandardSchema<unknown> | undefined {
    return this.call.namespace.schema;
  }

  get expectedTags(): readonly string[] {
    return this.call.tags;
  }

  /** Everyone's. */
  get tags(): readonly string[] {
    return this.#tags;
  }

  get waiters(): readonly Waiter[] {
    return this.#waiters;
  }

  addTags(more: readonly string[]): void {
    if (more.some((tag) => !this.#tags.includes(tag))) this.#tags = [...new Set([...this.#tags, ...more])];
  }

  await(waiter: Waiter): void {
    this.#waiters.push(waiter);
    this.joined += 1;
  }

  /** Ends the wait of one caller; `false` when it was over already. */
  take(waiter: Waiter): boolean {
    const at = this.#waiters.indexOf(waiter);
    if (at < 0) return false;
    this.#waiters.splice(at, 1);
    waiter.end();
    return true;
  }

  /** Ends the wait of everyone, or of those that `takes` names. */
  takeAll(takes?: (call: GetOrSetCall) => boolean): readonly Waiter[] {
    const waiters = takes === undefined ? this.#waiters : this.#waiters.filter(({ call }) => takes(call));
    this.#waiters = takes === undefined ? [] : this.#waiters.filter(({ call }) => !takes(call));
    for (const waiter of waiters) waiter.end();
    return waiters;
  }

  /** Resolves when nothing of this flight is under way any more. Never rejects. */
  whenSettled(): Promise<void> {
    if (this.isOver) return Promise.resolve();
    this.#settled ??= Promise.withResolvers<void>();
    return this.#settled.promise;
  }

  settled(): void {
    this.isOver = true;
    this.#settled?.resolve();
  }
}

/** What is in flight, by key. Nothing is kept for idle keys. */
export class Flights {
  readonly #guards = new KeyTable<Guard>();
  readonly #trust: Trust;

  constructor(trust: Trust) {
    this.#trust = trust;
  }

  /** Of all keys. */
  get size(): number {
    return this.#guards.size;
  }

  /** Registered before anything is sent, so that no change can fall between. */
  add(at: string, guard: Guard): void {
    guard.epoch = this.#trust.epoch;
    this.#guards.add(at, guard);
  }

  remove(guard: Guard): void {
    this.#guards.remove(guard);
  }

  /** What whoever asks at `now` may share. Who is away cannot hear of changes, and shares what it has. */
  joinable(at: string, now: number): Flight | undefined {
    for (let each = this.#guards.first(at); each !== undefined; each = this.#guards.after(each))
      if (
        each instanceof Flight &&
        each.isJoinable &&
        (each.call.namespace.remote === undefined ||
          (each.epoch === this.#trust.epoch &&
            (each.isAway || this.#trust.mayShare(each.hasCopy ? -Infinity : each.readAt, now))))
      )
        return each;
    return undefined;
  }

  /** Whether what this brings is what the backend holds, as far as anybody has told. */
  isUntainted(guard: Guard): boolean {
    return !guard.isTainted && guard.epoch === this.#trust.epoch;
  }

  /** The epoch of a copy of this answer: it is trusted at once, or has to be confirmed. */
  copyEpoch(guard: Guard): number {
    return this.isUntainted(guard) ? this.#trust.epoch : this.#trust.unconfirmed;
  }

  /** Something changed elsewhere, or may have. */
  taint(at: string): void {
    for (let each = this.#guards.first(at); each !== undefined; each = this.#guards.after(each)) tainted(each);
  }

  /** Whoever waits for a load elsewhere looks again. */
  wake(at: string): void {
    for (let each = this.#guards.first(at); each !== undefined; each = this.#guards.after(each))
      if (each instanceof Flight) woken(each);
  }

  /** As {@link wake}, for all keys. */
  wakeAll(): void {
    for (const flight of this.all()) woken(flight);
  }

  /** Fenced flights of this key let others load. */
  releaseFenced(at: string): void {
    for (let each = this.#guards.first(at); each !== undefined; each = this.#guards.after(each))
      if (each instanceof Flight && each.fencedBy !== undefined) each.lease?.release();
  }

  /** From now on nobody joins what is in flight for this key, and what it brings is kept nowhere. */
  fence(at: string, by: FencedBy): void {
    for (let each = this.#guards.first(at); each !== undefined; each = this.#guards.after(each)) fenced(each, by);
  }

  /** What this brings cannot be stored any more. */
  fenceOne(guard: Guard, by: FencedBy): void {
    fenced(guard, by);
  }

  /** After a write was acknowledged: fences what was read meanwhile, which may be older. */
  fenceReads(at: string, by: FencedBy): void {
    for (let each = this.#guards.first(at); each !== undefined; each = this.#guards.after(each))
      if (!(each instanceof WriteGuard)) fenced(each, by);
  }

  /**
   * After a load was stored: fences what began before it, and breaks every read, since that may have been answered before the
   * store. A load that began later, or is still to come, stays: its value is the newer one.
   */
  fenceOlder(at: string, stored: Flight): void {
    for (let each = this.#guards.first(at); each !== undefined; each = this.#guards.after(each))
      if (each !== stored && (each.serial < stored.serial || !(each instanceof Flight) || each.isReading)) {
        if (each instanceof Flight && each.serial > stored.serial) tainted(each);
        else fenced(each, "set");
      }
  }

  /** No later caller shares a load that began before this one. */
  supersede(at: string, by: Flight): void {
    for (let each = this.#guards.first(at); each !== undefined; each = this.#guards.after(each))
      if (each !== by && each instanceof Flight) each.isJoinable = false;
  }

  *all(): Iterable<Flight> {
    for (const each of this.#guards) if (each instanceof Flight) yield each;
  }
}

function fenced(guard: Guard, by: FencedBy): void {
  // The end of freshness alone leaves what may stand in; it takes the lease as well.
  if (guard.fencedBy === undefined || (guard.fencedBy === "stale" && by !== "lease")) guard.fencedBy = by;
  tainted(guard);
}

function tainted(guard: Guard): void {
  guard.isTainted = true;
  if (!(guard instanceof Flight)) return;
  guard.isJoinable = false;
  woken(guard);
}

function woken(flight: Flight): void {
  flight.isWoken = true;
  flight.wake?.();
}
