import { type CacheStats, type NamespaceStats, type Cache, ConfigurationError } from "@hotset/core";
import { type Internals, type Entry, type VerifiedGroup, checkNames, lastEpoch } from "@hotset/core/internal";
import type {
  Backoff,
  Fallback,
  Figures,
  GroupFigures,
  Inspection,
  InspectOptions,
  Invalidation,
  MemoryEntry,
  MemoryState,
  NamespaceFigures,
  ProcessRecord,
  ProcessStart,
  Recent,
  RunningLease,
  RunningLoad,
  SampleOptions,
  StoredPage,
  TierFailure,
  Verification,
  WalkOptions,
} from "./inspection.ts";
import { Memories } from "./memories.ts";
import { Place } from "./place.ts";
import { durationOf, recordsOf, seenRecords } from "./processes.ts";
import { RateMeter } from "./rates.ts";
import { verifySample } from "./verification.ts";
import { walkBackend } from "./walk.ts";

/**
 * Looks into a cache, for people: a page of an inspector, a line of a log. Close it when the page or the log ends.
 *
 *     using inspection = inspect(cache);
 *     console.table(inspection.loads());
 *
 * @throws {ConfigurationError} for what `createCache` has not made, and for an unknown option.
 */
export function inspect(cache: Cache, options: InspectOptions = {}): Inspection {
  const place = Place.of(cache, "inspect");
  checkNames(options, ["remember", "window"], { place: "inspect" });
  const { remember = 1_000, window } = options;
  if (!(Number.isInteger(remember) && remember >= 0 && remember <= MOST))
    throw new ConfigurationError(`inspect: remember must be a whole number from 0 to ${MOST}, got ${String(remember)}`);
  return new View(cache, place, { remember, windowMs: durationOf(window, "inspect: window") });
}

const MOST = 100_000;

class View implements Inspection {
  readonly #cache: Cache;
  readonly #place: Place;
  readonly #parts: Internals;
  readonly #memories: Memories;

  readonly #meter: RateMeter | undefined;
  readonly #endMeter: (() => void) | undefined;

