import { CacheClosedError, InvalidArgumentError, systemClock, type Clock, type Namespace } from "@hotset/core";
import type { Resolved } from "./targets.ts";
import type { Warn } from "./warnings.ts";

/** The calls of a cache that are made. A cache and each of its namespaces has them. */
export type Followed = Pick<Namespace, "invalidateTags" | "deleteMany" | "clear">;

export interface OutboxOptions {
  readonly cache: Followed;
  readonly warn: Warn;
  /** Counts the calls of the cache, retries included. */
  readonly figures?: { calls: number } | undefined;
  readonly onCacheClosed?: ((error: CacheClosedError) => void) | undefined;
  /** Whether a statement that begins now sees what these transactions wrote. @default they are seen by all */
  readonly isVisible?: ((transactions: ReadonlySet<number>) => Promise<boolean>) | undefined;
  /** How long after its acknowledgement each invalidation is made again. @default 0: not again */
  readonly settleMs?: number | undefined;
  readonly clock?: Clock | undefined;
}

const retryMs = (turn: number): number => Math.min(10 * 4 ** turn, 500);

/**
 * Invalidations, each made until it is acknowledged. Targets added while a call is in progress go into one next call.
 *
 *     added ──▶ open batch ──its turn──▶ sent until acknowledged ──visible, settled──▶ done, in the order of batches
 */
export class Outbox {
  readonly #options: OutboxOptions;
  readonly #clock: Clock;
  #open = new Batch();
  /** Ends when the batch before the open one was acknowledged: then it is sent. */
  #turn: Promise<unknown> = Promise.resolve();
  #last: Promise<void> = Promise.resolve();
  readonly #unsettled = new Set<Batch>();
  #isClosed = false;
  /** When the call that is in progress was made first. */
  #sendingSince: number | undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Targets that are not sent yet. */
  get size(): number {
    return this.#open.size;
  }

  /** The instant of the oldest change that is not done. */
  get since(): number | undefined {
    const [oldest] = this.#unsettled;
    return oldest?.since;
  }

  /** For how long the cache has not acknowledged what was sent to it, in milliseconds. */
  get unacknowledgedMs(): number {
    return this.#sendingSince === undefined ? 0 : this.#clock.now() - this.#sendingSince;
  }

  /** @param transaction that changed the row; it may not be visible yet. */
  add({ tags, keys, clear }: Resolved, transaction?: number): void {
    const batch = this.#open;
    for (const tag of tags) batch.tags.add(tag);
    for (const key of keys) batch.keys.add(key);
    batch.clear ||= clear;
    if (transaction !== undefined && batch.size > 0) batch.transactions.add(transaction);
  }

  /**
   * Sends what was added. Resolves once all of it is done; never rejects, and after {@link close} never resolves.
   *
   * @param since when it was committed, by our clock. @default now
   * @param onDone called when all up to this call is done, unless a later call gives another one before that.
   */
  flush(since: number = this.#clock.now(), onDone?: () => void): Promise<void> {
    const batch = this.#open;
    if (batch.size === 0 && onDone === undefined) return this.#last;
    batch.since ??= since;
    batch.onDone = onDone ?? batch.onDone;
    if (batch.done !== undefined) return batch.done;
    this.#unsettled.add(batch);
    const acknowledged = this.#turn.then(async () => {
      this.#open = new Batch();
      // Before the invalidation: a load that begins after it must read what the transaction wrote.
      const isVisible = await this.#isVisible(batch);
      await this.#send(batch);
      return isVisible;
    });
    const before = this.#last;
    this.#turn = acknowledged;
    batch.done = acknowledged.then((isVisible) => this.#settle(batch, isVisible, before));
    return (this.#last = batch.done);
  }

  /** Resolves once what was added before is acknowledged, if not done. */
  async sent(): Promise<void> {
    void this.flush();
    await this.#turn;
  }

  /** Unacknowledged batches stay so. */
  close(): void {
    this.#isClosed = true;
  }

  async #settle(batch: Batch, wasVisible: boolean, before: Promise<void>): Promise<void> {
    for (let isVisible = wasVisible, turn = 0; !isVisible; turn += 1) {
      await this.#pause(retryMs(turn));
      isVisible = await this.#isVisible(batch);
      if (isVisible) await this.#send(batch);
    }
    const { settleMs = 0 } = this.#options;
    if (settleMs > 0 && batch.size > 0) {
      await this.#pause(settleMs);
      await this.#send(batch);
    }
    await before;
    this.#unsettled.delete(batch);
    if (!this.#isClosed) batch.onDone?.();
  }

  async #isVisible({ transactions }: Batch): Promise<boolean> {
    const { isVisible = async () => true } = this.#options;
    return transactions.size === 0 || isVisible(transactions).catch(() => false);
  }

  async #send(batch: Batch): Promise<void> {
    const isFirst = this.#sendingSince === undefined;
    if (isFirst) this.#sendingSince = this.#clock.now();
    for (let turn = 0; !(await this.#isAcknowledged(batch)); turn += 1) await this.#pause(retryMs(turn));
    if (isFirst) this.#sendingSince = undefined;
  }

  async #isAcknowledged(batch: Batch): Promise<boolean> {
    const { cache, onCacheClosed, figures, warn } = this.#options;
    const { clear, tags, keys } = batch;
    try {
      const calls: Promise<{ readonly status?: string; readonly pending?: number }>[] = [];
      if (clear) calls.push(cache.clear());
      if (tags.size > 0) calls.push(cache.invalidateTags([...tags]));
      if (keys.size > 0) calls.push(cache.deleteMany([...keys]));
      if (figures !== undefined) figures.calls += calls.length;
      return (await Promise.all(calls)).every(({ status, pending = 0 }) => status !== "pending" && pending === 0);
    } catch (error) {
      // One tag or key that the cache does not take must not hold up all others.
      if (error instanceof InvalidArgumentError) {
        tags.clear();
        keys.clear();
        batch.clear = true;
      }
      if (error instanceof CacheClosedError) onCacheClosed?.(error);
      else warn("INVALIDATION", `an invalidation failed, and is made again: ${String(error)}`);
      return false;
    }
  }

  /** Never ends once it is closed. */
  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#clock.schedule(() => !this.#isClosed && resolve(), ms);
    });
  }
}

class Batch {
  readonly tags = new Set<string>();
  readonly keys = new Set<string>();
  readonly transactions = new Set<number>();
  clear: boolean = false;
  since: number | undefined;
  onDone: (() => void) | undefined;
  done: Promise<void> | undefined;

  get size(): number {
    return this.tags.size + this.keys.size + (this.clear ? 1 : 0);
  }
}
