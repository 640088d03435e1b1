import type { AnsweredBy, CallObserver, SeenLoad } from "@hotset/core/internal";
import { addTo, bucketOf, percentile, sizeOf, type Durations } from "./durations.ts";
import type { CallLatencies, EmptyLoads, GroupRates, LoadSpikes } from "./inspection.ts";
import type { Owners } from "./owners.ts";
import type { Place } from "./place.ts";
import { countFailure, mostFailed, type FailedKeys } from "./troubles.ts";
import { fieldsOf, Shapes } from "./value-fields.ts";

/** Loads that gave nothing, by owner. */
interface Given {
  loads: number;
  nothing: number;
  nulls: number;
  /** Of those, keys that had a value before. */
  emptied: number;
}

interface Begun {
  loads: number;
  readonly namespace: readonly string[];
  readonly key: string;
}

/** Calls and loads of one step. */
export class SeenStep {
  /** By owner. */
  readonly answers = new Map<string, Map<AnsweredBy, Durations>>();
  readonly given = new Map<string, Given>();
  readonly emptyKeys: FailedKeys = new Map();
  /** Loads by the second since 1970 in which they began, and by namespace; those of batches are left out. */
  readonly begun = new Map<number, Map<string, Begun>>();
}

/** A second in which far more loads began than in others. */
interface Spike extends Begun {
  readonly at: number;
  readonly usual: number;
}

/** Fewer loads in one second are no burden. */
const SPIKE = { loads: 50, times: 10 };
const STARTING_MS = 10_000;
const CALM_S = 4;
const MOST_SPIKES = 100;
/** Spikes that are so near are one. */
const SAME_SPIKE_MS = 3_000;
/** Long enough for what happens each hour. */
const SPIKES_MS = 3 * 3_600_000;
const MOST_NAMESPACES = 100;

/** What one cache is seen to do, in steps, while it is looked into. */
export class SeenCalls implements CallObserver {
  readonly #place: Place;
  readonly #owners: Owners;
  readonly #begunAt: number;
  readonly #shapes = new Shapes();
  readonly #total = new Map<string, Given>();
  readonly #spikes: Spike[] = [];
  #step = new SeenStep();

  constructor(place: Place, owners: Owners) {
    this.#place = place;
    this.#owners = owners;
    this.#begunAt = place.parts.context.clock.now();
  }

