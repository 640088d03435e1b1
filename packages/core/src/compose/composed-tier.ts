import type { Backend, DeleteStatus, TagVersions } from "../contracts/backend.ts";
import { KeyedQueue } from "../primitives/keyed-queue.ts";
import type { ChangeListener } from "../coherence/change-listener.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Encoded } from "../entry/codec.ts";
import { ComposedReads } from "./composed-reads.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryLeases, EntryTier, EntryWrite, LeaseAnswer, ReadRequest } from "../tiers/entry-tier.ts";
import { BackendUnavailableError, EncodeError } from "../contracts/errors.ts";
import type { Events } from "../contracts/events.ts";
import type { Guard } from "../engine/flights.ts";
import type { EntryKey, KeySpace } from "../entry/key.ts";
import { NearCopies } from "./near-copies.ts";
import { whenReady } from "../primitives/once.ts";
import type { Awaitable } from "../contracts/awaitable.ts";
import type { RememberedVersions } from "../tags/remembered-versions.ts";
import { partOf, settle, ComposedSide, type PartRequest } from "./composed-side.ts";
import { TierMeter } from "../primitives/meters.ts";

/** The options of a composition, resolved. */
export interface CompositionPlan {
  readonly label: string;
  readonly read: "sequential" | "race" | "freshest";
  readonly write: "sequential" | "parallel" | "race";
  readonly refill: "always" | "never";
  readonly nearTtlMs: number;
}

export interface CompositionParts {
  readonly clock: Clock;
  readonly events: Events;
  readonly cache: string;
  readonly root: KeySpace;
  /** Those of the whole composition, in which this one may be nested. */
  readonly versions: RememberedVersions | undefined;
  /** The backends that `far` is made of. */
  readonly inFar: ReadonlySet<Backend>;
  /** `clock.now()` until which all that was changed in `far` has been heard of; `undefined` where not all of it is. */
  readonly farHeardUntil: (() => number) | undefined;
}

type Read = Promise<Entry | undefined>;
type WriteStatus = "stored" | "refused";
type StoreStatus = WriteStatus | "overtaken";
type Outcomes<T> = readonly [near: PromiseSettledResult<T>, far: PromiseSettledResult<T>];

/**
 * Two tiers as one.
 *
 * Changes of one key go to both sides one after another: the next is sent when both have settled the one before, also
 * where a race was answered earlier. A write that one side took succeeds; the other side is not asked for that key until
 * it has taken the write too, or what it holds was removed. What is stored under a lease goes to the side that granted
 * it first, and to the other one if it was stored there.
 *
 * What is served of the two is said by {@link ComposedReads}; what the copies in `near` are good for, by {@link NearCopies}.
 */
export class ComposedTier implements EntryTier {
  readonly label: string;
  readonly deadlineMs: number;
  readonly keepsMeta: boolean;
  readonly versions: TagVersions | undefined;
  /** Those of `far`, else of `near`. While that side is away a load goes on without: what it brings reaches the other one. */
  readonly leases: EntryLeases | undefined;
  readonly codecId: string;
  readonly meter: TierMeter = new TierMeter();
  readonly #plan: CompositionPlan;
  readonly #near: ComposedSide;
  readonly #far: ComposedSide;
  readonly #clock: Clock;
  readonly #hasOneCodec: boolean;
  readonly #versions: RememberedVersions | undefined;
  readonly #inFar: ReadonlySet<Backend>;
  readonly #changes = new KeyedQueue();
  readonly #behind = new Set<Promise<unknown>>();
  readonly #copies: NearCopies;
  readonly #reads: ComposedReads;

