import { systemClock, type Cache, type CacheError, type CacheEvents, type CacheStats } from "@hotset/core";
import { COUNTS, kindOfError, messageOf } from "@hotset/core/internal";
import { finite, oddness, ratesOf, statsOf } from "./counted-rates.ts";
import { addTo, bucketOf, merged, percentile, sizeOf, type Durations } from "./durations.ts";
import { Growth } from "./growth.ts";
import { heldIn, LoopDelay } from "./held-loop.ts";
import type { Figures, GroupRates, LargeValue, Recent, SharedLoad, TierRates, UnstorableValue } from "./inspection.ts";
import { idOf, Owners, type Owner } from "./owners.ts";
import type { Place } from "./place.ts";
import { SeenCalls, type SeenStep } from "./seen-calls.ts";
import { countFailure, mostFailed, queuedIn, unstorableIn, type FailedKeys, type Waits } from "./troubles.ts";
import { callsOf, difference, UsualHits, type Counts } from "./usual-hits.ts";

/** A window has so many steps. A departure is judged by the last ones, as few as have enough calls. */
const STEPS = 12;
const FEWEST = 3;
/** Five windows. */
const KEPT = 5 * STEPS;
const ENOUGH = { calls: 50, loads: 5 };
const MOST_GROUPS = 16;
const MOST_JOINED = 1_000;
const MOST_VERIFIED = 8;

const zero = (): Counts => Object.fromEntries(COUNTS.map((name) => [name, 0])) as Counts;

interface Counted extends Owner {
  readonly counts: Counts;
}

interface Step {
  readonly at: number;
  /** The counts of all owners when the step began. */
  readonly before: ReadonlyMap<string, Counted>;
  readonly tiers: CacheStats["tiers"];
  /** During it, by owner. */
  readonly durations: Map<string, Durations>;
  readonly slowest: Map<string, { readonly key: string; readonly ms: number }>;
  readonly failedKeys: FailedKeys;
  readonly seen: SeenStep;
  heldMs: number;
  unstorable: UnstorableValue | undefined;
  /** Loads that waited for a slot when it began. */
  readonly queued: Waits;
  evicted: number;
  largest: Omit<LargeValue, "before"> | undefined;
  shared: SharedLoad | undefined;
}

type Trouble = NonNullable<TierRates["lastError"]>;

/**
 * Rates of one cache, from its counters and from events that no hit emits. Counters are read once a step, so that a
 * call costs nothing more.
 */
export class RateMeter {
  static readonly #all = new WeakMap<object, { readonly meter: RateMeter; users: number }>();

  /** All who look share one, with the window of the first. @returns it, and a function that ends it for this one */
  static of(cache: Cache, place: Place, windowMs = 60_000): readonly [meter: RateMeter, end: () => void] {
    const { context } = place.parts;
    const shared = RateMeter.#all.get(context) ?? { meter: new RateMeter(cache, place, windowMs), users: 0 };
    RateMeter.#all.set(context, shared);
    shared.users += 1;
    let isEnded = false;
    const end = (): void => {
      if (isEnded || ((isEnded = true), (shared.users -= 1) > 0)) return;
      shared.meter.#end();
      RateMeter.#all.delete(context);
    };
    return [shared.meter, end];
  }

  readonly #cache: Cache;
  readonly #place: Place;
  readonly #windowMs: number;
  /** The oldest first; never empty. */
  readonly #steps: Step[] = [];
  /** Durations of steps that are no longer kept. */
  readonly #older = new Map<string, Durations>();
  /** Durations before loads of an owner became slow, while they are: else slow ones would soon be usual. */
  readonly #usual = new Map<string, { readonly loads: Durations; readonly since: number }>();
  readonly #usualHits: UsualHits;
  readonly #owners: Owners;
  readonly #seen: SeenCalls;
  readonly #growth = new Growth();
  readonly #loop: LoopDelay | undefined;
  #largestBefore = 0;
  readonly #troubles = new Map<string, Trouble>();
  readonly #failures = new Map<string, { readonly at: number; readonly error: string }>();
  /** Callers of a load that joined it, by its key. */
  readonly #joined = new Map<string, { readonly since: number; callers: number }>();
  readonly #stops: (() => void)[];
  #cancel: () => void = () => undefined;
  #figures: Figures | undefined;

