import type { Awaitable } from "../contracts/awaitable.ts";
import type { Backend, DeleteStatus, TagVersions } from "../contracts/backend.ts";
import { KeyedQueue } from "../primitives/keyed-queue.ts";
import type { ChangeListener } from "../coherence/change-listener.ts";
import type { Clock } from "../contracts/clock.ts";
import type { Encoded } from "../entry/codec.ts";
import { ComposedLeases } from "./composed-leases.ts";
import { ComposedReads } from "./composed-reads.ts";
import { ComposedSide } from "./composed-side.ts";
import { ComposedWrites, type WriteStatus } from "./composed-writes.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryLeases, EntryTier, EntryWrite, ReadRequest } from "../tiers/entry-tier.ts";
import type { Events } from "../primitives/event-port.ts";
import type { EntryKey, KeySpace } from "../entry/key.ts";
import { NearCopies } from "./near-copies.ts";
import type { RememberedVersions } from "../tags/remembered-versions.ts";
import { SidePair } from "./side-pair.ts";
import type { TierMeter } from "../primitives/meters.ts";

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
  /** The tag versions of the whole composition, in which this one may be nested. */
  readonly versions: RememberedVersions | undefined;
  /** The backends that `far` is made of. */
  readonly inFar: ReadonlySet<Backend>;
  /**
   * `clock.now()` until which every change in `far` is known to have arrived; `undefined` where not all of `far`
   * reports changes.
   */
  readonly farTrustedUntil: (() => number) | undefined;
}

/**
 * Two tiers as one.
 *
 * {@link ComposedReads} decides which side is served, {@link ComposedWrites} sends changes to both sides,
 * {@link ComposedLeases} shares the leases of one side, and {@link NearCopies} knows which copies in `near` match
 * `far`.
 */
export class ComposedTier implements EntryTier {
  readonly label: string;
  readonly deadlineMs: number;
  readonly keepsMeta: boolean;
  readonly versions: TagVersions | undefined;
  /** The leases of `far`, else of `near`. */
  readonly leases: EntryLeases | undefined;
  readonly codecId: string;
  readonly meter: TierMeter;
  readonly #near: ComposedSide;
  readonly #far: ComposedSide;
  readonly #sides: SidePair;
  readonly #versions: RememberedVersions | undefined;
  readonly #inFar: ReadonlySet<Backend>;
  readonly #copies: NearCopies;
  readonly #reads: ComposedReads;
  readonly #writes: ComposedWrites;

  constructor(plan: CompositionPlan, near: EntryTier, far: EntryTier, parts: CompositionParts) {
    const { clock, events, cache, root, versions, inFar, farTrustedUntil } = parts;
    const { nearTtlMs, write: order } = plan;
    const side = (tier: EntryTier): ComposedSide =>
      new ComposedSide({ tier, isComposed: tier instanceof ComposedTier, versions, clock, events, cache, root });
    const sides = new SidePair(plan.label, side(near), side(far), clock);
    const { lead } = sides;
    const changes = new KeyedQueue();
    const copies = new NearCopies({ near, far, changes, clock, nearTtlMs, farTrustedUntil });
    const deadlineMs =
      plan.read === "sequential" ? near.deadlineMs + far.deadlineMs : Math.max(near.deadlineMs, far.deadlineMs);
    const reads = new ComposedReads({ sides, copies, changes, plan, deadlineMs, clock, events, cache, versions });
    const writes = new ComposedWrites({ sides, copies, changes, order });
    this.label = plan.label;
    this.deadlineMs = deadlineMs;
    this.keepsMeta = near.keepsMeta && far.keepsMeta;
    this.versions = this.keepsMeta ? versions : undefined;
    this.leases = lead && new ComposedLeases({ sides, lead, leases: lead.tier.leases!, reads, writes, deadlineMs });
    this.codecId = sides.hasOneCodec ? near.codecId : `(${near.codecId} ${far.codecId})`;
    this.meter = sides.meter;
    this.#near = sides.near;
    this.#far = sides.far;
    this.#sides = sides;
    this.#versions = versions;
    this.#inFar = inFar;
    this.#copies = copies;
    this.#reads = reads;
    this.#writes = writes;
  }

  get retryInMs(): number {
    return Math.min(this.#near.tier.retryInMs, this.#far.tier.retryInMs);
  }

  get pending(): number {
    return [this.#near, this.#far].reduce((sum, { tier, recovery }) => sum + tier.pending + recovery.size, 0);
  }

  read(request: ReadRequest, budgetMs: number): Promise<Entry | undefined> {
    return this.readMany([request], budgetMs)[0]!;
  }

  readMany(requests: readonly ReadRequest[], budgetMs: number): readonly Promise<Entry | undefined>[] {
    return this.#reads.readMany(requests, budgetMs);
  }

  encode(value: unknown): Awaitable<Encoded> {
    return this.#writes.encode(value);
  }

  write(key: EntryKey, write: EntryWrite): Promise<WriteStatus> {
    return this.#writes.write(key, write);
  }

  remove(key: EntryKey): Promise<DeleteStatus> {
    return this.#writes.remove(key);
  }

  markStale(key: EntryKey): Promise<"stale" | "missing"> {
    return this.#writes.markStale(key);
  }

  /** Rejects only when neither side connects. */
  async connect(): Promise<void> {
    this.#sides.answered("connect", await Promise.allSettled([this.#near.tier.connect(), this.#far.tier.connect()]));
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
    await this.#sides.settled();
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
}
