import { InvalidArgumentError, InvalidValueError } from "../contracts/errors.ts";
import type { BatchLoader, Loader } from "../entry/loader.ts";
import type { LoadOptions, ResolvedPolicy } from "../entry/policy.ts";
import { contextOfNow, inThisContext } from "../primitives/async-context.ts";
import { SharedSlot } from "../primitives/shared-slot.ts";
import type { FlightBatch, GetOrSetCall, ItemLoad, OfValue } from "./call.ts";
import type { Copies, Limits, Reporting } from "./context.ts";
import type { Flight } from "./flight.ts";
import type { Ladder } from "./ladder.ts";
import { judgeBy, judging, type Load, overdue } from "./load.ts";
import { Loading } from "./loading.ts";
import { UsedValues } from "./used-values.ts";

/** The parts of a cache that a batch needs, and the namespace that its keys are in. */
export interface BatchContext {
  readonly context: Limits & Pick<Reporting, "clock"> & Pick<Copies, "local">;
  readonly ladder: Ladder;
  /** Functions of each item and its value. */
  readonly ofValue: OfValue;
}

/**
 * `getOrSetMany`: one flight for each distinct item, and one run of `load` for those that come to their load.
 *
 * @param items each once.
 * @param shared what their calls have in common.
 * @returns the values that are not `undefined`, in the order of `items`.
 * @throws the first error, in that order, after all calls have ended.
 */
export async function loadMany<K>(
  of: BatchContext,
  items: readonly Pick<GetOrSetCall, "item" | "key">[],
  load: BatchLoader<K, unknown>,
  shared: Omit<GetOrSetCall, "key" | "load">,
): Promise<Map<K, unknown>> {
  const batch = new BatchLoad(load as BatchLoader<unknown, unknown>, of, shared.policy);
  const [found, failed] = [new Map<K, unknown>(), new Map<K, unknown>()];
  await new Promise<void>((settled) => {
    let left = items.length;
    const endsIn = (ended: Map<K, unknown>) => (value: unknown, call: GetOrSetCall) => {
      ended.set(call.item as K, value);
      left -= 1;
      if (left === 0) settled();
    };
    const calls = items.map(({ item, key }) => {
      found.set(item as K, undefined);
      return { ...shared, key, load: undefined, batch, item };
    });
    batch.expect(of.ladder.fetchMany(calls, { resolve: endsIn(found), reject: endsIn(failed) }));
  });
  found.forEach((value, item) => {
    if (failed.has(item)) throw failed.get(item);
    if (value === undefined) found.delete(item);
  });
  return found;
}

/**
 * One run of a batch loader for many flights. Each flight climbs the ladder alone, and its load waits here. When every
 * flight has either come to its load or ended without one, the user's loader runs once, for the flights that came.
 */
