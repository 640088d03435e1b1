import type { Clock } from "@hotset/core";
import type { Entry } from "./entry.ts";
import type { EntryId } from "./entry-id.ts";
import type { Delivery } from "./member.ts";

export interface ConsumerContext {
  /**
   * Aborted when another consumer has taken the entry, because this process stood still for `minIdle`, and when
   * `stopTimeout` has passed.
   */
  readonly signal: AbortSignal;
  /** How often the entry was delivered, this time included. Above 1, it may have been handled before. */
  readonly deliveries: number;
}

/** The entry is acknowledged once it resolves. If it rejects, the entry is delivered again after `minIdle`. */
export type ConsumerHandler<T> = (entry: Entry<T>, context: ConsumerContext) => unknown;

export interface BatchSettings<T> {
  readonly clock: Clock;
  readonly concurrency: number;
  readonly handler: ConsumerHandler<T>;
  readonly renewEveryMs: number;
  readonly renew: (ids: readonly EntryId[]) => Promise<readonly EntryId[]>;
  readonly onHandled: (id: EntryId) => void;
  readonly onFailed: (delivery: Delivery<T>, error: unknown) => Promise<void>;
  /** Aborted: handlers are not waited for any more. */
  readonly abandoned: AbortSignal;
}

/** The entries of one read. They stay with this consumer while they wait, and while they are handled. */
export class Batch<T> {
  readonly #settings: BatchSettings<T>;
  readonly #waiting: Delivery<T>[];
  /** One for each entry that is not handled yet. */
  readonly #held: Map<EntryId, AbortController>;
  #cancelRenewal = (): void => undefined;

  constructor(deliveries: readonly Delivery<T>[], settings: BatchSettings<T>) {
    this.#settings = settings;
    this.#waiting = [...deliveries];
    this.#held = new Map(deliveries.map(({ entry }) => [entry.id, new AbortController()]));
  }

  /** Resolves when each handler has ended, or once the batch is abandoned. Never rejects. */
  async run(): Promise<void> {
    const { abandoned, concurrency } = this.#settings;
    const given = new Promise<void>((resolve) => {
      const abandon = (): void => {
        this.#abandon();
        resolve();
      };
      if (abandoned.aborted) abandon();
      else abandoned.addEventListener("abort", abandon, { once: true, signal: this.#over.signal });
    });
    this.#renewLater();
    const workers = Array.from({ length: Math.min(concurrency, this.#waiting.length) }, () => this.#work());
    await Promise.race([Promise.all(workers), given]);
    this.#over.abort();
    this.#cancelRenewal();
  }

  readonly #over = new AbortController();

  async #work(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const holding = this.#held.get(next.entry.id);
      if (holding?.signal.aborted === false) await this.#handle(next, holding.signal);
      this.#held.delete(next.entry.id);
    }
  }

  async #handle(delivery: Delivery<T>, signal: AbortSignal): Promise<void> {
    const { handler, onHandled, onFailed } = this.#settings;
    const { entry, deliveries } = delivery;
    try {
      await handler(entry, { signal, deliveries });
    } catch (error) {
      await onFailed(delivery, error);
      return;
    }
    onHandled(entry.id);
  }

  #abandon(): void {
    this.#waiting.length = 0;
    for (const holding of this.#held.values()) holding.abort(new Error("the consumer was stopped"));
  }

  #renewLater(): void {
    const { clock, renewEveryMs } = this.#settings;
    this.#cancelRenewal = clock.schedule(() => void this.#renew(), renewEveryMs);
  }

  async #renew(): Promise<void> {
    const ids = [...this.#held.keys()];
    try {
      for (const id of ids.length === 0 ? [] : await this.#settings.renew(ids))
        this.#held.get(id)?.abort(new Error("another consumer has taken the entry"));
    } catch {
      // Redis is away, which the next read reports. The entries may be taken meanwhile.
    }
    if (!this.#over.signal.aborted) this.#renewLater();
  }
}
