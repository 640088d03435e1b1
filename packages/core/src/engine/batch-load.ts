import { InvalidArgumentError, InvalidValueError } from "../contracts/errors.ts";
import { inThisContext } from "../primitives/async-context.ts";
import { SharedSlot } from "../primitives/shared-slot.ts";
import type { EntryKey } from "../entry/key.ts";
import type { LoadOptions, ResolvedPolicy } from "../entry/policy.ts";
import type { BatchedLoad, BatchFlight, FlightBatch, GetOrSetCall } from "./call.ts";
import type { Copies, Limits, Reporting } from "./context.ts";
import type { BatchLoader } from "../entry/loader.ts";
import { judgeBy, Judged, type OfValue, overdue } from "./load.ts";
import { Loading } from "./loading.ts";
import type { Ladder } from "./ladder.ts";
import { UsedValues } from "./used-values.ts";

/** The parts of a cache that a batch needs, and the namespace that its keys are in. */
export interface BatchContext {
  readonly context: Limits & Pick<Reporting, "clock"> & Pick<Copies, "local">;
  readonly ladder: Ladder;
  /** The value for an item that the loader left out: `null` is remembered, `undefined` is not. */
  readonly absent: null | undefined;
  /** Functions of each item and its value. */
  readonly ofValue: OfValue;
}

/** An item of a batch. */
export interface ItemAndKey<K> {
  readonly item: K;
  readonly key: EntryKey;
}

/**
 * `getOrSetMany`: one flight for each item, and one run of `load` for those that come to their load.
 *
 * @param items each once.
 * @param shared what their calls have in common.
 * @returns the values that are not `undefined`, in the order of `items`.
 * @throws the first error, in that order, after all calls have ended.
 */
export async function loadMany<K>(
  batchContext: BatchContext,
  items: readonly ItemAndKey<K>[],
  load: BatchLoader<K, unknown>,
  shared: Omit<GetOrSetCall, "key" | "load">,
): Promise<Map<K, unknown>> {
  const { context, ladder } = batchContext;
  const batch = new BatchLoad<K, unknown>(load, batchContext, shared.policy);
  const found = new Map<K, unknown>();
  if (items.length === 0) return found;
  const values = new Array<unknown>(items.length);
  let firstFailed = Infinity;
  await new Promise<void>((settled) => {
    let left = items.length;
    const end = (i: number, given: unknown): void => {
      values[i] = given;
      left -= 1;
      if (left === 0) settled();
    };
    const entering = items.map(({ item, key }, i) => ({
      call: { ...shared, key, load: undefined, batch, item },
      held: context.local?.get(key.local, shared.startedAt),
      ends: {
        resolve: (value: unknown) => end(i, value),
        reject: (reason: unknown) => {
          firstFailed = Math.min(firstFailed, i);
          end(i, reason);
        },
      },
    }));
    batch.expect(ladder.fetchMany(entering));
  });
  if (firstFailed < items.length) throw values[firstFailed];
  items.forEach(({ item }, i) => {
    if (values[i] !== undefined) found.set(item, values[i]);
  });
  return found;
}

/**
 * One run of a batch loader for many flights. Each flight climbs the ladder alone, and its load waits here. When every
 * flight has either come to its load or ended without one, the user's loader runs once, for the flights that came.
 */
export class BatchLoad<K, T> implements FlightBatch {
  isAdmitted: FlightBatch["isAdmitted"];
  readonly loads: SharedSlot;
  readonly backgroundLoads: SharedSlot;
  readonly used: UsedValues | undefined;
  readonly #load: BatchLoader<K, T>;
  readonly #of: Omit<BatchContext, "ladder">;
  readonly #timeoutMs: number;
  #outstanding = 0;
  readonly #arrived: BatchedLoad[] = [];
  readonly #ended: BatchFlight[] = [];
  /** In the context of the call. A flight that came to its load was counted there, perhaps in this very turn. */
  readonly #goOn = inThisContext(() => {
    for (const { running } of this.#ended.splice(0)) if (running === undefined) this.#outstanding -= 1;
    this.#start();
  });

  constructor(load: BatchLoader<K, T>, of: Omit<BatchContext, "ladder">, policy: ResolvedPolicy) {
    this.#load = load;
    this.#of = of;
    this.#timeoutMs = policy.loadTimeoutMs;
    // Checks them.
    judgeBy(of.ofValue);
    this.used = policy.inherit ? new UsedValues(of.context) : undefined;
    this.loads = new SharedSlot(of.context.loads);
    this.backgroundLoads = new SharedSlot(of.context.backgroundLoads);
  }

  /** Waits for so many more flights. */
  expect(flights: number): void {
    this.#outstanding += flights;
    this.#start();
  }

  arrives(load: BatchedLoad): void {
    this.#arrived.push(load);
    this.#outstanding -= 1;
    this.#start();
  }

  paused(): void {
    this.#outstanding -= 1;
    this.#start();
  }

  joins(): void {
    this.#outstanding += 1;
  }

  ended(flight: BatchFlight): void {
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

  async #loadAll(arrived: BatchedLoad[]): Promise<void> {
    if (arrived.length === 0) return;
    const { context, absent } = this.#of;
    const byItem = Map.groupBy(arrived, ({ call }) => call.item as K);
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
    for (const load of arrived)
      load.onAbort = (reason) => {
        live -= 1;
        if (live === 0) controller.abort(reason);
      };
    try {
      const pairs = await this.#load([...byItem.keys()], {
        signal: controller.signal,
        setOptions: (item: K, options: LoadOptions) => {
          for (const load of byItem.get(item) ?? []) load.setOptions(options);
        },
      });
      const values = valuesByItem(pairs, byItem);
      for (const [item, loads] of byItem) {
        const value = values.get(item);
        for (const load of loads) this.#give(load, item, value === undefined ? absent : value);
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
  #give(load: BatchedLoad, item: K, value: unknown): void {
    const { ofValue } = this.#of;
    const judge = judgeBy(value === undefined ? { tags: ofValue.tags } : ofValue, (checked) => [item, checked]);
    load.runInContext(() => load.give(judge === undefined ? value : new Judged(value, judge)));
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
