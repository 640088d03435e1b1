import { InvalidArgumentError, InvalidValueError } from "../contracts/errors.ts";
import { inThisContext } from "../primitives/async-context.ts";
import { SharedSlot } from "../primitives/shared-slot.ts";
import { checkTags, localKey, type KeySpace } from "../entry/key.ts";
import { ownOptions, type LoadOptions } from "../entry/policy.ts";
import type { BatchFlight, FlightBatch, GetOrSetCall } from "./call.ts";
import type { Copies, Limits, Reporting } from "./context.ts";
import type { BatchLoader, LoadContext, Loader } from "./loader.ts";
import { Judged, overdue } from "./load.ts";
import { Loading } from "./loading.ts";
import type { Ladder } from "./ladder.ts";
import { UsedValues } from "./used-values.ts";

/** The parts of a cache that a batch needs, and the namespace that its keys are in. */
export interface BatchContext<K> {
  readonly context: Limits & Pick<Reporting, "clock"> & Pick<Copies, "local">;
  readonly ladder: Ladder;
  readonly keySpace: KeySpace;
  /** The value for an item that the loader left out: `null` is remembered, `undefined` is not. */
  readonly absent: null | undefined;
  /** Tags of a loaded value, besides those that its loader gives it. */
  readonly tagsOf: ((item: K, value: unknown) => readonly string[]) | undefined;
  readonly timeoutMs: number;
  /** Whether its entries inherit from the cached values that the loader gets. */
  readonly inherits: boolean;
}

/**
 * `getOrSetMany`: one flight for each distinct item, and one run of `load` for those that come to their load.
 *
 * @param callOf makes the call for one item, with the loader that waits for the batch.
 * @returns the values that are not `undefined`, in the order of `items`.
 * @throws the first error, in that order, after all calls have ended.
 */
export async function loadMany<K>(
  batchContext: BatchContext<K>,
  items: readonly K[],
  load: BatchLoader<K, unknown>,
  callOf: (item: K, loader: Loader<unknown>) => GetOrSetCall,
): Promise<Map<K, unknown>> {
  const { context, ladder } = batchContext;
  const used = batchContext.inherits ? new UsedValues(context) : undefined;
  const batch = new BatchLoad<K, unknown>(load, {
    ...context,
    used,
    run: runnerOf(batchContext, used),
    absent: batchContext.absent,
    tagsOf: batchContext.tagsOf,
    timeoutMs: batchContext.timeoutMs,
  });
  const unique = [...new Set(items)];
  const calls = unique.map((item): GetOrSetCall => ({ ...callOf(item, batch.loaderOf(item)), batch }));
  const found = new Map<K, unknown>();
  if (unique.length === 0) return found;
  const outcomes = new Array<Outcome>(unique.length);
  await new Promise<void>((settled) => {
    let left = unique.length;
    const end = (i: number, outcome: Outcome): void => {
      outcomes[i] = outcome;
      left -= 1;
      if (left === 0) settled();
    };
    const entering = calls.map((call, i) => ({
      call,
      held: context.local?.get(call.key.local, call.startedAt),
      ends: {
        resolve: (value: unknown) => end(i, { value }),
        reject: (reason: unknown) => end(i, { failed: { reason } }),
      },
    }));
    batch.expect(ladder.fetchMany(entering));
  });
  unique.forEach((item, i) => {
    const { value, failed } = outcomes[i]!;
    if (failed !== undefined) throw failed.reason;
    if (value !== undefined) found.set(item, value);
  });
  return found;
}

/** How the call for one item ended. */
interface Outcome {
  readonly value?: unknown;
  readonly failed?: { readonly reason: unknown };
}

/** Runs the loader as the load of all its keys. */
function runnerOf(
  { context, keySpace }: Pick<BatchContext<unknown>, "context" | "keySpace">,
  used: UsedValues | undefined,
): RunBatch {
  return (keys, body) => {
    const loading = new Loading(context, new Set(keys.map((key) => localKey(keySpace, key))), used);
    return loading.run(body).finally(() => loading.end());
  };
}

/** Runs the load of these keys. */
type RunBatch = (keys: readonly string[], body: () => Promise<void>) => Promise<void>;

type BatchSettings<K> = Pick<Limits, "loads" | "backgroundLoads"> &
  Pick<Reporting, "clock"> &
  Pick<FlightBatch, "used"> &
  Pick<BatchContext<K>, "absent" | "tagsOf" | "timeoutMs"> & { readonly run: RunBatch };

interface Arrival<K> {
  readonly item: K;
  readonly context: LoadContext;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  /** As its loader gave them last. */
  options?: LoadOptions;
}

/**
 * One run of a batch loader for many flights. Each flight climbs the ladder alone, with a loader that waits here. When
 * every flight has either come to its load or ended without one, the user's loader runs once, for the flights that
 * came.
 */
