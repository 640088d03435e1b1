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
  /** The entries may be taken meanwhile. It is tried again. */
  readonly onRenewalFailed: (error: unknown) => void;
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
  readonly #held: Map<EntryId, Holding>;
  readonly #over = new AbortController();
  #cancelRenewal = (): void => undefined;

  constructor(all: readonly Delivery<T>[], settings: BatchSettings<T>) {
    this.#settings = settings;
    this.#waiting = [...all];
    this.#held = new Map(all.map(({ entry, deliveries }) => [entry.id, new Holding(deliveries)]));
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

  async #work(): Promise<void> {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const holding = this.#held.get(next.entry.id);
      if (holding?.isAborted === false) await this.#handle(next, holding);
      this.#held.delete(next.entry.id);
    }
  }

  async #handle(delivery: Delivery<T>, context: ConsumerContext): Promise<void> {
    const { handler, onHandled, onFailed } = this.#settings;
    try {
      await consuming("stream", delivery.entry.fields as Readonly<Record<string, unknown>>, () =>
        handler(delivery.entry, context),
      );
    } catch (error) {
      await onFailed(delivery, error);
      return;
    }
    onHandled(delivery.entry.id);
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
    } catch (error) {
      this.#settings.onRenewalFailed(error);
    }
    if (!this.#over.signal.aborted) this.#renewLater();
  }
}

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
