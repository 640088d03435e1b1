import { ConfigurationError, type Cache, type CacheEvents, type Duration } from "@hotset/core";
import {
  inspect,
  type Figures,
  type GroupRates,
  type Inspection,
  type Invalidation,
  type ProcessRecord,
} from "@hotset/core/inspect";
import { fleetSums, seenProcesses, type SeenProcess } from "./fleet.ts";
import { History } from "./history.ts";
import { countsOf, REMEMBERED, type Counted } from "./invalidations.ts";
import { marksOf, WideCalls, WideTags, type Mark } from "./marks.ts";
import type { CacheOverview, CacheStatus, JoinedKey, RecentOverview, SeenLoad, TierOverview } from "./pages.ts";
import { Polled } from "./polled.ts";

const FLEET_MS = 5_000;
const TAGS_MS = 10_000;
const MOST_JOINED = 1_000;
const MOST_PROCESSES = 1_000;

/** One cache, and what the inspector remembers of it. */
export class Subject {
  readonly cache: Cache;
  readonly inspection: Inspection;
  readonly history: History;
  readonly fleet: Polled<readonly ProcessRecord[]>;
  readonly #wideTags = new WideTags();
  readonly #wideCalls = new WideCalls();
  /** When the state of a tier changed last. */
  readonly #states = new Map<string, number>();
  readonly #joined = new Map<string, { -readonly [P in keyof JoinedKey]: JoinedKey[P] }>();
  readonly #stop: (() => void)[];
  #lookedAt = 0;
  /** Invalidations of other processes, as their records say, the last one last. */
  readonly #elsewhere: Invalidation[] = [];
  /** The last of each process that was learnt, by its id. */
  readonly #learnt = new Map<string, number>();

