import type { Clock } from "@hotset/core";
import type { SingleLink } from "../connection/single-link.ts";

/**
 * Links that are made to connect. Each is awaited once, however often it is added: it may be away for days, and its
 * promise would collect a reaction of each caller.
 */
export class AwaitedLinks {
  readonly #clock: Clock;
  /** With the error of those that have failed for good. */
  readonly #links = new Map<SingleLink, { error?: unknown }>();
  readonly #wakers = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns why the link has failed for good, once: the next caller tries again. */
  add(link: SingleLink): unknown {
    if (link.queue.client !== undefined) return undefined;
    const known = this.#links.get(link);
    if (known?.error !== undefined) this.#links.delete(link);
    if (known !== undefined) return known.error;
    const awaited: { error?: unknown } = {};
    this.#links.set(link, awaited);
    void link
      .ready()
      .then(
        () => this.#links.delete(link),
        (error: unknown) => {
          awaited.error = error;
        },
      )
      .then(() => {
        for (const wake of this.#wakers) wake();
      });
    return undefined;
  }

  forget(links: readonly SingleLink[]): void {
    for (const link of links) this.#links.delete(link);
  }

  /** Resolves when one of them has connected or failed, at the latest after `waitMs`. */
  settledWithin(waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#wakers.delete(wake);
        cancel();
        resolve();
      };
      const cancel = this.#clock.schedule(wake, waitMs);
      this.#wakers.add(wake);
    });
  }
}