export class BatchLoad implements FlightBatch {
  declare isAdmitted: FlightBatch["isAdmitted"];
  declare readonly used: FlightBatch["used"];
  readonly context: ReturnType<typeof contextOfNow> = contextOfNow();
  declare readonly loads: SharedSlot;
  declare readonly backgroundLoads: SharedSlot;
  readonly #load: BatchLoader<unknown, unknown>;
  readonly #of: Omit<BatchContext, "ladder">;
  readonly #timeoutMs: number;
  /** How many flights may come to their load, and have not: its run waits for them. */
  #outstanding = 0;
  /** Flights that are not among these now: another process loads their keys. */
  readonly #elsewhere = new Set<Flight>();
  readonly #arrived: Load[] = [];
  readonly #ended: Flight[] = [];
  /** In the context of the call. A flight that came to its load was counted there, perhaps in this very turn. */
  readonly #goOn = inThisContext(() => {
    for (const { climb } of this.#ended.splice(0)) if (climb.running === undefined) this.#outstanding -= 1;
    this.#start();
  });

  constructor(load: BatchLoader<unknown, unknown>, of: Omit<BatchContext, "ladder">, policy: ResolvedPolicy) {
    this.#load = load;
    this.#of = of;
    this.#timeoutMs = policy.loadTimeoutMs;
    // Checks them.
    judgeBy(of.ofValue);
    this.used = policy.inherit ? new UsedValues(of.context) : undefined;
    this.loads = new SharedSlot(of.context.loads);
    this.backgroundLoads = new SharedSlot(of.context.backgroundLoads);
  }

  expect(more: number): void {
    this.#outstanding += more;
    this.#start();
  }

  waitsElsewhere(flight: Flight): void {
    this.#elsewhere.add(flight);
    this.expect(-1);
  }

  comesBack(flight: Flight): void {
    if (this.#elsewhere.delete(flight)) this.expect(1);
  }

  arrives(load: Load): void {
    this.#arrived.push(load);
    this.expect(-1);
  }

  loaderOf(item: unknown): Loader<unknown> {
    return loaderOfItem(this.#load, { item, ...this.#of });
  }

  ended(flight: Flight): void {
    if (this.#elsewhere.delete(flight)) return;
    this.#ended.push(flight);
    if (this.#ended.length === 1) queueMicrotask(this.#goOn);
  }

  #start(): void {
    if (this.#outstanding > 0 || this.#arrived.length === 0) return;
    const arrived = this.#arrived.splice(0);
    // As the load of all its keys.
    const loading = new Loading(this.#of.context, new Set(arrived.map(({ call }) => call.key.local)), this.used);
    void loading.run(() => this.#loadAll(arrived.filter(({ isSettled }) => !isSettled))).finally(() => loading.end());
  }

  async #loadAll(arrived: Load[]): Promise<void> {
    if (arrived.length === 0) return;
    const { context } = this.#of;
    const byItem = Map.groupBy(arrived, ({ call }) => call.item);
    const controller = new AbortController();
    const fail = (error: unknown): void => {
      for (const load of arrived) load.runInContext(() => load.fail(error));
    };
    const cancel = context.clock.schedule(
      inThisContext(() => {
        const error = overdue(this.#timeoutMs);
        controller.abort(error);
        fail(error);
      }),
      this.#timeoutMs,
    );
    let live = arrived.length;
    const aborted = (reason: unknown): void => {
      live -= 1;
      if (live === 0) controller.abort(reason);
    };
    for (const load of arrived) load.onAbort = aborted;
    try {
      const pairs = await this.#load([...byItem.keys()], {
        signal: controller.signal,
        setOptions: (item: unknown, options: LoadOptions) => {
          for (const load of byItem.get(item) ?? []) load.setOptions(options);
        },
      });
      const values = valuesByItem(pairs, byItem);
      for (const [item, loads] of byItem) {
        for (const load of loads) this.#give(load, item, values.get(item));
      }
    } catch (error) {
      fail(error);
    } finally {
      cancel();
      // This call outlives young collections: its flights are not to.
      byItem.clear();
      arrived.length = 0;
    }
  }

  /** Gives a flight its value, with the options of the call. */
  #give(load: Load, item: unknown, value: unknown): void {
    const { ofValue } = this.#of;
    const judge = judgeBy(value === undefined ? { tags: ofValue.tags } : ofValue, (checked) => [item, checked]);
    load.runInContext(() => load.give(value, judge));
  }
}

/** A loader of one item alone, by the loader of its batch. */
export function loaderOfItem(load: BatchLoader<unknown, unknown>, { item, ofValue }: ItemLoad): Loader<unknown> {
  const asked = new Map([[item, undefined]]);
  const loadOne: Loader<unknown> = async ({ signal, setOptions }) => {
    const pairs = await load([item], { signal, setOptions: (_item, options) => setOptions(options) });
    return valuesByItem(pairs, asked).get(item);
  };
  return judging(loadOne, ofValue, (checked) => [item, checked]);
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

/** The shape of what a batch loader gave, without the value: that may be anything users store. */
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
