import type { Awaitable } from "../contracts/awaitable.ts";
import type { Backend, DeleteStatus, TagVersions } from "../contracts/backend.ts";
import type { Encoded } from "../entry/codec.ts";
import type { Entry } from "../entry/entry.ts";
import type { EntryKey } from "../entry/key.ts";
import type { TierMeter } from "../primitives/meters.ts";
import {
  settle,
  type EntryLeases,
  type EntryTier,
  type EntryWrite,
  type ReadRequest,
  type Settled,
} from "../tiers/entry-tier.ts";
import { composedLeases } from "./composed-leases.ts";
import { ComposedReads } from "./composed-reads.ts";
import { ComposedSide, type EntryCheck, type TagCheck } from "./composed-side.ts";
import { ComposedWrites, type WriteStatus } from "./composed-writes.ts";
import type { CompositionParts, CompositionPlan } from "./composition.ts";
import { OwnChanges } from "./own-changes.ts";
import { SidePair } from "./side-pair.ts";

/**
 * Two tiers as one.
 *
 * {@link ComposedReads} decides which side is served, {@link ComposedWrites} sends changes to both sides,
 * {@link composedLeases} shares the leases of one side, and {@link OwnChanges} keeps `near` from bringing back an entry
 * that this process has changed.
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
  readonly #sides: SidePair;
  readonly #both: readonly ComposedSide[];
  readonly #reads: ComposedReads;
  readonly #writes: ComposedWrites;

  constructor(plan: CompositionPlan, near: EntryTier, far: EntryTier, parts: CompositionParts) {
    const { clock, versions, isNear } = parts;
    const changes = new OwnChanges(clock, plan.nearTtlMs);
    const checkNear: EntryCheck = async ({ key, isCurrent }, entry, tags) =>
      isCurrent === true || !changes.mayServe(key.backend, entry) ? undefined : unlessInvalidated(near, entry, tags);
    const checkFar: EntryCheck = (_, entry, tags) =>
      isNear || far instanceof ComposedTier ? unlessInvalidated(far, entry, tags) : tags(entry);
    const sides = new SidePair(plan, clock, {
      // A pending key that is forgotten in near is older there for nearTtl at most.
      near: new ComposedSide(near, checkNear, undefined, parts),
      far: new ComposedSide(far, checkFar, versions, parts),
    });
    this.#sides = sides;
    this.#both = [sides.near, sides.far];
    this.#reads = new ComposedReads({ ...parts, plan, sides, changes });
    this.#writes = new ComposedWrites({ ...parts, plan, sides, changes });
    this.label = plan.label;
    this.deadlineMs = sides.deadlineMs;
    this.keepsMeta = near.keepsMeta && far.keepsMeta;
    this.versions = this.keepsMeta ? versions : undefined;
    const { lead } = sides;
    this.leases = lead && composedLeases(sides, lead, this.#reads, this.#writes);
    this.codecId = sides.hasOneCodec ? near.codecId : `(${near.codecId} ${far.codecId})`;
    this.meter = sides.meter;
  }

  get isBypassed(): boolean {
    return this.#both.every(({ tier }) => tier.isBypassed);
  }

  bypass(labels: ReadonlySet<string> | "all"): void {
    for (const { tier } of this.#both) tier.bypass(labels !== "all" && labels.has(this.label) ? "all" : labels);
  }

  get answered(): number {
    return this.#both.reduce((sum, { tier }) => sum + tier.answered, 0);
  }

  get retryInMs(): number {
    return Math.min(...this.#both.map(({ tier }) => tier.retryInMs));
  }

  get pending(): number {
    return this.#both.reduce((sum, { tier, recovery }) => sum + tier.pending + recovery.size, 0);
  }

  read(request: ReadRequest, budgetMs: number): Promise<Entry | undefined> {
    return this.#reads.readMany([request], budgetMs)[0]!;
  }

  readMany(requests: readonly ReadRequest[], budgetMs: number, settled: Settled): void {
    this.#reads.readMany(requests, budgetMs).forEach((read, i) => settle(read, i, settled));
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
    this.#sides.answered("connect", await Promise.allSettled(this.#both.map(({ tier }) => tier.connect())));
  }

  listenerOf(backend: Backend): ReturnType<EntryTier["listenerOf"]> {
    const { near, far } = this.#sides;
    return near.tier.listenerOf(backend) ?? far.tier.listenerOf(backend);
  }

  async settled(): Promise<void> {
    await this.#sides.settled();
    await Promise.all(
      this.#both.map(async ({ tier, recovery }) => {
        await recovery.replay();
        await tier.settled();
      }),
    );
  }

  stop(): void {
    for (const { tier, recovery } of this.#both) {
      recovery.stop();
      tier.stop();
    }
  }

  stats(): ReturnType<EntryTier["stats"]> {
    const parts = this.#both.map(({ tier }) => tier.stats());
    const states = parts.map(([first]) => first!.state);
    const state = states.find((each) => each === "up") ?? states.find((each) => each !== "down") ?? "down";
    return [this.meter.snapshot(this.label, state), ...parts.flat()];
  }
}

/**
 * While the tag versions cannot be read, an entry that a `nearTtl` bounds is served all the same, unless a tag call of
 * this process covers it: all calls that are remembered are applied to it. A composition has checked its own entries.
 */
const unlessInvalidated = (tier: EntryTier, entry: Entry, tags: TagCheck): Promise<Entry | undefined> =>
  tier instanceof ComposedTier
    ? Promise.resolve(entry)
    : tags(entry).catch((): Entry => ({ ...entry, tagSequence: 0 }));