  /** Ends the step, and begins the next one. */
  nextStep(): SeenStep {
    return (this.#step = new SeenStep());
  }

  answered(...[{ space, key }, by, ms]: Parameters<CallObserver["answered"]>): void {
    // The first calls of a process wait for a connection, and compile its code.
    if (this.#place.parts.context.clock.now() - this.#begunAt < STARTING_MS) return;
    const durations = new Map([[bucketOf(ms), 1]]);
    for (const id of this.#owners.of(space.path, key)) {
      const { answers } = this.#step;
      const kinds = answers.get(id) ?? new Map<AnsweredBy, Durations>();
      answers.set(id, kinds);
      addTo(kinds, by, durations);
    }
  }

  loaded({ space, key, kind, value, hadValue, isOfBatch, startedAt }: SeenLoad): void {
    const isNothing = kind === "nothing";
    const isNull = value === null && kind === "value";
    const fields = this.#place.parts.context.redactKey === undefined ? fieldsOf(value) : undefined;
    for (const id of this.#owners.of(space.path, key)) {
      for (const counts of [countsOf(this.#step.given, id), countsOf(this.#total, id)]) {
        counts.loads += 1;
        if (isNothing) counts.nothing += 1;
        if (isNull) counts.nulls += 1;
        if ((isNothing || isNull) && hadValue) counts.emptied += 1;
      }
      if (isNothing || isNull) countFailure(this.#step.emptyKeys, id, this.#place.redacted(key));
      if (fields !== undefined) this.#shapes.add(id, fields);
    }
    if (!isOfBatch) this.#begun(space.path, key, Math.floor(this.#place.epochOf(startedAt) / 1_000));
  }

  #begun(namespace: readonly string[], key: string, second: number): void {
    const { begun } = this.#step;
    const places = begun.get(second) ?? new Map<string, Begun>();
    begun.set(second, places);
    const id = JSON.stringify(namespace);
    const place = places.get(id);
    if (place !== undefined) place.loads += 1;
    else if (places.size < MOST_NAMESPACES) places.set(id, { loads: 1, namespace, key: this.#place.redacted(key) });
  }

  /** What a group of keys, or a namespace, has of these steps. */
  of(id: string, steps: readonly SeenStep[]): Pick<GroupRates, "calls" | "empty" | "fields"> {
    const fields = this.#shapes.of(id);
    return { ...callsOf(id, steps), ...this.#emptyOf(id, steps), ...(fields !== undefined && { fields }) };
  }

  #emptyOf(id: string, steps: readonly SeenStep[]): { readonly empty?: EmptyLoads } {
    const sum: Given = { loads: 0, nothing: 0, nulls: 0, emptied: 0 };
    for (const { given } of steps) add(sum, given.get(id), 1);
    if (sum.nothing + sum.nulls === 0) return {};
    const before: Given = { loads: 0, nothing: 0, nulls: 0, emptied: 0 };
    add(before, this.#total.get(id), 1);
    add(before, sum, -1);
    const keys = steps.map(({ emptyKeys: failedKeys }) => ({ failedKeys }));
    return { empty: { ...sum, before: { loads: before.loads, nulls: before.nulls }, ...mostFailed(keys, id) } };
  }

  /** Remembers the seconds of these steps in which most loads began. Steps are looked at many times. */
  spikes(steps: readonly SeenStep[], now: number): { readonly spikes?: LoadSpikes } {
    const seconds = new Map<number, Begun[]>();
    for (const { begun } of steps)
      for (const [second, places] of begun) seconds.set(second, [...(seconds.get(second) ?? []), ...places.values()]);
    const loads = (second: number): number => seconds.get(second)?.reduce((sum, each) => sum + each.loads, 0) ?? 0;
    const [first, last] = [Math.min(...seconds.keys()), Math.floor(now / 1_000)];
    if (seconds.size > 0 && last - first >= 10) {
      const counts = Array.from({ length: last - first + 1 }, (_, i) => loads(first + i)).toSorted((a, b) => a - b);
      const usual = counts[Math.floor(counts.length / 2)]!;
      for (const [second, places] of seconds) {
        const all = loads(second);
        const [most] = places.toSorted((one, other) => other.loads - one.loads) as [Begun];
        // More traffic from now on is none: seconds after it are as before.
        const isOver = second + CALM_S <= last && [3, CALM_S].every((s) => loads(second + s) < all / 4);
        if (isOver && all >= SPIKE.loads && all >= SPIKE.times * Math.max(1, usual))
          this.#remember({ ...most, loads: all, at: 1_000 * second, usual }, now);
      }
    }
    const found = this.#spikes.filter(({ at }) => at > now - SPIKES_MS);
    const latest = found.at(-1);
    if (latest === undefined) return {};
    const { namespace, key, usual } = latest;
    const most = Math.max(...found.map((each) => each.loads));
    return { spikes: { at: found.map(({ at }) => at).slice(-MOST_LISTED), loads: most, usual, namespace, key } };
  }

  #remember(spike: Spike, now: number): void {
    const known = this.#spikes.findIndex(({ at }) => Math.abs(at - spike.at) < SAME_SPIKE_MS);
    // A second that continues, and one whose namespaces are counted again.
    if (known >= 0) {
      if (spike.loads > this.#spikes[known]!.loads) this.#spikes[known] = spike;
      return;
    }
    this.#spikes.push(spike);
    if (this.#spikes.length > MOST_SPIKES || this.#spikes[0]!.at < now - SPIKES_MS) this.#spikes.shift();
  }
}

const MOST_LISTED = 10;
const SLOW = bucketOf(200);
const slowIn = (durations: Durations): number =>
  [...durations].reduce((sum, [bucket, count]) => sum + (bucket >= SLOW ? count : 0), 0);

function countsOf(all: Map<string, Given>, id: string): Given {
  const known = all.get(id) ?? { loads: 0, nothing: 0, nulls: 0, emptied: 0 };
  all.set(id, known);
  return known;
}

function add(sum: Given, given: Given | undefined, sign: 1 | -1): void {
  if (given === undefined) return;
  for (const name of ["loads", "nothing", "nulls", "emptied"] as const) sum[name] += sign * given[name];
}

function callsOf(id: string, steps: readonly SeenStep[]): { readonly calls?: CallLatencies } {
  const sums = new Map<AnsweredBy, Durations>();
  for (const { answers } of steps) for (const [by, each] of answers.get(id) ?? []) addTo(sums, by, each);
  if (sums.size === 0) return {};
  const rows = Array.from(sums, ([by, durations]) => [
    by,
    {
      ...{ count: sizeOf(durations), p50Ms: percentile(durations, 0.5), p95Ms: percentile(durations, 0.95) },
      ...{ p99Ms: percentile(durations, 0.99), slow: slowIn(durations) },
    },
  ]);
  return { calls: Object.fromEntries(rows) as CallLatencies };
}