  private constructor(cache: Cache, place: Place, windowMs: number) {
    this.#cache = cache;
    this.#place = place;
    this.#windowMs = windowMs;
    this.#usualHits = new UsualHits(place.epochNow());
    this.#owners = new Owners(place);
    this.#seen = new SeenCalls(place, this.#owners);
    place.parts.context.observer = this.#seen;
    // On another clock time does not pass.
    this.#loop = place.parts.context.clock === systemClock ? LoopDelay.begin() : undefined;
    const { events } = place.parts.context;
    this.#stops = [
      events["backend:error"].add(NONE, ({ tier, operation, error, namespace, key }) => {
        if (key !== undefined) this.#unstorable({ tier, namespace, key: place.redacted(key) }, error);
        return this.#troubled(tier, operation, error);
      }),
      events["decode:error"].add(NONE, ({ tier, error }) => this.#troubled(tier, "read", error)),
      cache.on("load:error", (event) => this.#failed(event)),
      cache.on("load", (event) => this.#loaded(event)),
      cache.on("coalesced", ({ namespace, key }) => this.#join(JSON.stringify([namespace, key]))),
      cache.on("evict", () => void (this.#steps.at(-1)!.evicted += 1)),
      cache.on("store", ({ namespace, key, bytes }) => {
        if (bytes === undefined) return;
        const [step, at] = [this.#steps.at(-1)!, place.epochNow()];
        if (bytes > (step.largest?.bytes ?? 0)) step.largest = { namespace, key, bytes, at };
        this.#growth.stored({ namespace, key }, bytes, at);
      }),
    ];
    this.#step();
  }

  /** Takes over what was usual in processes that ran before this one. */
  inherit(groups: readonly GroupRates[]): void {
    for (const group of groups) this.#usualHits.inherit(idOf(group), group.before);
  }

  /** The last window, against the time before it. Made once a step. */
  figures(): Figures {
    return (this.#figures ??= this.#newFigures());
  }

  /** The last five windows, or what is known of them. */
  recent(): Recent {
    const now = this.#counts();
    const [first] = this.#steps as [Step];
    const all = [...now].map(([id, { namespace, group, counts }]) => ({
      ...{ namespace, group },
      ...statsOf(difference(counts, first.before.get(id)?.counts), merged(this.#steps, id)),
    }));
    return {
      ms: this.#place.epochNow() - first.at,
      namespaces: all.filter(({ group }) => group === undefined),
      groups: all.flatMap(({ group, ...each }) => (group === undefined ? [] : [{ ...each, group }])),
      tiers: this.#tiers(first),
    };
  }

  #end(): void {
    this.#cancel();
    this.#place.parts.context.observer = undefined;
    this.#loop?.end();
    for (const stop of this.#stops.splice(0)) stop();
  }

  #step(): void {
    const { clock, lifecycle } = this.#place.parts.context;
    if (!lifecycle.isOpen) return;
    this.#endJoins();
    const heldMs = this.#loop?.take() ?? 0;
    if (this.#steps.length > 0) this.#steps.at(-1)!.heldMs = heldMs;
    // Learns what is usual even while no page is open.
    if (this.#steps.length > 0) this.figures();
    const { tiers } = this.#cache.stats();
    this.#steps.push({
      ...{ at: this.#place.epochNow(), before: this.#counts(), tiers, evicted: 0 },
      ...{ durations: new Map(), slowest: new Map(), failedKeys: new Map(), queued: this.#queued() },
      ...{ seen: this.#seen.nextStep(), heldMs: 0, unstorable: undefined, largest: undefined, shared: undefined },
    });
    if (this.#steps.length > KEPT) {
      const { durations, largest } = this.#steps.shift()!;
      for (const [id, each] of durations) addTo(this.#older, id, each);
      this.#largestBefore = Math.max(this.#largestBefore, largest?.bytes ?? 0);
    }
    this.#figures = undefined;
    this.#cancel = clock.schedule(() => this.#step(), this.#windowMs / STEPS);
  }

  /**
   * Counts of each namespace, with the namespaces below it, and of each group. The object of an owner whose counts did
   * not change is that of the last step.
   */
  #counts(): ReadonlyMap<string, Counted> {
    const { meters } = this.#place.parts.engine;
    const sums = new Map<string, Counted>();
    const into = (owner: Owner): { add(other: Counts): void } => {
      const id = idOf(owner);
      if (!sums.has(id)) sums.set(id, { ...owner, counts: zero() });
      const { counts } = sums.get(id)!;
      return { add: (other) => COUNTS.forEach((name) => void (counts[name] += other[name])) };
    };
    for (const each of meters.all()) {
      const { path } = each;
      type Sum = Parameters<typeof each.addTo>[0];
      for (let length = 0; length <= path.length; length += 1)
        each.addTo(into({ namespace: path.slice(0, length) }) as unknown as Sum);
      meters.groups?.forEach(({ name }, at) => each.addTo(into({ namespace: [], group: name }) as unknown as Sum, at));
    }
    const last = this.#steps.at(-1)?.before;
    for (const [id, each] of sums) {
      const known = last?.get(id);
      if (known !== undefined && COUNTS.every((name) => known.counts[name] === each.counts[name])) sums.set(id, known);
    }
    return sums;
  }

  #newFigures(): Figures {
    const now = this.#counts();
    const window = this.#steps.slice(-STEPS);
    const groups = [...now].map(([id, each]) => this.#ratesOf(id, each));
    const [root, ...others] = groups as [GroupRates, ...GroupRates[]];
    const seen = window.map((step) => step.seen);
    const largest = most(window, ({ largest: each }) => each && [each, each.bytes]);
    const shared = most(window, ({ shared: each }) => each && [each, each.callers]);
    // A large value that is written again and again stays a departure for as long as the window.
    const before = this.#steps.slice(0, -STEPS).map((step) => step.largest?.bytes ?? 0);
    const earlier = window.flatMap(({ largest: each }) =>
      each !== undefined && largest !== undefined && each.bytes < largest.bytes / 2 ? [each.bytes] : [],
    );
    return {
      at: this.#place.epochNow(),
      windowMs: this.#windowMs,
      groups: [root, ...others.toSorted((one, other) => oddness(other) - oddness(one)).slice(0, MOST_GROUPS - 1)],
      tiers: this.#tiers(window[0]!, window),
      ...(largest && { largest: { ...largest, before: Math.max(this.#largestBefore, ...before, ...earlier) } }),
      ...(shared && { shared }),
      ...queuedIn(window, this.#place.parts.context.loads.limit),
      ...unstorableIn(window),
      ...heldIn(window),
      ...this.#growth.growing(window[0]!.at),
      ...this.#seen.spikes(seen, this.#place.epochNow()),
      ...this.#verified(),
    };
  }

  #verified(): Pick<Figures, "verified"> {
    const { verifier } = this.#place.parts.context;
    return verifier === undefined ? {} : { verified: verifier.groups().slice(0, MOST_VERIFIED) };
  }

  #queued(): Step["queued"] {
    const { flights, clock } = this.#place.parts.context;
    const queued = Array.from(flights.all()).filter(({ phase }) => phase === "queued");
    const forMs = Math.max(0, ...queued.map(({ call }) => clock.now() - call.startedAt));
    const callers = queued.reduce((sum, { crowd }) => sum + crowd.waiters.length, 0);
    return { loads: queued.length, callers, forMs: Math.round(forMs) };
  }

  #ratesOf(id: string, { namespace, group, counts }: Counted): GroupRates {
    const window = this.#steps.slice(-STEPS);
    const failed = difference(counts, window[0]!.before.get(id)?.counts).loadErrors;
    const [calls, callsBegin] = this.#judged(
      (step) => callsOf(difference(counts, step.before.get(id)?.counts)),
      "calls",
    );
    const [, loadsBegin] = this.#judged((step) => difference(counts, step.before.get(id)?.counts).loads, "loads");
    const begin = this.#steps.indexOf(loadsBegin);
    const earlier = callsBegin.before.get(id)?.counts ?? zero();
    const recentLoads = merged(this.#steps.slice(begin), id);
    const slowest = most(this.#steps.slice(begin), (step) => {
      const each = step.slowest.get(id);
      return each && [each, each.ms];
    });
    const now = this.#place.epochNow();
    const recentCounts = difference(counts, earlier);
    const past = merged(this.#steps.slice(0, begin), id, this.#older.get(id));
    const usual = this.#usual.get(id) ?? { loads: past, since: now };
    const isSlow = percentile(recentLoads, 0.95) >= 2 * percentile(usual.loads, 0.95);
    if (isSlow && sizeOf(usual.loads) >= 2 * ENOUGH.loads && now - usual.since < USUAL_MS) this.#usual.set(id, usual);
    else if (recentLoads.size > 0) this.#usual.delete(id);
    const last = this.#failures.get(id);
    return {
      namespace,
      ...(group !== undefined && { group }),
      recent: ratesOf(recentCounts, recentLoads, { calls, ms: now - callsBegin.at }),
      before: {
        ...ratesOf(earlier, usual.loads, { calls: 0, ms: 0 }),
        ...this.#usualHits.before(id, earlier, recentCounts, now),
      },
      ...(failed > 0 && {
        failed: { count: failed, ...(last ?? { at: now, error: "unknown" }), ...mostFailed(window, id) },
      }),
      ...(slowest !== undefined && { slowest }),
      ...this.#seen.of(
        id,
        window.map((step) => step.seen),
      ),
    };
  }

  /** The last steps that have enough, and how many they have. */
  #judged(countSince: (step: Step) => number, of: keyof typeof ENOUGH): readonly [count: number, first: Step] {
    for (let steps = FEWEST; ; steps += 1) {
      const first = this.#steps.at(-steps) ?? this.#steps[0]!;
      const count = countSince(first);
      if (count >= ENOUGH[of] || steps >= STEPS) return [count, first];
    }
  }

  #tiers(first: Step, steps: readonly Step[] = this.#steps): readonly TierRates[] {
    const { local } = this.#place.parts.context;
    const bounds = (local?.tier as Partial<Record<"bounds", Pick<TierRates, "maxEntries" | "maxBytes">>> | undefined)
      ?.bounds;
    return this.#cache.stats().tiers.map(({ label, state, hits, misses, errors, entries, bytes }) => {
      const then = first.tiers.find((each) => each.label === label);
      const lastError = this.#troubles.get(label);
      const isLocal = label === local?.tier.label;
      return {
        ...{ label, state },
        hits: hits - (then?.hits ?? 0),
        misses: misses - (then?.misses ?? 0),
        errors: errors - (then?.errors ?? 0),
        ...(lastError !== undefined && { lastError }),
        ...(entries !== undefined && { entries }),
        ...(bytes !== undefined && { bytes }),
        ...(isLocal && { evicted: steps.reduce((sum, { evicted }) => sum + evicted, 0), ...finite(bounds) }),
      };
    });
  }

  #troubled(tier: string, operation: string, error: CacheError): false {
    const message = messageOf(error).slice(0, MAX_TEXT);
    this.#troubles.set(tier, { at: this.#place.epochNow(), operation, kind: kindOfError(error), message });
    return false;
  }

  #unstorable(of: Pick<UnstorableValue, "tier" | "namespace" | "key">, error: CacheError): void {
    const step = this.#steps.at(-1)!;
    const message = messageOf(error).slice(0, MAX_TEXT);
    step.unstorable = { ...of, at: this.#place.epochNow(), error: message, count: 1 + (step.unstorable?.count ?? 0) };
  }

  #failed(event: CacheEvents["load:error"]): void {
    const { name, message } = this.#place.describe(event.error);
    const last = { at: this.#place.epochNow(), error: `${name}: ${message}`.slice(0, MAX_TEXT) };
    const { failedKeys } = this.#steps.at(-1)!;
    for (const id of this.#owners.of(event.namespace, event.key)) {
      this.#failures.set(id, last);
      countFailure(failedKeys, id, event.key);
    }
    this.#loaded(event);
  }

  #loaded(event: Pick<CacheEvents["load"], "namespace" | "key" | "durationMs">): void {
    const { durations, slowest } = this.#steps.at(-1)!;
    const { key, durationMs: ms } = event;
    for (const id of this.#owners.of(event.namespace, key)) {
      addTo(durations, id, new Map([[bucketOf(ms), 1]]));
      if (ms > (slowest.get(id)?.ms ?? -1)) slowest.set(id, { key, ms: Math.round(ms) });
    }
    this.#endJoin(JSON.stringify([event.namespace, key]), ms);
  }

  #join(id: string): void {
    const joined = this.#joined.get(id);
    if (joined !== undefined) joined.callers += 1;
    else if (this.#joined.size < MOST_JOINED) this.#joined.set(id, { since: this.#place.epochNow(), callers: 2 });
  }

  #endJoin(id: string, ms?: number): void {
    const joined = this.#joined.get(id);
    if (joined === undefined) return;
    this.#joined.delete(id);
    const step = this.#steps.at(-1)!;
    const [namespace, key] = JSON.parse(id) as [readonly string[], string];
    const at = this.#place.epochNow();
    if (joined.callers > (step.shared?.callers ?? 0))
      step.shared = { namespace, key, callers: joined.callers, ms: Math.round(ms ?? at - joined.since), at };
  }

  /** Ends the joins of calls that ended without a load: another process made it. */
  #endJoins(): void {
    if (this.#joined.size === 0) return;
    const running = [...this.#place.parts.context.flights.all()].map(({ key }) => this.#place.shown(key.local));
    const ids = new Set(running.map(({ namespace, key }) => JSON.stringify([namespace, key])));
    for (const id of this.#joined.keys()) if (!ids.has(id)) this.#endJoin(id);
  }
}

const MAX_TEXT = 300;
/** Loads that stay slow for longer are usual. */
const USUAL_MS = 3_600_000;
/** For listeners that accept no failure: the cache warns of a failure that no other listener observes. */
const NONE = (): undefined => undefined;

const most = <T>(steps: readonly Step[], of: (step: Step) => readonly [T, number] | undefined): T | undefined =>
  steps.map(of).reduce((best, each) => (each && each[1] > (best?.[1] ?? -1) ? each : best), undefined)?.[0];