  constructor(cache: Cache, window?: Duration) {
    this.cache = cache;
    this.inspection = inspect(cache, { remember: REMEMBERED, window });
    this.history = new History(cache, Date.now());
    this.fleet = new Polled(FLEET_MS, async () => {
      const records = await this.#records();
      for (const record of records) if (!record.isOwn) this.#learn(record);
      return records;
    });
    this.#stop = [
      cache.on("backend:state", ({ tier }) => void this.#states.set(tier, Date.now())),
      this.inspection.onInvalidation((made) => this.#wideCalls.add(made, this.#wideTags)),
    ];
  }

  get name(): string {
    return this.cache.name;
  }

  /** Counts calls that join a load, until the returned function is called. */
  watch(): () => void {
    return this.cache.on("coalesced", (event) => this.#join(event));
  }

  close(): void {
    for (const stop of this.#stop) stop();
    this.inspection.close();
  }

  /** Called now and then: which tags are wide is not known once they were invalidated. */
  look(now: number): void {
    this.history.sample(now);
    if (now - this.#lookedAt < TAGS_MS) return;
    this.#lookedAt = now;
    this.#wideTags.look(this.inspection.entries());
  }

  /** What may be why a curve bends. */
  marks(now: number): readonly Mark[] {
    return marksOf(this.inspection.processStarts(), this.#wideCalls.list, now);
  }

  /** Clears, and calls of wide tags. */
  wideCalls(now: number): readonly Mark[] {
    return marksOf([], this.#wideCalls.list, now);
  }

  status(): CacheStatus {
    const { canListMemory, canListBackend, verifies } = this.inspection;
    return {
      name: this.name,
      canListMemory,
      canListBackend,
      verifies,
      tiers: this.cache.stats().tiers.map(({ label }) => label),
    };
  }

  overview(): CacheOverview {
    const { tiers, loadLatency, ...stats } = this.cache.stats();
    const { p50Ms, p95Ms, count } = loadLatency;
    const avoided = stats.hits + stats.staleHits + stats.coalesced;
    return {
      name: this.name,
      ...stats,
      savedMs: count === 0 ? null : avoided * p50Ms,
      loadP50Ms: p50Ms,
      loadP95Ms: p95Ms,
      recent: this.#recent(),
      fleet: fleetSums(this.inspection.figures()!, this.processes()),
      tiers: tiers.map(
        ({ label, state, hits, misses, errors, entries = null, bytes = null, latency }): TierOverview => ({
          ...this.#limitsOf(label),
          label,
          state,
          since: this.#states.get(label) ?? null,
          hits,
          misses,
          errors,
          entries,
          bytes,
          readP95Ms: latency.read.p95Ms,
        }),
      ),
    };
  }

  #limitsOf(label: string): Pick<TierOverview, "maxEntries" | "evicted"> {
    const { maxEntries = null, evicted = null } =
      this.inspection.figures()!.tiers.find((tier) => tier.label === label) ?? {};
    return { maxEntries, evicted };
  }

  #recent(): RecentOverview {
    const { ms, namespaces, tiers } = this.inspection.recent()!;
    const { loadLatency, ...root } = namespaces[0]!;
    const { groups, tiers: lastMinute } = this.inspection.figures()!;
    const { p50Ms, p95Ms, count } = loadLatency;
    return {
      ...root,
      ms,
      savedMs: count === 0 ? null : (root.hits + root.staleHits + root.coalesced) * p50Ms,
      loadP50Ms: p50Ms,
      loadP95Ms: p95Ms,
      tiers: tiers.map(({ label, hits, misses, errors }) => ({ label, hits, misses, errors })),
      lastMinute: {
        calls: this.#callsOf(groups[0]!, lastMinute),
        loadErrors: groups[0]!.failed?.count ?? 0,
        errors: Object.fromEntries(lastMinute.map(({ label, errors }) => [label, errors])),
      },
    };
  }

  /** How long calls took in the last minute, by what answered them. Those of memory are not timed. */
  #callsOf({ calls = {} }: GroupRates, tiers: Figures["tiers"]): RecentOverview["lastMinute"]["calls"] {
    const timed = Object.entries(calls).map(([by, { count, p50Ms, p99Ms }]) => ({ by, count, p50Ms, p99Ms }));
    const inMemory = this.cache.stats().tiers.length > 1 || calls.hit === undefined ? (tiers[0]?.hits ?? 0) : 0;
    return inMemory === 0 ? timed : [{ by: "memory", count: inMemory, p50Ms: null, p99Ms: null }, ...timed];
  }

  processes(): readonly SeenProcess[] {
    return seenProcesses(this.inspection);
  }

  /** The most callers first. */
  loads(): readonly SeenLoad[] {
    return this.inspection
      .loads()
      .map(({ callers, namespace, key, phase, reason, forMs, loadingForMs = null }) => ({
        cache: this.name,
        namespace,
        key,
        phase,
        reason,
        forMs,
        loadingForMs,
        callers: callers.length,
        longestWaitMs: callers[0]?.waitingMs ?? 0,
      }))
      .toSorted((one, other) => other.callers - one.callers || other.forMs - one.forMs);
  }

  /** The most calls first. */
  joined(): readonly JoinedKey[] {
    return [...this.#joined.values()].toSorted((one, other) => other.joined - one.joined).slice(0, 50);
  }

  /**
   * The last one first: those that the cache knows of, and those that records of other processes list. A cache is
   * notified of a tag once, until it uses the tag again, so a loop elsewhere shows in the records alone.
   */
  invalidations(): readonly Invalidation[] {
    const known = this.inspection.invalidations();
    if (this.#elsewhere.length === 0) return known;
    // Named ones are in the list of their record.
    const unnamed = known.filter(({ origin, process }) => origin === "here" || process === undefined);
    return [...unnamed, ...this.#elsewhere].toSorted((one, other) => other.at - one.at).slice(0, REMEMBERED);
  }

  /** How often what was invalidated in the last minute. */
  invalidationCounts(now: number): readonly Counted[] {
    return countsOf(this.inspection.invalidationCounts(), this.inspection.knownProcesses(), now);
  }

  /** None of a cache without a backend. */
  async #records(): Promise<readonly ProcessRecord[]> {
    try {
      return await this.inspection.processes();
    } catch (error) {
      if (error instanceof ConfigurationError) return [];
      throw error;
    }
  }

  #learn({ id, name: process, invalidations, clockAheadMs }: ProcessRecord): void {
    const since = this.#learnt.get(id) ?? -Infinity;
    const added = invalidations.filter(({ at }) => at > since).toReversed();
    if (added.length === 0) return;
    for (const each of added) {
      const made: Invalidation = { ...each, origin: "elsewhere", process };
      this.#elsewhere.push(made);
      // A cache is notified once of a tag that it does not use again, and of no name.
      if (each.scope !== "key") this.#wideCalls.add({ ...made, at: each.at - clockAheadMs }, this.#wideTags);
    }
    this.#elsewhere.splice(0, this.#elsewhere.length - REMEMBERED);
    if (this.#learnt.size >= MOST_PROCESSES) this.#learnt.delete(this.#learnt.keys().next().value!);
    this.#learnt.set(id, added.at(-1)!.at);
  }

  #join({ namespace, key }: CacheEvents["coalesced"]): void {
    const id = JSON.stringify([...namespace, key]);
    const seen = this.#joined.get(id);
    if (seen !== undefined) {
      seen.joined += 1;
      seen.lastAt = Date.now();
      return;
    }
    if (this.#joined.size >= MOST_JOINED) this.#joined.delete(this.#joined.keys().next().value!);
    this.#joined.set(id, { cache: this.name, namespace, key, joined: 1, lastAt: Date.now() });
  }
}