  constructor(
    cache: Cache,
    place: Place,
    { remember, windowMs }: { readonly remember: number; readonly windowMs: number | undefined },
  ) {
    this.#cache = cache;
    this.#place = place;
    this.#parts = place.parts;
    this.#memories = new Memories(cache, place, remember);
    if (remember > 0) [this.#meter, this.#endMeter] = RateMeter.of(cache, place, windowMs);
  }

  get name(): string {
    return this.#cache.name;
  }

  get redactsKeys(): boolean {
    return this.#parts.context.redactKey !== undefined;
  }

  // ---- figures

  stats(): CacheStats {
    return this.#cache.stats();
  }

  namespaces(): readonly NamespaceFigures[] {
    const { meters } = this.#parts.engine;
    return Array.from(meters.all(), ({ path }) => ({ namespace: path, ...(meters.snapshot(path) as NamespaceStats) }));
  }

  groups(): readonly GroupFigures[] {
    const { meters } = this.#parts.engine;
    return (meters.groups ?? []).map(({ name }, at) => ({ group: name, ...meters.ofGroup(at) }));
  }

  figures(): Figures | undefined {
    return this.#meter?.figures();
  }

  recent(): Recent | undefined {
    return this.#meter?.recent();
  }

  // ---- entries

  get canListMemory(): boolean {
    return this.#parts.context.local?.tier.walk !== undefined;
  }

  *entries(): Iterable<MemoryEntry> {
    const { local, clock } = this.#parts.context;
    for (const { key, entry, bytes } of local?.tier.walk?.() ?? []) {
      const now = clock.now();
      const { ttlMs, staleAt, deadAt, terms, encodedBytes } = entry as Entry;
      const freshForMs = staleAt - now;
      yield {
        ...this.#place.shown(key),
        state: this.#stateOf(key, entry as Entry, now),
        ageMs: ttlMs === Infinity ? 0 : Math.max(0, ttlMs - freshForMs),
        freshForMs,
        expiresInMs: deadAt - now,
        tags: terms.tags.map((tag) => this.#place.redacted(tag)),
        ...(bytes !== undefined && { bytes }),
        ...(encodedBytes !== undefined && { encodedBytes }),
        hits: this.#memories.hitsOf(key),
      };
    }
  }

  #stateOf(key: string, entry: Entry, now: number): MemoryState {
    const { tags } = this.#parts.context;
    if (now >= entry.deadAt) return "over";
    if (entry.epoch === undefined || !(now < lastEpoch(entry.epoch, key).until)) return "unconfirmed";
    const checked = tags.applyTo(entry, now);
    if (checked === undefined) return "over";
    // Others may have renewed one of its tags: versions are compared when it is read.
    const { tagSequence, terms } = entry;
    if (tagSequence !== tags.sequence && tags.hadEvents(terms.dependsOn, tagSequence, tagSequence))
      return checked === entry ? "unconfirmed" : "stale";
    return now < checked.staleAt ? "fresh" : "stale";
  }

  get canListBackend(): boolean {
    return this.#parts.backend?.walk !== undefined;
  }

  stored(options: WalkOptions = {}): AsyncIterable<StoredPage> {
    return walkBackend(this.#place, options);
  }

  // ---- what runs

  loads(): readonly RunningLoad[] {
    const { clock, flights } = this.#parts.context;
    const now = clock.now();
    const running = [...flights.all()].filter(({ phase }) => phase !== "over");
    return running
      .toSorted((one, other) => one.call.startedAt - other.call.startedAt)
      .map(({ key, phase, reason, call, crowd, climb: { running: load }, fencedBy }) => ({
        ...this.#place.shown(key.local),
        phase: phase as RunningLoad["phase"],
        reason,
        startedAt: this.#place.epochOf(call.startedAt),
        forMs: now - call.startedAt,
        ...(load !== undefined && { loadingForMs: now - load.startedAt }),
        callers: crowd.waiters
          .map((each) => ({
            waitingMs: now - each.call.startedAt,
            isJoined: each.role === "joined",
            isNested: each.isNested,
          }))
          .toSorted((one, other) => other.waitingMs - one.waitingMs),
        ...(fencedBy !== undefined && { fencedBy }),
      }));
  }

  leases(): readonly RunningLease[] {
    const { clock, flights } = this.#parts.context;
    const now = clock.now();
    return [...flights.all()].flatMap(({ key, phase, call, crowd, climb }): RunningLease[] => {
      const { lease, running, waitsSince } = climb;
      const shown = { ...this.#place.shown(key.local), callers: crowd.waiters.length };
      if (phase === "waiting") return [{ ...shown, state: "elsewhere", forMs: now - (waitsSince ?? now) }];
      if (lease === undefined) return [];
      if (phase === "leasing") return [{ ...shown, state: "asked", forMs: now - call.startedAt }];
      return [{ ...shown, state: "held", forMs: now - (running?.startedAt ?? call.startedAt) }];
    });
  }

  backoffs(): readonly Backoff[] {
    const now = this.#parts.context.clock.now();
    const found = Object.entries(this.#parts.backoffs.kinds).flatMap(([cause, pauses]) =>
      [...pauses].flatMap(([key, { until, reason }]): Backoff[] => {
        if (now >= until) return [];
        const error =
          cause === "refused"
            ? (reason as { readonly failure: { readonly error: unknown } }).failure
            : cause === "failed" && reason !== undefined
              ? (reason as { readonly error: unknown })
              : undefined;
        const shown = { ...this.#place.shown(key), cause: cause as Backoff["cause"], forMs: until - now };
        if (error !== undefined) return [{ ...shown, error: this.#place.describe(error.error) }];
        return [cause === "failed" ? this.#memories.withError(shown) : shown];
      }),
    );
    return found.toSorted((one, other) => one.forMs - other.forMs);
  }

  async tagVersions(path: readonly string[], tags: readonly string[]): Promise<readonly (string | undefined)[]> {
    const { backend, namespace, spaceBelow } = this.#parts;
    if (backend?.tagVersions === undefined) return tags.map(() => undefined);
    const prefix = path.reduce((space, name) => spaceBelow(space, name), namespace.keySpace).tagPrefixes.at(-1)!;
    const found = await this.#place.bounded(backend.tagVersions.read(tags.map((tag) => prefix + tag)));
    return found.map((each) => each && (each.hard === each.soft ? each.hard : `${each.hard} ${each.soft}`));
  }

  // ---- what is remembered

  fallbacks(): readonly Fallback[] {
    return this.#memories.fallbacks();
  }

  failures(): readonly TierFailure[] {
    return this.#memories.failures();
  }

  invalidations(): readonly Invalidation[] {
    return this.#memories.invalidations();
  }

  invalidationCounts(): ReturnType<Inspection["invalidationCounts"]> {
    return this.#memories.invalidationCounts();
  }

  onInvalidation(listener: (invalidation: Invalidation) => void): () => void {
    return this.#memories.onInvalidation(listener);
  }

  async processes(): Promise<readonly ProcessRecord[]> {
    await recordsOf(this.#place, "processes").read();
    return this.knownProcesses();
  }

  knownProcesses(): readonly ProcessRecord[] {
    const { records } = seenRecords(this.#place);
    this.#memories.learn(records);
    return records;
  }

  lostProcesses(): readonly ProcessRecord[] {
    return [...seenRecords(this.#place).lost.values()];
  }

  processStarts(): readonly ProcessStart[] {
    return seenRecords(this.#place).starts.list(this.#place.epochNow());
  }

  recordFailure(): ReturnType<Inspection["recordFailure"]> {
    return seenRecords(this.#place).failure;
  }

  // ---- what is compared with its source

  get verifies(): boolean {
    return this.#parts.context.verifier !== undefined;
  }

  verified(): readonly VerifiedGroup[] {
    return this.#parts.context.verifier?.groups() ?? [];
  }

  verify(options: SampleOptions = {}): Promise<Verification> {
    return verifySample(this.#place, options);
  }

  close(): void {
    this.#memories.close();
    this.#endMeter?.();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
