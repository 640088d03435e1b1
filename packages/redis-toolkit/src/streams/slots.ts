import type { Clock } from "@hotset/core";
import { consuming } from "../module/module.ts";
import type { EntryId } from "./entry-id.ts";
import type { Entry } from "./entry.ts";
import type { Delivery } from "./member.ts";

/** The second argument of a handler. */
export interface ConsumerContext {
  /**
   * Aborted when another consumer has taken the entry, because this process stood still for `minIdle`, and when
   * `stopTimeout` has passed.
   */
  readonly signal: AbortSignal;
  /** How often the entry was delivered to a handler, this time included. Above 1, it may have been handled before. */
  readonly deliveries: number;
}

/** The entry is acknowledged once it resolves. If it rejects, the entry is delivered again after `minIdle`. */
export type ConsumerHandler<T> = (entry: Entry<T>, context: ConsumerContext) => unknown;

export interface SlotsSettings<T> {
  readonly clock: Clock;
  /** How many handlers run in parallel. */
  readonly concurrency: number;
  readonly handler: ConsumerHandler<T>;
  readonly renewEveryMs: number;
  readonly renew: (ids: readonly EntryId[]) => Promise<readonly EntryId[]>;
  /** The entries may be taken meanwhile. It is tried again. */
  readonly onRenewalFailed: (error: unknown) => void;
  /** Sets in Redis how often entries were delivered. @returns those that another consumer has taken */
  readonly count: (deliveries: ReadonlyMap<EntryId, number>) => Promise<readonly EntryId[]>;
  readonly onHandled: (id: EntryId) => void;
  readonly onFailed: (delivery: Delivery<T>, error: unknown) => Promise<void>;
}

/**
 * Runs handlers, each in a slot, and keeps what waits for one. An entry begins as soon as a slot is free; a slow one
 * holds up no other. All stay with this consumer while they wait, and while they are handled.
 */
export class Slots<T> {
  readonly #settings: SlotsSettings<T>;
  readonly #waiting: Delivery<T>[] = [];
  /** One for each entry that is not handled yet. */
  readonly #held = new Map<EntryId, Holding>();
  /** Begun, and not counted in Redis. */
  #uncounted = new Map<EntryId, number>();
  /** To be counted before their handlers begin. */
  #beginning = new Map<EntryId, number>();
  #countingBeginning: Promise<"counted" | "failed"> | undefined;
  #running = 0;
  #isAbandoned = false;
  #cancelRenewal: (() => void) | undefined;
  #cancelCounting: (() => void) | undefined;
  /** Resolved at the next change. Made when something waits for it. */
  #changed: PromiseWithResolvers<void> | undefined;

  constructor(settings: SlotsSettings<T>) {
    this.#settings = settings;
  }

