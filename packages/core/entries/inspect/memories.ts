import type { CacheEvents, Cache } from "@hotset/core";
import { kindOfError, messageOf } from "@hotset/core/internal";
import type { Fallback, Inspection, Invalidation, ProcessRecord, TierFailure } from "./inspection.ts";
import { LastMinute } from "./last-minute.ts";
import type { Place } from "./place.ts";
import { Sampler, sampling } from "./sampler.ts";

/** The samplers of caches that are looked into, and by how many. */
const samplers = new WeakMap<object, { readonly sampler: Sampler; users: number; end: () => void }>();
const NONE = (): void => undefined;

/** The remembered part of the events of a cache while it is looked into: bounded, the oldest is forgotten first. */
export class Memories {
  readonly #place: Place;
  readonly #limit: number;
  readonly #ends: (() => void)[] = [];
  /** The last one at the end. */
  #invalidations: Invalidation[] = [];
  readonly #listeners = new Set<(invalidation: Invalidation) => void>();
  /** By namespace and key as events show them, the last one at the end. */
  readonly #fallbacks = new Map<string, Fallback>();
  readonly #errors = new Map<string, Fallback["error"]>();
  /** By tier. */
  readonly #failures = new Map<string, TierFailure>();
  readonly #lastMinute = new LastMinute();
  #records: readonly ProcessRecord[] = [];
  #sampler: Sampler | undefined;

  constructor(cache: Cache, place: Place, limit: number) {
    this.#place = place;
    this.#limit = limit;
    if (limit === 0) return;
    this.#ends.push(
      this.#sample(),
      cache.on("invalidate", (event) => this.#invalidated(event)),
      cache.on("stale", (event) => this.#stale(event)),
      cache.on("load:error", ({ namespace, key, error }) =>
        keep(this.#errors, idOf({ namespace, key }), this.#place.describe(error), this.#limit),
      ),
      // Accepts none: the cache warns of failures that no listener observes.
      place.parts.context.events["backend:error"].add(
        () => undefined,
        (event) => this.#failed(event),
      ),
      cache.on("load", ({ namespace, key, result }) => {
        const id = idOf({ namespace, key });
        if (result !== "stored" && result !== "not-modified") return;
        this.#fallbacks.delete(id);
        this.#errors.delete(id);
      }),
    );
  }

  close(): void {
    for (const end of this.#ends.splice(0)) end();
    this.#listeners.clear();
  }

  /** An estimate for a local key, from samples. */
  hitsOf(localKey: string): number {
    return this.#sampler?.hitsOf(localKey) ?? 0;
  }

  fallbacks(): readonly Fallback[] {
    return [...this.#fallbacks.values()].toReversed().map((each) => this.withError(each));
  }

  /** Adds the error of the last load of this key that failed, if one is remembered. */
  withError<T extends Pick<Fallback, "namespace" | "key">>(each: T): T & Pick<Fallback, "error"> {
    const error = this.#errors.get(idOf(each));
    return error === undefined ? each : { ...each, error };
  }

  failures(): readonly TierFailure[] {
    return [...this.#failures.values()];
  }

  invalidationCounts(): ReturnType<Inspection["invalidationCounts"]> {
    return this.#lastMinute.counts<Pick<Invalidation, "origin">>(this.#place.epochNow(), MOST_COUNTS);
  }

  invalidations(): readonly Invalidation[] {
    const own = this.#records.find(({ isOwn }) => isOwn)?.name;
    return this.#invalidations
      .slice(-this.#limit)
      .toReversed()
      .map((each) => {
        const process = each.origin === "here" ? own : this.#madeBy(each);
        return process === undefined ? each : { ...each, process };
      });
  }

  onInvalidation(listener: (invalidation: Invalidation) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Their records say which invalidations they made. */
  learn(records: readonly ProcessRecord[]): void {
    this.#records = records;
  }

  /** The one process whose record has such an invalidation, made at about the same time. */
  #madeBy(heard: Invalidation): string | undefined {
    const makers = this.#records.filter(
      ({ isOwn, invalidations }) => !isOwn && invalidations.some((made) => isSame(made, heard)),
    );
    return makers.length === 1 ? makers[0]!.name : undefined;
  }

  #invalidated({ namespace, scope, mode, origin, key, tags }: CacheEvents["invalidate"]): void {
    const of = { ...(key !== undefined && { key }), ...(tags !== undefined && { tags }) };
    const invalidation = { at: this.#place.epochNow(), namespace, scope, mode, origin, ...of };
    this.#lastMinute.add(invalidation, { origin });
    // Cut now and then: moving all of them for each would cost more than the event.
    if (this.#invalidations.push(invalidation) >= 2 * this.#limit)
      this.#invalidations = this.#invalidations.slice(-this.#limit);
    for (const listener of this.#listeners)
      try {
        listener(invalidation);
      } catch {
        // It only observes.
      }
  }

  #failed({ tier, operation, error }: CacheEvents["backend:error"]): false {
    const at = this.#place.epochNow();
    this.#failures.set(tier, { tier, at, operation, kind: kindOfError(error), message: messageOf(error) });
    return false;
  }

  #stale({ namespace, key, cause }: CacheEvents["stale"]): void {
    if (cause !== "error" && cause !== "timeout") return;
    const at = this.#place.epochNow();
    const id = idOf({ namespace, key });
    const before = this.#fallbacks.get(id);
    this.#fallbacks.delete(id);
    const since = before?.since ?? at;
    const served = (before?.served ?? 0) + 1;
    keep(this.#fallbacks, id, { namespace, key, cause, since, lastAt: at, served }, this.#limit);
  }

  /** All who look share the samples. @returns a function that ends it for this one */
  #sample(): () => void {
    const { context, localKey } = this.#place.parts;
    const shared = samplers.get(context) ?? { sampler: new Sampler(localKey, MAX_SAMPLED), users: 0, end: NONE };
    samplers.set(context, shared);
    if (shared.users === 0) shared.end = sampling(this.#place, shared.sampler);
    shared.users += 1;
    this.#sampler = shared.sampler;
    return () => {
      shared.users -= 1;
      if (shared.users > 0) return;
      shared.end();
      samplers.delete(context);
    };
  }
}

const idOf = ({ namespace, key }: { readonly namespace: readonly string[]; readonly key: string }): string =>
  JSON.stringify([namespace, key]);

function keep<T>(map: Map<string, T>, id: string, value: T, limit: number): void {
  map.set(id, value);
  if (map.size > limit) map.delete(map.keys().next().value!);
}

/** Clocks of two processes differ, and a record comes later than the change. */
const NEAR_MS = 5_000;

function isSame(made: ProcessRecord["invalidations"][number], heard: Invalidation): boolean {
  const isNear = Math.abs(made.at - heard.at) <= NEAR_MS;
  if (!isNear || made.scope !== heard.scope || made.namespace.join("\0") !== heard.namespace.join("\0")) return false;
  return heard.scope !== "tags" ? made.key === heard.key : (heard.tags ?? []).some((tag) => made.tags?.includes(tag));
}

const MOST_COUNTS = 100;
/** Keys whose hits are counted by samples. */
const MAX_SAMPLED = 10_000;
