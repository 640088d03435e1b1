import type { FlightBatch } from "./call.ts";
import type { BatchLoader, LoadContext } from "./load.ts";
import type { EntryOptions } from "../entry/policy.ts";

interface Arrival<K> {
  readonly item: K;
  readonly context: LoadContext;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * One run of a batch loader for many flights. Each flight climbs the ladder alone, with a loader that waits here. When
 * every flight has either come to its load or ended without one, the user's loader runs once, for the flights that
 * came.
 */
export class BatchLoad<K, T> implements FlightBatch {
  pinned: FlightBatch["pinned"];
  readonly #load: BatchLoader<K, T>;
  readonly #run: (keys: readonly string[], body: () => Promise<void>) => Promise<void>;
  #outstanding = 0;
  readonly #arrived: Arrival<K>[] = [];

  /** @param run runs the load of these keys; waits for one slot, whatever their number. */
  constructor(load: BatchLoader<K, T>, run: (keys: readonly string[], body: () => Promise<void>) => Promise<void>) {
    this.#load = load;
    this.#run = run;
  }

  /** Waits for so many more flights. */
  expect(flights: number): void {
    this.#outstanding += flights;
    this.#start();
  }

  /**
   * The loader of the flight for `item`. Resolves to `undefined`, which is stored nowhere, for an item that the batch
   * loader left out.
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
    this.left();
  }

  resumed(): void {
    this.#outstanding += 1;
    // The versions that were pinned before may be outdated.
    this.pinned = undefined;
  }

  /** A flight ended without a load. */
  left(): void {
    this.#outstanding -= 1;
    this.#start();
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
        setOptions: (item: K, options: EntryOptions) => {
          for (const { context } of byItem.get(item) ?? []) context.setOptions(options);
        },
      });
      const values = new Map(pairs);
      for (const { item, resolve } of arrived) resolve(values.get(item));
    } catch (error) {
      for (const { reject } of arrived) reject(error);
    }
  }
}