  constructor(plan: CompositionPlan, near: EntryTier, far: EntryTier, parts: CompositionParts) {
    const { clock, events, cache, root, versions, inFar, farHeardUntil } = parts;
    const side = (tier: EntryTier): ComposedSide =>
      new ComposedSide({ tier, isComposed: tier instanceof ComposedTier, versions, clock, events, cache, root });
    this.label = plan.label;
    this.deadlineMs =
      plan.read === "sequential" ? near.deadlineMs + far.deadlineMs : Math.max(near.deadlineMs, far.deadlineMs);
    this.keepsMeta = near.keepsMeta && far.keepsMeta;
    this.versions = this.keepsMeta ? versions : undefined;
    this.#hasOneCodec = near.codecId === far.codecId;
    this.codecId = this.#hasOneCodec ? near.codecId : `(${near.codecId} ${far.codecId})`;
    this.#plan = plan;
    this.#near = side(near);
    this.#far = side(far);
    this.#clock = clock;
    this.#versions = versions;
    this.#inFar = inFar;
    this.#copies = new NearCopies({ near, far, changes: this.#changes, clock, farHeardUntil });
    const lead = [this.#far, this.#near].find(({ tier }) => tier.leases !== undefined);
    this.leases = lead && this.#leasesOf(lead, lead.tier.leases!);
    this.#reads = new ComposedReads({
      near: this.#near,
      far: this.#far,
      lead,
      copies: this.#copies,
      changes: this.#changes,
      plan,
      deadlineMs: this.deadlineMs,
      clock,
      events,
      cache,
      versions,
      answered: (outcomes) => void this.#answered("read", outcomes),
      goOn: (work) => this.#goOn(work),
    });
  }

  get retryInMs(): number {
    return Math.min(this.#near.tier.retryInMs, this.#far.tier.retryInMs);
  }

  get pending(): number {
    return [this.#near, this.#far].reduce((sum, { tier, recovery }) => sum + tier.pending + recovery.size, 0);
  }

  // ---- reading

  read(request: ReadRequest, budgetMs: number): Read {
    return this.readMany([request], budgetMs)[0]!;
  }

  readMany(requests: readonly ReadRequest[], budgetMs: number): readonly Read[] {
    return this.#reads.readMany(requests, budgetMs).map((read) => this.#timed("read", read));
  }

  // ---- changing

  encode(value: unknown): Awaitable<Encoded> {
    return whenReady(this.#near.tier.encode(value), (near) =>
      this.#hasOneCodec
        ? near
        : whenReady(this.#far.tier.encode(value), (far): Encoded => ({ ...near, parts: [near, far] })),
    );
  }

  write(key: EntryKey, write: EntryWrite): Promise<WriteStatus> {
    return this.#timed(
      "write",
      this.#change(key, (guard) => {
        const track = this.#tracker(key);
        const send = (side: ComposedSide): Promise<WriteStatus> =>
          track(side, side.tier.write(key, this.#as(side, write)));
        const near = send(this.#near);
        const sendFar = (): Promise<WriteStatus> => send(this.#far);
        const far = this.#plan.write === "sequential" ? near.then(sendFar, sendFar) : sendFar();
        return this.#written(guard, key, write.entry, [near, far]);
      }),
    );
  }

  /** An entry as this side keeps it. */
  #as(side: ComposedSide, { entry, encoded, versions }: EntryWrite): EntryWrite {
    const [near, far] = this.#hasOneCodec ? [encoded, encoded] : encoded.parts!;
    return side === this.#near
      ? { entry: this.#reads.nearCopy(entry), encoded: near, versions }
      : { entry, encoded: far, versions };
  }

  /** Keeps account of one write: where one side takes it, the other is hidden until it has taken it too, or is to be removed. */
  #tracker(key: EntryKey): <S extends StoreStatus>(side: ComposedSide, sent: Promise<S>) => Promise<S> {
    const id = key.backend;
    let taken = false;
    let failed: ComposedSide | undefined;
    return (side, sent) =>
      sent.then(
        (status) => {
          if (status === "overtaken") return status;
          const other = this.#otherOf(side);
          side.recovery.forgetKey(key);
          if (failed !== undefined) other.recovery.addKey(key);
          else if (!taken) other.late.add(id);
          side.late.delete(id);
          taken = true;
          return status;
        },
        (error: unknown) => {
          if (taken) side.recovery.addKey(key);
          side.late.delete(id);
          failed = side;
          throw error;
        },
      );
  }

  /** How a write ends: for its caller, and for the copy in `near`. */
  #written<S extends StoreStatus>(
    guard: Guard,
    key: EntryKey,
    entry: Entry,
    sent: readonly [near: Promise<S>, far: Promise<S>],
  ): Change<S, Outcomes<S>> {
    const copy = { key, version: entry.version };
    // Its caller may be answered before the other side has answered.
    sent[0].then((status) => status === "stored" && this.#copies.arrived(guard, copy), ignore);
    const both: Promise<Outcomes<S>> = Promise.all([settle(sent[0]), settle(sent[1])]);
    const summed = (outcomes: Outcomes<S>): S => {
      const statuses = this.#answered("write", outcomes);
      return statuses.find((status) => status !== "refused") ?? statuses[0]!;
    };
    const first =
      this.#plan.write === "race" ? firstAccepted(sent, (status) => status !== "refused") : both.then(() => undefined);
    return {
      answer: first.then(async (status) => status ?? summed(await both)),
      settled: both,
      after: ([near, far]) => {
        if (near.status === "fulfilled" && near.value === "stored")
          this.#copies.written(guard, copy, far.status === "fulfilled");
      },
    };
  }

  async remove(key: EntryKey): Promise<DeleteStatus> {
    const found = await this.#timed(
      "remove",
      this.#both("remove", key, async (side) => {
        const status = await side.tier.remove(key);
        side.recovery.forgetKey(key);
        return status;
      }),
    );
    return found.includes("deleted") ? "deleted" : "missing";
  }

  /** Where something older waits to be removed, that is done: it must not come back as stale. */
  async markStale(key: EntryKey): Promise<"stale" | "missing"> {
    const found = await this.#both("markStale", key, async ({ tier, recovery }) => {
      if (!recovery.covers(key, key.space.tagPrefixes)) return tier.markStale(key);
      await tier.remove(key);
      recovery.forgetKey(key);
      return "missing";
    });
    return found.includes("stale") ? "stale" : "missing";
  }

  /** What both have acknowledged. Rejects when one has not. */
  async #both<T>(operation: string, key: EntryKey, run: (side: ComposedSide) => Promise<T>): Promise<readonly T[]> {
    const outcomes = await this.#change(key, () => {
      const both = Promise.allSettled([run(this.#near), run(this.#far)]);
      return { answer: both, settled: both };
    });
    const values = this.#answered(operation, outcomes);
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    return values;
  }

  /** Runs one change of a key after those before it, and keeps out of `near` what was read before or while it runs. */
  #change<T, S>(key: EntryKey, begin: (guard: Guard) => Change<T, S>): Promise<T> {
    const id = key.backend;
    return new Promise((resolve) => {
      this.#goOn(
        this.#changes.run(id, () => {
          const guard = this.#copies.watch(id);
          const { answer, settled, after } = begin(guard);
          resolve(answer);
          return settled.then((outcomes) => {
            this.#copies.unwatch(guard);
            this.#copies.fence(id);
            after?.(outcomes);
          });
        }),
      );
    });
  }

  // ---- leases

  #leasesOf(lead: ComposedSide, leases: EntryLeases): EntryLeases {
    return {
      acquire: (request, token, leaseMs, seen) => this.#acquire(lead, leases, request, token, leaseMs, seen),
      renew: (key, token, leaseMs) => leases.renew(key, token, leaseMs),
      release: (key, token) => leases.release(key, token),
      confirm: (key) => leases.confirm(key),
      store: (key, write, token, seen) => {
        const other = this.#otherOf(lead);
        return this.#timed(
          "write",
          this.#change(key, (guard) => {
            const track = this.#tracker(key);
            const led = track(lead, leases.store(key, this.#as(lead, write), token, seen));
            const sendOther = (): Promise<StoreStatus> => track(other, other.tier.write(key, this.#as(other, write)));
            const followed = led.then((status) => (status === "overtaken" ? status : sendOther()), sendOther);
            return this.#written(guard, key, write.entry, lead === this.#near ? [led, followed] : [followed, led]);
          }),
        );
      },
    };
  }

  /**
   * Where the side that grants leases is away there is nobody to ask, and the load goes on: what it brings is stored in the
   * other side, and refused by this one should it be back by then.
   */
  async #acquire(
    lead: ComposedSide,
    leases: EntryLeases,
    request: PartRequest,
    token: string,
    leaseMs: number,
    seen: string,
  ): Promise<LeaseAnswer> {
    const { key } = request;
    const alone: LeaseAnswer = { kind: "granted", seen: "" };
    if (lead.isHidden(key)) await lead.recovery.replay();
    if (lead.isHidden(key)) return alone;
    const judge = this.#reads.judgeOf(request);
    try {
      const answer = await leases.acquire(partOf(request, judge), token, leaseMs, seen);
      if (answer.kind !== "entry" || answer.entry === undefined) return answer;
      // What near holds is held against far.
      if (lead === this.#near) return { ...answer, entry: await this.read(request, this.deadlineMs) };
      return judge === undefined || lead.isComposed ? answer : { ...answer, entry: await judge(answer.entry) };
    } catch {
      // The tier has reported it.
      return alone;
    }
  }

  // ---- its life

  /** One that connects is enough to start with. */
  async connect(): Promise<void> {
    this.#answered("connect", await Promise.allSettled([this.#near.tier.connect(), this.#far.tier.connect()]));
  }

  listenerOf(backend: Backend): Partial<ChangeListener> {
    const sides = [this.#near, this.#far].map(({ tier }) => tier.listenerOf(backend));
    const isFar = this.#inFar.has(backend);
    return {
      changed: (keys) => {
        for (const side of sides) side.changed?.(keys);
        for (const key of keys) {
          if (isFar) this.#copies.changed(key);
          else this.#copies.replaced(key);
        }
      },
      tagsChanged: (tags) => {
        for (const side of sides) side.tagsChanged?.(tags);
        this.#versions?.forget(tags);
      },
      everythingChanged: () => {
        for (const side of sides) side.everythingChanged?.();
        if (isFar) this.#copies.everythingChanged();
      },
      attached: () => {
        for (const side of sides) side.attached?.();
      },
      detached: (error) => {
        for (const side of sides) side.detached?.(error);
      },
    };
  }

  async settled(): Promise<void> {
    while (this.#behind.size !== 0) await Promise.all(this.#behind);
    await this.#copies.settled();
    await Promise.all(
      [this.#near, this.#far].map(async ({ tier, recovery }) => {
        if (recovery.size !== 0) await recovery.replay();
        await tier.settled();
      }),
    );
  }

  stop(): void {
    this.#copies.stop();
    for (const { tier, recovery } of [this.#near, this.#far]) {
      recovery.stop();
      tier.stop();
    }
  }

  stats(): ReturnType<EntryTier["stats"]> {
    const [near, far] = [this.#near.tier.stats(), this.#far.tier.stats()];
    const states = [near[0]!.state, far[0]!.state];
    const state = states.find((each) => each === "up") ?? states.find((each) => each !== "down") ?? "down";
    return [this.meter.snapshot(this.label, state), ...near, ...far];
  }

  // ---- what both sides say

  /** What was answered. Throws when both failed, with both causes; what neither can encode is said as it is. */
  #answered<T>(operation: string, outcomes: readonly [PromiseSettledResult<T>, PromiseSettledResult<T>]): readonly T[] {
    const values = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
    if (values.length !== 0) return values;
    const causes = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason as unknown);
    const unwritable = causes.find((cause) => cause instanceof EncodeError);
    if (unwritable !== undefined) throw unwritable;
    this.meter.errors += 1;
    throw new BackendUnavailableError(`${this.label}: ${operation} failed in both backends; see cause.errors`, {
      tier: this.label,
      operation,
      retryable: causes.some((cause) => !(cause instanceof BackendUnavailableError) || cause.retryable),
      maybeExecuted: causes.some((cause) => !(cause instanceof BackendUnavailableError) || cause.maybeExecuted),
      cause: new AggregateError(causes, `${operation} failed in both backends`),
    });
  }

  #otherOf(side: ComposedSide): ComposedSide {
    return side === this.#near ? this.#far : this.#near;
  }

  #timed<T>(operation: "read" | "write" | "remove", work: Promise<T>): Promise<T> {
    const startedAt = this.#clock.now();
    work.then(() => this.meter[operation].record(this.#clock.now() - startedAt), ignore);
    return work;
  }

  /** Goes on behind the answer; a failure was reported by the tier. */
  #goOn(work: Promise<unknown>): void {
    const behind: Promise<unknown> = work.then(ignore, ignore).then(() => this.#behind.delete(behind));
    this.#behind.add(behind);
  }
}

/** One change of a key. */
interface Change<T, S> {
  readonly answer: Promise<T>;
  /** When both sides have settled it, which may be later. */
  readonly settled: Promise<S>;
  readonly after?: (outcomes: S) => void;
}

const ignore = (): undefined => undefined;

/** The first that is accepted; `undefined` when none is. */
function firstAccepted<T>(works: readonly Promise<T>[], isAccepted: (value: T) => boolean): Promise<T | undefined> {
  const accepted = works.map(async (work) => {
    const value = await work;
    if (!isAccepted(value)) throw NOT_ACCEPTED;
    return value;
  });
  return Promise.any(accepted).catch(ignore);
}

const NOT_ACCEPTED = new Error("not accepted");