export class BatchLoad<K, T> implements FlightBatch {
  isAdmitted: FlightBatch["isAdmitted"];
  pinned: FlightBatch["pinned"];
  readonly loads: SharedSlot;
  readonly backgroundLoads: SharedSlot;
  readonly used: UsedValues | undefined;
  readonly #load: BatchLoader<K, T>;
  readonly #run: RunBatch;
  readonly #absent: null | undefined;
  readonly #tagsOf: BatchContext<K>["tagsOf"];
  readonly #clock: Reporting["clock"];
  readonly #timeoutMs: number;
  #outstanding = 0;
  readonly #arrived: Arrival<K>[] = [];
  readonly #ended: BatchFlight[] = [];
  /** In the context of the call. A flight that came to its load was counted there, perhaps in this very turn. */
  readonly #goOn = inThisContext(() => {
    for (const { running } of this.#ended.splice(0)) if (running === undefined) this.#outstanding -= 1;
    this.#start();
  });

  constructor(
    load: BatchLoader<K, T>,
    { run, used, clock, timeoutMs, absent, tagsOf, loads, backgroundLoads }: BatchSettings<K>,
  ) {
    this.used = used;
    this.#absent = absent;
    this.#tagsOf = tagsOf;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
    this.#load = load;
    this.#run = run;
    this.loads = new SharedSlot(loads);
    this.backgroundLoads = new SharedSlot(backgroundLoads);
  }

  /** Waits for so many more flights. */
  expect(flights: number): void {
    this.#outstanding += flights;
    this.#start();
  }

  /**
   * The loader of the flight for `item`. Resolves to {@link BatchContext.absent} for an item that the batch loader left
   * out.
   */
  loaderOf(item: K): (context: LoadContext) => Promise<unknown> {
    return (context) =>
      new Promise((resolve, reject) => {
        this.#arrived.push({ item, context, resolve, reject });
        this.#outstanding -= 1;
        this.#start();
      });
  }

  paused(): void {
    this.#outstanding -= 1;
    this.#start();
  }

  joins(): void {
    this.#outstanding += 1;
    // The versions that were pinned before may be outdated.
    this.pinned = undefined;
  }

  ended(flight: BatchFlight): void {
    this.#ended.push(flight);
    if (this.#ended.length === 1) queueMicrotask(this.#goOn);
  }

  #start(): void {
    if (this.#outstanding > 0 || this.#arrived.length === 0) return;
    const arrived = this.#arrived.splice(0);
    void this.#run(
      arrived.map(({ context }) => context.key),
      () => this.#loadAll(arrived.filter(({ context }) => !context.signal.aborted)),
    );
  }

  async #loadAll(arrived: readonly Arrival<K>[]): Promise<void> {
    if (arrived.length === 0) return;
    const byItem = new Map<K, Arrival<K>[]>();
    for (const arrival of arrived) byItem.set(arrival.item, [...(byItem.get(arrival.item) ?? []), arrival]);
    const controller = new AbortController();
    const cancel = this.#clock.schedule(
      inThisContext(() => {
        const error = overdue(this.#timeoutMs);
        for (const { reject } of arrived) reject(error);
        controller.abort(error);
      }),
      this.#timeoutMs,
    );
    let live = arrived.length;
    for (const { context } of arrived)
      context.signal.addEventListener(
        "abort",
        () => {
          live -= 1;
          if (live === 0) controller.abort(context.signal.reason);
        },
        { once: true },
      );
    try {
      const pairs = await this.#load([...byItem.keys()], {
        signal: controller.signal,
        setOptions: (item: K, options: LoadOptions) => {
          for (const arrival of byItem.get(item) ?? []) {
            arrival.context.setOptions(options);
            arrival.options = ownOptions(options);
          }
        },
      });
      const values = valuesByItem(pairs, byItem);
      for (const arrival of arrived) {
        const value = values.get(arrival.item);
        this.#give(arrival, value === undefined ? this.#absent : value);
      }
    } catch (error) {
      for (const { reject } of arrived) reject(error);
    } finally {
      cancel();
    }
  }

  /** Gives a flight its value, with the tags of the call. */
  #give({ item, context, options, resolve }: Arrival<K>, value: unknown): void {
    const tagsOf = this.#tagsOf;
    if (tagsOf === undefined || value === undefined) return resolve(value);
    const judge = (checked: unknown): void => {
      const tags = tagsOf(item, checked);
      checkTags(tags);
      context.setOptions({ ...options, tags: [...(options?.tags ?? []), ...tags] });
    };
    resolve(new Judged(value, judge));
  }
}

/**
 * The values of a batch, by item.
 *
 * @throws {InvalidArgumentError} for anything but pairs: a list of values alone, say, would leave out every item.
 * @throws {InvalidValueError} for an item that is not among `asked`: ids of another type would leave out each item.
 */
function valuesByItem<K, T>(given: Iterable<readonly [K, T]>, asked: ReadonlyMap<K, unknown>): ReadonlyMap<K, T> {
  if (typeof given !== "object" || typeof (given as typeof given | null)?.[Symbol.iterator] !== "function")
    throw notPairs(shapeOf(given));
  const values = new Map<K, T>();
  for (const pair of given) {
    if (!Array.isArray(pair) || pair.length !== 2) throw notPairs(`a list with ${shapeOf(pair)}`);
    if (!asked.has(pair[0])) throw notAsked(pair[0], asked.keys().next().value);
    values.set(pair[0], pair[1]);
  }
  return values;
}

/** Without the value, which may be anything that users store. */
function shapeOf(given: unknown): string {
  if (given === null || given === undefined) return String(given);
  return Array.isArray(given) ? `an array of ${given.length}` : `a value of type ${typeof given}`;
}

const notAsked = (got: unknown, asked: unknown): InvalidValueError =>
  new InvalidValueError(
    `load gave a pair for an item that it was not asked for: ${shapeOf(got)}, and it was asked for ${shapeOf(asked)}; ` +
      "return the very items that it was given",
    { operation: "load" },
  );

const notPairs = (got: string): InvalidArgumentError =>
  new InvalidArgumentError(
    `load must return pairs of an item and its value, as a Map or a list such as [[item, value]], got ${got}`,
  );