  /** Slots whose entry is still to be read. */
  get free(): number {
    return Math.max(0, this.#settings.concurrency - this.#running - this.#waiting.length);
  }

  /** Entries that wait or are handled. */
  get held(): number {
    return this.#running + this.#waiting.length;
  }

  get isAbandoned(): boolean {
    return this.#isAbandoned;
  }

  /** Ids of the entries that wait or are handled. */
  get ids(): readonly EntryId[] {
    return [...this.#held.keys()];
  }

  has(id: EntryId): boolean {
    return this.#held.has(id);
  }

  add(deliveries: readonly Delivery<T>[]): void {
    for (const delivery of deliveries) {
      if (this.#held.has(delivery.entry.id)) continue;
      this.#held.set(delivery.entry.id, new Holding(delivery.deliveries));
      this.#waiting.push(delivery);
    }
    if (this.#held.size > 0) this.#renewLater();
    this.#fill();
  }

  /** Resolves when a slot is free, or once `signal` is aborted. */
  untilFree(signal: AbortSignal): Promise<void> {
    return this.#until(() => this.free > 0, signal);
  }

  /** Resolves when each handler has ended, or once all are abandoned. Never rejects. */
  untilIdle(): Promise<void> {
    return this.#until(() => this.#isAbandoned || this.held === 0);
  }

  /** Nothing more begins, and handlers that run are not waited for. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#waiting.length = 0;
    for (const holding of this.#held.values()) holding.abort(new Error("the consumer was stopped"));
    this.#cancelRenewal?.();
    this.#countBegun();
    this.#tell();
  }

  async #until(isReached: () => boolean, signal?: AbortSignal): Promise<void> {
    const isOver = (): boolean => isReached() || signal?.aborted === true;
    if (isOver()) return;
    const tell = (): void => this.#tell();
    signal?.addEventListener("abort", tell);
    while (!isOver()) await (this.#changed ??= Promise.withResolvers()).promise;
    signal?.removeEventListener("abort", tell);
  }

  #tell(): void {
    this.#changed?.resolve();
    this.#changed = undefined;
  }

  #fill(): void {
    while (this.#running < this.#settings.concurrency && !this.#isAbandoned) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      const holding = this.#held.get(next.entry.id);
      // Another consumer has taken it while it waited.
      if (holding === undefined || holding.isAborted) this.#held.delete(next.entry.id);
      else void this.#run(next, holding);
    }
  }

  async #run(delivery: Delivery<T>, holding: Holding): Promise<void> {
    const { id } = delivery.entry;
    this.#running += 1;
    if (delivery.isCounted === false) await this.#countBegin(id, delivery.deliveries);
    if (!holding.isAborted) await this.#handle(delivery, holding);
    this.#uncounted.delete(id);
    this.#held.delete(id);
    this.#running -= 1;
    this.#fill();
    this.#tell();
  }

  async #handle(delivery: Delivery<T>, context: ConsumerContext): Promise<void> {
    const { handler, onHandled, onFailed } = this.#settings;
    const { id, fields } = delivery.entry;
    try {
      await consuming("stream", fields as Readonly<Record<string, unknown>>, () => handler(delivery.entry, context));
    } catch (error) {
      if (this.#uncounted.delete(id)) await this.#count(new Map([[id, delivery.deliveries]]));
      await onFailed(delivery, error);
      return;
    }
    onHandled(id);
  }

  /**
   * A first delivery is counted later, together with others. A repetition is counted before its handler begins: that of
   * a poison entry may end the process. If Redis cannot be reached, the handler begins all the same.
   */
  async #countBegin(id: EntryId, deliveries: number): Promise<void> {
    if (deliveries === 1) return this.#countLater(id, deliveries);
    this.#beginning.set(id, deliveries);
    const counted = await (this.#countingBeginning ??= this.#countBeginning());
    // Its handler does not begin: it goes back as it came.
    if (this.#isAbandoned) void this.#count(new Map([[id, deliveries - 1]]));
    else if (counted === "failed") this.#countLater(id, deliveries);
  }

  /** All that begin in one turn, in one call. */
  async #countBeginning(): Promise<"counted" | "failed"> {
    await Promise.resolve();
    const beginning = this.#beginning;
    this.#beginning = new Map();
    this.#countingBeginning = undefined;
    return this.#count(beginning);
  }

  /** A handler that ends before needs no count. */
  #countLater(id: EntryId, deliveries: number): void {
    this.#uncounted.set(id, deliveries);
    this.#cancelCounting ??= this.#settings.clock.schedule(() => this.#countBegun(), COUNT_AFTER_MS);
  }

  #countBegun(): void {
    this.#cancelCounting?.();
    this.#cancelCounting = undefined;
    const uncounted = this.#uncounted;
    this.#uncounted = new Map();
    if (uncounted.size > 0) void this.#count(uncounted);
  }

  /** Never rejects. */
  async #count(deliveries: ReadonlyMap<EntryId, number>): Promise<"counted" | "failed"> {
    try {
      this.#abortTaken(await this.#settings.count(deliveries));
      return "counted";
    } catch (error) {
      this.#settings.onRenewalFailed(error);
      return "failed";
    }
  }

  #abortTaken(ids: readonly EntryId[]): void {
    for (const id of ids) this.#held.get(id)?.abort(new Error("another consumer has taken the entry"));
  }

  #renewLater(): void {
    const { clock, renewEveryMs } = this.#settings;
    this.#cancelRenewal ??= clock.schedule(() => void this.#renew(), renewEveryMs);
  }

  async #renew(): Promise<void> {
    const ids = [...this.#held.keys()];
    try {
      if (ids.length > 0) this.#abortTaken(await this.#settings.renew(ids));
    } catch (error) {
      this.#settings.onRenewalFailed(error);
    }
    this.#cancelRenewal = undefined;
    if (this.#held.size > 0 && !this.#isAbandoned) this.#renewLater();
  }
}

/** A process that a handler ends sooner does not count that handler, unless its entry was delivered before. */
const COUNT_AFTER_MS = 10;

/** An entry that is not handled yet. Its signal is made when a handler asks for it, and most do not. */
class Holding implements ConsumerContext {
  readonly deliveries: number;
  #controller: AbortController | undefined;
  #reason: Error | undefined;

  constructor(deliveries: number) {
    this.deliveries = deliveries;
  }

  get isAborted(): boolean {
    return this.#reason !== undefined;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    this.#reason ??= reason;
    this.#controller?.abort(this.#reason);
  }
}
